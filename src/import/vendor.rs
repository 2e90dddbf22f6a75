//! Which provider others mean by their words. Addresses are the vendors' own, from their documentation.

use super::plan::Call;
use super::values::host;
use crate::crd::ProviderType;

/// A provider: its type, and what tells it from others of that type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vendor {
    /// Its type.
    pub type_: ProviderType,
    /// What it is called, and known by: two that are called alike are one.
    pub name: String,
    /// Where it answers, for a type that has no address of its own.
    pub base_url: Option<&'static str>,
}

impl Vendor {
    /// A vendor whose type says where it is.
    pub fn of(type_: ProviderType, name: &str) -> Self {
        Self {
            type_,
            name: name.to_owned(),
            base_url: None,
        }
    }

    /// The same at this address, where one is written: OpenAI's protocol at a server that is not OpenAI's own
    /// is that of some other vendor.
    pub fn at(self, base_url: Option<&str>) -> Self {
        match base_url {
            Some(url) if self.type_ == ProviderType::OpenAI && !is_openai(url) => {
                Self::of(ProviderType::OpenAICompatible, "openai-compatible")
            }
            _ => self,
        }
    }

    fn compatible(name: &str, base_url: &'static str) -> Self {
        Self {
            base_url: Some(base_url),
            ..Self::of(ProviderType::OpenAICompatible, name)
        }
    }

    /// Whether its name says what it speaks and not whose it is: it is told by its server.
    pub fn is_nameless(&self) -> bool {
        ["ollama", "openai-compatible", "vllm"].contains(&self.name.as_str())
    }

    /// What an endpoint of it lacks, if it lacks anything without which it cannot be called.
    pub fn lacks(&self, call: &Call) -> Option<&'static str> {
        use ProviderType as T;
        match self.type_ {
            _ if call.base_url.is_some() => None,
            T::AzureOpenAI | T::OpenAICompatible | T::VLLM => Some("an address"),
            T::Bedrock if call.region.is_none() => Some("a region"),
            _ => None,
        }
    }

    /// Whether each server is a provider of its own: what answers at one knows nothing of another.
    pub fn is_by_server(&self) -> bool {
        self.type_.is_self_hosted()
    }
}

fn is_openai(url: &str) -> bool {
    let host = host(url).unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".api.openai.com")
}

/// Vendors that speak OpenAI's protocol, and where.
const COMPATIBLE: [(&str, &str); 17] = [
    ("cerebras", "https://api.cerebras.ai/v1"),
    ("deepinfra", "https://api.deepinfra.com/v1/openai"),
    ("deepseek", "https://api.deepseek.com"),
    ("fireworks_ai", "https://api.fireworks.ai/inference/v1"),
    ("groq", "https://api.groq.com/openai/v1"),
    ("hyperbolic", "https://api.hyperbolic.xyz/v1"),
    ("mistral", "https://api.mistral.ai/v1"),
    ("moonshot", "https://api.moonshot.ai/v1"),
    ("nebius", "https://api.studio.nebius.ai/v1"),
    ("novita", "https://api.novita.ai/v3/openai"),
    ("nvidia_nim", "https://integrate.api.nvidia.com/v1"),
    ("openrouter", "https://openrouter.ai/api/v1"),
    ("perplexity", "https://api.perplexity.ai"),
    ("sambanova", "https://api.sambanova.ai/v1"),
    ("together_ai", "https://api.together.xyz/v1"),
    ("xai", "https://api.x.ai/v1"),
    ("zai", "https://api.z.ai/api/paas/v4"),
];

/// The provider that LiteLLM, or models.dev, calls so; none for one that llmplane cannot reach.
pub fn named(word: &str) -> Option<Vendor> {
    use ProviderType as T;
    Some(match word {
        "openai" | "text-completion-openai" => Vendor::of(T::OpenAI, "openai"),
        "anthropic" | "anthropic_text" => Vendor::of(T::Anthropic, "anthropic"),
        "azure" | "azure_text" => Vendor::of(T::AzureOpenAI, "azure-openai"),
        "bedrock" | "bedrock_converse" | "amazon-bedrock" => Vendor::of(T::Bedrock, "bedrock"),
        "gemini" => Vendor::of(T::Gemini, "gemini"),
        "dashscope" | "alibaba" | "alibaba-cn" => Vendor::of(T::DashScope, "dashscope"),
        "qianfan" | "baidu" => Vendor::of(T::Qianfan, "qianfan"),
        "ollama" | "ollama_chat" => Vendor::of(T::Ollama, "ollama"),
        "hosted_vllm" | "vllm" => Vendor::of(T::VLLM, "vllm"),
        "custom_openai" | "openai_like" | "litellm_proxy" | "lm_studio" | "llamafile" => {
            Vendor::of(T::OpenAICompatible, "openai-compatible")
        }
        other => {
            let (name, url) = COMPATIBLE.iter().find(|(name, _)| *name == other)?;
            Vendor::compatible(&name.replace('_', "-"), url)
        }
    })
}

/// Vendors that have no OpenAI-compatible server, and need a gateway or a driver of their own.
pub fn is_out_of_reach(word: &str) -> bool {
    [
        "vertex_ai",
        "vertex_ai_beta",
        "sagemaker",
        "sagemaker_chat",
        "watsonx",
        "replicate",
        "huggingface",
        "cohere",
        "cohere_chat",
        "databricks",
        "oci",
        "snowflake",
        "triton",
        "azure_ai",
        "github",
        "petals",
        "predibase",
        "nlp_cloud",
        "aleph_alpha",
        "palm",
        "baseten",
        "ai21",
        "cloudflare",
        "voyage",
        "jina_ai",
    ]
    .contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_address_is_one() {
        for (name, url) in COMPATIBLE {
            let vendor = named(name).unwrap();
            assert_eq!(vendor.base_url, Some(url));
            assert!(host(url).is_some(), "{url}");
            assert!(!is_out_of_reach(name));
        }
        assert_eq!(named("vertex_ai"), None);
        let gemini = named("gemini").unwrap();
        assert_eq!(
            (gemini.type_, gemini.base_url),
            (ProviderType::Gemini, None)
        );
    }

    #[test]
    fn the_protocol_of_openai_at_another_address_is_not_openai() {
        let openai = || named("openai").unwrap();
        for own in [
            None,
            Some("https://api.openai.com/v1"),
            Some("https://eu.api.openai.com/v1"),
        ] {
            assert_eq!(openai().at(own), openai(), "{own:?}");
        }
        for other in [
            "https://gw.example.com/v1",
            "https://api.openai.com.example.com/v1",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ] {
            let type_ = openai().at(Some(other)).type_;
            assert_eq!(type_, ProviderType::OpenAICompatible, "{other}");
        }
        let anthropic = named("anthropic").unwrap();
        assert_eq!(
            anthropic.clone().at(Some("https://gw.example.com")),
            anthropic
        );
    }
}
