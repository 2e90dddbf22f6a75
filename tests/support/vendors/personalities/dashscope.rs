//! DashScope: numbered pages, two envelopes.

use serde_json::json;

use crate::support::vendors::{
    fixture::Answer,
    personality::{Personality, Shop, number},
    request::Recorded,
};

pub struct DashScope;

impl Personality for DashScope {
    fn vendor(&self) -> &'static str {
        "dashscope"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer {
        let refusal = shop.refusal(request.bearer());
        let compatible = request.path.starts_with("/compatible-mode/");
        match refusal {
            Some(answer) if compatible && answer.status == 401 => {
                return shop.says("bad_key_compatible");
            }
            Some(answer) => return answer,
            None => {}
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v1/models") => list(shop, request),
            ("GET", "/compatible-mode/v1/models") => {
                let ids: Vec<_> = shop
                    .models
                    .iter()
                    .map(|m| json!({ "id": m["model"] }))
                    .collect();
                Answer::json(200, &json!({ "data": ids }))
            }
            _ => shop.says("no_such_path"),
        }
    }
}

fn list(shop: &Shop, request: &Recorded) -> Answer {
    let wanted = request.param("model");
    let found: Vec<_> = shop
        .models
        .iter()
        .filter(|m| wanted.as_deref().is_none_or(|id| m["model"] == id))
        .collect();
    let number_of = number(request, "page_no").unwrap_or(1).max(1);
    let size = number(request, "page_size")
        .unwrap_or(10)
        .min(shop.page_limit);
    let page: Vec<_> = match shop.endless {
        true => found.iter().take(size).collect(),
        false => found
            .iter()
            .skip((number_of - 1) * size)
            .take(size)
            .collect(),
    };
    let total = if shop.endless {
        1_000_000_000
    } else {
        found.len()
    };
    let body = json!({
        "success": true, "request_id": "01415ff3-0000-4000-8000-000000000001",
        "output": { "total": total, "page_no": number_of, "page_size": size, "models": page },
    });
    Answer::json(200, &body)
}
