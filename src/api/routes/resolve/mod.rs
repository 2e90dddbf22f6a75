//! `POST /resolve`: from a name or a need to a model, its endpoints and credentials.
//!
//! The choice is `crate::resolve`'s, which is pure; here is what it is asked with and how it is told.

mod answer;
mod misfits;
mod places;
mod prepared;
pub mod request;
mod told;
mod values;
mod with_key;

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use jiff::Timestamp;
use utoipa::IntoParams;

use answer::{NoModelProblem, ResolveAnswer};
use places::Places;
pub use prepared::PreparedAnswers;
use request::{ReadRequest, ResolveRequest};
use with_key::KeySearch;

use crate::api::ApiState;
use crate::api::auth::Authenticated;
use crate::api::openapi::PostProblems;
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer::{REVISION, RequestHeaders};
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::read::revision_cache::{CacheSize, RevisionCache};
use crate::api::read::{request_body, revisions};
use crate::crd::token_services::TokenServices;
use crate::http_server::Reserved;
use crate::resolve::{Access, resolve};
use crate::snapshot::{Revision, Snapshot};

/// Bytes of a body at most whose answer is kept for whoever asks the same.
const MAX_CACHED_BODY: usize = 4 << 10;

/// Resolutions that were written out already. One depends on the snapshot, on where its caller may
/// look, on what is asked, and on the time; on nothing else of its caller. At most 8 MiB are kept.
pub type ResolutionCache = RevisionCache<Written, { 8 << 20 }>;

/// An answer that was written out. It may hold keys, so that its `Debug` output shows nothing of it.
#[derive(Clone)]
pub struct Written {
    /// The problem that it is; none: it is a resolution.
    problem: Option<Problem>,
    body: Bytes,
    /// When time alone may change it.
    until: Option<Timestamp>,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("problem", &self.problem)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl CacheSize for Written {
    fn size(&self) -> usize {
        self.body.len()
    }
}

/// What the query may say.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ResolveParams {
    /// The namespace to look in; `*` for all. Without it the caller's own, where the caller is a
    /// ServiceAccount, then those that are shared.
    namespace: Option<String>,
    /// Wait up to 5 seconds until the answer is at least of this revision.
    #[param(minimum = 0)]
    min_revision: Option<i64>,
}

impl FromQuery for ResolveParams {
    documented_names!(ResolveParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            min_revision: query.number("min_revision", 0..=i64::MAX)?,
        })
    }
}

/// A model by its name, by a class or by what it must be, and where to call it.
#[utoipa::path(
    post, path = "/api/v1/resolve", tag = "resolve", operation_id = "resolve",
    params(ResolveParams),
    request_body(content = ResolveRequest, examples(
        ("a model by its name" = (value = json!({"model": "gpt-4o"}))),
        ("the cheapest that calls functions, in the EU" = (value = json!({
            "capabilities": ["FunctionCalling"], "min_context_window": 128000,
            "regions": ["eu-central-1", "eu-west-1"], "currency": "USD",
            "prompt_tokens": 3000, "output_tokens": 500,
        }))),
        ("what a class means now" = (value = json!({"class": "smart"}))),
        ("the best at writing code, of two vendors" = (value = json!({
            "capabilities": ["CodeGeneration"], "min_score": 4, "prefer": "score",
            "provider_types": ["Anthropic", "OpenAI"], "selector": {"stage": "production"},
        }))),
    )),
    responses(
        (status = 200, description = "The model, and its endpoints in the order in which they are to be tried",
            body = ResolveAnswer<'static>),
        (status = 404, description = "No model is what was asked for, or several are",
            body = NoModelProblem, content_type = "application/problem+json"),
        PostProblems,
    )
)]
pub async fn post(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(params): QueryParams<ResolveParams>,
    sent: RequestHeaders,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let body = request_body::json(&state.memory, &sent, body, request_body::MAX_QUESTION).await?;
    let request = request::read(&body)?;
    let places = Places::of(&state, &caller, params.namespace.as_deref()).await;
    let places = places.inspect_err(|problem| {
        if request.asked.with_key && problem.kind == ProblemType::Forbidden {
            let place = match params.namespace.as_deref() {
                None => caller.namespace().map(AsRef::as_ref),
                named => named.filter(|name| *name != "*"),
            };
            let purpose = request.purpose.as_deref();
            (state.disclosure).note_refusal_in(&caller, place, "Forbidden", purpose);
        }
    })?;
    let snapshot = revisions::snapshot(&state, params.min_revision).await?;
    let places = places
        .with_classes(&state, &caller, &snapshot, &request.asked.wanted)
        .await?;
    let request = request.with_currency(&snapshot, &places.tiers)?;
    state.needs.note(&places.tiers, &request.asked);
    let (revision, now) = (snapshot.revision, Timestamp::now());
    if request.asked.with_key {
        let search = KeySearch {
            state: &state,
            caller: &caller,
            places: &places,
            snapshot: &snapshot,
            request: &request,
            now,
        };
        let written = Box::pin(search.run()).await?;
        let reserving = state.memory.reserve(&sent.share, written.body.len());
        let (_, own) = written.hold(Box::pin(reserving).await?);
        return Ok(own.answer(revision));
    }
    let key = cache_key(&places, &body);
    if let Some(key) = &key
        && let Some(written) = state.resolutions.get(revision, key)
        && written.until.is_none_or(|until| until > now)
    {
        return Ok(written.answer(revision));
    }
    let services = &state.token_services;
    let written = write(&snapshot, &places, &request, (services, now))?;
    let reserving = state.memory.reserve(&sent.share, written.body.len());
    let (shared, own) = written.hold(Box::pin(reserving).await?);
    if let Some(key) = key {
        state.resolutions.put(revision, key, &shared);
    }
    Ok(own.answer(revision))
}

/// What tells an answer from others of its revision; none for a body that is not worth its place.
fn cache_key(places: &Places, body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    (body.len() <= MAX_CACHED_BODY).then(|| places.key() + body)
}

/// Resolves a request without a key, and writes out what comes of it.
fn write(
    snapshot: &Arc<Snapshot>,
    places: &Places,
    request: &ReadRequest,
    (services, now): (&TokenServices, Timestamp),
) -> Result<Written, Problem> {
    let access = Access {
        tiers: &places.tiers,
        may_have: &|credential| places.show(credential),
        may_see_classes: &|namespace| places.show_classes(namespace),
        gave_no_key: &[],
    };
    let written = match resolve(snapshot, &request.asked, access, now) {
        Ok(found) => serde_json::to_vec(&ResolveAnswer::of(&found, services))
            .map(|body| (None, body, found.changes_at)),
        Err(refused) => answer::no_answer(&request.asked.wanted, &refused)
            .map(|(problem, body)| (Some(problem), body, refused.changes_at)),
    };
    let (problem, body, until) = written.map_err(|error| {
        tracing::error!(%error, "a resolution cannot be written as JSON");
        Problem::internal()
    })?;
    Ok(Written {
        problem,
        body: body.into(),
        until,
    })
}

impl Written {
    /// What is made for one request.
    fn once(problem: Option<Problem>, body: Bytes) -> Self {
        Self {
            problem,
            body,
            until: None,
        }
    }

    /// The answer for others and the answer for who asked: both hold the memory that was reserved.
    fn hold(self, reserved: Reserved) -> (Self, Self) {
        let (shared, own) = reserved.hold(self.body);
        let with = |body| Self {
            problem: self.problem.clone(),
            body,
            until: self.until,
        };
        (with(shared), with(own))
    }

    fn answer(&self, revision: Revision) -> Response<Body> {
        let mut response = match &self.problem {
            Some(problem) => problem.answer(self.body.clone()),
            None => {
                let mut response = Response::new(Body::from(self.body.clone()));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REVISION, HeaderValue::from(revision.0));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_of_an_answer_shows_nothing_of_it() {
        let body = Bytes::from_static(br#"{"targets":[{"secret":{"api_key":"sk-canary"}}]}"#);
        let shown = format!("{:?}", Written::once(None, body));
        assert!(
            shown.contains("bytes: 48") && !shown.contains("canary"),
            "{shown}"
        );
    }
}
