//! Bedrock's control plane: signed requests or bearer keys, pages by token.

use serde_json::{Value, json};

use crate::support::vendors::{
    fixture::{Answer, Fixture},
    personality::{Personality, Shop, number},
    request::Recorded,
    sigv4::{self, Refused},
};

pub struct Bedrock;

impl Personality for Bedrock {
    fn vendor(&self) -> &'static str {
        "bedrock"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        let date = shop.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        authorised(shop, request)
            .unwrap_or_else(|| right(shop, request))
            .with("date", &date)
    }
}

/// Why a request is not let in, or the answer that its key gets in place of the right one.
fn authorised(shop: &Shop, request: &Recorded) -> Option<Answer> {
    if let Some(bearer) = request.bearer() {
        return match shop.keys.get(bearer) {
            Some(standing) => standing.clone(),
            None => Some(shop.says("bad_bearer")),
        };
    }
    match sigv4::verify(shop, request) {
        Ok(access_key) => shop.keys.get(&access_key).cloned().flatten(),
        Err(Refused::Incomplete) => Some(shop.says("incomplete_signature")),
        Err(Refused::UnknownKey) => Some(shop.says("unknown_access_key")),
        Err(Refused::Signature) => Some(shop.says("bad_signature")),
        Err(Refused::Token) => Some(shop.says("expired_token")),
        Err(Refused::Skew {
            signed,
            earliest,
            now,
        }) => Some(
            shop.says("clock_skew")
                .filled("signed", &signed)
                .filled("earliest", &earliest)
                .filled("now", &now),
        ),
    }
}

fn right(shop: &Shop, request: &Recorded) -> Answer {
    let profiles = Fixture::read("bedrock", "profiles").entries;
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unknown = |id: &str| shop.says("unknown_model").filled("model", id);
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["foundation-models"]) => list_models(shop, request),
        ("GET", ["foundation-models", id]) => match shop.find("modelId", id) {
            Some(entry) => with_id(&json!({ "modelDetails": entry })),
            None => unknown(id),
        },
        ("GET", ["foundation-model-availability", id]) => match shop.find("modelId", id) {
            Some(_) => shop.says("availability").filled("model", id),
            None => unknown(id),
        },
        ("GET", ["inference-profiles"]) => list_profiles(shop, request, &profiles),
        ("GET", ["inference-profiles", id]) => {
            match profiles.iter().find(|p| p["inferenceProfileId"] == *id) {
                Some(profile) => with_id(profile),
                None => unknown(id),
            }
        }
        ("POST", ["model", id, "converse"]) => converse(shop, request, id, &profiles),
        _ => shop.says("no_such_path"),
    }
}

fn list_models(shop: &Shop, request: &Recorded) -> Answer {
    let holds = |entry: &Value, field: &str, wanted: &str| {
        entry[field]
            .as_array()
            .is_some_and(|all| all.iter().any(|v| v == wanted))
    };
    let modality = request.param("byOutputModality");
    let inference = request.param("byInferenceType");
    let provider = request.param("byProvider");
    let found: Vec<_> = shop
        .models
        .iter()
        .filter(|m| {
            modality
                .as_deref()
                .is_none_or(|w| holds(m, "outputModalities", w))
        })
        .filter(|m| {
            inference
                .as_deref()
                .is_none_or(|w| holds(m, "inferenceTypesSupported", w))
        })
        .filter(|m| provider.as_deref().is_none_or(|w| m["providerName"] == w))
        .collect();
    with_id(&json!({ "modelSummaries": found }))
}

fn list_profiles(shop: &Shop, request: &Recorded, profiles: &[Value]) -> Answer {
    let wanted = request.param("type");
    let found: Vec<_> = profiles
        .iter()
        .filter(|p| wanted.as_deref().is_none_or(|type_| p["type"] == type_))
        .collect();
    let size = match request.param("maxResults") {
        None => 100,
        Some(_) => match number(request, "maxResults") {
            Some(size @ 1..=1000) => size,
            _ => return shop.says("validation"),
        },
    };
    let from = match request.param("nextToken") {
        None => 0,
        Some(token) => match token.strip_prefix("page-").and_then(|n| n.parse().ok()) {
            Some(from) => from,
            None => return shop.says("validation"),
        },
    };
    let size = size.min(shop.page_limit);
    let at = if shop.endless { 0 } else { from };
    let page: Vec<_> = found.iter().skip(at).take(size).collect();
    let mut body = json!({ "inferenceProfileSummaries": page });
    if shop.endless || from + page.len() < found.len() {
        body["nextToken"] = format!("page-{}", from + page.len()).into();
    }
    with_id(&body)
}

/// The runtime host's own operation (facts, 5.4); a profile's id is as good as a model's.
fn converse(shop: &Shop, request: &Recorded, id: &str, profiles: &[Value]) -> Answer {
    let mut of_profiles = profiles.iter().map(|p| &p["inferenceProfileId"]);
    let known = shop.find("modelId", id).is_some() || of_profiles.any(|known| known == id);
    if !known {
        return shop.says("validation");
    }
    match request.json().pointer("/inferenceConfig/maxTokens") {
        Some(Value::Number(most)) if most.as_u64().is_some_and(|most| most > 0) => {}
        _ => return shop.says("validation"),
    }
    let content = json!([{ "text": "Hello" }]);
    with_id(&json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": "max_tokens",
        "usage": { "inputTokens": 8, "outputTokens": 1, "totalTokens": 9 },
        "metrics": { "latencyMs": 210 },
    }))
}

fn with_id(body: &Value) -> Answer {
    Answer::json(200, body).with("x-amzn-requestid", "7d3b0c1e-0f5a-4c55-9d0e-0f0e4f5b6a77")
}
