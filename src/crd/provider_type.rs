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
