//! `GET /providers/{id}/credentials`, `GET /credentials/{id}`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;

use super::PathId;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::Problems;
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{
    self, Index, ListFilters, ListParams, ListRequest, Resource, Sort,
};
use crate::api::read::query_params::QueryParams;
use crate::api::{ApiState, read::revisions};
use crate::db::ChangedRows;
use crate::snapshot::{CredentialView, ProviderView, Snapshot, Table};

impl Resource for CredentialView {
    const NOUN: &'static str = "credential";

    fn table(snapshot: &Snapshot) -> &Table<Self> {
        &snapshot.credentials
    }

    fn of_rows(rows: &ChangedRows) -> Vec<Self> {
        Self::all_of(&rows.credentials, &rows.credential_versions)
    }
}

/// Credentials of a provider.
#[utoipa::path(
    get, path = "/api/v1/providers/{id}/credentials", tag = "credentials", operation_id = "list_credentials",
    params(("id" = String, Path, description = "The provider: UID, or name in the namespace asked for"), ListFilters),
    responses((status = 200, description = "A page of credentials", body = List<CredentialView>), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(provider): PathId,
    QueryParams(listing): QueryParams<ListFilters>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let snapshot = revisions::snapshot(&state, listing.min_revision).await?;
    let asked = listing.common();
    let parent =
        list_query::find::<ProviderView>(&state, &caller, &snapshot, &provider, &asked).await?;
    let provider_id = parent.view.common.id;
    let request = ListRequest {
        snapshot: &snapshot,
        caller: &caller,
        sent: &sent,
        scope: Scope::One(parent.view.common.namespace.as_str().into()),
        listing: &listing,
        filter: &|_, view: &CredentialView| view.provider_id == provider_id,
        sort: Sort::by_name(),
    };
    list_query::list(&state, request, Index::OfProvider(provider_id)).await
}

/// A credential.
#[utoipa::path(
    get, path = "/api/v1/credentials/{id}", tag = "credentials", operation_id = "get_credential",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams),
    responses((status = 200, description = "The credential", body = CredentialView), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ListParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let found = list_query::find::<CredentialView>(&state, &caller, &snapshot, &id, &asked).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}
