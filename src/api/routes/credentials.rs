//! `/providers/{id}/credentials`, `/credentials/{id}`.

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
    self, CredentialReplacement, Declared, Deleted, Draft, Force, NewCredential, WriteParams,
    Writing, Written,
};
use crate::crd::Kind;
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
    let asked = listing.common();
    let further = FurtherRight::List(Kind::Credential);
    let (snapshot, parent) =
        row::find::<ProviderView>(&state, &caller, &provider, &asked, further).await?;
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
    let (snapshot, found) =
        row::find::<CredentialView>(&state, &caller, &id, &asked, FurtherRight::No).await?;
    Ok(answer::one(&found, snapshot.revision, &sent.headers))
}

/// Makes a credential of a provider, with its key or of a Secret that is there.
///
/// A key that is sent is stored in a Secret of the credential's name, which goes when the credential
/// goes. It takes the rights to get and to create Secrets in the namespace.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/credentials", tag = "credentials", operation_id = "create_credential",
    params(("id" = String, Path, description = "UID of the provider, or its name in the namespace asked for"), WriteParams),
    request_body(content = NewCredential, example = json!({ "name": "main", "secret_name": "openai-key", "alias": "main key" })),
    responses(
        (status = 201, description = "The credential; its key is masked", body = CredentialView),
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
    let draft = Draft::read::<CredentialView>(&write, body).await?;
    write
        .run(|write| write::create_credential(write, id, draft))
        .await
}

/// Replaces what rows show of a credential, and keeps the rest of its resource.
///
/// What the body leaves out gets its default; the key, its Secret and the allowed hosts stay as they
/// are. A new key is taken where the Secret was made for this credential; it takes the rights to get
/// and to patch that Secret.
#[utoipa::path(
    put, path = "/api/v1/credentials/{id}", tag = "credentials", operation_id = "replace_credential",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), WriteParams, Force),
    request_body(content = CredentialReplacement, example = json!({ "alias": "main key", "priority": 10 })),
    responses(
        (status = 200, description = "The credential; where it was only tried, what would be declared", body = Written<CredentialView>),
        (status = 202, description = "It is declared, and its row is not of it yet", body = Declared),
        WriteProblems,
    )
)]
pub async fn replace(
    PathId(id): PathId,
    Writing(write, Force { force }): Writing<Force>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let draft = Draft::read::<CredentialView>(&write, body).await?;
    write
        .forced(force)
        .run(|write| write::replace_credential(write, id, draft))
        .await
}

/// Deletes a credential; a Secret that was made for it goes with it.
#[utoipa::path(
    delete, path = "/api/v1/credentials/{id}", tag = "credentials", operation_id = "delete_credential",
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
        .run(|write| write::delete::<CredentialView>(write, id))
        .await
}
