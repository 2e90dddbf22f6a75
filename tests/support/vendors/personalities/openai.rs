//! OpenAI, and servers that speak its protocol.

use serde_json::json;

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop},
    request::Recorded,
};

pub struct OpenAi;
pub struct Compatible;

impl Personality for OpenAi {
    fn vendor(&self) -> &'static str {
        "openai"
    }

    fn base_path(&self) -> &'static str {
        "/v1"
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        answer(shop, request)
    }
}

impl Personality for Compatible {
    fn vendor(&self) -> &'static str {
        "openai_compatible"
    }

    fn base_path(&self) -> &'static str {
        "/v1"
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        answer(shop, request)
    }
}

fn answer(shop: &Shop, request: &Recorded) -> Answer {
    if let Some(refusal) = shop.refusal(request.bearer()) {
        return refusal;
    }
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unknown = |id: &str| shop.says("unknown_model").filled("model", id);
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["v1", "models"]) => {
            let body = json!({ "object": "list", "data": shop.models });
            Answer::json(200, &body).with("x-request-id", "req_0f1e2d3c4b5a")
        }
        ("GET", ["v1", "models", id]) => match shop.find("id", id) {
            Some(entry) => Answer::json(200, entry),
            None => unknown(id),
        },
        ("POST", ["v1", "chat", "completions"]) => {
            let id = request.json()["model"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            match shop.find("id", &id) {
                Some(_) => shop.says("completion").filled("model", &id),
                None => unknown(&id),
            }
        }
        (method, _) => shop
            .says("no_such_path")
            .filled("method", method)
            .filled("path", &request.path),
    }
}
