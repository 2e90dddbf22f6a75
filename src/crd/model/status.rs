//! What the controller found of a model.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Capability, Modalities, ModelCapability, ModelType, Pricing, Replacement};

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LlmModelStatus {
    /// The generation this status speaks of; -1 before the first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation whose check passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_generation: Option<i64>,
    /// The last value of `llmplane.dev/reconcile-requested-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Synced`, `Available`, `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What is in force: what was declared, then what the vendor says, then the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveModel>,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The resource's spec.
    Declared,
    /// The vendor's API.
    Vendor,
    /// The built-in catalog.
    Catalog,
}

/// What is in force for a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveModel {
    /// The vendor's model behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// Tokens of prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// What kind of model it is.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ModelType>,
    /// Numbers in a vector that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_dimensions: Option<i64>,
    /// What it takes and what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Since when the vendor advises against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Time>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Time>,
    /// The model to use in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = Capability::ALL.len()))]
    pub capabilities: Vec<ModelCapability>,
    /// Changes of the catalog that were held back, for they were beyond belief (a price ten times
    /// as high or low, a window of zero), and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 300)))]
    pub held: Vec<String>,
    /// By field of this object: where its value comes from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origin: BTreeMap<String, Origin>,
}
