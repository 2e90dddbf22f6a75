//! The process around the routes: sockets, TLS, bounds on connections, metrics, the end.

pub(super) mod connections;
pub mod metrics;
pub(super) mod observe;
pub(super) mod run;
pub(super) mod tls;
