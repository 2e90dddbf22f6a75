//! An OpenAI-compatible server on loopback: it lists models to whoever has the key.

use std::net::SocketAddr;

use anyhow::Result;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fleet;

/// The one key that is accepted.
pub const KEY: &str = "sk-bench-0123456789abcdef";

/// A running server; it ends when dropped.
pub struct Vendor {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Vendor {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/v1/models", get(list));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the vendor ended: {error}");
            }
        });
        Ok(Self { address, task })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn list(headers: HeaderMap) -> Response {
    let sent = headers.get("authorization").and_then(|v| v.to_str().ok());
    if sent != Some(&format!("Bearer {KEY}")) {
        let error = json!({ "error": { "message": "no", "code": "invalid_api_key" } });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    let data: Vec<_> = (0..fleet::LISTED_MODELS)
        .map(|number| json!({ "id": fleet::model_id(number), "object": "model", "created": 0, "owned_by": "bench" }))
        .collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}
