//! Who is asking, and what they may see.
//!
//! A bearer token is a Kubernetes token. What it says of itself sorts out what cannot be right;
//! then the kube-apiserver says whose it is (TokenReview) and what its owner may do
//! (SubjectAccessReview). Both answers are kept for ten seconds by the token's SHA-256, one
//! question at a time for each, in bounded caches. Of a caller who goes on asking they are renewed
//! before their time is up, so that he never waits for them again. What strangers' tokens may cost
//! the kube-apiserver is bounded by address and in all. Tokens themselves are kept nowhere
//! but with a stream of changes, which goes on asking whose it is.

mod caller;
mod review_cache;
mod review_rate_limit;
mod reviews;
mod scope;
pub mod token;
mod turn;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::Client;
use sha2::{Digest, Sha256};

use caller::Decision;
pub use caller::{Caller, TokenHash};
use review_cache::Expiring;
pub(in crate::api) use review_cache::ReviewCache;
pub use scope::Scope;
pub use turn::{CallerTurn, Heavy, HeavyTurn};

use super::ApiState;
use super::problem::{Problem, ProblemType};
use super::server::metrics::{CacheName, Metrics};
use crate::crd::Kind;
use reviews::{Lane, Reviewer};

/// How long an answer of the kube-apiserver counts.
const REVIEW_TTL: Duration = Duration::from_secs(10);
/// How long a renewal may take. What it brings counts from when it is complete.
const RENEWED_WITHIN: Duration = Duration::from_secs(1);
/// Rights of one caller that are asked about at once when it is renewed.
const RENEWED_AT_ONCE: usize = 4;
/// Callers that are remembered.
const CALLERS: usize = 20_000;
/// Refused tokens that are remembered: apart, so that a flood of them displaces no caller.
const REFUSED: usize = 20_000;
/// Rights that are remembered.
const RIGHTS: usize = 100_000;

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

/// A right that is asked about, with what names it borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AskedRight<'a> {
    verb: &'static str,
    resource: &'static str,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl Right {
    fn asked(&self) -> AskedRight<'_> {
        AskedRight {
            verb: self.verb,
            resource: self.resource,
            namespace: self.namespace.as_deref(),
            name: self.name.as_deref(),
        }
    }
}

impl AskedRight<'_> {
    fn owned(&self) -> Right {
        Right {
            verb: self.verb,
            resource: self.resource,
            namespace: self.namespace.map(Arc::from),
            name: self.name.map(Arc::from),
        }
    }
}

/// Answers who is asking and what they may do; cheap to clone.
#[derive(Clone)]
pub struct Auth {
    audience: Arc<str>,
    reviewer: Arc<Reviewer>,
    known: Arc<CachedIdentity>,
    metrics: Metrics,
}

/// What the kube-apiserver said.
struct CachedIdentity {
    callers: ReviewCache<TokenHash, Arc<Caller>>,
    refused: ReviewCache<TokenHash, Problem>,
    rights: ReviewCache<(TokenHash, Right), Decision>,
}

impl Auth {
    /// Asks through this client, whose account needs `system:auth-delegator`.
    pub fn new(client: Client, audience: &str, metrics: Metrics) -> Self {
        Self {
            audience: audience.into(),
            reviewer: Arc::new(Reviewer::new(client, audience.to_owned(), metrics.clone())),
            known: Arc::new(CachedIdentity {
                callers: ReviewCache::new(CALLERS),
                refused: ReviewCache::new(REFUSED),
                rights: ReviewCache::new(RIGHTS),
            }),
            metrics,
        }
    }

    /// Who sent these headers from this address.
    ///
    /// # Errors
    ///
    /// 401 when that is nobody we know; 503 when the kube-apiserver cannot be asked, or is not to
    /// be asked more.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Arc<Caller>, Problem> {
        self.caller_of(token::bearer(headers)?, address).await
    }

    /// Whose this token is, which came from this address.
    ///
    /// # Errors
    ///
    /// As [`Auth::caller`].
    pub async fn caller_of(&self, token: &str, address: IpAddr) -> Result<Arc<Caller>, Problem> {
        let hash: TokenHash = Sha256::digest(token).into();
        let now = Instant::now();
        let hit = self.known.callers.get(&hash, now);
        self.metrics.looked_up(CacheName::Callers, hit.is_some());
        let (caller, now) = match hit {
            Some(caller) => {
                if caller.is_to_be_renewed(now) {
                    self.begin_renewal(token, &caller);
                }
                (caller, now)
            }
            // Apart, so that the futures of callers who are known stay small.
            None => {
                let review = Box::pin(self.review(token, hash, address));
                (review.await?, Instant::now())
            }
        };
        match caller.is_over(now) {
            true => Err(token::invalid("it has expired")),
            false => Ok(caller),
        }
    }

    /// Where too many renewals are under way, the caller's next request tries again.
    fn begin_renewal(&self, token: &str, caller: &Arc<Caller>) {
        let Some(turn) = self.reviewer.renewal_turn() else {
            return caller.renew_later();
        };
        let renewal = self.clone().renew(token.to_owned(), caller.clone());
        tokio::spawn(async move {
            renewal.await;
            drop(turn);
        });
    }

    /// Asks again about a caller and the rights that it used. Where the kube-apiserver does not
    /// answer soon, what was known counts until its time is up, and the next request asks.
    async fn renew(self, token: String, known: Arc<Caller>) {
        let hash = known.token;
        let renewed = tokio::time::timeout(RENEWED_WITHIN, self.renewed(&token, &known));
        match renewed.await {
            Ok(Ok((caller, rights))) => {
                for (right, decision) in rights {
                    let answer = (decision, decision.until);
                    self.known.rights.insert((hash, right), answer);
                }
                self.known.callers.insert(hash, from_now(Arc::new(caller)));
            }
            Ok(Err(problem)) if problem.kind == ProblemType::InvalidToken => {
                self.known.callers.remove(&hash);
                self.known.refused.insert(hash, from_now(problem));
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    async fn renewed(
        &self,
        token: &str,
        known: &Caller,
    ) -> Result<(Caller, Vec<(Right, Decision)>), Problem> {
        let (reviewer, begun) = (&self.reviewer, Instant::now());
        let caller = reviewer
            .caller(token, known.token, known.expires_at, Lane::Renewals)
            .await?;
        let ask = |right: Right| async {
            let decision = reviewer.allowed(&caller, &right, Lane::Renewals).await?;
            Ok::<_, Problem>((right, decision))
        };
        let rights: Vec<_> = futures::stream::iter(known.used_rights().into_iter().map(ask))
            .buffer_unordered(RENEWED_AT_ONCE)
            .try_collect()
            .await?;
        for (right, decision) in &rights {
            caller.remember(right.clone(), *decision, begun);
        }
        Ok((caller, rights))
    }

    async fn review(
        &self,
        token: &str,
        hash: TokenHash,
        address: IpAddr,
    ) -> Result<Arc<Caller>, Problem> {
        let now = Timestamp::now().as_second();
        let expires_at = token::sanity(token, &self.audience, now)?;
        if let Some(refusal) = self.known.refused.get(&hash, Instant::now()) {
            return Err(refusal);
        }
        let review = async {
            let turn = self.reviewer.stranger_turn(&hash, address).await?;
            let answer = self
                .reviewer
                .caller(token, hash, expires_at, Lane::Requests)
                .await;
            if let Some(turn) = turn
                && !answer.as_ref().is_err_and(Problem::is_of_token)
            {
                turn.free();
            }
            if let Err(problem) = &answer
                && problem.is_of_token()
            {
                let refusal = from_now(problem.clone());
                self.known.refused.insert(hash, refusal);
            }
            answer.map(|caller| from_now(Arc::new(caller)))
        };
        self.known.callers.get_or_ask(hash, review).await
    }

    /// Whether the caller has a right.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn allowed(&self, caller: &Caller, right: Right) -> Result<bool, Problem> {
        self.decide(caller, right.asked()).await
    }

    /// Whether the caller may get this object: every one of its namespace (none: of all), or this
    /// one by name.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn may_get(
        &self,
        caller: &Caller,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<bool, Problem> {
        let every = AskedRight {
            verb: "get",
            resource: kind.plural(),
            namespace,
            name: None,
        };
        if self.decide(caller, every.clone()).await? {
            return Ok(true);
        }
        let this = AskedRight {
            name: Some(name),
            ..every
        };
        self.decide(caller, this).await
    }

    /// Whether the caller may have the key of this very credential.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn may_use(
        &self,
        caller: &Caller,
        namespace: &str,
        credential: &str,
    ) -> Result<bool, Problem> {
        let place = (Kind::Credential, namespace, credential);
        self.may_on_one(caller, "use", place).await
    }

    /// Whether the caller may ask for a check of this very object.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub async fn may_check(
        &self,
        caller: &Caller,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Problem> {
        self.may_on_one(caller, "check", (kind, namespace, name))
            .await
    }

    /// A right on one object, which the right on all of its kind includes.
    async fn may_on_one(
        &self,
        caller: &Caller,
        verb: &'static str,
        (kind, namespace, name): (Kind, &str, &str),
    ) -> Result<bool, Problem> {
        let asked = AskedRight {
            verb,
            resource: kind.plural(),
            namespace: Some(namespace),
            name: Some(name),
        };
        self.decide(caller, asked).await
    }

    async fn decide(&self, caller: &Caller, asked: AskedRight<'_>) -> Result<bool, Problem> {
        if let Some(allowed) = caller.remembers(&asked, Instant::now()) {
            self.metrics.looked_up(CacheName::Rights, true);
            return Ok(allowed);
        }
        Box::pin(self.look_up(caller, asked.owned())).await
    }

    /// What is remembered of all callers, else what the kube-apiserver says.
    async fn look_up(&self, caller: &Caller, right: Right) -> Result<bool, Problem> {
        let key = (caller.token, right.clone());
        let hit = self.known.rights.get(&key, Instant::now());
        self.metrics.looked_up(CacheName::Rights, hit.is_some());
        let decision = match hit {
            Some(decision) => decision,
            None => {
                let ask = async {
                    let _place = caller.under_way.look_up().await?;
                    let asked = self.reviewer.allowed(caller, &right, Lane::Requests);
                    asked.await.map(|decision| (decision, decision.until))
                };
                self.known.rights.get_or_ask(key, ask).await?
            }
        };
        caller.remember(right, decision, Instant::now());
        Ok(decision.allowed)
    }
}

/// An answer that has just come, and until when it counts.
fn from_now<V>(answer: V) -> Expiring<V> {
    (answer, Instant::now() + REVIEW_TTL)
}

/// The caller of a request, as a handler's argument.
pub struct Authenticated(pub CallerTurn);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let address = address(parts);
        let caller = state.auth.caller(&parts.headers, address).await?;
        CallerTurn::begin(caller).map(Self)
    }
}

/// Where a request comes from, as a handler's argument.
pub struct PeerAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for PeerAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address(parts)))
    }
}

fn address(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip())
}
