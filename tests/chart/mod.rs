//! `charts/llmplane` by a real helm: it installs what `manifests/` installs, refuses what contradicts
//! itself, and loses nothing over its life.

mod as_pods;
mod helm;
mod lifecycle;
mod refused;
mod rendered;
mod values;
