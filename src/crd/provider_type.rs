//! The vendors and protocols that there is a driver for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

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

impl ProviderType {
    /// Whether it is a protocol of servers that anyone may run, each of which is a vendor of its own: a server knows
    /// nothing of another, and many take calls without a key.
    pub const fn is_self_hosted(self) -> bool {
        matches!(self, Self::Ollama | Self::VLLM | Self::OpenAICompatible)
    }
}
