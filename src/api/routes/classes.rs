//! `/classes`, `/classes/{id}`.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;

use super::PathId;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::Problems;
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{self, ListFilters, ListParams, ListRequest, Resource, Sort};
use crate::api::read::query_params::QueryParams;
use crate::api::{ApiState, read::revisions};
use crate::crd::Kind;
use crate::db::ChangedRows;
use crate::snapshot::{ModelClassView, Snapshot, Table};

impl Resource for ModelClassView {
    const NOUN: &'static str = "model class";

    fn table(snapshot: &Snapshot) -> &Table<Self> {
        &snapshot.model_classes
    }

    fn of_rows(rows: &ChangedRows) -> Vec<Self> {
        rows.model_classes.iter().map(Self::from).collect()
    }
}

/// Model classes, with what each means now.
#[utoipa::path(
    get, path = "/api/v1/classes", tag = "classes", operation_id = "list_classes",
    params(ListFilters),
    responses((status = 200, description = "A page of model classes", body = List<ModelClassView>), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(listing): QueryParams<ListFilters>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let scope = Scope::of(listing.namespace.as_deref(), &caller)?;
    // Before the wait for a revision, which is nothing for who may see none of it.
    scope
        .require_list(&state.auth, &caller, Kind::ModelClass)
        .await?;
    let snapshot = revisions::snapshot(&state, listing.min_revision).await?;
    let request = ListRequest {
        snapshot: &snapshot,
        caller: &caller,
        sent: &sent,
        scope,
        listing: &listing,
        filter: &|_, _: &ModelClassView| true,
        sort: Sort::by_name(),
    };
    list_query::list(&state, request, list_query::Index::All).await
}

/// A model class, with what it means now.
#[utoipa::path(
    get, path = "/api/v1/classes/{id}", tag = "classes", operation_id = "get_class",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams),
    responses((status = 200, description = "The model class", body = ModelClassView), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ListParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let found = list_query::find::<ModelClassView>(&state, &caller, &snapshot, &id, &asked).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}
