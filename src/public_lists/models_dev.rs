//! The `cost` of models.dev: prices of a million tokens.

use serde_json::{Map, Value};

use super::{Draft, ListedPrices};
use crate::crd::model::Capability;

/// What a model can do, by the list's words.
pub const CAPABILITIES: [(&str, Capability); 3] = [
    ("tool_call", Capability::FunctionCalling),
    ("reasoning", Capability::Reasoning),
    ("structured_output", Capability::StructuredOutput),
];

/// What follows from what it takes.
pub const INPUTS: [(&str, Capability); 3] = [
    ("image", Capability::Vision),
    ("pdf", Capability::PdfInput),
    ("audio", Capability::AudioInput),
];

const TOKENS: [(&str, &str); 7] = [
    ("input", "inputPer1kTokens"),
    ("output", "outputPer1kTokens"),
    ("cache_read", "cacheReadPer1kTokens"),
    ("cache_write", "cacheWritePer1kTokens"),
    ("reasoning", "reasoningPer1kTokens"),
    ("input_audio", "audioInputPer1kTokens"),
    ("output_audio", "audioOutputPer1kTokens"),
];

/// What a model costs by its `cost`.
pub fn prices(cost: &Map<String, Value>) -> ListedPrices {
    let mut draft = Draft::default();
    for (name, target) in TOKENS {
        if let Some(value) = cost.get(name) {
            draft.take(name, target, None, value, -3);
        }
    }
    match (cost.get("tiers"), cost.get("context_over_200k")) {
        (Some(Value::Array(tiers)), _) => {
            for tier in tiers {
                let size = tier.pointer("/tier/size").and_then(Value::as_i64);
                let is_context = tier
                    .pointer("/tier/type")
                    .is_none_or(|kind| kind == "context");
                match size.filter(|size| is_context && *size > 0) {
                    Some(size) => take_tier(&mut draft, "tiers", size, tier),
                    None => draft.broken(
                        "tiers",
                        "a tier of it does not begin at a size of the context",
                    ),
                }
            }
        }
        (_, Some(tier)) => take_tier(&mut draft, "context_over_200k", 200_001, tier),
        _ => {}
    }
    draft.finish()
}

fn take_tier(draft: &mut Draft, field: &str, from: i64, tier: &Value) {
    for (name, target) in TOKENS {
        if let Some(value) = tier.get(name) {
            draft.take(field, target, Some(from), value, -3);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tiers_and_their_older_form_are_read() {
        let cost = |tiers: Value| {
            let mut cost = json!({ "input": 1.25, "output": 10, "cache_read": 0.125 });
            for (name, value) in tiers.as_object().unwrap() {
                cost[name] = value.clone();
            }
            prices(cost.as_object().unwrap())
        };
        let tier = json!({ "input": 2.5, "output": 15, "cache_read": 0.25 });
        let mut sized = tier.clone();
        sized["tier"] = json!({ "type": "context", "size": 200_000 });
        let pricing = cost(json!({ "tiers": [sized], "context_over_200k": tier })).pricing;
        let pricing = pricing.unwrap();
        assert_eq!(pricing.input_per1k_tokens.as_deref(), Some("0.00125"));
        assert_eq!(pricing.tiers.len(), 1);
        assert_eq!(pricing.tiers[0].from_input_tokens, 200_000);
        assert_eq!(
            pricing.tiers[0].cache_read_per1k_tokens.as_deref(),
            Some("0.00025")
        );
        let older = cost(json!({ "context_over_200k": tier })).pricing.unwrap();
        assert_eq!(older.tiers[0].from_input_tokens, 200_001);
        let gap = cost(json!({ "context_over_200k": { "input": 2.5 } }));
        assert_eq!(gap.pricing, None);
        assert_eq!(gap.refused.len(), 4, "{gap:?}");
    }
}
