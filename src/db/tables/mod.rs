//! One file a table, and what all of them share.

pub mod audit_log;
pub mod check_requests;
pub mod credential_versions;
pub mod credentials;
pub(super) mod declarations;
pub(super) mod deleted;
pub mod disclosures;
pub mod endpoints;
pub(super) mod given_keys;
pub mod health_probes;
pub(super) mod keyring_check;
pub mod listed_models;
pub(super) mod live;
pub mod model_classes;
pub mod models;
pub mod object;
pub mod providers;
pub(super) mod readable;
pub(super) mod resolve_needs;
pub(super) mod rewrap;
mod statements;
pub(super) mod verdict;
