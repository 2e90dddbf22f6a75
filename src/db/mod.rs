//! Everything that is said to PostgreSQL: one file a table, and every SQL statement of the project.
//!
//! The controller and its checks write, through [`Db::write`] and [`Db::write_unversioned`] alone:
//! both end as the fence demands, so that a controller that has lost its leadership changes
//! nothing. The snapshot and the read API only read. Nothing here calls a vendor or the
//! kube-apiserver, and no plain key ever comes this way.

mod database_url;
mod error;
pub mod feed;
mod maintenance;
mod migrate;
mod pool;
mod read_only;
mod server_facts;
pub mod tables;
mod transactions;
mod types;

pub use error::DbError;
pub use feed::changes::{ChangedObject, ChangedRows, Changes, Snapshot};
pub use feed::listener::{CheckListener, FeedListener, Woken};
pub use feed::state::FeedState;
pub use migrate::{SchemaState, check_schema, migrate, revert};
pub use pool::{Db, DbOptions};
pub use server_facts::{ROLES, ServerFacts};
pub use tables::audit_log::{
    AuditAction, AuditActor, AuditAnchor, AuditEntry, AuditFilter, AuditHead, AuditObject,
    AuditReader, AuditRow, AuditRows, CredentialHolder, CredentialHolders,
};
pub use tables::check_requests::{AskedCheck, CheckRequest};
pub use tables::credential_versions::{
    CredentialVersionRow, CurrentKey, NewVersion, SealedVersion, StoredFingerprints,
};
pub use tables::credentials::{CredentialRow, DeclaredCredential, FoundCredential};
pub use tables::declarations::{DeclarationCounts, DeclarationPlace, DeclarationRow};
pub use tables::deleted::{DeletedRange, DeletedRows, RowPlace};
pub use tables::disclosures::{DisclosureRequest, DisclosureVerdict, RequestedKey, Verdict};
pub use tables::endpoints::{DeclaredEndpoint, EndpointRow, FoundEndpoint};
pub use tables::given_keys::{GivenBounds, GivenKey, GivenKeys};
pub use tables::health_probes::{CheckKind, LastCheck, NewProbe, ProbeCursor, ProbeRow};
pub use tables::live::LiveObject;
pub use tables::model_classes::{DeclaredModelClass, ModelClassRow};
pub use tables::models::{DeclaredModel, FoundModel, ModelRow, ProvedKey};
pub use tables::object::{
    DeclaredRow, ObjectColumns, ObjectRow, UpsertedRow, made_statements, table_columns,
};
pub use tables::providers::{DeclaredProvider, FoundProvider, ProviderRow};
pub use tables::resolve_needs::{CountedNeed, NeedCount};
pub use tables::rewrap::{KekUse, KeyUnder, NewWrap, RewrapState, StoredKey, WrappedVersion};
pub use tables::verdict::{LastPassed, StoredCheck};
pub use transactions::write::{WriteResult, WriteTx};
pub use types::{Epoch, Revision};
