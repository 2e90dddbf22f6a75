//! `LlmModel`: a model that a provider offers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::common::{LocalRef, yes};
use super::rules;
use super::words::words;

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
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(rules::INPUT_FITS).message(rules::INPUT_FITS_MESSAGE).field_path(".maxInputTokens"),
    validation = Rule::new(rules::OUTPUT_FITS).message(rules::OUTPUT_FITS_MESSAGE).field_path(".maxOutputTokens")
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
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output_tokens: Option<i64>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Where it is in its life.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 13), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub capabilities: Vec<ModelCapability>,
    /// Tasks it is recommended for, in one's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 100)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::LINES)]
    pub recommended_for: Vec<String>,
    /// Parameters that clients send unless they know better. Any JSON object of at most 32 levels
    /// and 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form_object")]
    pub default_parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Tests of this model.
    #[serde(default)]
    pub availability_test: AvailabilityTest,
}

fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    // Of the whole a schema cannot say how long it is, but of each value, without refusing one that
    // fits: an item takes two bytes at least, a field four.
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 100,
        "additionalProperties": {
            "x-kubernetes-preserve-unknown-fields": true,
            "nullable": true,
            "maxLength": MAX_PARAMETER_BYTES,
            "maxItems": MAX_PARAMETER_BYTES / 2,
            "maxProperties": MAX_PARAMETER_BYTES / 4,
        },
    })
}

/// What kind of model it is.
#[derive(
    Clone,
    Copy,
    Debug,
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
pub enum ModelType {
    Chat,
    Completion,
    Embedding,
    Vision,
    Rerank,
    Image,
    Audio,
}

/// Where a model is in its life.
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
pub enum Lifecycle {
    #[default]
    Available,
    Maintenance,
    Deprecated,
}

/// What a model can do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum Capability {
    TextGeneration,
    Chat,
    CodeGeneration,
    FunctionCalling,
    Vision,
    Embedding,
    StructuredOutput,
    Streaming,
    Reasoning,
    PdfInput,
    AudioInput,
    PromptCaching,
    WebSearch,
}

words!(ModelType, Lifecycle, Capability);

/// One thing a model can do, and how well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ModelCapability {
    /// What it can do.
    pub name: Capability,
    /// How well, from 1 (poor) to 5 (excellent); without it: it can, and nobody said how well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub score: Option<i32>,
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pricing {
    /// ISO 4217 code of the currency, for example `USD`.
    #[schemars(length(max = 3))]
    #[x_kube(validation = rules::CURRENCY)]
    pub currency: String,
    /// Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::PRICE)]
    pub input_per1k_tokens: Option<String>,
    /// Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::PRICE)]
    pub output_per1k_tokens: Option<String>,
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
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 13))]
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

/// Labels of a model at most that a selector is matched with.
const MAX_SELECTABLE_LABELS: usize = 64;

/// The labels that a selector is matched with: the first 64 by their keys.
pub fn selectable_labels(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let labels = labels.into_iter().flatten().take(MAX_SELECTABLE_LABELS);
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Levels of objects and lists that `defaultParameters` may have, itself the first.
const MAX_PARAMETER_LEVELS: usize = 32;

/// Bytes that `defaultParameters` may have, as JSON without spaces between its parts.
const MAX_PARAMETER_BYTES: usize = 16 * 1024;

/// What is wrong with a model's spec whose `defaultParameters` are nested too deeply or too long, of
/// which no schema can say the whole.
pub fn parameters_out_of_bounds(spec: &serde_json::Value) -> Option<String> {
    let parameters = spec.get("defaultParameters")?;
    if has_more_levels(parameters, MAX_PARAMETER_LEVELS) {
        return Some(format!(
            "spec.defaultParameters is nested more than {MAX_PARAMETER_LEVELS} levels deep; make it flatter"
        ));
    }
    let bytes = parameters.to_string().len();
    (bytes > MAX_PARAMETER_BYTES).then(|| {
        format!(
            "spec.defaultParameters has {bytes} bytes as JSON, and {MAX_PARAMETER_BYTES} (16 KiB) at most are kept; take out what clients do not need"
        )
    })
}

fn has_more_levels(value: &serde_json::Value, levels: usize) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            levels == 0 || items.iter().any(|item| has_more_levels(item, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0
                || fields
                    .values()
                    .any(|value| has_more_levels(value, levels - 1))
        }
        _ => false,
    }
}
