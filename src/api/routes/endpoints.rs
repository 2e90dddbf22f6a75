//! `/providers/{id}/endpoints`, `/endpoints/{id}`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;

use super::PathId;
use crate::api::ApiState;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::{DeleteProblems, NoParameters, Problems, WriteProblems};
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{
    self, Index, ListFilters, ListParams, ListRequest, Resource, Sort,
};
use crate::api::read::query_params::QueryParams;
use crate::api::read::row::{self, FurtherRight};
use crate::api::write::{
    self, Declared, Deleted, Draft, EndpointReplacement, Force, NewEndpoint, WriteParams, Writing,
    Written,
};
use crate::crd::Kind;
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
    let asked = listing.common();
    let further = FurtherRight::List(Kind::Endpoint);
    let (snapshot, parent) =
        row::find::<ProviderView>(&state, &caller, &provider, &asked, further).await?;
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
    let (snapshot, found) =
        row::find::<EndpointView>(&state, &caller, &id, &asked, FurtherRight::No).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}

/// Makes an endpoint of a provider.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/endpoints", tag = "endpoints", operation_id = "create_endpoint",
    params(("id" = String, Path, description = "UID of the provider, or its name in the namespace asked for"), WriteParams),
    request_body(content = NewEndpoint, example = json!({ "name": "eu", "base_url": "https://eu.api.openai.com/v1", "priority": 10 })),
    responses(
        (status = 201, description = "The endpoint", body = EndpointView),
        (status = 200, description = "What would be declared: it was only tried", body = Declared),
        (status = 202, description = "It is declared, and has no row yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn create(
    PathId(id): PathId,
    Writing(write, _): Writing<NoParameters>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<EndpointView>(&write, body).await?;
    write
        .run(|write| write::create_child::<EndpointView>(write, id, draft))
        .await
}

/// Replaces what rows show of an endpoint, and keeps the rest of its resource.
///
/// What the body leaves out gets its default.
#[utoipa::path(
    put, path = "/api/v1/endpoints/{id}", tag = "endpoints", operation_id = "replace_endpoint",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    request_body(content = EndpointReplacement, example = json!({ "base_url": "https://eu.api.openai.com/v1", "timeout_read": 120 })),
    responses(
        (status = 200, description = "The endpoint; where it was only tried, what would be declared", body = Written<EndpointView>),
        (status = 202, description = "It is declared, and its row is not of it yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn replace(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<EndpointView>(&write, body).await?;
    write
        .forced(force)
        .run(|write| write::replace::<EndpointView>(write, id, draft))
        .await
}

/// Deletes an endpoint.
#[utoipa::path(
    delete, path = "/api/v1/endpoints/{id}", tag = "endpoints", operation_id = "delete_endpoint",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    responses(
        (status = 200, description = "What is deleted, or would be", body = Deleted),
        (status = 202, description = "It is deleted, and its row is not gone yet", body = Deleted),
        DeleteProblems,
    )
)]
pub async fn delete(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
) -> Result<Response<Body>, Problem> {
    write
        .forced(force)
        .run(|write| write::delete::<EndpointView>(write, id))
        .await
}
