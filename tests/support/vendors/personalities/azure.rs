//! Azure OpenAI: the v1 API and the dated one at one resource; a deployment is not a model.

use serde_json::json;

use crate::support::vendors::{
    fixture::{Answer, Fixture},
    personality::{Personality, Shop},
    request::Recorded,
};

pub struct Azure;

/// A deployment of an embedding model.
const EMBEDDINGS: &str = "embeddings";

impl Personality for Azure {
    fn vendor(&self) -> &'static str {
        "azure"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        let by_token = request
            .bearer()
            .is_some_and(|token| shop.tokens.iter().any(|known| known == token));
        if !by_token && let Some(refusal) = shop.refusal(request.header("api-key")) {
            return refusal;
        }
        let deployments = Fixture::read("azure", "deployments").entries;
        let completion = |name: &str| {
            if deployments.iter().any(|d| d["id"] == name) {
                shop.says("completion")
            } else {
                shop.says("unknown_model")
            }
        };
        // A deployment of this name embeds, and does nothing else.
        let embeds = |name: &str| name == EMBEDDINGS;
        let chat = |name: &str| match embeds(name) {
            true => shop.says("other_operation"),
            false => completion(name),
        };
        let embedding = |name: &str| match embeds(name) {
            true => shop.says("embedding").filled("model", name),
            false => completion(name),
        };
        let list = |entries: &[serde_json::Value]| {
            Answer::json(200, &json!({ "object": "list", "data": entries }))
                .with("apim-request-id", "5f4d2d1c-9a8b-4c77-8e11-1234567890ab")
        };
        // The dated API is not found without a version, v1 takes one or none.
        let version = request.param("api-version");
        let dated = version.as_deref().filter(|v| v.starts_with("20"));
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice(), dated) {
            ("GET", ["openai", "v1", "models"], None) => list(&shop.models),
            ("GET", ["openai", "models"], Some(_)) => list(&shop.models),
            ("GET", ["openai", "deployments"], Some("2022-12-01" | "2023-03-15-preview"))
                if shop.lists_deployments =>
            {
                list(&deployments)
            }
            ("POST", ["openai", "v1", "chat", "completions"], None) => {
                chat(request.json()["model"].as_str().unwrap_or_default())
            }
            ("POST", ["openai", "v1", "embeddings"], None) => {
                embedding(request.json()["model"].as_str().unwrap_or_default())
            }
            ("POST", ["openai", "deployments", name, "chat", "completions"], Some(_)) => chat(name),
            ("POST", ["openai", "deployments", name, "embeddings"], Some(_)) => embedding(name),
            _ => shop.says("no_such_path"),
        }
    }
}
