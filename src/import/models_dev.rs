//! The catalog of models.dev: providers, their addresses and their models, prices per million tokens.

use serde_json::{Map, Value, json};

use super::manifests::Manifest;
use super::plan::{Call, Placed, Plan};
use super::secrets::{KeyRef, Origin};
use super::source::Field;
use super::values::slug;
use super::vendor::{self, Vendor};
use crate::crd::model::{Capability, Modality};
use crate::crd::{Kind, ProviderType};
use crate::public_lists::modality;
use crate::public_lists::models_dev::{self, CAPABILITIES, INPUTS};

/// Converts catalogs: of all providers, or one provider alone.
pub fn convert(sources: &[Field<'_>], namespace: Option<&str>) -> Vec<Manifest> {
    let mut plan = Plan::new(namespace);
    for source in sources {
        if source
            .get("models")
            .is_some_and(|models| models.value().is_object())
        {
            provider(
                &mut plan,
                source,
                source.text_at("id").unwrap_or("provider"),
            );
            continue;
        }
        for (id, entry) in source.entries() {
            provider(&mut plan, &entry, id);
        }
    }
    plan.finish()
}

/// The provider's type: by its name, or by the package with which it is called.
fn vendor_of(entry: &Field<'_>, id: &str) -> Option<Vendor> {
    let known = vendor::named(id).filter(|it| it.type_ != ProviderType::OpenAICompatible);
    if known.is_some() {
        return known;
    }
    let name = slug(id);
    let type_ = match entry.text_at("npm")? {
        "@ai-sdk/openai-compatible" | "@openrouter/ai-sdk-provider" => {
            ProviderType::OpenAICompatible
        }
        "@ai-sdk/anthropic" => ProviderType::Anthropic,
        "@ai-sdk/azure" => ProviderType::AzureOpenAI,
        "@ai-sdk/amazon-bedrock" => ProviderType::Bedrock,
        "@ai-sdk/google" => ProviderType::Gemini,
        _ => ProviderType::OpenAICompatible,
    };
    let base_url = vendor::named(id).and_then(|known| known.base_url);
    let has_address = entry.get("api").is_some() || base_url.is_some();
    let is_reached = type_ != ProviderType::OpenAICompatible || has_address;
    is_reached.then_some(Vendor {
        type_,
        name,
        base_url,
    })
}

fn provider<'a>(plan: &mut Plan<'a>, entry: &Field<'a>, id: &str) {
    let Some(vendor) = vendor_of(entry, id) else {
        return entry.unsupported(
            "not converted: llmplane has no driver for it, and it has no OpenAI-compatible address",
        );
    };
    let api = entry.get("api");
    let base_url = api.as_ref().and_then(Field::url);
    if api.is_some() && base_url.is_none() {
        return entry.manual(
            "not converted: its address cannot be carried over; declare the provider by hand",
        );
    }
    let call = Call {
        base_url: base_url.or_else(|| vendor.base_url.map(str::to_owned)),
        ..Call::default()
    };
    if let Some(lacking) = vendor.lacks(&call) {
        return entry.manual(format!("not converted: an endpoint of it needs {lacking}, which the catalog does not know; declare the provider by hand"));
    }
    let place = plan.place(&vendor, call, None);
    let title = plan.provider_title(place);
    if let Some(api) = api {
        api.exact(format!("{} spec.baseUrl", plan.endpoint_title(place)));
    }
    if let Some(name) = entry.get("name")
        && let Some(text) = name.plain_text()
        && let Some(value) = name.fitting(Kind::Provider, "displayName", text.into())
    {
        plan.provider_spec(place)
            .insert("displayName".to_owned(), value);
        name.exact(format!("{title} spec.displayName"));
    }
    for field in ["id", "npm"].iter().filter_map(|name| entry.get(name)) {
        field.exact(format!("{title} spec.type"));
    }
    if let Some(doc) = entry.get("doc") {
        doc.unsupported("left out: llmplane has no field for a link to documentation");
    }
    key(plan, entry, place);
    let models = entry.get("models");
    for (id, model) in models.iter().flat_map(Field::entries) {
        convert_model(plan, &model, place, id);
    }
}

/// The variable that holds the provider's key. Of several it cannot be told what each is.
fn key<'a>(plan: &mut Plan<'a>, entry: &Field<'a>, place: super::plan::Place) {
    let Some(env) = entry.get("env") else { return };
    let names = env.items();
    let is_name = |name: &str| super::secrets::variable(&format!("os.environ/{name}")).is_some();
    match &names[..] {
        [] => env.exact("LlmProvider"),
        [one] if one.text().is_some_and(is_name) => {
            let name = one.text().unwrap_or_default();
            let key = KeyRef {
                secret: slug(name),
                parts: vec![("apiKey", Origin::Variable(name.to_owned()))],
            };
            plan.credential(place, key, Map::new(), vec![one.clone()]);
        }
        _ => env.manual(
            "left out: it cannot be told which of them holds what; declare an LlmCredential",
        ),
    }
}

fn convert_model<'a>(plan: &mut Plan<'a>, model: &Field<'a>, place: super::plan::Place, key: &str) {
    let id = model.text_at("id").unwrap_or(key);
    if model.fitting(Kind::Model, "modelId", id.into()).is_none() {
        return;
    }
    let mut spec = Map::new();
    let mut told: Vec<(Field<'a>, String)> = Vec::new();
    if let Some(name) = model.get("name")
        && let Some(text) = name.plain_text()
        && let Some(value) = name.fitting(Kind::Model, "displayName", text.into())
    {
        spec.insert("displayName".to_owned(), value);
        told.push((name, "spec.displayName".to_owned()));
    }
    limits(model, &mut spec, &mut told);
    cost(model, &mut spec, &mut told);
    capabilities(model, &mut spec, &mut told);
    status(model, &mut spec, &mut told);
    let title = match plan.model(place, id, &slug(id), spec) {
        Placed::New(name) => format!("LlmModel/{name}"),
        Placed::Known(name) => {
            let title = format!("LlmModel/{name}");
            return model.approximate(
                title,
                "left out: the same model of the same provider was there before",
            );
        }
    };
    for (field, target) in told {
        field.exact(format!("{title} {target}"));
    }
    if let Some(id) = model.get("id") {
        id.exact(format!("{title} spec.modelId"));
    }
    for name in [
        "knowledge",
        "release_date",
        "last_updated",
        "open_weights",
        "family",
        "attachment",
        "temperature",
    ] {
        if let Some(field) = model.get(name) {
            field.unsupported("left out: llmplane has no field for it");
        }
    }
}

/// Windows. Zero is the catalog's word for unknown.
fn limits<'a>(
    model: &Field<'a>,
    spec: &mut Map<String, Value>,
    told: &mut Vec<(Field<'a>, String)>,
) {
    let names = [
        ("context", "contextWindow"),
        ("input", "maxInputTokens"),
        ("output", "maxOutputTokens"),
    ];
    let limit = model.get("limit");
    let window = limit
        .as_ref()
        .and_then(|it| it.value().get("context")?.as_i64())
        .filter(|it| *it > 0);
    for (name, target) in names {
        let Some(field) = limit.as_ref().and_then(|it| it.get(name)) else {
            continue;
        };
        if field.value() == 0 {
            field.approximate("LlmModel", "left out: 0 stands for unknown");
            continue;
        }
        let Some(number) = field.integer(1, 1_000_000_000) else {
            continue;
        };
        if window.is_some_and(|window| number > window) {
            field.manual("left out: it is larger than the whole window");
            continue;
        }
        spec.insert(target.to_owned(), number.into());
        told.push((field, format!("spec.{target}")));
    }
}

/// Prices of a million tokens, in US dollars.
fn cost<'a>(model: &Field<'a>, spec: &mut Map<String, Value>, told: &mut Vec<(Field<'a>, String)>) {
    let Some(cost) = model.get("cost") else {
        return;
    };
    let Some(row) = cost.value().as_object() else {
        return;
    };
    let mut read = models_dev::prices(row);
    if let Some(pricing) = read.pricing {
        spec.insert("pricing".to_owned(), json!(pricing));
    }
    read.taken.dedup();
    for (name, target) in &read.taken {
        if let Some(field) = cost.get(name) {
            told.push((field, format!("spec.pricing.{target}")));
        }
    }
    for (name, why) in &read.refused {
        if let Some(field) = cost.get(name) {
            field.manual(format!("left out: {why}"));
        }
    }
}

fn capabilities<'a>(
    model: &Field<'a>,
    spec: &mut Map<String, Value>,
    told: &mut Vec<(Field<'a>, String)>,
) {
    let mut found: Vec<Capability> = Vec::new();
    for (name, capability) in CAPABILITIES {
        let Some(field) = model.get(name) else {
            continue;
        };
        let inner = field.get("supported");
        let said = inner.unwrap_or_else(|| field.clone());
        if !said.value().is_boolean() {
            continue;
        }
        if said.is_true() {
            found.push(capability);
        }
        told.push((said, "spec.capabilities".to_owned()));
    }
    let mut modalities = Map::new();
    for direction in ["input", "output"] {
        let mut words: Vec<Modality> = Vec::new();
        let items = model.at(&["modalities", direction]);
        for item in items.iter().flat_map(Field::items) {
            let Some(word) = item.text().and_then(modality) else {
                item.unsupported("left out: llmplane has no such modality");
                continue;
            };
            if !words.contains(&word) {
                words.push(word);
            }
            let capability = INPUTS.iter().find(|(input, _)| Some(*input) == item.text());
            if let Some((_, capability)) = capability.filter(|_| direction == "input") {
                found.push(*capability);
            }
            told.push((item, format!("spec.modalities.{direction}")));
        }
        if !words.is_empty() {
            modalities.insert(direction.to_owned(), json!(words));
        }
    }
    if !modalities.is_empty() {
        spec.insert("modalities".to_owned(), modalities.into());
    }
    found.dedup();
    if !found.is_empty() {
        let named = found.iter().map(|name| json!({ "name": name }));
        spec.insert("capabilities".to_owned(), named.collect::<Vec<_>>().into());
    }
}

fn status<'a>(
    model: &Field<'a>,
    spec: &mut Map<String, Value>,
    told: &mut Vec<(Field<'a>, String)>,
) {
    let Some(status) = model.get("status") else {
        return;
    };
    match status.text() {
        Some("deprecated") => {
            spec.insert("lifecycle".to_owned(), "Deprecated".into());
            told.push((status, "spec.lifecycle".to_owned()));
        }
        _ => status.unsupported("left out: a model is available, under maintenance or deprecated"),
    }
}
