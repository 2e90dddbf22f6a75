//! `GET /needs`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::ApiState;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::Problems;
use crate::api::problem::Problem;
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::cursor;
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::db::{AuditAction, CountedNeed};

/// Most needs of a page.
const MAX_LIMIT: usize = 1000;
/// Days that may be asked for.
const MAX_DAYS: i32 = 400;

/// Which needs.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NeedParams {
    /// The namespace that was looked in first; `*` for all. Without it the caller's own, where the caller is
    /// a ServiceAccount.
    namespace: Option<String>,
    /// Days (UTC) that are counted, today among them. Counts are kept for 35 days, unless an administrator
    /// changed that.
    #[param(minimum = 1, maximum = 400, default = 30)]
    days: Option<i32>,
    /// Needs of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl FromQuery for NeedParams {
    documented_names!(NeedParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            days: query.number("days", 1..=MAX_DAYS)?,
            limit: query.number("limit", 1..=MAX_LIMIT)?,
            cursor: query.text("cursor")?,
        })
    }
}

/// The place of a need among the others.
#[derive(Serialize, Deserialize)]
struct NeedPlace {
    needs_after: String,
}

/// A page of what was asked for.
#[derive(Serialize, ToSchema)]
pub struct NeedPage {
    /// What was asked for, in an order that does not change with the counts.
    items: Vec<NeedView>,
    /// What to send as `cursor` for more; null on the last page.
    next_cursor: Option<String>,
    /// Requests of all namespaces that are not among these, for more different things were asked for in a
    /// day than are counted apart; null where one namespace is asked about.
    counted_together: Option<i64>,
    /// Days that are counted, today among them.
    days: i32,
    /// The revision of the configuration at this moment.
    revision: i64,
}

/// Requests for one thing.
#[derive(Serialize, ToSchema)]
#[schema(as = CountedNeed)]
pub struct NeedView {
    /// Where it was looked for: lists of namespaces, those of a later list only where an earlier one has
    /// nothing. `["*"]`: in all.
    #[schema(value_type = Vec<Vec<String>>)]
    namespaces: Value,
    /// What was asked for: the body of `POST /resolve` in one form, without `purpose` and `all_targets`.
    #[schema(value_type = Object)]
    need: Value,
    /// How many requests.
    count: i64,
    /// The last day (UTC) on which one came.
    #[schema(format = Date, example = "2026-03-04")]
    last_day: String,
}

impl From<CountedNeed> for NeedView {
    fn from(row: CountedNeed) -> Self {
        Self {
            namespaces: row.namespaces,
            need: row.need,
            count: row.count,
            last_day: row.last_day,
        }
    }
}

/// What agents asked `POST /resolve` for, and how often.
///
/// Needs the right to `get` `auditlogs.llmplane.dev` in the namespace asked for. Counts come from PostgreSQL;
/// a request is among them some seconds after its answer.
#[utoipa::path(
    get, path = "/api/v1/needs", tag = "resolve", operation_id = "list_needs",
    params(NeedParams),
    responses((status = 200, description = "A page of what was asked for", body = NeedPage), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(asked): QueryParams<NeedParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let scope = Scope::of(asked.namespace.as_deref(), &caller)?;
    let disclosure = &state.disclosure;
    disclosure
        .require_auditor(&state.auth, &caller, &scope, AuditAction::Read)
        .await?;
    let after = match asked.cursor.as_deref() {
        Some(text) => place(text)?,
        None => Vec::new(),
    };
    let (days, limit) = (asked.days.unwrap_or(30), asked.limit.unwrap_or(100));
    // One more than asked for tells whether there are others.
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let namespace = scope.namespace();
    // The empty digest is of what is counted together.
    let mut rows = state.db.needs(namespace, days, &after, one_more).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| {
        cursor::write(&NeedPlace {
            needs_after: hex::encode(&row.digest),
        })
    });
    let counted_together = match namespace {
        None => Some(state.db.needs_counted_together(days).await?),
        Some(_) => None,
    };
    let revision = state.store.revision();
    let body = NeedPage {
        items: rows.into_iter().map(NeedView::from).collect(),
        next_cursor,
        counted_together,
        days,
        revision: revision.0,
    };
    let told = (&body.items, &body.next_cursor, &body.counted_together);
    answer::fresh(&state.memory, &body, &told, revision, &sent).await
}

fn place(text: &str) -> Result<Vec<u8>, Problem> {
    let after = cursor::read::<NeedPlace>(text)?.needs_after;
    hex::decode(after).map_err(|_| cursor::foreign())
}
