//! What models can do: in specs, statuses, requests and the catalog.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use crate::crd::rules;
use crate::crd::words::words;

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

words!(Capability);

/// One thing a model can do, and how well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ModelCapability {
    /// What it can do.
    pub name: Capability,
    /// How well, from 1 (poor) to 5 (excellent); without it: it can, and nobody said how well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = rules::SCORES[0], max = rules::SCORES[1]))]
    pub score: Option<i32>,
}
