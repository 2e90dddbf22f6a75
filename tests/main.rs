//! One binary for every integration test; one module a behaviour.

mod database;
mod local_access;
mod local_plane;
mod manifests;
mod reconcile_kinds;
mod support;
