//! Settings: flags, each with an environment variable. One file a concern.

pub mod admin;
pub mod api;
pub mod audience;
pub mod cluster;
pub mod secret_url;
