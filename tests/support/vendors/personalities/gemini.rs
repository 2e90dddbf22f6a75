//! Google's Gemini API: a key in a header of its own, a wrong one a 400, pages by token.

use serde_json::{Value, json};

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop, number},
    request::Recorded,
};

pub struct Gemini;

impl Personality for Gemini {
    fn vendor(&self) -> &'static str {
        "gemini"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        let key = request.header("x-goog-api-key");
        if let Some(refusal) = shop.refusal(key) {
            return match key {
                Some(_) => refusal,
                None => shop.says("no_key"),
            };
        }
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["v1beta", "models"]) => list(shop, request),
            ("GET", ["v1beta", "models", id]) => match shop.find("name", &format!("models/{id}")) {
                Some(entry) => Answer::json(200, entry),
                None => shop.says("unknown_model").filled("model", id),
            },
            _ => shop.says("no_such_path"),
        }
    }

    fn entry(&self, sample: &Value, id: &str) -> Value {
        let mut entry = sample.clone();
        entry["name"] = format!("models/{id}").into();
        entry["displayName"] = id.into();
        entry
    }
}

fn list(shop: &Shop, request: &Recorded) -> Answer {
    let limit = match request.param("pageSize") {
        None => 50,
        Some(_) => match number(request, "pageSize") {
            Some(limit @ 1..) => limit.min(1000).min(shop.page_limit),
            _ => return shop.says("bad_request"),
        },
    };
    let from = match request.param("pageToken") {
        None => 0,
        Some(_) if shop.endless => 0,
        Some(token) => match token.strip_prefix("from-").and_then(|n| n.parse().ok()) {
            Some(from) => from,
            None => return shop.says("bad_request"),
        },
    };
    let mut page: Vec<Value> = shop.models.iter().skip(from).take(limit).cloned().collect();
    let mut next =
        (from + page.len() < shop.models.len()).then(|| format!("from-{}", from + page.len()));
    if shop.endless {
        // Each page is another, and none is the last.
        let now = request.at.as_nanos();
        for entry in &mut page {
            entry["name"] = format!("{}-{now}", entry["name"].as_str().unwrap()).into();
        }
        next = Some(format!("again-{now}"));
    }
    // An empty list and a last page's token are left out.
    let mut body = json!({});
    if !page.is_empty() {
        body["models"] = page.into();
    }
    if let Some(next) = next {
        body["nextPageToken"] = next.into();
    }
    Answer::json(200, &body)
}
