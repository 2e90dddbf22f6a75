use secrecy::SecretString;
use serde_json::json;

use super::fixtures_tests::{ask, credential, endpoint, model, named, provider, snapshot};
use super::{Resolution, client_config};
use crate::crd::ProviderType;
use crate::crd::base_url::BaseUrl;
use crate::crd::endpoint::Header;
use crate::encryption::SecretFields;
use crate::snapshot::Views;
use crate::vendors::KeyField;

fn found(type_: ProviderType, parameters: serde_json::Value, with_credential: bool) -> Resolution {
    let provider = provider(1, "team", type_);
    let mut main = endpoint(10, &provider, "main");
    main.base_url = BaseUrl::new("https://gw.example.com/v1");
    main.headers = vec![Header {
        name: "x-team".to_owned(),
        value: "search".to_owned(),
    }];
    let mut key = credential(20, &provider, "key");
    key.key.as_mut().expect("a key").allowed_hosts = vec!["gw.example.com".to_owned()];
    let mut declared = model(100, &provider, "gpt");
    declared.default_parameters = parameters.as_object().cloned();
    let snapshot = snapshot(Views {
        models: vec![declared],
        endpoints: vec![main],
        credentials: if with_credential { vec![key] } else { vec![] },
        providers: vec![provider],
        ..Views::default()
    });
    ask(&snapshot, named("gpt")).expect("an answer")
}

#[test]
fn declared_parameters_go_under_what_the_connection_takes() {
    let declared =
        json!({ "temperature": 0.2, "max_tokens": 512, "timeout": 1, "max_retries": 99 });
    let found = found(ProviderType::OpenAI, declared, true);
    let config = client_config(&found.model.view, &found.targets[0], None);
    assert_eq!(config.model_provider, "openai");
    assert_eq!(config.model, "id-gpt");
    assert_eq!(
        json!(config.kwargs),
        json!({
            "base_url": "https://gw.example.com/v1",
            "default_headers": { "x-team": "search" },
            "max_retries": 2,
            "max_tokens": 512,
            "stream_usage": true,
            "temperature": 0.2,
            "timeout": 60,
        })
    );
}

/// Whoever may edit a model could otherwise have its key sent to a server of his own.
#[test]
fn declared_parameters_move_no_connection_of_any_vendor() {
    let evil = "https://evil.example.com";
    let names = [
        "anthropic_api_url",
        "anthropic_proxy",
        "api_base",
        "api_key",
        "api_version",
        "aws_access_key_id",
        "azure_endpoint",
        "base_url",
        "client",
        "client_kwargs",
        "config",
        "configurable_fields",
        "credentials_profile_name",
        "default_headers",
        "default_query",
        "endpoint_url",
        "http_client",
        "model",
        "model_provider",
        "openai_api_base",
        "OPENAI_API_BASE",
        "openai_proxy",
        "region_name",
        "sync_client_kwargs",
        "verify",
    ];
    let mut declared = json!({ "temperature": 1 });
    for name in names {
        declared[name] = json!(evil);
    }
    for type_ in ProviderType::ALL {
        let found = found(type_, declared.clone(), true);
        let config = client_config(&found.model.view, &found.targets[0], None);
        let text = json!(config.kwargs).to_string();
        assert!(!text.contains("evil"), "{type_}: {text}");
        assert_eq!(config.kwargs["temperature"], 1, "{type_}");
    }
}

/// What is within `model_kwargs` goes into the same calls: `extra_headers` there may name another host.
#[test]
fn declared_parameters_within_parameters_move_no_connection_either() {
    let evil = json!({ "Host": "evil.example.com" });
    let declared = json!({
        "model_kwargs": {
            "extra_headers": evil, "Extra_Query": evil, "base_url": evil, "top_p": 0.5, "seed": 7,
            "kwargs": { "extra_headers": evil, "user": "u" },
            "extra_body": { "url": "a word of the request's own" },
        },
        "MODEL_KWARGS": { "extra_headers": evil },
        "response_format": { "json_schema": { "properties": { "url": {} } } },
    });
    for type_ in ProviderType::ALL {
        let found = found(type_, declared.clone(), true);
        let kwargs = client_config(&found.model.view, &found.targets[0], None).kwargs;
        assert_eq!(
            kwargs["model_kwargs"],
            json!({
                "top_p": 0.5, "seed": 7, "kwargs": { "user": "u" },
                "extra_body": { "url": "a word of the request's own" },
            }),
            "{type_}"
        );
        assert_eq!(kwargs["response_format"], declared["response_format"]);
        let text = json!(kwargs).to_string();
        assert!(!text.contains("evil"), "{type_}: {text}");
    }
}

#[test]
fn a_client_without_a_credential_says_so_and_one_with_leaves_the_place_free() {
    let config = |with_credential| {
        let found = found(ProviderType::VLLM, json!({}), with_credential);
        client_config(&found.model.view, &found.targets[0], None)
    };
    assert_eq!(config(false).kwargs["api_key"], "none");
    assert!(!config(true).kwargs.contains_key("api_key"));
    let found = found(ProviderType::Bedrock, json!({}), true);
    let pair = SecretFields {
        api_key: Some(SecretString::from("a")),
        secret_key: Some(SecretString::from("b")),
        access_token: None,
    };
    let config = client_config(&found.model.view, &found.targets[0], Some(&pair));
    let place = config.secret_kwargs.get("aws_secret_access_key");
    assert_eq!(place, Some(&KeyField::SecretKey));
}
