//! What is in force for a model: what was declared, then what the vendor says, each field with its
//! origin. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    crd::{
        Kind, LlmModelSpec, fields,
        model::{EffectiveModel, Origin, Replacement},
    },
    vendors::ListedModel,
};

/// What is in force: the spec first, then each further source in its order. `stated_by` says whose
/// word a field of the spec is.
pub fn effective(
    spec: &LlmModelSpec,
    stated_by: impl Fn(&str) -> Origin,
    sources: &[(Origin, &ListedModel)],
) -> EffectiveModel {
    let mut origin = BTreeMap::new();
    let mut effective = EffectiveModel {
        base_model: first(
            "baseModel",
            spec.base_model.clone(),
            sources,
            |m| m.base_model.clone(),
            &mut origin,
        ),
        context_window: first(
            "contextWindow",
            spec.context_window,
            sources,
            |m| m.context_window.filter(|n| *n > 0),
            &mut origin,
        ),
        max_input_tokens: first(
            "maxInputTokens",
            spec.max_input_tokens,
            sources,
            |m| m.max_input_tokens.filter(|n| *n > 0),
            &mut origin,
        ),
        max_output_tokens: first(
            "maxOutputTokens",
            spec.max_output_tokens,
            sources,
            |m| m.max_output_tokens.filter(|n| *n > 0),
            &mut origin,
        ),
        type_: first("type", spec.type_, sources, |m| m.type_, &mut origin),
        embedding_dimensions: first(
            "embeddingDimensions",
            spec.embedding_dimensions,
            sources,
            |m| m.embedding_dimensions.filter(|n| *n > 0),
            &mut origin,
        ),
        modalities: first(
            "modalities",
            spec.modalities.clone(),
            sources,
            |m| m.modalities.clone(),
            &mut origin,
        ),
        deprecated_at: first(
            "deprecatedAt",
            spec.deprecated_at.clone(),
            sources,
            |m| m.deprecated_at.map(Time),
            &mut origin,
        ),
        retires_at: first(
            "retiresAt",
            spec.retires_at.clone(),
            sources,
            |m| m.retires_at.map(Time),
            &mut origin,
        ),
        replacement: first(
            "replacement",
            spec.replacement.clone(),
            sources,
            |m| {
                let model_id = m.replacement.clone()?;
                (model_id != spec.model_id).then_some(Replacement { model_id })
            },
            &mut origin,
        ),
        pricing: first(
            "pricing",
            spec.pricing.clone(),
            sources,
            |m| m.pricing.clone(),
            &mut origin,
        ),
        capabilities: first(
            "capabilities",
            Some(spec.capabilities.clone()).filter(|c| !c.is_empty()),
            sources,
            |m| m.capabilities.clone(),
            &mut origin,
        )
        .unwrap_or_default(),
        ..EffectiveModel::default()
    };
    for (field, from) in &mut origin {
        if *from == Origin::Declared {
            *from = stated_by(field);
        }
    }
    effective.origin = origin;
    effective
}

/// Origins by the row's field names; of a part with parts of its own, such as the price, only those that
/// there are.
pub fn row_origin(effective: &EffectiveModel) -> BTreeMap<String, Origin> {
    // Plain data: it always is an object.
    let there = serde_json::to_value(effective).unwrap_or_default();
    let there = there.as_object();
    let origins = effective.origin.iter();
    origins
        .flat_map(|(part, origin)| {
            fields::within(Kind::Model, part).map(move |field| (field, *origin))
        })
        .filter(|(field, _)| there.is_some_and(|there| field.read(there).is_some()))
        .map(|(field, origin)| (field.name.to_owned(), origin))
        .collect()
}

fn first<T>(
    field: &str,
    declared: Option<T>,
    sources: &[(Origin, &ListedModel)],
    read: impl Fn(&ListedModel) -> Option<T>,
    origin: &mut BTreeMap<String, Origin>,
) -> Option<T> {
    let said = || {
        sources
            .iter()
            .find_map(|(from, model)| Some((*from, read(model)?)))
    };
    let (from, value) = match declared {
        Some(value) => (Origin::Declared, value),
        None => said()?,
    };
    origin.insert(field.to_owned(), from);
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(more: serde_json::Value) -> LlmModelSpec {
        let mut spec = json!({ "providerRef": { "name": "p" }, "modelId": "m" });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_declaration_comes_before_the_vendor_and_origins_say_so() {
        let listed = ListedModel {
            id: "m".into(),
            context_window: Some(8192),
            max_output_tokens: Some(1024),
            ..ListedModel::default()
        };
        let spec = spec(json!({
            "contextWindow": 4096,
            "pricing": { "currency": "USD", "inputPer1kTokens": "0.1" },
            "modalities": { "input": ["Text"] },
        }));
        let effective = effective(&spec, |_| Origin::Declared, &[(Origin::Vendor, &listed)]);
        assert_eq!(effective.context_window, Some(4096));
        assert_eq!(effective.max_output_tokens, Some(1024));
        assert_eq!(effective.max_input_tokens, None);
        let origin = row_origin(&effective);
        assert_eq!(origin["context_window"], Origin::Declared);
        assert_eq!(origin["max_output_tokens"], Origin::Vendor);
        assert_eq!(origin["input_price"], Origin::Declared);
        assert!(!origin.contains_key("output_price"));
        assert!(!origin.contains_key("max_input_tokens"));
        assert_eq!(origin["input_modalities"], Origin::Declared);
        assert!(!origin.contains_key("output_modalities"));
        assert!(!origin.contains_key("price_tiers"));
    }

    #[test]
    fn a_model_does_not_replace_itself_and_ends_by_the_first_who_says_when() {
        let end = "2027-01-31T00:00:00Z".parse().ok();
        let vendor = ListedModel {
            retires_at: end,
            replacement: Some("m".into()),
            ..ListedModel::default()
        };
        let catalog = ListedModel {
            retires_at: "2026-01-31T00:00:00Z".parse().ok(),
            replacement: Some("n".into()),
            ..ListedModel::default()
        };
        let sources = [(Origin::Vendor, &vendor), (Origin::Catalog, &catalog)];
        let effective = effective(&spec(json!({})), |_| Origin::Declared, &sources);
        assert_eq!(effective.retires_at.map(|t| t.0), end);
        let replacement = effective.replacement.map(|r| r.model_id);
        assert_eq!(replacement.as_deref(), Some("n"));
        assert_eq!(effective.origin["replacement"], Origin::Catalog);
        assert_eq!(effective.origin["retiresAt"], Origin::Vendor);
    }

    #[test]
    fn a_generated_spec_is_the_vendors_word_but_for_what_a_person_owns() {
        let spec = spec(json!({ "contextWindow": 4096, "maxOutputTokens": 1024 }));
        let stated = |field: &str| match field {
            "contextWindow" => Origin::Declared,
            _ => Origin::Vendor,
        };
        let catalogued = ListedModel {
            max_input_tokens: Some(2048),
            ..ListedModel::default()
        };
        let origin = effective(&spec, stated, &[(Origin::Catalog, &catalogued)]).origin;
        assert_eq!(origin["contextWindow"], Origin::Declared);
        assert_eq!(origin["maxOutputTokens"], Origin::Vendor);
        assert_eq!(origin["maxInputTokens"], Origin::Catalog);
    }
}
