use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::{
    crd::ProviderType,
    keys::BoundKey,
    vendors::{
        HttpClients,
        answers::refusal::testing::answer,
        http::{
            address_guard::AddressGuard,
            script::{Script, testing::of},
        },
        vendor,
    },
};

const RUNTIME_URL: &str = "https://bedrock-runtime.us-east-1.amazonaws.com";

fn pair() -> SecretFields {
    SecretFields {
        api_key: Some("AKIAQX7ZV3KPLM2NWRTD".to_owned().into()),
        secret_key: Some("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".to_owned().into()),
        access_token: None,
    }
}

/// Runs one question over a script; what was asked comes along, as host and path.
macro_rules! asked {
    ($base:expr, $answers:expr, |$call:ident| $question:expr) => {{
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base_url = Url::parse($base).expect("a URL");
        let script = Script::new($answers);
        let clients = HttpClients::new(AddressGuard::default(), None);
        let client = clients.client("team", &base_url, None).expect("a client");
        let client = client.scripted(&script);
        let own = [base_url.origin().ascii_serialization()];
        let key = BoundKey::bind(
            pair(),
            "Bedrock",
            &own,
            vendor(ProviderType::Bedrock),
            &base_url,
        );
        let key = key.expect("a key for this URL");
        let $call = Call {
            base_url: &base_url,
            region: None,
            api_version: None,
            headers: &[],
            key: Some(&key),
            client: &client,
            deadline: Instant::now() + Duration::from_secs(10),
        };
        let said = $question;
        let asked: Vec<String> = script
            .asked()
            .iter()
            .map(|url| format!("{}{}", url.host_str().expect("a host"), url.path()))
            .collect();
        (said, asked)
    }};
}

fn denied() -> Response {
    answer(403, r#"{"code":"AccessDeniedException","message":"m"}"#)
}

fn granted() -> Response {
    let body = json!({
        "agreementAvailability": { "status": "AVAILABLE" }, "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE",
    });
    answer(200, &body.to_string())
}

fn profile() -> Response {
    let arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0";
    let body = json!({ "status": "ACTIVE", "models": [{ "modelArn": arn }] });
    answer(200, &body.to_string())
}

#[tokio::test]
async fn a_probe_without_key_takes_a_403_for_a_sign_of_life() {
    let refusal = || answer(403, r#"{"message":"Missing Authentication Token"}"#);
    let (said, asked) = asked!(RUNTIME_URL, [refusal(), refusal()], |call| {
        let call = Call { key: None, ..call };
        Bedrock.probe(&call).await
    });
    assert_eq!(said.reason, Reason::ProbeSucceeded);
    assert_eq!(
        asked,
        [
            "bedrock-runtime.us-east-1.amazonaws.com/",
            "bedrock.us-east-1.amazonaws.com/foundation-models",
        ]
    );
}

#[tokio::test]
async fn a_probe_fails_when_the_host_that_clients_call_does() {
    let down = || {
        let mut down = answer(503, "");
        let now = http::HeaderValue::from_static("0");
        down.headers.insert(header::RETRY_AFTER, now);
        down
    };
    let (said, asked) = asked!(RUNTIME_URL, [down(), down(), down()], |call| {
        Bedrock.probe(&call).await
    });
    assert_eq!(said.reason, Reason::ProbeFailed);
    assert!(asked.iter().all(|at| at.starts_with("bedrock-runtime.")));
}

#[tokio::test]
async fn base_models_and_every_page_of_profiles_are_listed() {
    let page = |id: &str, next: Option<&str>| {
        let entry = json!({ "inferenceProfileId": id, "status": "ACTIVE" });
        let body = json!({ "inferenceProfileSummaries": [entry], "nextToken": next });
        answer(200, &body.to_string())
    };
    let base = answer(
        200,
        r#"{"modelSummaries":[{"modelId":"amazon.nova-pro-v1:0"}]}"#,
    );
    let answers = [base, page("us.a.b", Some("t")), page("eu.a.b", None)];
    let (said, asked) = asked!(RUNTIME_URL, answers, |call| Bedrock
        .list_models(&call)
        .await);
    let ids: Vec<String> = said
        .expect("a list")
        .models
        .into_iter()
        .map(|m| m.id)
        .collect();
    assert_eq!(ids, ["amazon.nova-pro-v1:0", "us.a.b", "eu.a.b"]);
    assert!(asked.iter().all(|at| at.starts_with("bedrock.us-east-1.")));
}

#[tokio::test]
async fn half_a_list_is_none_and_the_missing_right_is_named() {
    let base = answer(200, r#"{"modelSummaries":[]}"#);
    let (said, _) = asked!(RUNTIME_URL, [base, denied()], |call| {
        Bedrock.list_models(&call).await
    });
    let refused = said.expect_err("no list");
    assert_eq!(refused.reason, Reason::SyncFailed);
    assert!(refused.message.contains("bedrock:ListInferenceProfiles"));
}

#[tokio::test]
async fn a_list_whose_pages_go_in_a_circle_is_none() {
    let base = answer(200, r#"{"modelSummaries":[]}"#);
    let page = || answer(200, r#"{"inferenceProfileSummaries":[],"nextToken":"t"}"#);
    let (said, _) = asked!(RUNTIME_URL, [base, page(), page()], |call| {
        Bedrock.list_models(&call).await
    });
    assert_eq!(said.expect_err("no list").reason, Reason::SyncFailed);
}

#[tokio::test]
async fn a_profile_is_tested_by_the_model_behind_it() {
    let (said, asked) = asked!(RUNTIME_URL, [profile(), granted()], |call| {
        Bedrock
            .test_model(&call, &of("us.anthropic.claude-x-v1:0"))
            .await
    });
    assert_eq!(said.reason, Reason::ModelListed);
    assert_eq!(
        asked,
        [
            "bedrock.us-east-1.amazonaws.com/inference-profiles/us.anthropic.claude-x-v1%3A0",
            "bedrock.us-east-1.amazonaws.com/foundation-model-availability/anthropic.claude-x-v1%3A0",
        ]
    );
}

#[tokio::test]
async fn a_key_that_may_only_invoke_is_tested_by_one_token() {
    let body =
        r#"{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"max_tokens"}"#;
    let (said, asked) = asked!(RUNTIME_URL, [denied(), answer(200, body)], |call| {
        Bedrock.test_model(&call, &of("amazon.nova-pro-v1:0")).await
    });
    assert_eq!(said.reason, Reason::ModelAnswered);
    assert_eq!(
        asked[1],
        "bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse"
    );
    let (said, _) = asked!(RUNTIME_URL, [denied(), denied()], |call| {
        Bedrock.test_model(&call, &of("amazon.nova-pro-v1:0")).await
    });
    assert_eq!(said.reason, Reason::ModelAccessDenied);
}

#[tokio::test]
async fn a_model_that_is_not_granted_is_said_to_be_so() {
    let body = json!({
        "agreementAvailability": { "status": "NOT_AVAILABLE" }, "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE",
    });
    let (said, _) = asked!(RUNTIME_URL, [answer(200, &body.to_string())], |call| {
        Bedrock
            .test_model(&call, &of("anthropic.claude-x-v1:0"))
            .await
    });
    assert_eq!(said.reason, Reason::ModelAccessDenied);
    assert!(said.message.contains("agreement"));
}

#[tokio::test]
async fn another_host_than_aws_own_gets_every_call_and_no_other_host_any() {
    let models = answer(200, r#"{"modelSummaries":[]}"#);
    let base = "https://vpce-0a.bedrock.us-east-1.vpce.amazonaws.com";
    let (said, asked) = asked!(base, [models], |call| Bedrock.validate(&call).await);
    assert_eq!(said.reason, Reason::KeyAccepted);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("vpce-0a.bedrock.us-east-1.vpce.amazonaws.com/"));
}

#[test]
fn ids_name_models_profiles_and_what_is_neither() {
    for (id, what) in [
        (
            "amazon.nova-pro-v1:0",
            ModelReference::Base("amazon.nova-pro-v1:0"),
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            ModelReference::Base("amazon.nova-pro-v1:0"),
        ),
        (
            "us.anthropic.claude-x-v1:0",
            ModelReference::Profile("us.anthropic.claude-x-v1:0"),
        ),
        ("ab12cd34ef56", ModelReference::Profile("ab12cd34ef56")),
        (
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12",
            ModelReference::Profile(
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12",
            ),
        ),
        (
            "arn:aws:bedrock:us-east-1:1:provisioned-model/ab12",
            ModelReference::Other,
        ),
    ] {
        assert_eq!(named(id), what, "{id}");
    }
}

#[test]
fn a_key_has_a_shape() {
    let key = |api_key: Option<&str>, secret_key: Option<&str>, token: Option<&str>| SecretFields {
        api_key: api_key.map(|v| v.to_owned().into()),
        secret_key: secret_key.map(|v| v.to_owned().into()),
        access_token: token.map(|v| v.to_owned().into()),
    };
    let id = "AKIAQX7ZV3KPLM2NWRTD";
    let temporary = "ASIAQX7ZV3KPLM2NWRTD";
    assert_eq!(Bedrock.check_key(&pair()), Ok(()));
    let session = key(Some(temporary), Some("s"), Some("t"));
    assert_eq!(Bedrock.check_key(&session), Ok(()));
    let api_key = key(Some("ABSKQmVkcm9ja0FQSUtleQ=="), None, None);
    assert_eq!(Bedrock.check_key(&api_key), Ok(()));
    for (malformed, says) in [
        (key(Some(id), None, None), "secretKey"),
        (key(Some(temporary), Some("s"), None), "accessToken"),
        (key(Some("ABSK1"), None, Some("t")), "goes alone"),
        (key(None, None, Some("t")), "access token alone"),
        (key(Some("changeme"), Some("changeme"), None), "placeholder"),
    ] {
        let why = Bedrock.check_key(&malformed).expect_err("malformed");
        assert!(why.contains(says), "{why}");
        assert!(!why.contains(id) && !why.contains(temporary));
    }
}

fn input(base_url: &Url) -> ClientInput<'_> {
    ClientInput {
        model_id: "us.a.b",
        base_url,
        region: Some("us-east-1"),
        api_version: None,
        headers: &[],
        timeout: Duration::from_secs(60),
        retries: 2,
        key: None,
    }
}

#[test]
fn a_client_is_told_region_and_keys_and_only_an_unusual_host() {
    let usual = Url::parse(RUNTIME_URL).expect("a URL");
    let control = Url::parse("https://bedrock.us-east-1.amazonaws.com").expect("a URL");
    for base_url in [&usual, &control] {
        let config = Bedrock.client_config(&input(base_url));
        assert_eq!(config.model_provider, "bedrock_converse");
        assert_eq!(config.kwargs["region_name"], json!("us-east-1"));
        assert!(!config.kwargs.contains_key("base_url"));
        assert!(config.secret_kwargs.is_empty());
    }
    let gateway = Url::parse("https://gw.example.com/aws/").expect("a URL");
    let pair = pair();
    let config = Bedrock.client_config(&ClientInput {
        key: Some(&pair),
        headers: &[("x-team".to_owned(), "search".to_owned())],
        ..input(&gateway)
    });
    assert_eq!(
        config.kwargs["base_url"],
        json!("https://gw.example.com/aws")
    );
    assert_eq!(
        config.kwargs["default_headers"],
        json!({ "x-team": "search" })
    );
    assert_eq!(
        config.secret_kwargs,
        BTreeMap::from([
            ("aws_access_key_id", KeyField::ApiKey),
            ("aws_secret_access_key", KeyField::SecretKey),
        ])
    );
}
