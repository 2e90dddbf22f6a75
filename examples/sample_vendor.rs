//! A small server that speaks OpenAI's protocol, for the first run: it lists two models, answers
//! chat completions by echoing, and refuses a wrong key as the real vendor does.
//!
//! It is honest about what it is: nothing here is a model.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};

const MODELS: [&str; 2] = ["sample-chat-1", "sample-embed-1"];

/// A sample vendor that speaks OpenAI's protocol
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File to write the address to, once it listens
    #[arg(long)]
    address_file: Option<PathBuf>,
    /// The one key that is accepted
    #[arg(long, env = "SAMPLE_VENDOR_API_KEY", hide_env_values = true)]
    api_key: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let key: Arc<str> = format!("Bearer {}", args.api_key).into();
    let app = Router::new()
        .route("/v1/models", get(list))
        .route("/v1/models/{id}", get(one))
        .route("/v1/chat/completions", post(complete))
        .fallback(|| async {
            error(
                StatusCode::NOT_FOUND,
                "unknown_url",
                "There is nothing at this URL.",
            )
        })
        .layer(middleware::from_fn_with_state(key, authenticate));
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    let address = listener.local_addr()?;
    if let Some(file) = &args.address_file {
        // Written beside and renamed, so that a reader never sees half of it.
        let draft = file.with_extension("draft");
        std::fs::write(&draft, address.to_string())?;
        std::fs::rename(&draft, file)?;
    }
    println!("sample vendor listens on http://{address}");
    axum::serve(listener, app).await
}

async fn authenticate(State(key): State<Arc<str>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(AUTHORIZATION).map(|v| v.as_bytes());
    match sent {
        Some(sent) if sent == key.as_bytes() => next.run(request).await,
        Some(_) => error(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "Incorrect API key provided.",
        ),
        None => error(
            StatusCode::UNAUTHORIZED,
            "missing_api_key",
            "You didn't provide an API key.",
        ),
    }
}

async fn list() -> Json<Value> {
    Json(json!({ "object": "list", "data": MODELS.map(describe) }))
}

async fn one(Path(id): Path<String>) -> Response {
    if MODELS.contains(&id.as_str()) {
        return Json(describe(&id)).into_response();
    }
    error(
        StatusCode::NOT_FOUND,
        "model_not_found",
        "The model does not exist.",
    )
}

fn describe(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 1_735_689_600, "owned_by": "sample" })
}

#[derive(Deserialize)]
struct Completion {
    model: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

async fn complete(Json(request): Json<Completion>) -> Response {
    if request.model != MODELS[0] {
        return error(
            StatusCode::NOT_FOUND,
            "model_not_found",
            "The model does not exist.",
        );
    }
    let Some(last) = request.messages.last() else {
        return error(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            "messages cannot be empty.",
        );
    };
    let words = last.content.split_whitespace().count();
    Json(json!({
        "id": "chatcmpl-sample",
        "object": "chat.completion",
        "created": 1_735_689_600,
        "model": request.model,
        "choices": [{
            "index": 0,
            "finish_reason": "stop",
            "message": { "role": "assistant", "content": format!("You said: {}", last.content) },
        }],
        "usage": { "prompt_tokens": words, "completion_tokens": words + 2, "total_tokens": 2 * words + 2 },
    }))
    .into_response()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({
        "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code },
    });
    (status, Json(body)).into_response()
}
