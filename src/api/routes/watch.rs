//! `GET /watch`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Response};
use utoipa::IntoParams;

use crate::api::auth::{Authenticated, PeerAddress, Scope, token};
use crate::api::openapi::{self, WatchProblems};
use crate::api::problem::Problem;
use crate::api::read::answer::RequestHeaders;
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::watch::{self, Beginning, Resumed, Watcher};
use crate::api::{ApiState, read::revisions};
use crate::crd::Kind;
use crate::db::Revision;

/// What a client sends that has heard of a revision.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What keeps a proxy from holding events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How long a replica that is behind the one that was listened to before may take to come up to it.
const CATCH_UP: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WatchParams {
    /// The namespace; `*` for all. Without it the caller's own, where the caller is a ServiceAccount.
    namespace: Option<String>,
    /// Only this kind; repeat it for several. Without it all five.
    #[param(schema_with = openapi::kinds, required = false)]
    kind: Vec<Kind>,
    /// The revision that is at hand: what happened since follows. For clients that cannot send the header
    /// `Last-Event-ID`, which counts where both are there. Without either all that is there comes first.
    #[param(minimum = 0)]
    last_event_id: Option<i64>,
}

impl FromQuery for WatchParams {
    documented_names!(WatchParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            kind: query.kinds("kind")?,
            last_event_id: query.number("last_event_id", 0..=i64::MAX)?,
        })
    }
}

/// What changes, as it happens.
///
/// Server-sent events. `upsert` and `delete` tell of one object: `{"kind", "id", "namespace", "name", "row"}`,
/// the row as a list has it, or null. `reset` begins all that is there: what was held before is forgotten.
/// `heartbeat` comes at least every 15 seconds. `id` is a revision that is held as a whole once its event
/// was heard. Needs the verb `watch` on every kind that is watched; the stream ends within 15 seconds of its
/// end.
#[utoipa::path(
    get, path = "/api/v1/watch", tag = "watch", operation_id = "watch",
    params(
        WatchParams,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` that was heard last: a revision"),
    ),
    responses(
        (status = 200, description = "Events, until the stream ends", body = String, content_type = "text/event-stream"),
        WatchProblems,
    )
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PeerAddress(address): PeerAddress,
    QueryParams(asked): QueryParams<WatchParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    revisions::snapshot(&state, None).await?;
    let heard = heard(&sent.headers)?.or(asked.last_event_id);
    let scope = Scope::of(asked.namespace.as_deref(), &caller)?;
    let kinds = asked.kind;
    for kind in &kinds {
        scope.require_watch(&state.auth, &caller, *kind).await?;
    }
    let watcher = Watcher {
        place: state.watches.open(&caller.username)?,
        scope,
        kinds,
        token: token::bearer(&sent.headers)?.into(),
        address,
    };
    let beginning = match heard {
        Some(revision) => behind(&state, Revision(revision)).await,
        None => Beginning::Whole,
    };
    let mut response = Response::new(watch::stream(state, watcher, beginning));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// The revision that the caller says it has heard of last.
fn heard(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let value = headers.get(LAST_EVENT_ID);
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let revision = value.to_str().ok().and_then(|text| text.parse().ok());
    match revision {
        Some(revision) if revision >= 0 => Ok(Some(revision)),
        _ => Err(Problem::parameter(
            "Last-Event-ID",
            "expected the id of an event, which is a whole number; leave it out to begin anew",
        )),
    }
}

/// Behind this revision, if anyone knows what happened since; else with all that is there.
async fn behind(state: &ApiState, revision: Revision) -> Beginning {
    // Another replica may have told of what this one has not read yet, and does where it can.
    let may_read = state.store.age().is_none();
    if may_read && !state.store.reached(revision, CATCH_UP).await {
        return Beginning::Whole;
    }
    if let Some(cursor) = state.store.cursor(revision) {
        return Beginning::Behind(cursor);
    }
    let resumed = state.watches.resumed();
    match resumed.since(&state.store, &state.db, revision).await {
        Resumed::Changes(changes) => Beginning::With(changes),
        Resumed::Unknown => Beginning::Whole,
    }
}
