//! `LlmModel`: a model that a provider offers.

mod capability;
mod facts;
mod parameters;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{LocalRef, yes};
use super::credential::exact_time;
pub use super::pricing::{PriceTier, Pricing};
use super::rules;
pub use capability::{Capability, ModelCapability};
pub use facts::{Lifecycle, LimitUnit, Modalities, Modality, ModelLimit, ModelType, Replacement};
pub use parameters::parameters_out_of_bounds;
pub use status::{EffectiveModel, LlmModelStatus, Origin};

/// A model that a provider offers.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "llmplane.dev",
    version = "v1alpha1",
    doc = "A model that a provider offers.",
    kind = "LlmModel",
    plural = "llmmodels",
    shortname = "llmm",
    category = "llm",
    namespaced,
    status = "LlmModelStatus",
    derive = "PartialEq",
    selectable = ".spec.providerRef.name",
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".spec.providerRef.name"
    ),
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
        name = "Model",
        type_ = "string",
        json_path = ".spec.modelId",
        priority = 1
    ),
    printcolumn(
        name = "Available-Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Retires",
        type_ = "string",
        json_path = ".status.effective.retiresAt",
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
    validation = Rule::new(rules::INPUT_FITS).message(rules::INPUT_FITS_MESSAGE).field_path(".maxInputTokens"),
    validation = Rule::new(rules::OUTPUT_FITS).message(rules::OUTPUT_FITS_MESSAGE).field_path(".maxOutputTokens"),
    validation = Rule::new(rules::END_FOLLOWS).message(rules::END_FOLLOWS_MESSAGE).field_path(".retiresAt"),
    validation = Rule::new(rules::REPLACEMENT_DIFFERS).message(rules::REPLACEMENT_DIFFERS_MESSAGE).field_path(".replacement")
)]
pub struct LlmModelSpec {
    /// The provider that offers it.
    pub provider_ref: LocalRef,
    /// The endpoints that serve it; empty: all of the provider's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub endpoint_refs: Vec<LocalRef>,
    /// The vendor's id of the model, as its API takes it (Azure: the deployment's name).
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::MODEL_ID)]
    pub model_id: String,
    /// The vendor's model behind a deployment, a fine-tune or a local name: the catalog is asked for
    /// this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::MODEL_ID)]
    pub base_model: Option<String>,
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::LINE)]
    pub display_name: Option<String>,
    /// The model's version, in the vendor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::LINE)]
    pub version: Option<String>,
    /// Off: it is not checked and not given to clients.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What kind of model it is.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ModelType>,
    /// Tokens of prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
    pub max_output_tokens: Option<i64>,
    /// Numbers in a vector that it answers, where it embeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rules::MAX_DIMENSIONS))]
    pub embedding_dimensions: Option<i64>,
    /// What it takes and what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// How much of it may be used, published for clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = rules::LIMITS_DIFFER)]
    pub limits: Vec<ModelLimit>,
    /// Where it is in its life.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Since when the vendor advises against it (RFC 3339).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exact_time"
    )]
    #[schemars(extend("pattern" = rules::DATE_TIME_PATTERN))]
    #[x_kube(validation = rules::MOMENT)]
    pub deprecated_at: Option<Time>,
    /// When it ends (RFC 3339): it is announced from 30 days before, and given to nobody from then on.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exact_time"
    )]
    #[schemars(extend("pattern" = rules::DATE_TIME_PATTERN))]
    #[x_kube(validation = rules::MOMENT)]
    pub retires_at: Option<Time>,
    /// The model to use in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = Capability::ALL.len()), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub capabilities: Vec<ModelCapability>,
    /// Tasks it is recommended for, in one's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = rules::TASKS[0]), inner(length(min = 1, max = rules::TASKS[1])), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::LINES)]
    pub recommended_for: Vec<String>,
    /// Parameters that clients send unless they know better. Any JSON object of at most 32 levels
    /// and 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "parameters::free_form_object")]
    pub default_parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Tests of this model.
    #[serde(default)]
    pub availability_test: AvailabilityTest,
}

/// Tests of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AvailabilityTest {
    /// Whether it is tested. OpenAI, Anthropic, DashScope, Ollama and vLLM tell of one model at no
    /// cost. At AzureOpenAI, OpenAICompatible and, where its list lacks the model, Qianfan a test
    /// sends the smallest completion: a prompt of one word and one token of answer, which the
    /// vendor charges.
    #[serde(default)]
    pub enabled: bool,
    /// Least seconds between two tests. Neither a change of the spec nor a restart of the
    /// controller brings one forward; a request for checks does.
    #[serde(default = "AvailabilityTest::default_period")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub period_seconds: i32,
    /// Seconds that one test may take.
    #[serde(default = "AvailabilityTest::default_timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i32,
}

impl AvailabilityTest {
    fn default_period() -> i32 {
        86_400
    }
    fn default_timeout() -> i32 {
        30
    }
}

impl Default for AvailabilityTest {
    fn default() -> Self {
        Self {
            enabled: false,
            period_seconds: Self::default_period(),
            timeout_seconds: Self::default_timeout(),
        }
    }
}

/// Labels of a model at most that a selector is matched with.
const MAX_SELECTABLE_LABELS: usize = 64;

/// The labels that a selector is matched with: the first 64 by their keys.
pub fn selectable_labels(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let labels = labels.into_iter().flatten().take(MAX_SELECTABLE_LABELS);
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
