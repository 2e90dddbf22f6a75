//! What is known of a model beside its capabilities and prices: in specs, statuses and the catalog.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use crate::crd::credential::QuotaPeriod;
use crate::crd::rules;
use crate::crd::words::words;

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

words!(ModelType, Lifecycle);

/// A form in which models take and give.
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
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
    Pdf,
}

/// What a model takes and what it gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Modalities {
    /// What it takes; empty: unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = Modality::ALL.len()), extend("x-kubernetes-list-type" = "set"))]
    pub input: Vec<Modality>,
    /// What it gives; empty: unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = Modality::ALL.len()), extend("x-kubernetes-list-type" = "set"))]
    pub output: Vec<Modality>,
}

/// What a limit counts.
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
pub enum LimitUnit {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    ConcurrentRequests,
}

words!(Modality, LimitUnit);

/// How much of a model may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(rules::LIMIT_PERIOD.0).message(rules::LIMIT_PERIOD.1).field_path(".period")
)]
pub struct ModelLimit {
    /// What is counted.
    pub unit: LimitUnit,
    /// How many in a period, or at once.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub limit: i64,
    /// The period; `ConcurrentRequests` has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<QuotaPeriod>,
}

/// The model to use in the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// Its `modelId`, at the same provider.
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::MODEL_ID)]
    pub model_id: String,
}
