//! The table of contents: which route is answered by what.

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{REVISION, SNAPSHOT_AGE};
use super::problem::{Problem, ProblemType};
use super::routes::{credentials, endpoints, health, models, providers};
use super::{ApiState, openapi};

/// The documented routes.
pub(super) fn routes() -> OpenApiRouter<ApiState> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(providers::list))
        .routes(routes!(providers::get))
        .routes(routes!(endpoints::list))
        .routes(routes!(endpoints::get))
        .routes(routes!(health::get))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::get))
        .routes(routes!(models::list))
        .routes(routes!(models::by_capability))
        .routes(routes!(models::get));
    OpenApiRouter::with_openapi(openapi::base()).nest("/api/v1", v1)
}

/// The whole API.
pub fn router(state: ApiState) -> Router {
    let (documented, _) = routes().split_for_parts();
    let description = Bytes::from(openapi::json());
    documented
        .route(
            "/openapi.json",
            get(|| async move {
                let json = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, json)], description)
            }),
        )
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

async fn no_route() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "there is no such route; /openapi.json lists them",
    )
}

async fn no_method() -> Problem {
    Problem::new(
        ProblemType::MethodNotAllowed,
        "this route is for GET and HEAD",
    )
}

/// A panic's text may hold anything: it goes nowhere.
fn caught(_: Box<dyn std::any::Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

/// What every answer carries, and what is counted of it.
async fn observe(
    State(state): State<ApiState>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if !headers.contains_key(REVISION) {
        headers.insert(REVISION, HeaderValue::from(state.store.revision().0));
    }
    if let Some(age) = state.store.age() {
        headers.insert(SNAPSHOT_AGE, HeaderValue::from(age.as_secs()));
    }
    let route = path.as_ref().map_or("", MatchedPath::as_str);
    state
        .metrics
        .answered(route, response.status().as_u16(), started.elapsed());
    response
}
