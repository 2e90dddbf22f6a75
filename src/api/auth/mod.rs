//! Who is asking, and what they may see.
//!
//! A bearer token is a Kubernetes token. What it says of itself sorts out what cannot be right;
//! then the kube-apiserver says whose it is (TokenReview) and what its owner may do
//! (SubjectAccessReview). Both answers are kept for ten seconds by the token's SHA-256, one
//! question at a time for each, in bounded caches. Tokens themselves are kept nowhere.

mod caller;
mod reviews;
mod scope;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::Timestamp;
use kube::Client;
use moka::future::Cache;
use sha2::{Digest, Sha256};

pub use caller::{Caller, TokenHash};
pub use scope::Scope;

use super::ApiState;
use super::metrics::{CacheName, Metrics};
use super::problem::{Problem, ProblemType};
use crate::crd::Kind;
use reviews::Reviewer;

/// How long an answer of the kube-apiserver counts.
const KEPT: Duration = Duration::from_secs(10);
/// Callers that are remembered.
const CALLERS: u64 = 20_000;
/// Refused tokens that are remembered: apart, so that a flood of them displaces no caller.
const REFUSED: u64 = 20_000;
/// Rights that are remembered.
const RIGHTS: u64 = 100_000;

/// A right on a resource of `llmplane.dev`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// The verb, for example `list`.
    pub verb: &'static str,
    /// The resource, for example `llmmodels`.
    pub resource: &'static str,
    /// The namespace; none: in all of them.
    pub namespace: Option<Arc<str>>,
    /// The object; none: all of them.
    pub name: Option<Arc<str>>,
}

/// Answers who is asking and what they may do.
pub struct Auth {
    audience: String,
    reviewer: Reviewer,
    callers: Cache<TokenHash, Arc<Caller>>,
    refused: Cache<TokenHash, Problem>,
    rights: Cache<(TokenHash, Right), bool>,
    metrics: Metrics,
}

impl Auth {
    /// Asks through this client, whose account needs `system:auth-delegator`.
    pub fn new(client: Client, audience: &str, metrics: Metrics) -> Self {
        Self {
            audience: audience.to_owned(),
            reviewer: Reviewer::new(client, audience.to_owned(), metrics.clone()),
            callers: kept(CALLERS),
            refused: kept(REFUSED),
            rights: kept(RIGHTS),
            metrics,
        }
    }

    /// Who sent these headers.
    ///
    /// # Errors
    ///
    /// 401 when that is nobody we know; 503 when the kube-apiserver cannot be asked.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let token = token::bearer(headers)?;
        let hash: TokenHash = Sha256::digest(token).into();
        let now = Timestamp::now().as_second();
        let hit = self.callers.get(&hash).await;
        self.metrics.looked_up(CacheName::Callers, hit.is_some());
        let caller = match hit {
            Some(caller) => caller,
            None => self.review(token, hash, now).await?,
        };
        if caller.expires_at.is_some_and(|end| end <= now) {
            return Err(token::invalid("it has expired"));
        }
        Ok(caller)
    }

    async fn review(&self, token: &str, hash: TokenHash, now: i64) -> Result<Arc<Caller>, Problem> {
        let expires_at = token::sanity(token, &self.audience, now)?;
        if let Some(refusal) = self.refused.get(&hash).await {
            return Err(refusal);
        }
        let review = async {
            let caller = self.reviewer.caller(token, hash, expires_at).await?;
            Ok::<_, Problem>(Arc::new(caller))
        };
        match self.callers.try_get_with(hash, review).await {
            Ok(caller) => Ok(caller),
            Err(problem) => {
                let problem = Problem::clone(&problem);
                if problem.kind == ProblemType::InvalidToken {
                    self.refused.insert(hash, problem.clone()).await;
                }
                Err(problem)
            }
        }
    }

    /// Whether the caller has a right.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn allowed(&self, caller: &Caller, right: Right) -> Result<bool, Problem> {
        let key = (caller.token, right);
        let hit = self.rights.get(&key).await;
        self.metrics.looked_up(CacheName::Rights, hit.is_some());
        if let Some(allowed) = hit {
            return Ok(allowed);
        }
        let right = key.1.clone();
        self.rights
            .try_get_with(key, self.reviewer.allowed(caller, &right))
            .await
            .map_err(|problem| Problem::clone(&problem))
    }

    /// Whether the caller may get this object: every one of its namespace, or this one by name.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn may_get(
        &self,
        caller: &Caller,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Problem> {
        let every = Right {
            verb: "get",
            resource: kind.plural(),
            namespace: Some(namespace.into()),
            name: None,
        };
        if self.allowed(caller, every.clone()).await? {
            return Ok(true);
        }
        let this = Right {
            name: Some(name.into()),
            ..every
        };
        self.allowed(caller, this).await
    }
}

fn kept<K, V>(at_most: u64) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(at_most)
        .time_to_live(KEPT)
        .build()
}

/// The caller of a request, as a handler's argument.
pub struct Authenticated(pub Arc<Caller>);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        state.auth.caller(&parts.headers).await.map(Self)
    }
}
