//! Writes: custom resources are changed as the caller, with the caller's own token.
//!
//! The cluster's RBAC, admission and audit decide, as if the caller had used kubectl; llmplane's own
//! account has no part in it. A write is a row of llmplane's audit before it begins and another once
//! its outcome is known ([`record`]). It goes on to its end when the caller hangs up. What is answered
//! is the row that the controller makes of it, once this replica has read it.

mod answer;
mod as_caller;
mod body;
mod body_rules;
mod create;
mod credential;
mod declaration;
mod delete;
mod federation;
mod gitops;
mod params;
mod record;
mod refusal;
mod replace;
mod schema;
mod secret;
mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::Response;
use axum::http::request::Parts;
use kube::Config;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

pub use answer::{Declared, Deleted, Written};
pub use as_caller::AsCaller;
pub use body::Draft;
pub use create::{create, create_child};
pub use credential::{create_credential, replace_credential};
pub use delete::{delete, delete_provider};
pub use params::{Cascade, Force, WriteParams};
pub use record::Record;
pub use refusal::Refused;
pub use replace::{replace, set_active};
pub use schema::{
    BODIES, CredentialReplacement, EndpointReplacement, ModelReplacement, NewCredential,
    NewEndpoint, NewModel, NewProvider, ProviderReplacement, StatusChange,
};
pub use target::one_namespace;

use super::ApiState;
use super::auth::token::BearerToken;
use super::auth::{Authenticated, CallerTurn, Heavy, HeavyTurn};
use super::problem::{Problem, ProblemType};
use super::read::answer::RequestHeaders;
use super::read::query_params::{FromQuery, QueryParamsOfTwo};
use crate::keys::disclose::RefusalLog;

/// Writes under way at once; one more is told so.
const AT_ONCE: u32 = 64;
/// How long the end of the process waits for writes: as long as one call of the kube-apiserver may take.
const LAST_WRITES: Duration = as_caller::CALL_TIMEOUT;

/// What writes need of the process; a clone shares it.
#[derive(Clone)]
pub struct Writes {
    anonymous: kube::Client,
    turns: Arc<Semaphore>,
    refusals: RefusalLog,
}

impl Writes {
    /// A client of the cluster of this configuration, without its account.
    ///
    /// # Errors
    ///
    /// Where no client can be made of it.
    pub fn client(cluster: &Config) -> Result<kube::Client, kube::Error> {
        as_caller::anonymous(cluster)
    }

    /// Writes by this client; the audit is told of refusals by this log.
    pub fn new(anonymous: kube::Client, refusals: RefusalLog) -> Self {
        Self {
            anonymous,
            turns: Arc::new(Semaphore::new(AT_ONCE as usize)),
            refusals,
        }
    }

    /// Lets no more writes begin, and waits for those under way: one that is cut may have changed one
    /// object of two.
    pub async fn end(&self) {
        let all = self.turns.acquire_many(AT_ONCE);
        if tokio::time::timeout(LAST_WRITES, all).await.is_err() {
            tracing::warn!("writes were still under way when the process had to end");
        }
    }

    /// A place among the writes under way.
    fn turn(&self, caller: &CallerTurn) -> Result<Turn, Problem> {
        let caller = caller.begin_heavy(Heavy::Write)?;
        let turn = self.turns.clone().try_acquire_owned();
        let place = turn.map_err(|_| {
            Problem::new(
                ProblemType::Overloaded,
                "too many writes are under way; try again",
            )
        })?;
        Ok(Turn {
            _place: place,
            _caller: caller,
        })
    }
}

/// A place among the writes under way, of the replica and of the caller. It is held while something may
/// still change, and not while the answer waits for the row.
struct Turn {
    _place: OwnedSemaphorePermit,
    _caller: HeavyTurn,
}

/// A caller's write: who, with what, and what is asked of all writes.
pub struct Write {
    /// The API.
    pub state: ApiState,
    /// Who writes.
    pub caller: CallerTurn,
    /// The cluster, as the caller may see and change it.
    pub cluster: AsCaller,
    /// What every write understands.
    pub params: WriteParams,
    /// Whether what a GitOps tool manages is changed all the same.
    pub force: bool,
    /// What else the request says.
    pub sent: RequestHeaders,
    /// Its place among the writes under way.
    turn: Option<Turn>,
}

impl Write {
    /// The same, of what a GitOps tool manages too where that is asked for.
    pub fn forced(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Does something to its end, also where nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// Its own; 429 and 503 where too many writes are under way, 500 where it panics.
    pub async fn run<W>(mut self, work: impl FnOnce(Self) -> W) -> Result<Response<Body>, Problem>
    where
        W: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        self.turn = Some(self.state.writes.turn(&self.caller)?);
        let to_its_end = tokio::spawn(work(self).in_current_span());
        to_its_end.await.unwrap_or_else(|_| {
            tracing::error!("a write panicked");
            Err(Problem::internal())
        })
    }
}

/// A caller's write, and further query parameters of its route, as a handler's argument. It takes the
/// headers out of the request: whatever else reads them comes before.
pub struct Writing<Q>(pub Write, pub Q);

impl<Q: FromQuery + Send> FromRequestParts<ApiState> for Writing<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let BearerToken(token) = BearerToken::from_request_parts(parts, state).await?;
        let QueryParamsOfTwo(params, more) =
            QueryParamsOfTwo::from_request_parts(parts, state).await?;
        let Ok(sent) = RequestHeaders::from_request_parts(parts, state).await;
        let write = Write {
            state: state.clone(),
            caller,
            cluster: AsCaller::new(state.writes.anonymous.clone(), token),
            params,
            force: false,
            sent,
            turn: None,
        };
        Ok(Self(write, more))
    }
}
