//! Servers of one's own: Ollama, and vLLM.

use serde_json::{Value, json};

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop},
    request::Recorded,
};

pub struct Ollama;
pub struct Vllm;

impl Personality for Ollama {
    fn vendor(&self) -> &'static str {
        "ollama"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    /// Without keys as a rule; ollama.com and proxies want one.
    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        if let Some(refusal) = shop.refusal(request.bearer()) {
            return refusal;
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/") => shop.says("root"),
            ("GET", "/api/version") => shop.says("version"),
            ("GET", "/api/tags") => Answer::json(200, &json!({ "models": shop.models })),
            ("POST", "/api/show") => {
                let body = request.json();
                let id = body["model"].as_str().unwrap_or_default();
                // A missing tag means `latest`.
                let tagged = match id.contains(':') {
                    true => id.to_owned(),
                    false => format!("{id}:latest"),
                };
                match shop.find("model", &tagged) {
                    Some(_) => shop.says("show"),
                    None => shop.says("unknown_model").filled("model", id),
                }
            }
            _ => shop.says("no_such_path"),
        }
    }

    fn entry(&self, sample: &Value, id: &str) -> Value {
        let mut entry = sample.clone();
        entry["name"] = id.into();
        entry["model"] = id.into();
        entry
    }
}

impl Personality for Vllm {
    fn vendor(&self) -> &'static str {
        "vllm"
    }

    fn base_path(&self) -> &'static str {
        "/v1"
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        // These need no key.
        match request.path.as_str() {
            "/health" => return shop.says("health"),
            "/version" => return shop.says("version"),
            _ => {}
        }
        if let Some(refusal) = shop.refusal(request.bearer()) {
            return refusal;
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/models") => {
                Answer::json(200, &json!({ "object": "list", "data": shop.models }))
            }
            _ => shop.says("no_such_path"),
        }
    }
}
