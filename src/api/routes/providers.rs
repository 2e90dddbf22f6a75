//! `GET /providers`, `GET /providers/{id}`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use utoipa::IntoParams;

use super::PathId;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::{self, Problems};
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{self, ListFilters, ListParams, ListRequest, Resource, Sort};
use crate::api::read::query_params::{
    FromQuery, Query, QueryParams, QueryParamsOfTwo, documented_names,
};
use crate::api::{ApiState, read::revisions};
use crate::crd::ProviderType;
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
    let snapshot = revisions::snapshot(&state, listing.min_revision).await?;
    let request = ListRequest {
        snapshot: &snapshot,
        caller: &caller,
        sent: &sent,
        scope: Scope::of(listing.namespace.as_deref(), &caller)?,
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
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let found = list_query::find::<ProviderView>(&state, &caller, &snapshot, &id, &asked).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}
