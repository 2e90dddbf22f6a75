//! What opens a session, and what the page is told of whom it asks for.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::State;
use super::problem::Problem;

/// Whom the page asks for, and where it may look.
#[derive(Serialize)]
struct Session {
    mode: &'static str,
    /// The account that the API is asked as.
    user: String,
    /// The namespace to begin with; `*` for all.
    namespace: String,
    /// Namespaces of the cluster; none where the user may not list them.
    namespaces: Vec<String>,
}

/// `POST /console/session`: the session's secret for the code of the address.
pub async fn open(FromState(state): FromState<Arc<State>>, sent: HeaderMap) -> Response {
    match state.guard.open(&sent, Instant::now()) {
        Some(session) => {
            let said = Json(json!({ "session": session }));
            ([(CACHE_CONTROL, "no-store")], said).into_response()
        }
        None => {
            let detail = "this address was used before, or is of a console that has ended; open the one that \
                          `llmplane console` printed";
            Problem::new(StatusCode::UNAUTHORIZED, "No session", detail).into_response()
        }
    }
}

/// `GET /console/session`.
pub async fn get(FromState(state): FromState<Arc<State>>) -> Response {
    let cluster = &state.cluster;
    let listed = Api::<Namespace>::all(cluster.client.clone())
        .list_metadata(&ListParams::default())
        .await;
    let namespaces = listed.map(|found| found.items).unwrap_or_default();
    let said = Session {
        mode: "proxy",
        user: state.api.tokens.user(),
        namespace: match cluster.all_namespaces {
            true => "*".to_owned(),
            false => cluster.namespace.clone(),
        },
        namespaces: namespaces.iter().map(ResourceExt::name_any).collect(),
    };
    ([(CACHE_CONTROL, "no-store")], Json(said)).into_response()
}
