//! Actions: `POST /endpoints/{id}/health-check`, `/credentials/{id}/validate`,
//! `/providers/{id}/models/sync` and `/models/{id}/test` ask for a check now and wait for what it finds.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::PathId;
use crate::api::auth::{Authenticated, Caller};
use crate::api::checks::CheckAnswer;
use crate::api::openapi::ActionProblems;
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer;
use crate::api::read::list_query::{self, ListParams, Resource};
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::{ApiState, read::revisions};
use crate::crd::Kind;
use crate::snapshot::{Common, CredentialView, EndpointView, ModelView, ProviderView};

/// Most seconds to wait.
const MAX_WAIT: u64 = 60;
/// Seconds to wait where the request does not say.
const DEFAULT_WAIT: u64 = 10;
/// Characters of a requester's name that are kept with its request.
const MAX_REQUESTER: usize = 512;

/// Of what a check is asked for, and how long to wait for it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActionParams {
    /// The namespace of a name. Without it the caller's own, where the caller is a ServiceAccount.
    namespace: Option<String>,
    /// Seconds to wait for what the check finds; 0: do not wait.
    #[param(minimum = 0, maximum = 60, default = 10)]
    wait_seconds: Option<u64>,
}

impl FromQuery for ActionParams {
    documented_names!(ActionParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            wait_seconds: query.number("wait_seconds", 0..=MAX_WAIT)?,
        })
    }
}

/// A check that was asked for and not made in time.
#[derive(Serialize, ToSchema)]
pub struct PendingCheck {
    /// UID of the object.
    id: Uuid,
    /// Its kind, for example `LlmEndpoint`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// What becomes of it, and what to do.
    detail: String,
    /// Path of the object's row, which will say what was found.
    location: String,
}

/// Asks for a probe of an endpoint now.
///
/// Needs the virtual verb `check` on it. One that was asked for up to two seconds before is shared. `health` is
/// the endpoint's state by its thresholds; its newest probe is in `GET /endpoints/{id}/health`. 409 where it is
/// switched off.
#[utoipa::path(
    post, path = "/api/v1/endpoints/{id}/health-check", tag = "actions", operation_id = "check_endpoint",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ActionParams),
    responses(
        (status = 200, description = "It was probed: the endpoint, with what was found", body = EndpointView),
        (status = 202, description = "It was asked for, and is not made yet", body = PendingCheck),
        ActionProblems,
    )
)]
pub async fn health_check(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ActionParams>,
) -> Result<Response<Body>, Problem> {
    check::<EndpointView>(&state, &caller, &id, asked).await
}

/// Asks for a validation of a credential's key now.
///
/// Needs the virtual verb `check` on it. One that was asked for up to two seconds before is shared. 409
/// where it is switched off.
#[utoipa::path(
    post, path = "/api/v1/credentials/{id}/validate", tag = "actions", operation_id = "check_credential",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ActionParams),
    responses(
        (status = 200, description = "Its key was validated: the credential, with what was found", body = CredentialView),
        (status = 202, description = "It was asked for, and is not made yet", body = PendingCheck),
        ActionProblems,
    )
)]
pub async fn validate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ActionParams>,
) -> Result<Response<Body>, Problem> {
    check::<CredentialView>(&state, &caller, &id, asked).await
}

/// Asks for a reading of a provider's model lists now.
///
/// Needs the virtual verb `check` on it. One that was asked for up to two seconds before is shared. Its
/// answer says what came of the reading; models that are made of it follow. 409 where it is switched off.
#[utoipa::path(
    post, path = "/api/v1/providers/{id}/models/sync", tag = "actions", operation_id = "sync_models",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ActionParams),
    responses(
        (status = 200, description = "The lists were read: the provider, with what was found", body = ProviderView),
        (status = 202, description = "It was asked for, and is not made yet", body = PendingCheck),
        ActionProblems,
    )
)]
pub async fn sync_models(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ActionParams>,
) -> Result<Response<Body>, Problem> {
    check::<ProviderView>(&state, &caller, &id, asked).await
}

/// Asks for a test of a model now, which may cost tokens.
///
/// Needs the virtual verb `check` on it. One that was asked for up to two seconds before is shared. 409 where
/// it is switched off.
#[utoipa::path(
    post, path = "/api/v1/models/{id}/test", tag = "actions", operation_id = "test_model",
    params(("id" = String, Path, description = "UID, or name in the namespace asked for"), ActionParams),
    responses(
        (status = 200, description = "It was tested: the model, with what was found", body = ModelView),
        (status = 202, description = "It was asked for, and is not made yet", body = PendingCheck),
        ActionProblems,
    )
)]
pub async fn test_model(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId,
    QueryParams(asked): QueryParams<ActionParams>,
) -> Result<Response<Body>, Problem> {
    check::<ModelView>(&state, &caller, &id, asked).await
}

/// The row with what a new check found; 202 where that takes longer than the caller waits.
async fn check<V: Resource>(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    asked: ActionParams,
) -> Result<Response<Body>, Problem> {
    let wait = Duration::from_secs(asked.wait_seconds.unwrap_or(DEFAULT_WAIT));
    let until = Instant::now() + wait;
    let snapshot = revisions::snapshot(state, None).await?;
    let place = ListParams {
        namespace: asked.namespace,
        min_revision: None,
        include_deleted: None,
    };
    let found = list_query::find::<V>(state, caller, &snapshot, id, &place).await?;
    let common = found.view.common();
    require_check(state, caller, V::KIND, common).await?;
    require_switched_on(V::KIND, common)?;
    let requester = caller.audit_actor().actor.clone();
    let requester = requester.chars().take(MAX_REQUESTER).collect();
    let made = match state.checks.ask(common.id, requester, until).await? {
        CheckAnswer::Absent => return Err(Problem::not_found(V::NOUN)),
        CheckAnswer::Pending => return Ok(pending(V::KIND, common)),
        CheckAnswer::Made(revision) => revision,
    };
    let left = until.saturating_duration_since(Instant::now());
    if !state.store.reached(made, left).await {
        return Ok(pending(V::KIND, common));
    }
    let snapshot = revisions::snapshot(state, None).await?;
    let row = V::table(&snapshot).by_uid(common.id);
    let row = row.ok_or_else(|| Problem::not_found(V::NOUN))?;
    Ok(answer::one(row, snapshot.revision, &HeaderMap::new()))
}

async fn require_check(
    state: &ApiState,
    caller: &Caller,
    kind: Kind,
    object: &Common,
) -> Result<(), Problem> {
    let (namespace, name) = (&object.namespace, &object.name);
    let may_check = state.auth.may_check(caller, kind, namespace, name);
    if may_check.await? {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::Forbidden,
        format!(
            "{} may not check {}.llmplane.dev {name} in namespace {namespace}: that is the verb `check`, \
             which the ClusterRole llmplane-editor has",
            caller.username,
            kind.plural(),
        ),
    ))
}

/// 409 where no check is ever made, with what switches it on.
fn require_switched_on(kind: Kind, object: &Common) -> Result<(), Problem> {
    let (check, switch) = match kind {
        Kind::Provider => ("its models are not synced", "spec.modelSync.enabled"),
        Kind::Endpoint => ("it is not probed", "spec.healthCheck.enabled"),
        Kind::Credential => ("its key is not validated", "spec.validation.enabled"),
        Kind::Model => ("it is not tested", "spec.availabilityTest.enabled"),
        // What it means follows from the others' checks.
        Kind::ModelClass => ("it is not in force", "spec.enabled"),
    };
    let name = &object.name;
    let why = match (object.is_active, object.is_checked) {
        (true, true) => return Ok(()),
        (false, _) if kind == Kind::Provider => {
            "it is switched off; set spec.enabled to true".to_owned()
        }
        (false, _) => {
            "it is switched off; set spec.enabled to true, of it and of its provider".into()
        }
        (true, false) => format!("{check}, for {switch} is false; set it to true"),
    };
    Err(Problem::new(
        ProblemType::CheckDisabled,
        format!("{} {name}: {why}", kind.kubernetes()),
    ))
}

fn pending(kind: Kind, object: &Common) -> Response<Body> {
    // The routes are named after the resources.
    let route = kind.plural().trim_start_matches("llm");
    let location = format!("/api/v1/{route}/{}", object.id);
    let header = HeaderValue::try_from(&location);
    let body = PendingCheck {
        id: object.id,
        kind: kind.kubernetes(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        detail: "the check was asked for, and was not made in the time that you wait; the controller makes \
                 it, or the next one does: look at the row again"
            .to_owned(),
        location,
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(location) = header {
        headers.insert(LOCATION, location);
    }
    response
}
