//! What the four resources share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::rules;
use super::words::words;

/// The vendor, or the protocol, behind a provider.
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
pub enum ProviderType {
    OpenAI,
    Anthropic,
    Bedrock,
    AzureOpenAI,
    DashScope,
    Qianfan,
    Gemini,
    Ollama,
    VLLM,
    OpenAICompatible,
}

words!(ProviderType);

/// One of the four resources, parents first.
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
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    Provider,
    Endpoint,
    Credential,
    Model,
}

impl Kind {
    /// The Kubernetes kind.
    pub fn kubernetes(self) -> &'static str {
        match self {
            Self::Provider => "LlmProvider",
            Self::Endpoint => "LlmEndpoint",
            Self::Credential => "LlmCredential",
            Self::Model => "LlmModel",
        }
    }

    /// The Kubernetes resource, as RBAC names it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Provider => "llmproviders",
            Self::Endpoint => "llmendpoints",
            Self::Credential => "llmcredentials",
            Self::Model => "llmmodels",
        }
    }
}

words!(Kind);

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
pub struct LocalRef {
    /// Name of the object, in this namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn default_priority() -> i32 {
    100
}
