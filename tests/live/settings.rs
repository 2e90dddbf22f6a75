//! What a developer has set: one vendor's endpoint and key each.

use llmplane::{crd::ProviderType, encryption::SecretFields, vendors::driver};
use secrecy::SecretString;
use url::Url;

/// A vendor that can be tried.
pub struct Vendor {
    pub provider: ProviderType,
    pub base_url: Url,
    pub region: Option<String>,
    pub api_version: Option<String>,
    /// `None` where the server was set without one.
    pub key: Option<SecretFields>,
    /// Of the same shape, and nobody's.
    pub wrong_key: SecretFields,
    pub proxy: Option<Url>,
}

/// What was found of a vendor.
pub enum Found {
    Set(Box<Vendor>),
    /// Not set; what would set it.
    Unset(ProviderType, String),
    /// Set to something that cannot be.
    Wrong(ProviderType, String),
}

/// The variables of one provider type, the first set of each row counts.
struct Variables {
    provider: ProviderType,
    base_url: Option<&'static str>,
    region: Option<&'static str>,
    api_version: Option<&'static str>,
    api_key: &'static [&'static str],
    secret_key: Option<&'static str>,
    access_token: Option<&'static str>,
    /// Whether the URL alone is enough.
    key_optional: bool,
}

const fn with_key(provider: ProviderType, api_key: &'static [&'static str]) -> Variables {
    Variables {
        provider,
        base_url: None,
        region: None,
        api_version: None,
        api_key,
        secret_key: None,
        access_token: None,
        key_optional: false,
    }
}

const ALL: [Variables; 10] = [
    with_key(ProviderType::OpenAI, &["OPENAI_API_KEY"]),
    with_key(ProviderType::Anthropic, &["ANTHROPIC_API_KEY"]),
    with_key(ProviderType::Gemini, &["GEMINI_API_KEY"]),
    Variables {
        region: Some("AWS_REGION"),
        secret_key: Some("AWS_SECRET_ACCESS_KEY"),
        access_token: Some("AWS_SESSION_TOKEN"),
        ..with_key(
            ProviderType::Bedrock,
            &["AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID"],
        )
    },
    Variables {
        base_url: Some("AZURE_OPENAI_ENDPOINT"),
        api_version: Some("AZURE_OPENAI_API_VERSION"),
        access_token: Some("AZURE_OPENAI_AD_TOKEN"),
        ..with_key(ProviderType::AzureOpenAI, &["AZURE_OPENAI_API_KEY"])
    },
    Variables {
        region: Some("DASHSCOPE_REGION"),
        ..with_key(ProviderType::DashScope, &["DASHSCOPE_API_KEY"])
    },
    with_key(ProviderType::Qianfan, &["QIANFAN_API_KEY"]),
    Variables {
        base_url: Some("OLLAMA_HOST"),
        key_optional: true,
        ..with_key(ProviderType::Ollama, &["OLLAMA_API_KEY"])
    },
    Variables {
        base_url: Some("VLLM_BASE_URL"),
        key_optional: true,
        ..with_key(ProviderType::VLLM, &["VLLM_API_KEY"])
    },
    Variables {
        base_url: Some("OPENAI_COMPATIBLE_BASE_URL"),
        ..with_key(
            ProviderType::OpenAICompatible,
            &["OPENAI_COMPATIBLE_API_KEY"],
        )
    },
];

/// Every vendor, by what `get` says of its variables.
pub fn all(get: impl Fn(&str) -> Option<String>) -> Vec<Found> {
    ALL.iter().map(|variables| read(variables, &get)).collect()
}

fn read(variables: &Variables, get: &impl Fn(&str) -> Option<String>) -> Found {
    let provider = variables.provider;
    let optional = |name: Option<&str>| name.and_then(get);
    let api_key = variables
        .api_key
        .iter()
        .find_map(|name| Some((*name, get(name)?)));
    let access_token = optional(variables.access_token);
    let url = optional(variables.base_url);
    let has_key = api_key.is_some() || access_token.is_some();
    let complete = match variables.base_url {
        Some(_) if variables.key_optional => url.is_some(),
        Some(_) => url.is_some() && has_key,
        None => has_key,
    };
    if !complete {
        return Found::Unset(provider, unset(variables));
    }
    let region = optional(variables.region)
        .or_else(|| (provider == ProviderType::Bedrock).then(|| "us-east-1".to_owned()));
    let default = || driver(provider).default_base_url(region.as_deref());
    let Some(base_url) = url.map(|url| with_scheme(provider, &url)).or_else(default) else {
        return Found::Wrong(provider, "no such region, or no driver".to_owned());
    };
    let Ok(base_url) = Url::parse(&base_url) else {
        return Found::Wrong(provider, "the URL that is set cannot be read".to_owned());
    };
    // A bearer token stands alone; a pair's second half belongs to the access key id.
    let is_bearer = matches!(api_key, Some(("AWS_BEARER_TOKEN_BEDROCK", _)));
    let secret_key = optional(variables.secret_key).filter(|_| !is_bearer);
    let access_token = access_token.filter(|_| !is_bearer);
    let api_key = api_key.map(|(_, key)| key);
    let wrong_key = SecretFields {
        api_key: api_key.as_deref().or(Some("wrong-key")).map(spoil),
        secret_key: secret_key.as_deref().map(spoil),
        access_token: access_token.as_deref().map(spoil),
    };
    let key = SecretFields {
        api_key: api_key.map(Into::into),
        secret_key: secret_key.map(Into::into),
        access_token: access_token.map(Into::into),
    };
    Found::Set(Box::new(Vendor {
        provider,
        base_url,
        region,
        api_version: optional(variables.api_version),
        wrong_key,
        key: has_key.then_some(key),
        proxy: get("LLMPLANE_HTTPS_PROXY").and_then(|url| url.parse().ok()),
    }))
}

/// The same length and beginning, and another end: what passes for a key by its shape.
fn spoil(secret: &str) -> SecretString {
    let keep = secret.chars().count() / 2;
    let spoiled = secret.chars().enumerate().map(|(at, c)| match c {
        _ if at < keep => c,
        '0'..='8' => '9',
        '9' => '0',
        'a'..='z' => 'z',
        'A'..='Z' => 'Z',
        other => other,
    });
    spoiled.collect::<String>().into()
}

/// Ollama's variable may be a host alone, with its usual port or without.
fn with_scheme(provider: ProviderType, url: &str) -> String {
    match provider {
        ProviderType::Ollama if !url.contains("://") => {
            let port = if url.contains(':') { "" } else { ":11434" };
            format!("http://{url}{port}")
        }
        _ => url.to_owned(),
    }
}

fn unset(variables: &Variables) -> String {
    let key = variables.api_key.join(" or ");
    match variables.base_url {
        Some(url) if variables.key_optional => format!("set {url}"),
        Some(url) => format!("set {url} and {key}"),
        None => format!("set {key}"),
    }
}
