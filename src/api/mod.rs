//! The API.
//!
//! `router` is the table of contents; each kind's routes are in a file of their own. What is read
//! comes from the snapshot, after `auth` has said who asks and what they may see: a handler then asks
//! neither PostgreSQL nor the kube-apiserver on the way, but for probe history, deleted rows, keys and
//! checks that are asked for (`checks`). A key is given out by `disclosure` alone. What is written is
//! written by `write`: to custom resources, as the caller. Of PostgreSQL nothing is written but the
//! audit and the counts of what is asked for (`needs`).

pub mod auth;
mod checks;
pub mod disclosure;
mod needs;
pub mod openapi;
pub mod problem;
pub mod read;
pub mod router;
mod routes;
mod server;
mod watch;
pub mod write;

use std::ops::Deref;
use std::sync::Arc;

/// For the fuzz targets: what is read of a request.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::auth::token::{bearer, sanity};
    pub use super::routes::models::Filters;
    pub use super::routes::resolve::request::{ResolveRequest, read as read_resolve_request};
    pub use crate::api::read::cursor::{
        CursorPlace, Price, Rank, read as read_cursor, write as write_cursor,
    };
    pub use crate::api::read::list_query::{ListFilters, ListParams};
    pub use crate::api::read::query_params::{FromQuery, Query};
}

pub use routes::resolve::request::read as read_resolve_request;
pub use server::run::{ApiError, Server, run};

use crate::crd::token_services::TokenServices;
use crate::db::Db;
use crate::http_server::AnswerMemory;
use crate::snapshot::Store;
use auth::Auth;
use checks::CheckRequests;
use disclosure::Disclosure;
use needs::NeedLog;
use read::list_cache::ListCache;
use server::metrics::Metrics;
use watch::Watches;
use write::Writes;

/// What the handlers answer from; a clone shares it.
#[derive(Clone)]
pub struct ApiState(Arc<ApiDeps>);

/// The parts of [`ApiState`].
pub struct ApiDeps {
    /// The snapshot.
    pub store: Arc<Store>,
    /// PostgreSQL, for what the snapshot does not hold.
    pub db: Db,
    /// Who asks, and what they may see.
    pub auth: Auth,
    /// Who gets keys.
    pub disclosure: Disclosure,
    /// Checks that callers wait for.
    checks: CheckRequests,
    /// Streams of changes.
    watches: Watches,
    /// What writes need.
    pub writes: Writes,
    /// What is counted.
    pub metrics: Metrics,
    /// Lists that were written out already.
    pub pages: ListCache,
    /// What is asked for, on its way to the database's counts.
    needs: NeedLog,
    /// Resolutions that were written out already.
    resolutions: routes::resolve::ResolutionCache,
    /// Those with a key, but for the key.
    prepared: routes::resolve::PreparedAnswers,
    /// Namespaces that every caller's resolve also looks in.
    pub shared_namespaces: Vec<Arc<str>>,
    /// Where vendors exchange tokens, where that is not their own host.
    pub token_services: TokenServices,
    /// Whose turn it is to read deleted rows.
    deleted_reads: read::deleted::DeletedReads,
    /// Who waits for a revision.
    revision_waits: read::revisions::RevisionWaits,
    /// Memory of answers under way.
    pub memory: AnswerMemory,
}

impl ApiState {
    /// Of these parts.
    pub fn new(parts: ApiDeps) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for ApiState {
    type Target = ApiDeps;

    fn deref(&self) -> &ApiDeps {
        &self.0
    }
}
