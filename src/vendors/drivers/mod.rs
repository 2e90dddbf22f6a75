//! One file a vendor. A driver turns what its vendor answers into results; it stores nothing.

mod anthropic;
mod azure_openai;
mod bedrock;
mod dashscope;
mod ollama;
mod openai;
mod openai_compatible;
pub(super) mod openai_protocol;
mod qianfan;
mod vllm;

use super::Driver;
use crate::{crd::ProviderType, keys::Vendor};

/// The driver of a provider type.
pub fn driver(provider: ProviderType) -> &'static dyn Driver {
    match provider {
        ProviderType::OpenAI => &openai::OpenAi,
        ProviderType::OpenAICompatible => &openai_compatible::OpenAiCompatible,
        ProviderType::VLLM => &vllm::Vllm,
        ProviderType::Ollama => &ollama::Ollama,
        ProviderType::Anthropic => &anthropic::Anthropic,
        ProviderType::AzureOpenAI => &azure_openai::AzureOpenAi,
        ProviderType::DashScope => &dashscope::DashScope,
        ProviderType::Qianfan => &qianfan::Qianfan,
        ProviderType::Bedrock => &bedrock::Bedrock,
    }
}

/// Whose key is sent to a provider of this type: the vendor and its own hosts.
pub fn vendor(provider: ProviderType) -> Vendor {
    Vendor {
        type_: provider,
        own_hosts: driver(provider).trusted_hosts(),
    }
}
