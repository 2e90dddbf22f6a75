//! Anthropic: two kinds of keys, a version in every request, pages by cursor.

use serde_json::json;

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop, number},
    request::Recorded,
};

pub struct Anthropic;

impl Personality for Anthropic {
    fn vendor(&self) -> &'static str {
        "anthropic"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        // An API key goes by its own header alone, a token by the other.
        let by_token = request
            .bearer()
            .is_some_and(|token| shop.tokens.iter().any(|known| known == token));
        if !by_token && let Some(refusal) = shop.refusal(request.header("x-api-key")) {
            return refusal;
        }
        if request.header("anthropic-version") != Some("2023-06-01") {
            return shop.says("no_version");
        }
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["v1", "models"]) => list(shop, request),
            ("GET", ["v1", "models", id]) => match shop.find("id", id) {
                Some(entry) => Answer::json(200, entry),
                None => shop.says("unknown_model").filled("model", id),
            },
            _ => shop.says("no_such_path"),
        }
    }
}

fn list(shop: &Shop, request: &Recorded) -> Answer {
    let limit = match request.param("limit") {
        None => 20,
        Some(_) => match number(request, "limit") {
            Some(limit @ 1..=1000) => limit.min(shop.page_limit),
            _ => return shop.says("bad_request"),
        },
    };
    let from = match request.param("after_id") {
        None => 0,
        Some(after) => match shop.models.iter().position(|m| m["id"] == after.as_str()) {
            Some(at) => at + 1,
            None if shop.endless => 0,
            None => return shop.says("bad_request"),
        },
    };
    let mut page: Vec<_> = shop.models.iter().skip(from).take(limit).cloned().collect();
    let mut has_more = from + page.len() < shop.models.len();
    if shop.endless {
        // Each page is another, and none is the last.
        for entry in &mut page {
            entry["id"] = format!(
                "{}-{}",
                entry["id"].as_str().unwrap(),
                request.at.as_nanos()
            )
            .into();
        }
        has_more = true;
    }
    let id = |entry: Option<&serde_json::Value>| entry.map(|e| e["id"].clone());
    let body = json!({
        "data": page, "has_more": has_more,
        "first_id": id(page.first()), "last_id": id(page.last()),
    });
    Answer::json(200, &body).with("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy")
}
