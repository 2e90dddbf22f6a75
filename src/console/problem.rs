//! Errors of the console itself, in the form of the API's (RFC 9457).

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why the console does not pass a request on, or what kept it from an answer.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
        }
    }

    pub fn not_found() -> Self {
        let detail = "there is nothing at this address; the page is at /console/";
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    /// Nothing came of a question to the API or the cluster.
    pub fn unreachable(title: &'static str, error: &anyhow::Error) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, title, format!("{error:#}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let headers = [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (self.status, headers, body.to_string()).into_response()
    }
}
