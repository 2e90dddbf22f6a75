//! What is in force for a model: what was declared, then what the vendor says, each field with its
//! origin. Pure.

use std::collections::BTreeMap;

use crate::{
    crd::{
        Kind, LlmModelSpec, fields,
        model::{EffectiveModel, Origin},
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

/// Origins by the row's field names; of a price only the parts that there are.
pub fn row_origin(effective: &EffectiveModel) -> BTreeMap<String, Origin> {
    let pricing = effective.pricing.as_ref();
    let there = |field: &str| match field {
        "input_price" => pricing.is_some_and(|p| p.input_per1k_tokens.is_some()),
        "output_price" => pricing.is_some_and(|p| p.output_per1k_tokens.is_some()),
        _ => true,
    };
    let origins = effective.origin.iter();
    origins
        .flat_map(|(part, origin)| {
            fields::within(Kind::Model, part).map(move |field| (field.name, *origin))
        })
        .filter(|(field, _)| there(field))
        .map(|(field, origin)| (field.to_owned(), origin))
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
