//! A request in one form, whoever wrote it: what is asked for alike is counted together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::request::{Need, Request, Wanted};

/// The body of a request as `POST /resolve` takes it: lists are sorted, and what is not said is left out.
#[derive(Debug, Default, Serialize)]
struct Question<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_score: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_context_window: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_output_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    /// Always said of a need: one that asks for nothing else is one too.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefer: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provider_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    regions: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    selector: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recommended_for: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_deprecated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    input_modalities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output_modalities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dimensions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    with_secret: bool,
}

impl Request {
    /// The body that asks for the same, as JSON: one for all that ask alike.
    pub fn canonical(&self) -> String {
        let with_secret = self.with_key;
        let question = match &self.wanted {
            Wanted::Named(name) => Question {
                model: Some(name),
                with_secret,
                ..Question::default()
            },
            Wanted::Class(name) => Question {
                class: Some(name),
                with_secret,
                ..Question::default()
            },
            Wanted::Need(need) => Question {
                with_secret,
                ..Question::of(need)
            },
        };
        // Plain data, which always has a form in JSON.
        serde_json::to_string(&question).unwrap_or_default()
    }
}

impl<'a> Question<'a> {
    fn of(need: &'a Need) -> Self {
        // Every field is named here, so that a new one is counted too.
        let Need {
            capabilities,
            min_score,
            min_context_window,
            min_output_tokens,
            max_input_price,
            max_output_price,
            currency,
            prefer,
            provider_types,
            regions,
            selector,
            exclude,
            recommended_for,
            allow_deprecated,
            input_modalities,
            output_modalities,
            embedding_dimensions,
            typical_call,
        } = need;
        let tokens = |count: u64| Some(count).filter(|count| *count > 0);
        let call = typical_call.unwrap_or_default();
        Self {
            capabilities: sorted(capabilities.iter().map(|one| one.as_str())),
            min_score: *min_score,
            min_context_window: *min_context_window,
            min_output_tokens: *min_output_tokens,
            max_input_price: max_input_price.as_ref().map(ToString::to_string),
            max_output_price: max_output_price.as_ref().map(ToString::to_string),
            currency: currency.as_deref(),
            prefer: Some(prefer.as_str()),
            provider_types: sorted(provider_types.iter().map(|one| one.as_str())),
            regions: sorted(regions.iter().map(|one| one.to_ascii_lowercase())),
            selector: (selector.iter())
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
            exclude: sorted(exclude.iter().map(String::as_str)),
            recommended_for: sorted(recommended_for.iter().map(|one| one.to_lowercase())),
            allow_deprecated: *allow_deprecated,
            input_modalities: sorted(input_modalities.iter().map(|one| one.as_str())),
            output_modalities: sorted(output_modalities.iter().map(|one| one.as_str())),
            embedding_dimensions: *embedding_dimensions,
            prompt_tokens: tokens(call.prompt_tokens),
            cached_tokens: tokens(call.cached_tokens),
            output_tokens: tokens(call.output_tokens),
            ..Self::default()
        }
    }
}

fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort();
    all.dedup();
    all
}
