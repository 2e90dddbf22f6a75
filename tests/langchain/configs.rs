//! Prints what the drivers tell a LangChain client, for every provider type and kind of key: JSON
//! for `check.py` beside this file. No key is in it, and nothing is called.

use std::time::Duration;

use llmplane::{
    crd::ProviderType,
    encryption::SecretFields,
    vendors::{ClientInput, KeyField, KeyFields, driver},
};
use serde_json::{Value, json};
use url::Url;

/// One endpoint as people declare it.
struct Case {
    name: &'static str,
    provider: ProviderType,
    model: &'static str,
    /// `None`: the type's default for the region.
    base_url: Option<&'static str>,
    region: Option<&'static str>,
    api_version: Option<&'static str>,
}

fn main() {
    let mut printed = Vec::new();
    for case in cases() {
        for (key_name, key) in keys(driver(case.provider).key_fields()) {
            printed.push(config(&case, key_name, key.as_ref()));
        }
    }
    println!("{:#}", Value::Array(printed));
}

fn config(case: &Case, key_name: &str, key: Option<&SecretFields>) -> Value {
    let driver = driver(case.provider);
    let base_url = case
        .base_url
        .map(str::to_owned)
        .or_else(|| driver.default_base_url(case.region))
        .expect("a base URL, declared or by default");
    let headers = [("x-team".to_owned(), "search".to_owned())];
    let config = driver.client_config(&ClientInput {
        model_id: case.model,
        base_url: &Url::parse(&base_url).expect("a URL"),
        region: case.region,
        api_version: case.api_version,
        headers: &headers,
        timeout: Duration::from_secs(37),
        retries: 4,
        key,
    });
    let secret_kwargs: Value = config
        .secret_kwargs
        .iter()
        .map(|(name, field)| ((*name).to_owned(), json!(field_name(*field))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "case": case.name,
        "type": case.provider.as_str(),
        "key": key_name,
        "declared": { "timeout": 37, "retries": 4, "headers": { "x-team": "search" } },
        "model_provider": config.model_provider,
        "model": config.model,
        "kwargs": config.kwargs,
        "secret_kwargs": secret_kwargs,
    })
}

fn field_name(field: KeyField) -> &'static str {
    match field {
        KeyField::ApiKey => "api_key",
        KeyField::SecretKey => "secret_key",
        KeyField::AccessToken => "access_token",
    }
}

fn cases() -> Vec<Case> {
    use ProviderType as P;
    let case = |name, provider, model| Case {
        name,
        provider,
        model,
        base_url: None,
        region: None,
        api_version: None,
    };
    let at = |case: Case, base_url| Case {
        base_url: Some(base_url),
        ..case
    };
    let azure = || case("azure-v1", P::AzureOpenAI, "chat-prod");
    vec![
        case("openai", P::OpenAI, "gpt-4o"),
        case("anthropic", P::Anthropic, "claude-sonnet-4-5"),
        case("gemini", P::Gemini, "gemini-2.5-flash"),
        Case {
            region: Some("eu-central-1"),
            ..case(
                "bedrock",
                P::Bedrock,
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            )
        },
        at(azure(), "https://res.openai.azure.com"),
        Case {
            name: "azure-dated",
            api_version: Some("2024-10-21"),
            ..at(azure(), "https://res.openai.azure.com/openai/")
        },
        case("dashscope", P::DashScope, "qwen3-max"),
        case("qianfan", P::Qianfan, "ernie-4.0-8k"),
        case("ollama", P::Ollama, "llama3.2:3b"),
        at(
            case("ollama-behind-a-path", P::Ollama, "llama3.2:3b"),
            "https://gw.example.com/ollama/v1",
        ),
        at(
            case("vllm", P::VLLM, "meta-llama/Llama-3.1-8B"),
            "http://vllm.ml.svc:8000/v1",
        ),
        at(
            case("gateway", P::OpenAICompatible, "team/model"),
            "https://gw.example.com/v1",
        ),
    ]
}

/// Every kind of key that a type takes, and none.
fn keys(takes: KeyFields) -> Vec<(&'static str, Option<SecretFields>)> {
    let some = |text: &str| Some(text.to_owned().into());
    let api_key = SecretFields {
        api_key: some("given-by-check-py"),
        ..SecretFields::default()
    };
    let token = SecretFields {
        access_token: some("given-by-check-py"),
        ..SecretFields::default()
    };
    let pair = SecretFields {
        secret_key: some("given-by-check-py"),
        ..api_key.clone()
    };
    let session = SecretFields {
        access_token: some("given-by-check-py"),
        ..pair.clone()
    };
    let mut keys = vec![("none", None), ("api-key", Some(api_key))];
    match takes {
        KeyFields::ApiKey => {}
        KeyFields::ApiKeyOrAccessToken => keys.push(("access-token", Some(token))),
        KeyFields::AccessKeyPairOrApiKey => {
            keys.push(("key-pair", Some(pair)));
            keys.push(("session", Some(session)));
        }
    }
    keys
}
