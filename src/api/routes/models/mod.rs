//! `/models`, `/models/{id}`, `/providers/{id}/models`, `/models/by-capability/{capability}`.
//!
//! Here are the handlers; which models a list holds, and in which order, is said in `filters`.

mod filters;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use utoipa::IntoParams;

use filters::capability;
pub use filters::{Filters, SELECTOR_PATTERN};

use super::PathId;
use crate::api::auth::{Authenticated, Caller, Scope};
use crate::api::openapi::{self, DeleteProblems, NoParameters, Problems, WriteProblems};
use crate::api::problem::Problem;
use crate::api::read::answer::{self, List, RequestHeaders};
use crate::api::read::list_query::{self, Index, ListFilters, ListParams, ListRequest, Resource};
use crate::api::read::query_params::{QueryParams, QueryParamsOfTwo};
use crate::api::read::row::{self, FurtherRight};
use crate::api::write::{
    self, Declared, Deleted, Draft, Force, ModelReplacement, NewModel, WriteParams, Writing,
    Written,
};
use crate::api::{ApiState, read::revisions};
use crate::crd::{Capability, Kind};
use crate::db::ChangedRows;
use crate::snapshot::{Entry, ModelView, Snapshot, Table};

impl Resource for ModelView {
    const NOUN: &'static str = "model";

    fn table(snapshot: &Snapshot) -> &Table<Self> {
        &snapshot.models
    }

    fn rows<'s>(
        snapshot: &'s Snapshot,
        index: &Index,
        key: &str,
    ) -> Box<dyn Iterator<Item = &'s Arc<Entry<Self>>> + Send + 's> {
        match index {
            Index::All => Box::new(snapshot.models.from_key(key)),
            Index::OfProvider(provider) => Box::new(snapshot.models.of_provider(*provider, key)),
            Index::WithCapability(capability) => {
                Box::new(snapshot.with_capability(*capability, key))
            }
        }
    }

    fn of_rows(rows: &ChangedRows) -> Vec<Self> {
        rows.models.iter().map(Self::from).collect()
    }
}

async fn answer_list(
    state: &ApiState,
    caller: &Caller,
    listing: &ListFilters,
    filters: &Filters,
    sent: &RequestHeaders,
) -> Result<Response<Body>, Problem> {
    filters.check()?;
    let call = filters.call()?;
    let scope = Scope::of(listing.namespace.as_deref(), caller)?;
    // Before the wait for a revision, which is nothing for who may see none of it.
    scope.require_list(&state.auth, caller, Kind::Model).await?;
    let snapshot = revisions::snapshot(state, listing.min_revision).await?;
    let index = filters.index(&snapshot, &scope);
    let request = ListRequest {
        snapshot: &snapshot,
        caller,
        sent,
        scope,
        listing,
        filter: &|snapshot: &Snapshot, model: &ModelView| filters.takes(snapshot, model, call),
        sort: filters.sort(call),
    };
    list_query::list(state, request, index).await
}

/// Models.
#[utoipa::path(
    get, path = "/api/v1/models", tag = "models", operation_id = "list_models",
    params(ListFilters, Filters),
    responses((status = 200, description = "A page of models", body = List<ModelView>), Problems)
)]
pub async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParamsOfTwo(listing, filters): QueryParamsOfTwo<ListFilters, Filters>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    answer_list(&state, &caller, &listing, &filters, &sent).await
}

/// What the path says; for the documentation alone.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // The handler reads it as text, so that a refusal lists all words.
struct CapabilityFilters {
    /// The capability.
    #[param(schema_with = openapi::capability)]
    capability: Capability,
}

/// Models that can do this.
#[utoipa::path(
    get, path = "/api/v1/models/by-capability/{capability}", tag = "models",
    operation_id = "list_models_by_capability",
    params(CapabilityFilters, ListFilters, Filters),
    responses((status = 200, description = "A page of models", body = List<ModelView>), Problems)
)]
pub async fn by_capability(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(word): PathId,
    QueryParamsOfTwo(listing, mut filters): QueryParamsOfTwo<ListFilters, Filters>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    filters.capability.insert(0, capability(&word)?);
    answer_list(&state, &caller, &listing, &filters, &sent).await
}

/// A model.
#[utoipa::path(
    get, path = "/api/v1/models/{id}", tag = "models", operation_id = "get_model",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ListParams),
    responses((status = 200, description = "The model", body = ModelView), Problems)
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ListParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let (snapshot, found) =
        row::find::<ModelView>(&state, &caller, &id, &asked, FurtherRight::No).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}

/// Makes a model of a provider.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/models", tag = "models", operation_id = "create_model",
    params(("id" = String, Path, description = "UID of the provider, or its name in the namespace asked for"), WriteParams),
    request_body(content = NewModel, example = json!({ "name": "gpt-4o", "model_id": "gpt-4o", "type": "Chat", "currency": "USD", "input_price": "0.0025" })),
    responses(
        (status = 201, description = "The model", body = ModelView),
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
    let draft = Draft::read::<ModelView>(&write, body).await?;
    write
        .run(|write| write::create_child::<ModelView>(write, id, draft))
        .await
}

/// Replaces what rows show of a model, and keeps the rest of its resource.
///
/// What the body leaves out gets its default.
#[utoipa::path(
    put, path = "/api/v1/models/{id}", tag = "models", operation_id = "replace_model",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    request_body(content = ModelReplacement, example = json!({ "model_id": "gpt-4o", "status": "deprecated" })),
    responses(
        (status = 200, description = "The model; where it was only tried, what would be declared", body = Written<ModelView>),
        (status = 202, description = "It is declared, and its row is not of it yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn replace(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<ModelView>(&write, body).await?;
    write
        .forced(force)
        .run(|write| write::replace::<ModelView>(write, id, draft))
        .await
}

/// Deletes a model.
#[utoipa::path(
    delete, path = "/api/v1/models/{id}", tag = "models", operation_id = "delete_model",
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
        .run(|write| write::delete::<ModelView>(write, id))
        .await
}
