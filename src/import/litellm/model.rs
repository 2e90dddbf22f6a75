//! What a deployment says of its model.

use serde_json::{Map, Value, json};

use super::params::Params;
use crate::crd::Kind;
use crate::import::secrets;
use crate::import::source::Field;
use crate::import::values::price;

/// Parameters of a call that clients send unless they know better.
const DEFAULTS: [&str; 17] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "reasoning_effort",
    "response_format",
    "parallel_tool_calls",
    "thinking",
    "verbosity",
];

/// What a deployment can do, by LiteLLM's words.
const CAPABILITIES: [(&str, &str); 9] = [
    ("supports_function_calling", "FunctionCalling"),
    ("supports_vision", "Vision"),
    ("supports_reasoning", "Reasoning"),
    ("supports_pdf_input", "PdfInput"),
    ("supports_audio_input", "AudioInput"),
    ("supports_prompt_caching", "PromptCaching"),
    ("supports_web_search", "WebSearch"),
    ("supports_response_schema", "StructuredOutput"),
    ("supports_native_streaming", "Streaming"),
];

const MODES: [(&str, &str); 8] = [
    ("chat", "Chat"),
    ("completion", "Completion"),
    ("embedding", "Embedding"),
    ("rerank", "Rerank"),
    ("image_generation", "Image"),
    ("audio_transcription", "Audio"),
    ("audio_speech", "Audio"),
    ("responses", "Chat"),
];

const PRICES: [(&str, &str); 2] = [
    ("input_cost_per_token", "inputPer1kTokens"),
    ("output_cost_per_token", "outputPer1kTokens"),
];

const TOKENS: [(&str, &str); 2] = [
    ("max_input_tokens", "maxInputTokens"),
    ("max_output_tokens", "maxOutputTokens"),
];

/// Parameters that a gateway acts on.
const GATEWAY: [(&str, &str); 12] = [
    ("rpm", "limits of calls are"),
    ("tpm", "limits of calls are"),
    ("max_parallel_requests", "limits of calls are"),
    ("weight", "routing is"),
    ("tags", "routing is"),
    ("max_budget", "budgets are"),
    ("budget_duration", "budgets are"),
    ("mock_response", "testing is"),
    ("drop_params", "rewriting of calls is"),
    ("additional_drop_params", "rewriting of calls is"),
    ("stream_timeout", "time-outs of streams are"),
    ("cooldown_time", "routing is"),
];

/// A field that was taken, and the field of the spec that it went to.
pub type Told<'a> = Vec<(Field<'a>, String)>;

/// A model's spec without its provider and id, and where each of its fields comes from.
pub fn spec<'a>(entry: &Field<'a>, params: &Params<'a>) -> (Map<String, Value>, Told<'a>) {
    let info = entry.get("model_info");
    let info = |name: &str| info.as_ref().and_then(|info| info.get(name));
    let (mut spec, mut told) = (Map::new(), Told::new());
    defaults(params, &mut spec, &mut told);
    for (name, target) in TOKENS {
        let field = info(name).or_else(|| params.get(name));
        if let Some(field) = field
            && let Some(number) = field.integer(1, 1_000_000_000)
        {
            spec.insert(target.to_owned(), number.into());
            told.push((field, format!("spec.{target}")));
        }
    }
    let mut pricing = Map::new();
    for (name, target) in PRICES {
        let Some(field) = info(name).or_else(|| params.get(name)) else {
            continue;
        };
        match price(field.value(), 3) {
            Some(price) => {
                pricing.insert(target.to_owned(), price.into());
                told.push((field, format!("spec.pricing.{target}")));
            }
            None => field.manual("left out: it is no price that llmplane can hold: at most 12 digits before the point and 12 after it"),
        }
    }
    if !pricing.is_empty() {
        pricing.insert("currency".to_owned(), "USD".into());
        spec.insert("pricing".to_owned(), pricing.into());
    }
    if let Some(field) = info("mode") {
        let known = MODES.iter().find(|(mode, _)| Some(*mode) == field.text());
        match known {
            Some((_, type_)) => {
                spec.insert("type".to_owned(), (*type_).into());
                told.push((field, "spec.type".to_owned()));
            }
            None => field.unsupported("left out: llmplane has no such type of model"),
        }
    }
    let mut capabilities = Vec::new();
    for (name, capability) in CAPABILITIES {
        if let Some(field) = info(name).filter(|field| field.value().is_boolean()) {
            if field.is_true() {
                capabilities.push(json!({ "name": capability }));
            }
            told.push((field, "spec.capabilities".to_owned()));
        }
    }
    if !capabilities.is_empty() {
        spec.insert("capabilities".to_owned(), capabilities.into());
    }
    gateway(params);
    if let Some(id) = info("id") {
        id.unsupported("left out: it is the gateway's name of this deployment; in llmplane the object's name is it");
    }
    if let Some(base) = info("base_model") {
        base.manual("left out: declare window, price and capabilities where the catalog does not know the model by its own id");
    }
    (spec, told)
}

/// Parameters that a client sends: none of them may hold a key.
fn defaults<'a>(params: &Params<'a>, spec: &mut Map<String, Value>, told: &mut Told<'a>) {
    let mut parameters = Map::new();
    for name in DEFAULTS {
        let Some(field) = params.own.get(name) else {
            continue;
        };
        if secrets::holds_key(field.value()) {
            field.manual(
                "left out: it names a variable or looks like a key, and manifests hold none",
            );
            continue;
        }
        let one = json!({ name: field.value() });
        if field
            .fitting(Kind::Model, "defaultParameters", one)
            .is_some()
        {
            parameters.insert(name.to_owned(), field.value().clone());
            told.push((field, format!("spec.defaultParameters.{name}")));
        }
    }
    if !parameters.is_empty() {
        spec.insert("defaultParameters".to_owned(), parameters.into());
    }
}

fn gateway(params: &Params<'_>) {
    for (name, what) in GATEWAY {
        if let Some(field) = params.get(name) {
            field.unsupported(format!("left out: {what} a gateway's business"));
        }
    }
}

/// Says where a new model's fields went.
pub fn tell(told: &Told<'_>, title: &str) {
    for (field, target) in told {
        field.exact(format!("{title} {target}"));
    }
}

/// Says what became of a deployment whose model is there already.
pub fn tell_known(entry: &Field<'_>, told: &Told<'_>, title: &str) {
    for (field, target) in told {
        field.approximate(
            format!("{title} {target}"),
            "left out: the model's first deployment has declared it; see that it says the same",
        );
    }
    if let Some(name) = entry.get("model_name") {
        name.approximate(
            title,
            "the same model of the same provider is one object: this is another endpoint or credential of it",
        );
    }
}

/// Says what became of the name that clients ask for.
pub fn tell_name(entry: &Field<'_>, title: &str, name: &str, count: usize) {
    let Some(field) = entry.get("model_name") else {
        return;
    };
    let target = format!("{title} spec.displayName");
    if count > 1 {
        field.approximate(
            target,
            format!("left out: another model has the name {name:?} already, and one name is one model's; agents that want either ask by what it must be"),
        );
    } else if crate::import::manifests::misfit(Kind::Model, "displayName", &name.into()).is_none() {
        field.exact(target);
    } else {
        field.manual("left out: a name shown to people is one line of at most 100 characters");
    }
}
