//! `GET /credentials/{id}/holders`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::PathId;
use crate::api::ApiState;
use crate::api::auth::{Authenticated, Caller};
use crate::api::openapi::Problems;
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::list_query::ListParams;
use crate::api::read::query_params::{FromQuery, Query, QueryParamsOfTwo, documented_names};
use crate::api::read::row::{self, FurtherRight};
use crate::db::CredentialHolder;
use crate::snapshot::{CredentialVersionView, CredentialView, Entry, Snapshot};

/// Most holders of an answer.
const MAX_HOLDERS: usize = 1000;

/// How many holders.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HolderPage {
    /// Holders of the answer, those who were given a key latest.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<usize>,
}

impl FromQuery for HolderPage {
    documented_names!(HolderPage);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            limit: query.number("limit", 1..=MAX_HOLDERS)?,
        })
    }
}

/// Who was given which version of a key last.
#[derive(Serialize, ToSchema)]
pub struct Holders {
    /// The credential.
    credential_id: Uuid,
    /// The versions of its key, newest first; at most 10.
    versions: Vec<CredentialVersionView>,
    /// One row for each caller and pod, the latest first.
    items: Vec<Holder>,
    /// Whether there are more than the answer holds, or may be: of thousands, those are looked up that are found
    /// soon, and those of the newest rows. The command `llmplane rotation status` counts all.
    is_partial: bool,
    /// The revision that `versions` is of.
    revision: i64,
}

/// Someone who was given a key.
#[derive(Serialize, ToSchema)]
struct Holder {
    /// The Kubernetes user name.
    actor: String,
    /// The pod that its token was bound to; null: a token of no pod.
    pod: Option<String>,
    /// UID of that pod.
    pod_uid: Option<String>,
    /// The node that the pod ran on.
    node: Option<String>,
    /// The version that it was given last.
    version: i32,
    /// Fingerprint of that version.
    fingerprint: String,
    /// Why, in its words.
    purpose: Option<String>,
    /// When that was.
    last_at: Timestamp,
    /// Position of the row of the audit that says so.
    seq: i64,
}

impl From<CredentialHolder> for Holder {
    fn from(holder: CredentialHolder) -> Self {
        Self {
            actor: holder.actor,
            pod: holder.pod,
            pod_uid: holder.pod_uid,
            node: holder.node,
            version: holder.version,
            fingerprint: holder.fingerprint,
            purpose: holder.purpose,
            last_at: holder.last_at,
            seq: holder.seq,
        }
    }
}

/// Which callers were given which version of a key last, and when.
///
/// Needs the right to `get` `auditlogs.llmplane.dev` in the credential's namespace. It comes from the
/// audit: a pod that is no more is still listed, and so are the holders of a credential that was deleted.
#[utoipa::path(
    get, path = "/api/v1/credentials/{id}/holders", tag = "audit", operation_id = "list_credential_holders",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams, HolderPage),
    responses((status = 200, description = "Its holders", body = Holders), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParamsOfTwo(asked, page): QueryParamsOfTwo<ListParams, HolderPage>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let (snapshot, found) = Box::pin(find(&state, &caller, &id, asked)).await?;
    let common = &found.view.common;
    let limit = page.limit.unwrap_or(MAX_HOLDERS);
    let told = state.db.latest_holders(common.id, None, limit).await?;
    let body = Holders {
        credential_id: common.id,
        versions: found.view.versions.clone(),
        items: told.holders.into_iter().map(Holder::from).collect(),
        is_partial: told.is_partial,
        revision: snapshot.revision.0,
    };
    let told = (&body.versions, &body.items, body.is_partial);
    answer::fresh(&state.memory, &body, &told, snapshot.revision, &sent).await
}

/// The credential, also one that was deleted, whose holders hold its key all the same.
async fn find(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    mut asked: ListParams,
) -> Result<(Arc<Snapshot>, Arc<Entry<CredentialView>>), Problem> {
    let further = FurtherRight::Audit;
    let missing = match row::find(state, caller, id, &asked, further).await {
        Err(missing) if missing.kind == ProblemType::NotFound => missing,
        found => return found,
    };
    asked.include_deleted = Some(true);
    // Who may not read the audit where it is looked for is told what anybody is told of what is not there.
    let deleted = row::find(state, caller, id, &asked, further).await;
    deleted.map_err(|problem| match problem.kind {
        ProblemType::Forbidden | ProblemType::NamespaceRequired => missing,
        _ => problem,
    })
}
