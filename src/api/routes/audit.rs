//! `GET /audit`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::ApiState;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::Problems;
use crate::api::problem::Problem;
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::cursor;
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::db::{AuditAction, AuditFilter, AuditRow};

/// Most rows of a page.
const MAX_LIMIT: usize = 1000;
/// How long rows are looked at for a page that is not full yet.
const LOOK_FOR: Duration = Duration::from_millis(500);

/// Which rows of the audit.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// The namespace; `*` for all, and for what is of none. Without it the caller's own, where the
    /// caller is a ServiceAccount.
    namespace: Option<String>,
    /// What was done, for example `Disclose`.
    #[param(schema_with = crate::api::openapi::audit_action)]
    action: Option<AuditAction>,
    /// What came of it, for example `Disclosed`.
    result: Option<String>,
    /// Who did it: the Kubernetes user name.
    actor: Option<String>,
    /// Kind of the object, for example `LlmCredential`.
    kind: Option<String>,
    /// Name of the object.
    name: Option<String>,
    /// UID of the object.
    object_id: Option<Uuid>,
    /// Version of the key.
    #[param(minimum = 1)]
    credential_version: Option<i32>,
    /// Rows from this moment on (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Rows before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl FromQuery for AuditParams {
    documented_names!(AuditParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        let words = AuditAction::ALL.map(AuditAction::as_str);
        Ok(Self {
            namespace: query.text("namespace")?,
            action: query.word("action", &words, AuditAction::parse)?,
            result: query.text("result")?,
            actor: query.text("actor")?,
            kind: query.text("kind")?,
            name: query.text("name")?,
            object_id: query.parsed("object_id", "a UID")?,
            credential_version: query.number("credential_version", 1..=i32::MAX)?,
            since: time(query, "since")?,
            until: time(query, "until")?,
            limit: query.number("limit", 1..=MAX_LIMIT)?,
            cursor: query.text("cursor")?,
        })
    }
}

/// A time that PostgreSQL can be asked about; no row is older than Unix' first second.
fn time(query: &Query<'_>, name: &str) -> Result<Option<Timestamp>, Problem> {
    let time = query.parsed(
        name,
        "a time as RFC 3339 writes it, for example 2026-03-04T05:06:07Z",
    )?;
    Ok(time.map(|time: Timestamp| time.max(Timestamp::UNIX_EPOCH)))
}

/// The place of a row in the audit.
#[derive(Serialize, Deserialize)]
struct AuditPlace {
    audit_before: i64,
}

/// A page of the audit.
#[derive(Serialize, ToSchema)]
pub struct AuditPage {
    /// Its rows, newest first. There may be fewer than asked for, or none, before the last page: a page looks at a
    /// bounded number of rows.
    items: Vec<AuditView>,
    /// What to send as `cursor` for older ones; null on the last page, and on no other.
    next_cursor: Option<String>,
    /// The revision of the configuration at this moment.
    revision: i64,
}

/// A row of the audit.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRow)]
pub struct AuditView {
    /// Position in the chain: 1 for the first.
    seq: i64,
    /// When, by the database's clock.
    at: Timestamp,
    /// What was done.
    action: String,
    /// What came of it: `Done` or `Disclosed`, or why not.
    result: String,
    /// Who did it: the Kubernetes user name.
    actor: String,
    /// The user's UID.
    actor_uid: Option<String>,
    /// The user's groups.
    actor_groups: Vec<String>,
    /// The pod that the token was bound to.
    pod: Option<String>,
    /// UID of that pod.
    pod_uid: Option<String>,
    /// The node that the pod ran on.
    node: Option<String>,
    /// The token's id.
    token_id: Option<String>,
    /// Namespace of the object.
    namespace: Option<String>,
    /// Kind of the object.
    kind: Option<String>,
    /// Name of the object.
    name: Option<String>,
    /// UID of the object.
    object_id: Option<Uuid>,
    /// Version of the key.
    credential_version: Option<i32>,
    /// Fingerprint of the key.
    fingerprint: Option<String>,
    /// Why, in the caller's words.
    purpose: Option<String>,
    /// How many equal requests it stands for.
    count: i32,
    /// Anything further.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// SHA-256 of this row, which covers the hash of the row before it: hexadecimal.
    hash: String,
    /// Columns that hold what cannot be read, so that someone edited them: they count as empty here. Only
    /// where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    unreadable: Vec<&'static str>,
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        Self {
            seq: row.seq,
            at: row.at,
            action: row.action,
            result: row.result,
            actor: row.actor,
            actor_uid: row.actor_uid,
            actor_groups: row.actor_groups,
            pod: row.pod,
            pod_uid: row.pod_uid,
            node: row.node,
            token_id: row.token_id,
            namespace: row.namespace,
            kind: row.kind,
            name: row.name,
            object_id: row.object_uid,
            credential_version: row.credential_version,
            fingerprint: row.fingerprint,
            purpose: row.purpose,
            count: row.count,
            detail: serde_json::from_str(&row.detail).unwrap_or_default(),
            hash: hex::encode(row.hash),
            unreadable: row.unreadable,
        }
    }
}

/// Who used which key, and who changed what.
///
/// Needs the right to `get` `auditlogs.llmplane.dev` in the namespace asked for. Rows come from
/// PostgreSQL, newest first. A page may be short, or empty, and not be the last: `next_cursor` says so.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(AuditParams),
    responses((status = 200, description = "A page of the audit", body = AuditPage), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(asked): QueryParams<AuditParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let scope = Scope::of(asked.namespace.as_deref(), &caller)?;
    let disclosure = &state.disclosure;
    disclosure
        .require_auditor(&state.auth, &caller, &scope, AuditAction::Read)
        .await?;
    let before = match asked.cursor.as_deref() {
        Some(text) => Some(cursor::read::<AuditPlace>(text)?.audit_before),
        None => None,
    };
    let filter = AuditFilter {
        namespace: scope.namespace().map(str::to_owned),
        action: asked.action.map(|action| action.as_str().to_owned()),
        result: asked.result,
        actor: asked.actor,
        kind: asked.kind,
        name: asked.name,
        object_uid: asked.object_id,
        credential_version: asked.credential_version,
        since: asked.since,
        until: asked.until,
    };
    let limit = asked.limit.unwrap_or(100);
    let page = state.db.audit_page(&filter, before, limit, LOOK_FOR);
    let page = page.await?;
    let next_cursor = (page.next).map(|audit_before| cursor::write(&AuditPlace { audit_before }));
    let revision = state.store.revision();
    let body = AuditPage {
        items: page.rows.into_iter().map(AuditView::from).collect(),
        next_cursor,
        revision: revision.0,
    };
    let told = (&body.items, &body.next_cursor);
    answer::fresh(&state.memory, &body, &told, revision, &sent).await
}
