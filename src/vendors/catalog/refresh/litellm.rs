//! LiteLLM's list: one row a model, the vendor in the row and often before the id.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Said, blank, charged, tokens};
use crate::crd::ProviderType;
use crate::crd::model::{Capability, ModelType};
use crate::public_lists::litellm::{CAPABILITIES, prices, type_of};
use crate::public_lists::{modalities, modality};
use crate::vendors::catalog::CatalogEntry;

/// The vendor of a row, and the prefix that its ids have here.
fn vendor(provider: &str) -> Option<(ProviderType, &'static str)> {
    match provider {
        "openai" | "text-completion-openai" => Some((ProviderType::OpenAI, "openai/")),
        "anthropic" => Some((ProviderType::Anthropic, "anthropic/")),
        "bedrock" | "bedrock_converse" => Some((ProviderType::Bedrock, "bedrock/")),
        "azure" | "azure_text" => Some((ProviderType::AzureOpenAI, "azure/")),
        "gemini" => Some((ProviderType::Gemini, "gemini/")),
        "dashscope" => Some((ProviderType::DashScope, "dashscope/")),
        _ => None,
    }
}

/// The models of vendors that the catalog knows. Rows of one region, of a commitment or of an image's size have
/// a path before the id: they price what has a row of its own, and are passed over, as patterns are.
pub fn entries(rows: &Map<String, Value>, source: &str) -> Said {
    let mut said = Said {
        models: Vec::new(),
        passed_over: 0,
    };
    for (key, row) in rows {
        match entry(rows, key, row, source) {
            Some(entry) => said.models.push(entry),
            None => said.passed_over += 1,
        }
    }
    said
}

fn entry(rows: &Map<String, Value>, key: &str, row: &Value, source: &str) -> Option<CatalogEntry> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let (provider, prefix) = vendor(text("litellm_provider")?)?;
    let id = key.strip_prefix(prefix).unwrap_or(key);
    if id.contains(['/', '*']) || id.starts_with("ft:") || id.is_empty() {
        return None;
    }
    let mode = text("mode").unwrap_or_default();
    if matches!(
        mode,
        "moderation" | "video_generation" | "ocr" | "search" | "vector_store"
    ) {
        return None;
    }
    // An alias has the figures of what it stands for, where it has none itself.
    let meant = text("alias_of").and_then(|other| rows.get(other));
    let row = meant
        .filter(|_| row.get("input_cost_per_token").is_none())
        .unwrap_or(row);
    let type_ = type_of(mode);
    let limit = tokens(row, "max_input_tokens").or_else(|| tokens(row, "max_tokens"));
    let pricing = row.as_object().and_then(|row| prices(row).pricing);
    Some(CatalogEntry {
        type_,
        // The list has no word for the window: what fits into the prompt fits into it.
        context_window: limit,
        max_input_tokens: tokens(row, "max_input_tokens"),
        max_output_tokens: tokens(row, "max_output_tokens"),
        embedding_dimensions: tokens(row, "output_vector_size").filter(|n| *n <= 1_000_000),
        modalities: modalities(
            row,
            ["/supported_modalities", "/supported_output_modalities"],
            modality,
        ),
        pricing: charged(pricing, type_),
        capabilities: capabilities(row, type_),
        retires_at: day(row, "deprecation_date"),
        replacement: successor(row, prefix),
        ..blank(provider, id, format!("{source} {key}"))
    })
}

fn capabilities(row: &Value, type_: Option<ModelType>) -> Vec<Capability> {
    let by_type: &[Capability] = match type_ {
        Some(ModelType::Chat) => &[Capability::TextGeneration, Capability::Chat],
        Some(ModelType::Completion) => &[Capability::TextGeneration],
        Some(ModelType::Embedding) => &[Capability::Embedding],
        _ => &[],
    };
    let told = CAPABILITIES
        .into_iter()
        .filter(|(name, _)| row.get(*name) == Some(&Value::Bool(true)));
    by_type
        .iter()
        .copied()
        .chain(told.map(|(_, capability)| capability))
        .collect()
}

fn day(row: &Value, name: &str) -> Option<Timestamp> {
    crate::vendors::answers::moment::read(row, name)
}

/// One model, by the vendor's id; a text of several, or of a setting, names none.
fn successor(row: &Value, prefix: &str) -> Option<String> {
    let text = row.get("successor_model")?.as_str()?;
    let id = text.strip_prefix(prefix).unwrap_or(text);
    let is_id = !id.is_empty() && id.len() <= 256 && !id.contains([' ', ',', '/']);
    is_id.then(|| id.to_owned())
}
