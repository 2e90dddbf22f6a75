//! The two questions to the kube-apiserver, each asked a bounded number of times at once; how often
//! about tokens that it refuses is bounded in [`super::review_rate_limit`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::caller::{Caller, Decision, TokenHash};
use super::review_rate_limit::{ReviewPermit, ReviewRateLimit};
use super::token::invalid;
use super::turn::CallerCounts;
use super::{REVIEW_TTL, Right};
use crate::api::problem::{Problem, ProblemType};
use crate::api::server::metrics::Metrics;
use crate::crd::GROUP;

/// TokenReviews, and SubjectAccessReviews, that are under way at once.
const MAX_CONCURRENT_REVIEWS: usize = 32;
/// Requests that wait for their turn; whoever comes then is told so at once.
const MAX_QUEUED_REVIEWS: usize = 512;
/// Callers that are renewed at once, apart from requests: neither keeps the other waiting.
const RENEWALS: usize = 4;
/// How long a request waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the kube-apiserver may take.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the kube-apiserver.
pub(super) struct Reviewer {
    tokens: Api<TokenReview>,
    rights: Api<SubjectAccessReview>,
    audience: String,
    strangers: ReviewRateLimit,
    token_turns: LaneLimits,
    right_turns: LaneLimits,
    renewals: Arc<Semaphore>,
    counts: CallerCounts,
    /// Whether the last question was not answered.
    lost: AtomicBool,
    metrics: Metrics,
}

/// On whose behalf a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A request waits for the answer, and for its turn.
    Requests,
    /// A renewal, whose turn was taken as a whole.
    Renewals,
}

/// So many at once, and so many more that wait.
struct LaneLimits {
    turns: Semaphore,
    waiting: Semaphore,
}

impl LaneLimits {
    fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            turns: Semaphore::new(at_once),
            waiting: Semaphore::new(waiting),
        }
    }

    async fn next(&self) -> Result<SemaphorePermit<'_>, Problem> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| overloaded())?;
        let turn = tokio::time::timeout(QUEUE_TIMEOUT, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(overloaded)
    }
}

fn overloaded() -> Problem {
    Problem::new(
        ProblemType::Overloaded,
        "too many unknown callers wait to be looked up; try again",
    )
}

impl Reviewer {
    pub(super) fn new(client: Client, audience: String, metrics: Metrics) -> Self {
        Self {
            tokens: Api::all(client.clone()),
            rights: Api::all(client),
            audience,
            strangers: ReviewRateLimit::new(),
            token_turns: LaneLimits::new(MAX_CONCURRENT_REVIEWS, MAX_QUEUED_REVIEWS),
            right_turns: LaneLimits::new(MAX_CONCURRENT_REVIEWS, MAX_QUEUED_REVIEWS),
            renewals: Arc::new(Semaphore::new(RENEWALS)),
            counts: CallerCounts::default(),
            lost: AtomicBool::new(false),
            metrics,
        }
    }

    /// The turn of a renewal, if there is one now.
    pub(super) fn renewal_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.renewals.clone().try_acquire_owned().ok()
    }

    /// The turn of a token that nobody has vouched for of late; none is needed for another.
    ///
    /// # Errors
    ///
    /// 503 where too many wait for theirs.
    pub(super) async fn stranger_turn(
        &self,
        hash: &TokenHash,
        address: IpAddr,
    ) -> Result<Option<ReviewPermit>, Problem> {
        self.strangers.turn(hash, address).await
    }

    /// Whose token it is.
    ///
    /// # Errors
    ///
    /// 401 when the kube-apiserver does not vouch for it; 503 when it cannot be asked.
    pub(super) async fn caller(
        &self,
        token: &str,
        hash: TokenHash,
        expires_at: Option<i64>,
        lane: Lane,
    ) -> Result<Caller, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let _turn = match lane {
            Lane::Requests => Some(self.token_turns.next().await?),
            Lane::Renewals => None,
        };
        self.metrics.token_reviews.inc();
        let create = PostParams::default();
        let ask = self.tokens.create(&create, &review);
        let answer = self.answered(ask).await?;
        let status = answer.status.unwrap_or_default();
        let for_us = status
            .audiences
            .is_some_and(|audiences| audiences.contains(&self.audience));
        let why = match (status.authenticated, status.user) {
            (Some(true), Some(user)) if for_us => {
                self.strangers.vouched(hash);
                let under_way = self.counts.of(user.username.as_deref().unwrap_or_default());
                return Ok(Caller::new(hash, user, expires_at).counted(under_way));
            }
            (Some(true), _) => format!(
                "it is for another audience; ask for one with --audience={}",
                self.audience
            ),
            _ => "the kube-apiserver does not vouch for it".to_owned(),
        };
        self.strangers.refused(&hash);
        Err(invalid(why))
    }

    /// Whether the caller has a right, and for how long that counts.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub(super) async fn allowed(
        &self,
        caller: &Caller,
        right: &Right,
        lane: Lane,
    ) -> Result<Decision, Problem> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(caller.username.clone()),
                uid: caller.uid.clone(),
                groups: Some(caller.groups.clone()),
                extra: Some(caller.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some(right.resource.to_owned()),
                    verb: Some(right.verb.to_owned()),
                    namespace: right.namespace.as_deref().map(str::to_owned),
                    name: right.name.as_deref().map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let _turn = match lane {
            Lane::Requests => Some(self.right_turns.next().await?),
            Lane::Renewals => None,
        };
        // What is withdrawn meanwhile may or may not be in the answer.
        let until = Instant::now() + REVIEW_TTL;
        self.metrics.access_reviews.inc();
        let create = PostParams::default();
        let ask = self.rights.create(&create, &review);
        let status = self.answered(ask).await?.status;
        let allowed = status.is_some_and(|status| status.allowed && status.denied != Some(true));
        Ok(Decision { allowed, until })
    }

    /// The answer to a question. An outage is logged when it begins and when it ends.
    async fn answered<T>(
        &self,
        ask: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Problem> {
        let error = match tokio::time::timeout(REVIEW_TIMEOUT, ask).await {
            Ok(Ok(answer)) => {
                if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
                    tracing::info!("the kube-apiserver answers about callers again");
                }
                return Ok(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.metrics.review_failures.inc();
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "cannot ask the kube-apiserver about callers");
        }
        Err(Problem::new(
            ProblemType::ApiserverUnavailable,
            "the kube-apiserver cannot be asked who you are or what you may do; try again",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_at_once() {
        let turns = Arc::new(LaneLimits::new(1, 1));
        let first = turns.next().await.expect("a turn");
        let mut second = Box::pin(turns.next());
        assert!(futures::poll!(&mut second).is_pending(), "it waits");
        let third = turns.next().await.map(drop);
        assert_eq!(
            third.map_err(|problem| problem.kind),
            Err(ProblemType::Overloaded)
        );
        drop(first);
        assert!(second.await.is_ok(), "its turn has come");
    }
}
