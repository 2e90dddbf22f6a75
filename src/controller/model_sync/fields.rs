//! What the spec of a generated object says: what the vendor says, as far as the schema takes it.
//! Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    crd::{
        LlmModelSpec, LocalRef,
        decimal::Decimal,
        model::{ModelCapability, ModelType, Pricing},
        ownership::ForeignFields,
    },
    vendors::ListedModel,
};

/// Most characters of an id (the schema's).
const ID_CHARS: usize = 256;
/// Most characters of a name shown to people (the schema's).
const NAME_CHARS: usize = 100;
/// Largest number of tokens (the schema's).
const MOST_TOKENS: i64 = 1_000_000_000;

/// The fields of a spec that model sync writes, beside `providerRef` and `modelId`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoint_refs: Vec<LocalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ModelType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<ModelCapability>,
}

impl Fields {
    /// What the vendor says of a model: of several endpoints, the first that says it. `at` names
    /// the endpoints that serve it, empty for all.
    pub fn of(said: &[&ListedModel], mut at: Vec<String>) -> Self {
        at.sort_unstable();
        let tokens = |read: fn(&ListedModel) -> Option<i64>| {
            let possible = |n: &i64| (1..=MOST_TOKENS).contains(n);
            said.iter().find_map(|m| read(m).filter(possible))
        };
        Self {
            endpoint_refs: at.into_iter().map(|name| LocalRef { name }).collect(),
            display_name: said
                .iter()
                .find_map(|m| m.display_name.clone().filter(|name| is_line(name))),
            type_: said.iter().find_map(|m| m.type_),
            context_window: tokens(|m| m.context_window),
            max_input_tokens: tokens(|m| m.max_input_tokens),
            max_output_tokens: tokens(|m| m.max_output_tokens),
            pricing: said
                .iter()
                .find_map(|m| m.pricing.clone().filter(is_pricing)),
            capabilities: said
                .iter()
                .find_map(|m| m.capabilities.clone())
                .map(distinct)
                .unwrap_or_default(),
        }
    }

    /// These fields of a spec as it stands.
    pub fn of_spec(spec: &LlmModelSpec) -> Self {
        let mut endpoint_refs = spec.endpoint_refs.clone();
        endpoint_refs.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            endpoint_refs,
            display_name: spec.display_name.clone(),
            type_: spec.type_,
            context_window: spec.context_window,
            max_input_tokens: spec.max_input_tokens,
            max_output_tokens: spec.max_output_tokens,
            pricing: spec.pricing.clone(),
            capabilities: distinct(spec.capabilities.clone()),
        }
    }

    /// Without what others own.
    pub fn without(mut self, others: &ForeignFields) -> Self {
        fn leave<T: Default>(field: &mut T, owned: bool) {
            if owned {
                *field = T::default();
            }
        }
        leave(&mut self.endpoint_refs, others.own("endpointRefs"));
        leave(&mut self.display_name, others.own("displayName"));
        leave(&mut self.type_, others.own("type"));
        leave(&mut self.context_window, others.own("contextWindow"));
        leave(&mut self.max_input_tokens, others.own("maxInputTokens"));
        leave(&mut self.max_output_tokens, others.own("maxOutputTokens"));
        leave(&mut self.pricing, others.own("pricing"));
        leave(&mut self.capabilities, others.own_all_of("capabilities"));
        self.capabilities.retain(|c| !others.own_capability(c.name));
        self
    }

    /// Puts these into a spec, as an apply without force does: in the place of what was said before, and
    /// without what others own.
    pub fn put_into(self, spec: &mut LlmModelSpec, others: &ForeignFields) {
        fn put<T>(field: &mut T, value: T, owned: bool) {
            if !owned {
                *field = value;
            }
        }
        let said = self.without(others);
        put(
            &mut spec.endpoint_refs,
            said.endpoint_refs,
            others.own("endpointRefs"),
        );
        put(
            &mut spec.display_name,
            said.display_name,
            others.own("displayName"),
        );
        put(&mut spec.type_, said.type_, others.own("type"));
        put(
            &mut spec.context_window,
            said.context_window,
            others.own("contextWindow"),
        );
        put(
            &mut spec.max_input_tokens,
            said.max_input_tokens,
            others.own("maxInputTokens"),
        );
        put(
            &mut spec.max_output_tokens,
            said.max_output_tokens,
            others.own("maxOutputTokens"),
        );
        put(&mut spec.pricing, said.pricing, others.own("pricing"));
        if !others.own_all_of("capabilities") {
            spec.capabilities.retain(|c| others.own_capability(c.name));
            spec.capabilities.extend(said.capabilities);
        }
    }

    /// Without the limits that a context window of this size has no room for, which the schema
    /// refuses: a person may have set a smaller one.
    pub fn within(mut self, window: Option<i64>) -> Self {
        let fits = |n: &i64| window.is_none_or(|window| *n <= window);
        self.max_input_tokens = self.max_input_tokens.filter(fits);
        self.max_output_tokens = self.max_output_tokens.filter(fits);
        self
    }
}

/// Whether the schema takes this as `modelId`.
pub fn is_model_id(id: &str) -> bool {
    !id.is_empty()
        && id.chars().count() <= ID_CHARS
        && !id.chars().any(|c| c.is_ascii_control())
        && !id.starts_with(' ')
        && !id.ends_with(' ')
}

fn is_line(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= NAME_CHARS
        && !name.chars().any(|c| c.is_ascii_control())
}

fn is_pricing(pricing: &Pricing) -> bool {
    let currency = &pricing.currency;
    let tiers = pricing.tiers.iter().flat_map(|tier| tier.token_prices());
    let mut prices = pricing.prices().chain(tiers);
    currency.len() == 3
        && currency.bytes().all(|b| b.is_ascii_uppercase())
        && prices.all(|(_, price)| price.is_none_or(|price| Decimal::parse(price).is_some()))
        && pricing.wrong_tiers().is_none()
}

/// By name, each once.
fn distinct(mut capabilities: Vec<ModelCapability>) -> Vec<ModelCapability> {
    let mut seen = BTreeSet::new();
    capabilities.retain(|c| seen.insert(c.name));
    capabilities.sort_by_key(|c| c.name);
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_schema_would_refuse_is_left_out() {
        let odd = ListedModel {
            display_name: Some("two\nlines".into()),
            context_window: Some(0),
            max_output_tokens: Some(MOST_TOKENS + 1),
            pricing: Some(Pricing {
                currency: "usd".into(),
                input_per1k_tokens: Some("1".into()),
                ..Pricing::default()
            }),
            ..ListedModel::default()
        };
        assert_eq!(Fields::of(&[&odd], Vec::new()), Fields::default());
        let good = ListedModel {
            context_window: Some(8192),
            max_output_tokens: Some(9000),
            ..ListedModel::default()
        };
        let fields = Fields::of(&[&odd, &good], vec!["b".into(), "a".into()]);
        assert_eq!(fields.context_window, Some(8192));
        assert_eq!(fields.endpoint_refs[0].name, "a");
        assert_eq!(fields.within(Some(8192)).max_output_tokens, None);
    }

    #[test]
    fn what_is_put_into_a_spec_takes_the_place_of_all_but_what_others_own() {
        let before = serde_json::json!({
            "providerRef": { "name": "p" }, "modelId": "a", "contextWindow": 4096, "maxOutputTokens": 512,
            "displayName": "Mine", "version": "2",
        });
        let mut spec: LlmModelSpec = serde_json::from_value(before).unwrap();
        let meta = serde_json::json!({ "managedFields": [{
            "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:displayName": {}, "f:version": {} } },
        }] });
        let others = ForeignFields::of(&serde_json::from_value(meta).unwrap());
        let said = Fields {
            context_window: Some(8192),
            display_name: Some("Theirs".into()),
            ..Fields::default()
        };
        said.put_into(&mut spec, &others);
        assert_eq!(
            (spec.context_window, spec.max_output_tokens),
            (Some(8192), None)
        );
        assert_eq!(spec.display_name.as_deref(), Some("Mine"));
        assert_eq!(spec.version.as_deref(), Some("2"));
    }

    #[test]
    fn ids_that_the_schema_refuses_are_known() {
        for id in ["", " a", "a ", "a\u{7}", "a\n", &"x".repeat(257)] {
            assert!(!is_model_id(id), "{id:?}");
        }
        for id in ["a", "meta-llama/Llama-3.1-8B", "模型", &"x".repeat(256)] {
            assert!(is_model_id(id), "{id:?}");
        }
    }
}
