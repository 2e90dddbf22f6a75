//! LiteLLM's fields: prices of one token, tiers and batches by what a field's name ends with.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Draft, ListedPrices};
use crate::crd::model::{Capability, ModelType};

/// What a model can do, by LiteLLM's words.
pub const CAPABILITIES: [(&str, Capability); 9] = [
    ("supports_function_calling", Capability::FunctionCalling),
    ("supports_vision", Capability::Vision),
    ("supports_reasoning", Capability::Reasoning),
    ("supports_pdf_input", Capability::PdfInput),
    ("supports_audio_input", Capability::AudioInput),
    ("supports_prompt_caching", Capability::PromptCaching),
    ("supports_web_search", Capability::WebSearch),
    ("supports_response_schema", Capability::StructuredOutput),
    ("supports_native_streaming", Capability::Streaming),
];

/// A model's type by its mode.
pub fn type_of(mode: &str) -> Option<ModelType> {
    match mode {
        "chat" | "responses" => Some(ModelType::Chat),
        "completion" => Some(ModelType::Completion),
        "embedding" => Some(ModelType::Embedding),
        "rerank" => Some(ModelType::Rerank),
        "image_generation" | "image_edit" => Some(ModelType::Image),
        "audio_transcription" | "audio_speech" => Some(ModelType::Audio),
        _ => None,
    }
}

/// Tokens by LiteLLM's words, and the price of a thousand of them.
const TOKENS: [(&str, &str); 7] = [
    ("input_cost_per_token", "inputPer1kTokens"),
    ("output_cost_per_token", "outputPer1kTokens"),
    ("cache_read_input_token_cost", "cacheReadPer1kTokens"),
    ("cache_creation_input_token_cost", "cacheWritePer1kTokens"),
    ("output_cost_per_reasoning_token", "reasoningPer1kTokens"),
    ("input_cost_per_audio_token", "audioInputPer1kTokens"),
    ("output_cost_per_audio_token", "audioOutputPer1kTokens"),
];

/// The same in a batch.
const BATCHES: [(&str, &str); 2] = [
    ("input_cost_per_token_batches", "batchInputPer1kTokens"),
    ("output_cost_per_token_batches", "batchOutputPer1kTokens"),
];

/// What is priced by the piece.
const PIECES: [(&str, &str); 2] = [
    ("output_cost_per_image", "perImage"),
    ("input_cost_per_request", "perRequest"),
];

/// Suffixes combine in this order (facts, 18); those of service tiers and of longer-lived caches are no fields
/// of ours.
static TIER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([a-z_]+?)_above_([0-9]{1,6})k_tokens(_batches)?$").expect("a constant pattern")
});

/// The price that a field is of in a tier, and the first number of tokens of prompt that is above its border.
fn tier_field(name: &str) -> Option<(&'static str, i64)> {
    let found = TIER.captures(name)?;
    let base = format!(
        "{}{}",
        found.get(1)?.as_str(),
        found.get(3).map_or("", |batches| batches.as_str())
    );
    let mut known = TOKENS.into_iter().chain(BATCHES);
    let (_, target) = known.find(|(name, _)| *name == base)?;
    let thousands: i64 = found.get(2)?.as_str().parse().ok()?;
    Some((target, thousands * 1000 + 1))
}

/// What a row of LiteLLM's, or a deployment's `model_info`, says that a model costs.
pub fn prices(row: &Map<String, Value>) -> ListedPrices {
    let mut draft = Draft::default();
    for (name, target) in TOKENS.into_iter().chain(BATCHES).chain(PIECES) {
        if let Some(value) = row.get(name).filter(|value| !value.is_null()) {
            draft.take(name, target, None, value, power(target));
        }
    }
    for (name, value) in row.iter().filter(|(_, value)| !value.is_null()) {
        if let Some((target, from)) = tier_field(name) {
            draft.take(name, target, Some(from), value, 3);
        }
    }
    if let Some(Value::Array(ranges)) = row.get("tiered_pricing") {
        take_ranges(&mut draft, ranges);
    }
    // So LiteLLM counts.
    draft.fill_tiers();
    draft.finish()
}

fn power(target: &str) -> i32 {
    match target.ends_with("Per1kTokens") {
        true => 3,
        false => 0,
    }
}

/// Ranges of prompts, each with prices of its own: from one number of tokens to another, without the first.
fn take_ranges(draft: &mut Draft, ranges: &[Value]) {
    const FIELD: &str = "tiered_pricing";
    let border = |range: &Value, end: usize| range.get("range")?.get(end)?.as_f64();
    let mut next = 0.0;
    for range in ranges {
        let (Some(from), Some(to)) = (border(range, 0), border(range, 1)) else {
            return draft.broken(FIELD, "an entry of it has no range [from, to]");
        };
        if from != next || to <= from {
            let why = format!(
                "its ranges have a gap or overlap: after {next} tokens one begins at {from}; close the gap"
            );
            return draft.broken(FIELD, why);
        }
        next = to;
        let begins = (from > 0.0).then_some(from as i64 + 1);
        for (name, target) in TOKENS {
            if let Some(value) = range.get(name) {
                draft.take(FIELD, target, begins, value, 3);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(row: Value) -> ListedPrices {
        prices(row.as_object().unwrap())
    }

    #[test]
    fn every_dimension_and_tier_is_read() {
        let read = read(json!({
            "input_cost_per_token": 1.25e-6, "output_cost_per_token": 1e-5,
            "cache_read_input_token_cost": 1.25e-7, "input_cost_per_token_batches": 6.25e-7,
            "input_cost_per_token_above_200k_tokens": 2.5e-6,
            "cache_read_input_token_cost_above_200k_tokens": 2.5e-7,
            "input_cost_per_token_above_200k_tokens_batches": 1.25e-6,
            "input_cost_per_token_priority": 9e-6, "cache_creation_input_token_cost_above_1hr": 9e-6,
            "output_cost_per_image": 0.04, "input_cost_per_request": 0.001,
        }));
        assert_eq!(
            json!(read.pricing),
            json!({
                "currency": "USD", "inputPer1kTokens": "0.00125", "outputPer1kTokens": "0.01",
                "cacheReadPer1kTokens": "0.000125", "batchInputPer1kTokens": "0.000625",
                "perImage": "0.04", "perRequest": "0.001",
                "tiers": [{
                    "fromInputTokens": 200_001, "inputPer1kTokens": "0.0025", "outputPer1kTokens": "0.01",
                    "cacheReadPer1kTokens": "0.00025", "batchInputPer1kTokens": "0.00125",
                }],
            })
        );
        assert_eq!((read.taken.len(), read.refused.len()), (9, 0));
    }

    #[test]
    fn ranges_are_tiers_and_a_gap_between_them_is_told() {
        let ranges = |second: i64| {
            read(json!({ "tiered_pricing": [
                { "range": [0, 32_000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6 },
                { "range": [second, 128_000.0], "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6 },
            ] }))
        };
        let pricing = ranges(32_000).pricing.unwrap();
        assert_eq!(pricing.input_per1k_tokens.as_deref(), Some("0.001"));
        assert_eq!(pricing.tiers[0].from_input_tokens, 32_001);
        assert_eq!(
            pricing.tiers[0].output_per1k_tokens.as_deref(),
            Some("0.004")
        );
        let gap = ranges(64_000);
        assert_eq!(gap.pricing, None);
        assert!(gap.refused[0].1.contains("close the gap"), "{gap:?}");
    }

    #[test]
    fn a_tier_of_a_price_that_is_not_known_below_it_leaves_nothing_half_said() {
        let read = read(
            json!({ "input_cost_per_token_above_200k_tokens": 2e-6, "output_cost_per_token": 1e-6 }),
        );
        assert_eq!((read.pricing, read.taken.len()), (None, 0));
        assert_eq!(read.refused.len(), 2);
    }
}
