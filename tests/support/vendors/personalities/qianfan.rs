//! Qianfan v2: a 401 may be a wrong model name, a 403 a missing key or arrears.

use serde_json::json;

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop},
    request::Recorded,
};

pub struct Qianfan;

impl Personality for Qianfan {
    fn vendor(&self) -> &'static str {
        "qianfan"
    }

    fn base_path(&self) -> &'static str {
        "/v2"
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        if request.bearer().is_none() {
            return shop.says("no_key");
        }
        if let Some(refusal) = shop.refusal(request.bearer()) {
            return refusal;
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v2/models") => {
                Answer::json(200, &json!({ "object": "list", "data": shop.models }))
            }
            ("POST", "/v2/chat/completions") => {
                let body = request.json();
                if body["messages"].as_array().is_none_or(Vec::is_empty) {
                    return shop.says("bad_request");
                }
                let id = body["model"].as_str().unwrap_or_default();
                match shop.find("id", id) {
                    Some(_) => shop.says("completion").filled("model", id),
                    None => shop.says("unknown_model"),
                }
            }
            ("POST", "/v2/embeddings") => {
                let body = request.json();
                let id = body["model"].as_str().unwrap_or_default();
                shop.says("embedding").filled("model", id)
            }
            _ => shop.says("no_such_path"),
        }
    }
}
