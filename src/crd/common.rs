//! What the four resources share.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The vendor, or the protocol, behind a provider.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ProviderType {
    OpenAI,
    Anthropic,
    Bedrock,
    AzureOpenAI,
    DashScope,
    Qianfan,
    Ollama,
    VLLM,
    OpenAICompatible,
}

impl ProviderType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OpenAI,
        Self::Anthropic,
        Self::Bedrock,
        Self::AzureOpenAI,
        Self::DashScope,
        Self::Qianfan,
        Self::Ollama,
        Self::VLLM,
        Self::OpenAICompatible,
    ];

    /// The word that stands in `spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Bedrock => "Bedrock",
            Self::AzureOpenAI => "AzureOpenAI",
            Self::DashScope => "DashScope",
            Self::Qianfan => "Qianfan",
            Self::Ollama => "Ollama",
            Self::VLLM => "VLLM",
            Self::OpenAICompatible => "OpenAICompatible",
        }
    }

    /// The type of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }
}

impl fmt::Display for ProviderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the four resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Provider,
    Endpoint,
    Credential,
    Model,
}

impl Kind {
    /// All of them, parents first.
    pub const ALL: [Self; 4] = [
        Self::Provider,
        Self::Endpoint,
        Self::Credential,
        Self::Model,
    ];

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

    /// The word that stands in the database and in the read API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Endpoint => "endpoint",
            Self::Credential => "credential",
            Self::Model => "model",
        }
    }

    /// The kind of this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
