//! What makes reconciling happen: starting, leading, watching, the index of what is declared, the
//! queue and its workers. It decides when an object is reconciled, never what becomes of it.

mod apiserver_addresses;
pub(super) mod context;
pub(super) mod credentials_seen;
pub(super) mod decode;
pub(super) mod dispatch;
pub(super) mod endpoints_seen;
pub mod index;
pub(super) mod leader;
mod lease_observer;
pub(super) mod metrics;
pub mod object_key;
pub mod queue;
pub(super) mod run;
pub(super) mod start;
pub(super) mod stored_configuration;
pub(super) mod token_requests;
pub(super) mod watch;
