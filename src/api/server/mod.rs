//! The process around the routes: sockets, TLS, metrics, the end.

mod key_service;
mod limits;
pub mod metrics;
pub(super) mod observe;
pub(super) mod run;
pub(super) mod tls;
