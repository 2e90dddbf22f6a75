//! The list of models.dev: vendors by their ids, and under each its models.

use serde_json::{Map, Value};

use super::{Said, blank, charged, tokens};
use crate::crd::ProviderType;
use crate::crd::model::{Capability, Modality, ModelType};
use crate::public_lists::models_dev::{CAPABILITIES, INPUTS, prices};
use crate::public_lists::{modalities, modality};
use crate::vendors::catalog::CatalogEntry;

fn vendor(id: &str) -> Option<ProviderType> {
    match id {
        "openai" => Some(ProviderType::OpenAI),
        "anthropic" => Some(ProviderType::Anthropic),
        "amazon-bedrock" => Some(ProviderType::Bedrock),
        "azure" => Some(ProviderType::AzureOpenAI),
        "google" => Some(ProviderType::Gemini),
        "alibaba" => Some(ProviderType::DashScope),
        _ => None,
    }
}

/// The models of vendors that the catalog knows.
pub fn entries(vendors: &Map<String, Value>, source: &str) -> Said {
    let mut said = Said {
        models: Vec::new(),
        passed_over: 0,
    };
    for (name, listed) in vendors {
        let models = listed.get("models").and_then(Value::as_object);
        let Some(provider) = vendor(name) else {
            said.passed_over += models.map_or(0, Map::len);
            continue;
        };
        for (id, row) in models.into_iter().flatten() {
            let id = row.get("id").and_then(Value::as_str).unwrap_or(id);
            said.models
                .push(entry(provider, id, row, &format!("{source} {name}/{id}")));
        }
    }
    said
}

fn entry(provider: ProviderType, id: &str, row: &Value, source: &str) -> CatalogEntry {
    let limit = row.get("limit").unwrap_or(&Value::Null);
    let modalities = modalities(row, ["/modalities/input", "/modalities/output"], modality);
    let gives_text = modalities
        .as_ref()
        .is_some_and(|modalities| modalities.output.contains(&Modality::Text));
    // The list has no word for what embeds but the id: its answer is called text there.
    let type_ = match id.contains("embed") {
        true => Some(ModelType::Embedding),
        false => gives_text.then_some(ModelType::Chat),
    };
    let cost = row.get("cost").and_then(Value::as_object);
    CatalogEntry {
        display_name: (row.get("name").and_then(Value::as_str))
            .filter(|name| name.chars().count() <= 100)
            .map(str::to_owned),
        type_,
        context_window: tokens(limit, "context"),
        max_input_tokens: tokens(limit, "input"),
        max_output_tokens: tokens(limit, "output"),
        pricing: charged(cost.and_then(|cost| prices(cost).pricing), type_),
        capabilities: capabilities(row, type_),
        modalities,
        ..blank(provider, id, source.to_owned())
    }
}

fn capabilities(row: &Value, type_: Option<ModelType>) -> Vec<Capability> {
    let by_type: &[Capability] = match type_ {
        Some(ModelType::Chat) => &[Capability::TextGeneration, Capability::Chat],
        Some(ModelType::Embedding) => &[Capability::Embedding],
        _ => &[],
    };
    let told = CAPABILITIES
        .into_iter()
        .filter(|(name, _)| row.get(*name) == Some(&Value::Bool(true)));
    let inputs = row.pointer("/modalities/input").and_then(Value::as_array);
    let takes = |word: &str| inputs.is_some_and(|inputs| inputs.iter().any(|input| input == word));
    let taken = INPUTS.into_iter().filter(|(word, _)| takes(word));
    by_type
        .iter()
        .copied()
        .chain(told.chain(taken).map(|(_, capability)| capability))
        .collect()
}
