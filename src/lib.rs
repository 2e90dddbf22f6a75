//! llmplane: a declarative control plane for LLM providers, endpoints, keys and models.
//!
//! Dependencies point one way; `docs/architecture.md` says which room may know which, and a test
//! holds it.

pub mod admin;
pub mod api;
pub mod api_client;
pub mod audit;
pub mod checks;
pub mod cli;
pub mod config;
pub mod console;
pub mod controller;
pub mod crd;
pub mod db;
pub mod encryption;
mod files;
pub mod hardening;
pub mod http_server;
pub mod import;
pub mod keys;
pub mod lint;
pub mod local;
pub mod output;
pub mod plan;
pub mod preflight;
mod public_lists;
pub mod resolve;
pub mod snapshot;
pub mod telemetry;
pub mod vendors;
