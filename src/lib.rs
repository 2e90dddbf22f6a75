//! llmplane: a declarative control plane for LLM providers, endpoints, keys and models.
//!
//! Dependencies point one way: `crd` and `encryption` know nobody; `db` knows them; `vendors`
//! knows `crd`; `checks` knows `vendors` and `db`; `snapshot` knows `db`'s rows; `controller`
//! wires `checks`; `controller` and `api` never know each other. `http_server` knows nobody.

pub mod admin;
pub mod all;
pub mod api;
pub mod checks;
pub mod cli;
pub mod config;
pub mod controller;
pub mod crd;
pub mod db;
pub mod encryption;
pub mod http_server;
pub mod lint;
pub mod local;
pub mod output;
pub mod snapshot;
pub mod telemetry;
pub mod vendors;
