//! OpenAI-compatible servers on loopback, each a host of its own: they list models to whoever has the
//! key.

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

/// As many hosts as there are vendors: what each of them is asked in a second is bounded.
const HOSTS: u8 = 8;

/// Running servers; they end when dropped.
pub struct Vendors {
    urls: Vec<String>,
    tasks: Vec<JoinHandle<()>>,
}

impl Vendors {
    /// Starts them.
    pub async fn start() -> Result<Self> {
        let (mut urls, mut tasks) = (Vec::new(), Vec::new());
        for host in 1..=HOSTS {
            let listener = TcpListener::bind(format!("127.0.0.{host}:0")).await?;
            urls.push(format!("http://{}/v1", listener.local_addr()?));
            let router = Router::new().route("/v1/models", get(list));
            tasks.push(tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).await {
                    eprintln!("a vendor ended: {error}");
                }
            }));
        }
        Ok(Self { urls, tasks })
    }

    /// Their base URLs.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }
}

impl Drop for Vendors {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
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
