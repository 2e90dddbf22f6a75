//! One file a vendor, or a family of them.

mod anthropic;
mod azure;
mod bedrock;
mod dashscope;
mod gemini;
mod openai;
mod qianfan;
mod self_hosted;

use llmplane::crd::ProviderType;

use super::personality::Personality;

/// The personality of a provider type.
pub(super) fn of(provider: ProviderType) -> &'static dyn Personality {
    match provider {
        ProviderType::OpenAI => &openai::OpenAi,
        ProviderType::OpenAICompatible => &openai::Compatible,
        ProviderType::Anthropic => &anthropic::Anthropic,
        ProviderType::Bedrock => &bedrock::Bedrock,
        ProviderType::AzureOpenAI => &azure::Azure,
        ProviderType::DashScope => &dashscope::DashScope,
        ProviderType::Qianfan => &qianfan::Qianfan,
        ProviderType::Gemini => &gemini::Gemini,
        ProviderType::Ollama => &self_hosted::Ollama,
        ProviderType::VLLM => &self_hosted::Vllm,
    }
}
