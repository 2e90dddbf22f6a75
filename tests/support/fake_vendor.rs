//! An OpenAI-compatible server on loopback that can be told how to behave.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

#[derive(Default)]
struct Behaviour {
    keys: BTreeSet<String>,
    models: BTreeSet<String>,
    /// Context windows, as vLLM's list tells them.
    windows: BTreeMap<String, i64>,
    /// Answers everything with this status, where it is set.
    broken: Option<StatusCode>,
    calls: usize,
}

/// A running fake; it ends when dropped.
pub struct FakeVendor {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    task: JoinHandle<()>,
}

impl FakeVendor {
    /// Starts one that takes these keys and lists these models.
    pub async fn start(keys: &[&str], models: &[&str]) -> Self {
        let behaviour = Arc::new(Mutex::new(Behaviour {
            keys: keys.iter().map(ToString::to_string).collect(),
            models: models.iter().map(ToString::to_string).collect(),
            ..Behaviour::default()
        }));
        let router = Router::new()
            .route("/v1/models", get(list))
            .route("/v1/models/{id}", get(one))
            .with_state(behaviour.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            behaviour,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn accept(&self, key: &str) {
        self.behaviour.lock().unwrap().keys.insert(key.to_owned());
    }

    pub fn refuse(&self, key: &str) {
        self.behaviour.lock().unwrap().keys.remove(key);
    }

    pub fn list_model(&self, model: &str) {
        let mut behaviour = self.behaviour.lock().unwrap();
        behaviour.models.insert(model.to_owned());
    }

    pub fn unlist_model(&self, model: &str) {
        self.behaviour.lock().unwrap().models.remove(model);
    }

    /// Lists a model with its context window.
    pub fn list_window(&self, model: &str, window: i64) {
        self.list_model(model);
        let mut behaviour = self.behaviour.lock().unwrap();
        behaviour.windows.insert(model.to_owned(), window);
    }

    pub fn break_with(&self, status: u16) {
        self.behaviour.lock().unwrap().broken = StatusCode::from_u16(status).ok();
    }

    pub fn mend(&self) {
        self.behaviour.lock().unwrap().broken = None;
    }

    pub fn calls(&self) -> usize {
        self.behaviour.lock().unwrap().calls
    }
}

impl Drop for FakeVendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = State<Arc<Mutex<Behaviour>>>;

async fn list(State(behaviour): Shared, headers: HeaderMap) -> Response {
    let mut behaviour = behaviour.lock().unwrap();
    if let Some(refusal) = behaviour.refusal(&headers) {
        return refusal;
    }
    let data: Vec<_> = behaviour
        .models
        .iter()
        .map(|id| {
            let mut entry = json!({ "id": id, "object": "model", "created": 0, "owned_by": "fake" });
            if let Some(window) = behaviour.windows.get(id) {
                entry["max_model_len"] = (*window).into();
            }
            entry
        })
        .collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

async fn one(State(behaviour): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let mut behaviour = behaviour.lock().unwrap();
    if let Some(refusal) = behaviour.refusal(&headers) {
        return refusal;
    }
    if behaviour.models.contains(&id) {
        return Json(json!({ "id": id, "object": "model" })).into_response();
    }
    let error = json!({ "error": { "message": "no", "type": "invalid_request_error", "code": "model_not_found" } });
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

impl Behaviour {
    fn refusal(&mut self, headers: &HeaderMap) -> Option<Response> {
        self.calls += 1;
        if let Some(status) = self.broken {
            return Some((status, "broken").into_response());
        }
        let key = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default();
        if self.keys.contains(key) {
            return None;
        }
        // As OpenAI does: the key that was sent is in the message.
        let error = json!({ "error": {
            "message": format!("Incorrect API key provided: {key}."),
            "type": "invalid_request_error", "code": "invalid_api_key",
        } });
        Some((StatusCode::UNAUTHORIZED, Json(error)).into_response())
    }
}
