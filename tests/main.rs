//! One binary for every integration test; one module a behaviour.

mod admission_policy;
mod all_process;
mod api_auth;
mod api_process;
mod canary;
mod checks_without_keys;
mod controller_process;
mod database;
mod failover;
mod killed_at_every_write;
mod local_access;
mod local_plane;
mod lost_apiserver;
mod lost_database;
mod manifests;
mod model_sync;
mod printer_columns;
mod read_api;
mod reconcile_credentials;
mod reconcile_faults;
mod reconcile_kinds;
mod reconcile_limits;
mod samples;
mod settings;
mod support;
mod vendors;
