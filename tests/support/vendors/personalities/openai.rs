//! OpenAI, and servers that speak its protocol.

use serde_json::{Value, json};

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

/// By its name, as the vendor's are.
fn embeds(id: &str) -> bool {
    id.starts_with("text-embedding")
}

/// The whole list, or a page of it where the test wants some.
fn page(shop: &Shop, request: &Recorded) -> Value {
    if shop.page_limit == usize::MAX && !shop.endless {
        return json!({ "object": "list", "data": shop.models });
    }
    let after = request.param("after");
    let at = after.and_then(|id| shop.models.iter().position(|m| m["id"] == *id));
    // Without an end, it goes round.
    let from = at.map_or(0, |at| (at + 1) % shop.models.len());
    let rest = shop.models.get(from..).unwrap_or_default();
    let limit = if shop.endless { 1 } else { shop.page_limit };
    let page = &rest[..rest.len().min(limit)];
    json!({
        "object": "list",
        "data": page,
        "has_more": shop.endless || rest.len() > page.len(),
        "last_id": page.last().map(|m| &m["id"]),
    })
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
            Answer::json(200, &page(shop, request)).with("x-request-id", "req_0f1e2d3c4b5a")
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
                Some(_) if embeds(&id) => shop.says("not_a_chat_model"),
                Some(_) => shop.says("completion").filled("model", &id),
                None => unknown(&id),
            }
        }
        ("POST", ["v1", "embeddings"]) => {
            let id = request.json()["model"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            match shop.find("id", &id) {
                Some(_) if embeds(&id) => shop.says("embedding").filled("model", &id),
                _ => unknown(&id),
            }
        }
        (method, _) => shop
            .says("no_such_path")
            .filled("method", method)
            .filled("path", &request.path),
    }
}
