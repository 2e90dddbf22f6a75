//! `GET /providers/{id}/endpoints`, `GET /endpoints/{id}`.

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
use crate::snapshot::{EndpointView, ProviderView, Snapshot, Table};

impl Resource for EndpointView {
    const NOUN: &'static str = "endpoint";

    fn table(snapshot: &Snapshot) -> &Table<Self> {
        &snapshot.endpoints
    }

    fn of_rows(rows: &ChangedRows) -> Vec<Self> {
        rows.endpoints.iter().map(Self::from).collect()
    }
}

/// Endpoints of a provider.
#[utoipa::path(
    get, path = "/api/v1/providers/{id}/endpoints", tag = "endpoints", operation_id = "list_endpoints",
    params(("id" = String, Path, description = "The provider: UID, or name in the namespace asked for"), ListFilters),
    responses((status = 200, description = "A page of endpoints", body = List<EndpointView>), Problems)
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
        filter: &|_, view: &EndpointView| view.provider_id == provider_id,
        sort: Sort::by_name(),
    };
    list_query::list(&state, request, Index::OfProvider(provider_id)).await
}

/// An endpoint.
#[utoipa::path(
    get, path = "/api/v1/endpoints/{id}", tag = "endpoints", operation_id = "get_endpoint",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams),
    responses((status = 200, description = "The endpoint", body = EndpointView), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ListParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let found = list_query::find::<EndpointView>(&state, &caller, &snapshot, &id, &asked).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}
