//! `GET /console/`: the console's page, where an operator wants the API to serve it. Whoever visits it
//! pastes a token; the page holds nothing that the API would not tell without it.

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::console::page;

/// The page, its files, and what it asks about itself.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/console", get(async || Redirect::permanent("console/")))
        .route("/console/", get(index))
        .route("/console/{file}", get(file))
        .route("/console/session", get(async || page::with_token()))
        .route("/console/remedies.json", get(async || page::remedies()))
}

async fn index(sent: HeaderMap) -> Response {
    found(page::file("index.html", &sent))
}

async fn file(Path(name): Path<String>, sent: HeaderMap) -> Response {
    found(page::file(&name, &sent))
}

fn found(file: Option<Response>) -> Response {
    file.unwrap_or_else(|| Problem::not_found("page").into_response())
}
