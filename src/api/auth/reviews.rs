//! The two questions to the kube-apiserver, each asked a bounded number of times at once.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;

use super::Right;
use super::caller::{Caller, TokenHash};
use super::token::invalid;
use crate::api::metrics::Metrics;
use crate::api::problem::{Problem, ProblemType};
use crate::crd::GROUP;

/// TokenReviews, and SubjectAccessReviews, that are under way at once.
const AT_ONCE: usize = 32;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How long the kube-apiserver may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the kube-apiserver.
pub(super) struct Reviewer {
    tokens: Api<TokenReview>,
    rights: Api<SubjectAccessReview>,
    audience: String,
    token_turns: Semaphore,
    right_turns: Semaphore,
    metrics: Metrics,
}

impl Reviewer {
    pub(super) fn new(client: Client, audience: String, metrics: Metrics) -> Self {
        Self {
            tokens: Api::all(client.clone()),
            rights: Api::all(client),
            audience,
            token_turns: Semaphore::new(AT_ONCE),
            right_turns: Semaphore::new(AT_ONCE),
            metrics,
        }
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
    ) -> Result<Caller, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let answer = in_turn(&self.token_turns, async {
            self.metrics.token_reviews.inc();
            self.tokens.create(&PostParams::default(), &review).await
        })
        .await?;
        let status = answer.status.unwrap_or_default();
        let for_us = status
            .audiences
            .is_some_and(|audiences| audiences.contains(&self.audience));
        match (status.authenticated, status.user) {
            (Some(true), Some(user)) if for_us => Ok(Caller::new(hash, user, expires_at)),
            (Some(true), _) => Err(invalid(format!(
                "it is for another audience; ask for one with --audience={}",
                self.audience
            ))),
            _ => Err(invalid("the kube-apiserver does not vouch for it")),
        }
    }

    /// Whether the caller has a right.
    ///
    /// # Errors
    ///
    /// 503 when the kube-apiserver cannot be asked.
    pub(super) async fn allowed(&self, caller: &Caller, right: &Right) -> Result<bool, Problem> {
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
        let answer = in_turn(&self.right_turns, async {
            self.metrics.access_reviews.inc();
            self.rights.create(&PostParams::default(), &review).await
        })
        .await?;
        Ok(answer
            .status
            .is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

async fn in_turn<T>(
    turns: &Semaphore,
    ask: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Problem> {
    let turn = tokio::time::timeout(TURN, turns.acquire())
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(|| {
            Problem::new(
                ProblemType::Overloaded,
                "too many unknown callers wait to be looked up; try again",
            )
        })?;
    let answer = tokio::time::timeout(ANSWER, ask).await;
    drop(turn);
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unavailable(&error.to_string())),
        Err(_) => Err(unavailable("no answer in time")),
    }
}

fn unavailable(error: &str) -> Problem {
    tracing::warn!(error, "cannot ask the kube-apiserver about a caller");
    Problem::new(
        ProblemType::ApiserverUnavailable,
        "the kube-apiserver cannot be asked who you are or what you may do; try again",
    )
}
