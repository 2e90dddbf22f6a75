//! `LlmModelClass`: a name that agents ask for, and whose meaning the platform decides.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::common::{LocalRef, yes};
use super::model::{Capability, Modalities};
use super::provider_type::ProviderType;
use super::rules;
use super::words::words;

/// Models that a class may name, and models at most that one answer fails over to.
pub const MAX_MODELS: usize = 16;

/// A name that agents ask for. Which model it means is decided here, and can be changed without them.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "llmplane.dev",
    version = "v1alpha1",
    doc = "A name that agents ask for. Which model it means is decided here, and can be changed without them.",
    kind = "LlmModelClass",
    plural = "llmmodelclasses",
    shortname = "llmmc",
    category = "llm",
    namespaced,
    status = "LlmModelClassStatus",
    derive = "PartialEq",
    printcolumn(name = "Model", type_ = "string", json_path = ".status.current.model"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".status.current.endpoint",
        priority = 1
    ),
    printcolumn(
        name = "Candidates",
        type_ = "integer",
        json_path = ".status.candidates",
        priority = 1
    ),
    printcolumn(
        name = "Available-Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(rules::CLASS_IS_ONE).message(rules::CLASS_IS_ONE_MESSAGE),
    validation = Rule::new(rules::CLASS_ORDER).message(rules::CLASS_ORDER_MESSAGE).field_path(".prefer"),
    validation = Rule::new(rules::CLASS_SCORE).message(rules::CLASS_SCORE_MESSAGE).field_path(".prefer")
)]
pub struct LlmModelClassSpec {
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::LINE)]
    pub display_name: Option<String>,
    /// What it is for, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    #[x_kube(validation = rules::TEXT)]
    pub description: Option<String>,
    /// Off: whoever asks for it is told that it is switched off.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The models, in order of preference. Either this or `need`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<LocalRef>,
    /// What a model must be, of all those in this namespace. Either this or `models`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<ClassNeed>,
    /// Which of several comes first: the one named first (`Order`, the default where `models` is
    /// given), the cheapest (`Price`, the default else), the one with the highest score in
    /// `need.capabilities` (`Score`) or the one with the largest context window (`Context`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Preferred>,
    /// Whether a model whose `lifecycle` is `Deprecated` may be meant.
    #[serde(default)]
    pub allow_deprecated: bool,
}

/// Which of several models comes first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum Preferred {
    Order,
    #[default]
    Price,
    Score,
    Context,
}

words!(Preferred);

/// What a model must be. Every part that is absent asks for nothing. Whatever `POST /resolve` takes as a need is
/// here too: [`super::fields::NEED`] says which field is which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(rules::NEED_SAYS_SOMETHING).message(rules::NEED_SAYS_SOMETHING_MESSAGE),
    validation = Rule::new(rules::NEED_CURRENCY).message(rules::NEED_CURRENCY_MESSAGE).field_path(".currency"),
    validation = Rule::new(rules::NEED_SCORE).message(rules::NEED_SCORE_MESSAGE).field_path(".minScore"),
    validation = Rule::new(rules::NEED_CALL).message(rules::NEED_CALL_MESSAGE).field_path(".promptTokens"),
    validation = Rule::new(rules::NEED_CACHED).message(rules::NEED_CACHED_MESSAGE).field_path(".cachedTokens")
)]
pub struct ClassNeed {
    /// It can do all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = Capability::ALL.len()), extend("x-kubernetes-list-type" = "set"))]
    pub capabilities: Vec<Capability>,
    /// It scores at least this in each of `capabilities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = rules::SCORES[0], max = rules::SCORES[1]))]
    pub min_score: Option<i32>,
    /// Tokens of prompt and answer together, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
    pub min_context_window: Option<i64>,
    /// Tokens of answer, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
    pub min_output_tokens: Option<i64>,
    /// Price of 1,000 tokens of prompt in `currency`, at most: a decimal number in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::MAX_PRICE_CHARS))]
    #[x_kube(validation = rules::PRICE)]
    pub max_input_price_per1k_tokens: Option<String>,
    /// Price of 1,000 tokens of answer in `currency`, at most: a decimal number in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::MAX_PRICE_CHARS))]
    #[x_kube(validation = rules::PRICE)]
    pub max_output_price_per1k_tokens: Option<String>,
    /// Its prices are in no other currency: an ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::CURRENCY_CHARS))]
    #[x_kube(validation = rules::CURRENCY)]
    pub currency: Option<String>,
    /// Its provider is of one of these types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20), extend("x-kubernetes-list-type" = "set"))]
    pub provider_types: Vec<ProviderType>,
    /// It is served in one of these regions, and is to be called there alone: the vendor's ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::LINES)]
    pub regions: Vec<String>,
    /// It has these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// It is none of these, by name, display name or `modelId`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::LINES)]
    pub exclude: Vec<String>,
    /// It takes and gives all of these forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// It answers vectors of so many numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_DIMENSIONS))]
    pub embedding_dimensions: Option<i64>,
    /// It is recommended for all of these tasks; upper and lower case are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = rules::TASKS[0]), inner(length(min = 1, max = rules::TASKS[1])), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::LINES)]
    pub recommended_for: Vec<String>,
    /// Tokens of prompt of a typical call, which prices are compared for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = rules::MAX_TOKENS))]
    pub prompt_tokens: Option<i64>,
    /// Of those, the tokens that the vendor's cache holds: they are counted at its price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = rules::MAX_TOKENS))]
    pub cached_tokens: Option<i64>,
    /// Tokens of answer of a typical call, which prices are compared for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = rules::MAX_TOKENS))]
    pub output_tokens: Option<i64>,
}

/// Labels that an object must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Each of these labels, with this value.
    #[schemars(schema_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
}

fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 20,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
    })
}

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LlmModelClassStatus {
    /// The generation this status speaks of; -1 before the first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation for which a model was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_generation: Option<i64>,
    /// The last value of `llmplane.dev/reconcile-requested-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Synced`, `Available`, `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What it means now, for who asks with a key and may use every credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentModel>,
    /// Models that are what it asks for, whether they can be called at this moment or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<i32>,
}

/// The model that a class means, and where that is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct CurrentModel {
    /// Name of the LlmModel.
    pub model: String,
    /// Name of the LlmEndpoint that is tried first.
    pub endpoint: String,
}

impl LlmModelClassSpec {
    /// Which of several models comes first.
    pub fn preferred(&self) -> Preferred {
        match (self.prefer, self.models.is_empty()) {
            (Some(prefer), _) => prefer,
            (None, false) => Preferred::Order,
            (None, true) => Preferred::Price,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_first_depends_on_whether_models_are_named() {
        let prefers = |spec| {
            let spec: LlmModelClassSpec = serde_json::from_value(spec).expect("a spec");
            spec.preferred()
        };
        assert_eq!(
            prefers(json!({ "models": [{ "name": "a" }] })),
            Preferred::Order
        );
        assert_eq!(
            prefers(json!({ "need": { "capabilities": ["Chat"] } })),
            Preferred::Price
        );
        assert_eq!(
            prefers(json!({ "models": [{ "name": "a" }], "prefer": "Context" })),
            Preferred::Context
        );
    }

    #[test]
    fn the_bound_of_the_list_is_that_of_the_schema() {
        use kube::CustomResourceExt;
        let crd = serde_json::to_value(LlmModelClass::crd()).expect("JSON");
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["properties"]["models"]["maxItems"], MAX_MODELS);
    }
}
