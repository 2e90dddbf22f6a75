//! One binary for every integration test; one module a behaviour.

mod admission_policy;
mod all_process;
mod api_auth;
mod api_process;
mod controller_process;
mod database;
mod local_access;
mod local_plane;
mod manifests;
mod model_sync;
mod read_api;
mod reconcile_credentials;
mod reconcile_faults;
mod reconcile_kinds;
mod reconcile_limits;
mod samples;
mod support;
mod vendors;
