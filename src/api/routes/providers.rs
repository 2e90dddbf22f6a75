//! `/providers`, `/providers/{id}`, `/providers/{id}/status`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use utoipa::IntoParams;

use super::PathId;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::{self, DeleteProblems, NoParameters, Problems, WriteProblems};
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{self, ListFilters, ListParams, ListRequest, Resource, Sort};
use crate::api::read::query_params::{
    FromQuery, Query, QueryParams, QueryParamsOfTwo, documented_names,
};
use crate::api::read::row::{self, FurtherRight};
use crate::api::write::{
    self, Cascade, Declared, Deleted, Draft, Force, NewProvider, ProviderReplacement, StatusChange,
    WriteParams, Writing, Written,
};
use crate::api::{ApiState, read::revisions};
use crate::crd::{Kind, ProviderType};
use crate::db::ChangedRows;
use crate::snapshot::{ProviderView, Snapshot, Table};

impl Resource for ProviderView {
    const NOUN: &'static str = "provider";

    fn table(snapshot: &Snapshot) -> &Table<Self> {
        &snapshot.providers
    }

    fn of_rows(rows: &ChangedRows) -> Vec<Self> {
        rows.providers.iter().map(Self::from).collect()
    }
}

/// Which providers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// Only of this type.
    #[param(rename = "type", schema_with = openapi::provider_type, required = false)]
    r#type: Option<ProviderType>,
}

impl FromQuery for Filters {
    documented_names!(Filters);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        let words = ProviderType::ALL.map(ProviderType::as_str);
        Ok(Self {
            r#type: query.word("type", &words, ProviderType::parse)?,
        })
    }
}

/// Providers.
#[utoipa::path(
    get, path = "/api/v1/providers", tag = "providers", operation_id = "list_providers",
    params(ListFilters, Filters),
    responses((status = 200, description = "A page of providers", body = List<ProviderView>), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParamsOfTwo(listing, filters): QueryParamsOfTwo<ListFilters, Filters>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let scope = Scope::of(listing.namespace.as_deref(), &caller)?;
    // Before the wait for a revision, which is nothing for who may see none of it.
    scope
        .require_list(&state.auth, &caller, Kind::Provider)
        .await?;
    let snapshot = revisions::snapshot(&state, listing.min_revision).await?;
    let request = ListRequest {
        snapshot: &snapshot,
        caller: &caller,
        sent: &sent,
        scope,
        listing: &listing,
        filter: &|_, view: &ProviderView| filters.r#type.is_none_or(|wanted| wanted == view.type_),
        sort: Sort::by_name(),
    };
    list_query::list(&state, request, list_query::Index::All).await
}

/// A provider.
#[utoipa::path(
    get, path = "/api/v1/providers/{id}", tag = "providers", operation_id = "get_provider",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams),
    responses((status = 200, description = "The provider", body = ProviderView), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ListParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let (snapshot, found) =
        row::find::<ProviderView>(&state, &caller, &id, &asked, FurtherRight::No).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}

/// Makes a provider.
///
/// It is made in the cluster, as the caller: the token names the kube-apiserver's audience too.
#[utoipa::path(
    post, path = "/api/v1/providers", tag = "providers", operation_id = "create_provider",
    params(WriteParams),
    request_body(content = NewProvider, example = json!({ "name": "openai", "type": "OpenAI", "display_name": "OpenAI" })),
    responses(
        (status = 201, description = "The provider", body = ProviderView),
        (status = 200, description = "What would be declared: it was only tried", body = Declared),
        (status = 202, description = "It is declared, and has no row yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn create(
    Writing(write, _): Writing<NoParameters>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<ProviderView>(&write, body).await?;
    write
        .run(|write| write::create::<ProviderView>(write, draft))
        .await
}

/// Replaces what rows show of a provider, and keeps the rest of its resource.
///
/// What the body leaves out gets its default.
#[utoipa::path(
    put, path = "/api/v1/providers/{id}", tag = "providers", operation_id = "replace_provider",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    request_body(content = ProviderReplacement, example = json!({ "type": "OpenAI", "display_name": "OpenAI, Europe" })),
    responses(
        (status = 200, description = "The provider; where it was only tried, what would be declared", body = Written<ProviderView>),
        (status = 202, description = "It is declared, and its row is not of it yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn replace(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<ProviderView>(&write, body).await?;
    write
        .forced(force)
        .run(|write| write::replace::<ProviderView>(write, id, draft))
        .await
}

/// Switches a provider, and with it all that is its own, on or off.
#[utoipa::path(
    patch, path = "/api/v1/providers/{id}/status", tag = "providers", operation_id = "switch_provider",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    request_body(content = StatusChange, example = json!({ "is_active": false })),
    responses(
        (status = 200, description = "The provider; where it was only tried, what would be declared", body = Written<ProviderView>),
        (status = 202, description = "It is declared, and its row is not of it yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn switch(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let change = StatusChange::read(&write, body).await?;
    write
        .forced(force)
        .run(|write| write::set_active(write, id, change.is_active))
        .await
}

/// Deletes a provider; with its endpoints, credentials and models where `cascade` says so.
#[utoipa::path(
    delete, path = "/api/v1/providers/{id}", tag = "providers", operation_id = "delete_provider",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Cascade),
    responses(
        (status = 200, description = "What is deleted, or would be", body = Deleted),
        (status = 202, description = "It is deleted, and not all rows are gone yet", body = Deleted),
        DeleteProblems,
    )
)]
pub async fn delete(
    PathId(id): PathId,
    Writing(write, Cascade { force, cascade }): Writing<Cascade>,
) -> Result<Response<Body>, Problem> {
    write
        .forced(force)
        .run(move |write| write::delete_provider(write, id, cascade))
        .await
}
