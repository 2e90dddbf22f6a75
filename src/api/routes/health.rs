//! `GET /endpoints/{id}/health`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::PathId;
use crate::api::ApiState;
use crate::api::auth::Authenticated;
use crate::api::openapi::Problems;
use crate::api::problem::Problem;
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::cursor;
use crate::api::read::list_query::ListParams;
use crate::api::read::query_params::{FromQuery, Query, QueryParamsOfTwo, documented_names};
use crate::api::read::row::{self, FurtherRight};
use crate::db::{ProbeCursor, ProbeRow};
use crate::snapshot::{EndpointView, Health};

/// Which probes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProbePage {
    /// Probes of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl FromQuery for ProbePage {
    documented_names!(ProbePage);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            limit: query.number("limit", 1..=1000)?,
            cursor: query.text("cursor")?,
        })
    }
}

/// What is known of an endpoint's health, and the probes that it is known from.
#[derive(Serialize, ToSchema)]
pub struct EndpointHealth {
    /// The endpoint.
    endpoint_id: Uuid,
    /// Whether it answers.
    health: Health,
    /// Its probes, newest first.
    items: Vec<Probe>,
    /// What to send as `cursor` for older ones; null on the last page.
    next_cursor: Option<String>,
    /// The revision that `health` is of.
    revision: i64,
}

/// A probe.
#[derive(Serialize, ToSchema)]
struct Probe {
    /// When it ended.
    checked_at: Timestamp,
    /// How long it took, in milliseconds.
    latency_ms: i32,
    /// Whether it passed; null: it proved nothing.
    success: Option<bool>,
    /// What was found, in one word.
    reason: String,
    /// What was found, in a sentence or two.
    message: String,
    /// HTTP status of the answer, if there was one.
    http_status: Option<i32>,
    /// The vendor's id of the request.
    request_id: Option<String>,
}

impl From<ProbeRow> for Probe {
    fn from(row: ProbeRow) -> Self {
        Self {
            checked_at: row.checked_at,
            latency_ms: row.latency_ms,
            success: row.success,
            reason: row.reason,
            message: row.message,
            http_status: row.http_status,
            request_id: row.request_id,
        }
    }
}

/// The place of a probe among its endpoint's.
#[derive(Serialize, Deserialize)]
struct ProbePlace {
    endpoint: Uuid,
    probe: ProbeCursor,
}

impl ProbePlace {
    fn of(endpoint: Uuid, probe: ProbeCursor) -> Self {
        Self { endpoint, probe }
    }

    fn write(&self) -> String {
        cursor::write(self)
    }

    /// 400 for what is not of this endpoint's probes; no probe is of a time before Unix', and
    /// PostgreSQL does not hold every one that can be written.
    fn read(text: &str, endpoint: Uuid) -> Result<ProbeCursor, Problem> {
        let place: Self = cursor::read(text)?;
        if place.endpoint != endpoint || place.probe.checked_at < Timestamp::UNIX_EPOCH {
            return Err(cursor::foreign());
        }
        Ok(place.probe)
    }
}

/// The health of an endpoint, and its probes.
#[utoipa::path(
    get, path = "/api/v1/endpoints/{id}/health", tag = "endpoints", operation_id = "get_endpoint_health",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams, ProbePage),
    responses((status = 200, description = "State and history", body = EndpointHealth), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParamsOfTwo(asked, page): QueryParamsOfTwo<ListParams, ProbePage>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let (snapshot, found) =
        row::find::<EndpointView>(&state, &caller, &id, &asked, FurtherRight::No).await?;
    let limit = page.limit.unwrap_or(100);
    let endpoint_id = found.view.common.id;
    let after = page.cursor.as_deref();
    let after = after
        .map(|after| ProbePlace::read(after, endpoint_id))
        .transpose()?;
    // One more than asked for tells whether there are older ones.
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut rows = state
        .db
        .health_history(endpoint_id, after, one_more)
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows
        .last()
        .filter(|_| more)
        .map(|row| ProbePlace::of(endpoint_id, row.cursor()).write());
    let body = EndpointHealth {
        endpoint_id,
        health: found.view.health.clone(),
        items: rows.into_iter().map(Probe::from).collect(),
        next_cursor,
        revision: snapshot.revision.0,
    };
    let told = (
        body.endpoint_id,
        &body.health,
        &body.items,
        &body.next_cursor,
    );
    answer::fresh(&state.memory, &body, &told, snapshot.revision, &sent).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_its_endpoint_and_of_a_time_that_can_be_asked_about() {
        let (ours, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let place = |text: &str| {
            let checked_at = text.parse().expect("a time");
            ProbePlace::of(ours, ProbeCursor { checked_at, id: 1 }).write()
        };
        let sound = place("2026-03-04T05:06:07Z");
        assert!(ProbePlace::read(&sound, ours).is_ok());
        assert!(ProbePlace::read(&sound, other).is_err());
        assert!(ProbePlace::read(&place("-009999-06-01T00:00:00Z"), ours).is_err());
    }
}
