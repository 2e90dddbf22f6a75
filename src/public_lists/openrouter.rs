//! OpenRouter's `pricing`: prices of one token, as decimal strings. A negative one stands for a price that varies.

use serde_json::{Map, Value};

use super::{Draft, ListedPrices};

const TOKENS: [(&str, &str); 6] = [
    ("prompt", "inputPer1kTokens"),
    ("completion", "outputPer1kTokens"),
    ("input_cache_read", "cacheReadPer1kTokens"),
    ("input_cache_write", "cacheWritePer1kTokens"),
    ("internal_reasoning", "reasoningPer1kTokens"),
    ("audio", "audioInputPer1kTokens"),
];

/// What a model costs by its `pricing`. Prompt and answer may cost nothing; elsewhere zero says that there is
/// no such price.
pub fn prices(pricing: &Map<String, Value>) -> ListedPrices {
    let mut draft = Draft::default();
    take(&mut draft, pricing, None);
    if let Some(value) = pricing.get("request").filter(|value| !is_zero(value)) {
        draft.take("request", "perRequest", None, value, 0);
    }
    let overrides = pricing.get("overrides").and_then(Value::as_array);
    for tier in overrides.into_iter().flatten() {
        let from = tier.get("min_prompt_tokens").and_then(Value::as_i64);
        if let (Some(from), Value::Object(prices)) = (from.filter(|from| *from > 0), tier) {
            take(&mut draft, prices, Some(from));
        }
    }
    draft.fill_tiers();
    draft.finish()
}

fn take(draft: &mut Draft, pricing: &Map<String, Value>, from: Option<i64>) {
    for (name, target) in TOKENS {
        let is_own = matches!(name, "prompt" | "completion");
        if let Some(value) = pricing.get(name).filter(|value| is_own || !is_zero(value)) {
            draft.take(name, target, from, value, 3);
        }
    }
}

fn is_zero(value: &Value) -> bool {
    super::price(value, 0).as_deref() == Some("0")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(pricing: Value) -> ListedPrices {
        prices(pricing.as_object().unwrap())
    }

    #[test]
    fn prices_are_decimal_strings_and_overrides_are_tiers() {
        let read = read(json!({
            "prompt": "0.00000125", "completion": "0.00001", "input_cache_read": "0.000000125", "request": "0", "image": "0",
            "internal_reasoning": "0", "overrides": [{ "min_prompt_tokens": 200_000, "prompt": "0.0000025" }],
        }));
        let wanted = json!({
            "currency": "USD", "inputPer1kTokens": "0.00125", "outputPer1kTokens": "0.01", "cacheReadPer1kTokens": "0.000125",
            "tiers": [{
                "fromInputTokens": 200_000, "inputPer1kTokens": "0.0025", "outputPer1kTokens": "0.01",
                "cacheReadPer1kTokens": "0.000125",
            }],
        });
        assert_eq!(json!(read.pricing), wanted);
    }

    #[test]
    fn what_varies_is_unknown_and_what_is_free_is_zero() {
        assert_eq!(
            read(json!({ "prompt": "-1", "completion": "-1" })).pricing,
            None
        );
        let free = read(json!({ "prompt": "0", "completion": "0" }))
            .pricing
            .unwrap();
        assert_eq!(free.input_per1k_tokens.as_deref(), Some("0"));
    }
}
