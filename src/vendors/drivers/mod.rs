//! One file a vendor. A driver turns what its vendor answers into results; it stores nothing.

mod anthropic;
mod azure_openai;
mod bedrock;
mod dashscope;
mod gemini;
mod ollama;
mod openai;
mod openai_compatible;
pub(super) mod openai_protocol;
mod qianfan;
mod vllm;

pub(in crate::vendors) use bedrock::sts_host;

use super::{Driver, isolated::Isolated};
use crate::{crd::ProviderType, keys::Vendor};

/// The driver of a provider type; its calls are made apart from the rest of the process.
pub fn driver(provider: ProviderType) -> &'static dyn Driver {
    match provider {
        ProviderType::OpenAI => &Isolated(&openai::OpenAi),
        ProviderType::OpenAICompatible => &Isolated(&openai_compatible::OpenAiCompatible),
        ProviderType::VLLM => &Isolated(&vllm::Vllm),
        ProviderType::Ollama => &Isolated(&ollama::Ollama),
        ProviderType::Anthropic => &Isolated(&anthropic::Anthropic),
        ProviderType::AzureOpenAI => &Isolated(&azure_openai::AzureOpenAi),
        ProviderType::DashScope => &Isolated(&dashscope::DashScope),
        ProviderType::Qianfan => &Isolated(&qianfan::Qianfan),
        ProviderType::Gemini => &Isolated(&gemini::Gemini),
        ProviderType::Bedrock => &Isolated(&bedrock::Bedrock),
    }
}

/// Whose key is sent to a provider of this type: the vendor and its own hosts.
pub fn vendor(provider: ProviderType) -> Vendor {
    Vendor {
        type_: provider,
        own_hosts: driver(provider).trusted_hosts(),
    }
}
