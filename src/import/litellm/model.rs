//! What a deployment says of its model.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::params::Params;
use crate::crd::Kind;
use crate::crd::model::Modality;
use crate::import::secrets;
use crate::import::source::Field;
use crate::public_lists::litellm::{self, CAPABILITIES};
use crate::public_lists::modality;

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

const COUNTS: [(&str, &str, i64); 3] = [
    ("max_input_tokens", "maxInputTokens", 1_000_000_000),
    ("max_output_tokens", "maxOutputTokens", 1_000_000_000),
    ("output_vector_size", "embeddingDimensions", 1_000_000),
];

/// Limits of calls, published for clients.
const LIMITS: [(&str, &str); 2] = [("rpm", "Requests"), ("tpm", "Tokens")];

/// Parameters that a gateway acts on.
const GATEWAY: [(&str, &str); 9] = [
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
    for (name, target, most) in COUNTS {
        let field = info(name).or_else(|| params.get(name));
        if let Some(field) = field
            && let Some(number) = field.integer(1, most)
        {
            spec.insert(target.to_owned(), number.into());
            told.push((field, format!("spec.{target}")));
        }
    }
    prices(entry, params, &mut spec, &mut told);
    limits(params, &mut spec, &mut told);
    modalities(&info, &mut spec, &mut told);
    end(&info, &mut spec, &mut told);
    if let Some(field) = info("mode") {
        match field.text().and_then(litellm::type_of) {
            Some(type_) => {
                spec.insert("type".to_owned(), json!(type_));
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
    if let Some(base) = info("base_model").or_else(|| params.get("base_model"))
        && let Some(text) = base.plain_text()
    {
        // LiteLLM writes the vendor before the id.
        let id = text.split_once('/').map_or(text, |(_, id)| id);
        if let Some(value) = base.fitting(Kind::Model, "baseModel", id.into()) {
            spec.insert("baseModel".to_owned(), value);
            told.push((base, "spec.baseModel".to_owned()));
        }
    }
    (spec, told)
}

/// What it costs: `model_info` comes before the parameters.
fn prices<'a>(
    entry: &Field<'a>,
    params: &Params<'a>,
    spec: &mut Map<String, Value>,
    told: &mut Told<'a>,
) {
    let places = [
        params.shared.as_ref().map(|(values, _)| values.clone()),
        Some(params.own.clone()),
        entry.get("model_info"),
    ];
    let mut fields = BTreeMap::new();
    for (name, field) in places.iter().flatten().flat_map(Field::entries) {
        fields.insert(name, field);
    }
    let row = fields.iter();
    let row = row.map(|(name, field)| ((*name).to_owned(), field.value().clone()));
    let read = litellm::prices(&row.collect());
    if let Some(pricing) = read.pricing {
        spec.insert("pricing".to_owned(), json!(pricing));
    }
    for (name, target) in &read.taken {
        if let Some(field) = fields.get(name.as_str()) {
            told.push((field.clone(), format!("spec.pricing.{target}")));
        }
    }
    for (name, why) in &read.refused {
        if let Some(field) = fields.get(name.as_str()) {
            field.manual(format!("left out: {why}"));
        }
    }
}

/// Limits of calls.
fn limits<'a>(params: &Params<'a>, spec: &mut Map<String, Value>, told: &mut Told<'a>) {
    let mut limits = Vec::new();
    for (name, unit) in LIMITS {
        if let Some(field) = params.get(name)
            && let Some(limit) = field.integer(1, 1_000_000_000_000)
        {
            limits.push(json!({ "unit": unit, "limit": limit, "period": "Minute" }));
            told.push((field, "spec.limits".to_owned()));
        }
    }
    if let Some(field) = params.get("max_parallel_requests")
        && let Some(limit) = field.integer(1, 1_000_000_000_000)
    {
        limits.push(json!({ "unit": "ConcurrentRequests", "limit": limit }));
        told.push((field, "spec.limits".to_owned()));
    }
    if !limits.is_empty() {
        spec.insert("limits".to_owned(), limits.into());
    }
}

/// What it takes and gives.
fn modalities<'a>(
    info: &impl Fn(&str) -> Option<Field<'a>>,
    spec: &mut Map<String, Value>,
    told: &mut Told<'a>,
) {
    let lists = [
        ("supported_modalities", "input"),
        ("supported_output_modalities", "output"),
    ];
    let mut modalities = Map::new();
    for (name, target) in lists {
        let mut known: Vec<Modality> = Vec::new();
        for item in info(name).iter().flat_map(Field::items) {
            match item.text().and_then(modality) {
                Some(word) => {
                    if !known.contains(&word) {
                        known.push(word);
                    }
                    told.push((item, format!("spec.modalities.{target}")));
                }
                None => item.unsupported("left out: llmplane has no such modality"),
            }
        }
        if !known.is_empty() {
            modalities.insert(target.to_owned(), json!(known));
        }
    }
    if !modalities.is_empty() {
        spec.insert("modalities".to_owned(), modalities.into());
    }
}

/// The day of its end, and what comes in its place.
fn end<'a>(
    info: &impl Fn(&str) -> Option<Field<'a>>,
    spec: &mut Map<String, Value>,
    told: &mut Told<'a>,
) {
    if let Some(field) = info("deprecation_date") {
        let time = field.text().map(|day| format!("{day}T00:00:00Z"));
        match time.filter(|time| time.parse::<jiff::Timestamp>().is_ok()) {
            Some(time) => {
                spec.insert("retiresAt".to_owned(), time.into());
                told.push((field, "spec.retiresAt".to_owned()));
            }
            None => field.manual("left out: it is no day such as 2027-01-31"),
        }
    }
    if let Some(field) = info("successor_model")
        && let Some(text) = field.plain_text()
    {
        let id = text.split_once('/').map_or(text, |(_, id)| id);
        let replacement = json!({ "modelId": id });
        if field
            .fitting(Kind::Model, "replacement", replacement.clone())
            .is_some()
        {
            spec.insert("replacement".to_owned(), replacement);
            told.push((field, "spec.replacement".to_owned()));
        }
    }
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
            format!("left out: another model has the name {name:?} already; agents that want either ask for the class"),
        );
    } else if crate::import::manifests::misfit(Kind::Model, "displayName", &name.into()).is_none() {
        field.exact(target);
    } else {
        field.manual("left out: a name shown to people is one line of at most 100 characters");
    }
}
