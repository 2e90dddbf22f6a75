//! Everything that is said to PostgreSQL: one file a table, and every SQL statement of the project.
//!
//! The controller and its checks write, through [`Db::write`] and [`Db::write_unversioned`] alone:
//! both end as the fence demands, so that a controller that has lost its leadership changes
//! nothing. The snapshot and the read API only read. Nothing here calls a vendor or the
//! kube-apiserver, and no plain key ever comes this way.

pub mod audit_log;
pub mod changes;
pub mod check_requests;
pub mod command;
pub mod credential_versions;
pub mod credentials;
mod deadline;
mod deleted;
pub mod endpoints;
mod error;
pub mod feed;
mod group;
pub mod health_probes;
mod keyring_check;
pub mod listed_models;
pub mod listener;
mod migrate;
pub mod models;
mod partitions;
mod pool;
pub mod providers;
mod purge;
mod readable;
mod sweep;
mod types;
mod verdict;
mod write;

pub use audit_log::AuditRow;
pub use changes::{ChangedRows, Changes, Snapshot};
pub use check_requests::CheckRequest;
pub use credential_versions::{CredentialVersionRow, NewVersion, SealedVersion};
pub use credentials::{CredentialRow, CredentialUpsert};
pub use deleted::{DeletedRange, DeletedRows, RowPlace};
pub use endpoints::{EndpointRow, EndpointUpsert};
pub use error::DbError;
pub use feed::FeedState;
pub use health_probes::{CheckKind, LastCheck, NewProbe, ProbeCursor, ProbeRow};
pub use listener::{CheckListener, FeedListener, Woken};
pub use migrate::{check_schema, migrate, revert};
pub use models::{ModelRow, ModelUpsert};
pub use pool::{Db, DbOptions};
pub use providers::{ProviderRow, ProviderUpsert};
pub use sweep::{LiveObject, Upserted};
pub use types::{Epoch, Revision};
pub use verdict::Verdict;
pub use write::{WriteResult, WriteTx};
