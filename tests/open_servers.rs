//! What an answer proves of a key that others get too, and what proves the key then.

use std::time::Duration;

use llmplane::{
    crd::{
        Kind,
        ProviderType::{self, *},
        reasons::Reason::{
            self, CheckInconclusive, KeyAccepted, KeyRejected, KeyRestricted, Unverifiable,
        },
    },
    db::CheckKind,
    encryption::SecretFields,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    checks::RunningChecks,
    fake_vendor::FakeVendor,
    plane::eventually,
    vendors::{Fake, Fault, Recorded, fixture::Answer},
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const TYPES: [ProviderType; 9] = [
    OpenAI,
    Anthropic,
    AzureOpenAI,
    DashScope,
    Qianfan,
    Gemini,
    Ollama,
    VLLM,
    OpenAICompatible,
];

/// A key and the endpoint that it is for.
struct Scene<'a> {
    checks: &'a RunningChecks,
    vendor: Fake,
    endpoint: Uuid,
    credential: Uuid,
}

impl<'a> Scene<'a> {
    async fn set(checks: &'a RunningChecks, type_: ProviderType) -> Self {
        let vendor = Fake::of(type_).await;
        vendor.accept(KEY);
        let provider = checks.provider(type_).await;
        let endpoint = checks.endpoint(provider, &vendor.url(), None).await;
        let key = SecretFields {
            api_key: Some(KEY.into()),
            ..SecretFields::default()
        };
        let sealed = (type_, ["127.0.0.1"].as_slice());
        let name = Uuid::new_v4().to_string();
        let credential = checks.credential(provider, &name, key, sealed).await;
        Self {
            checks,
            vendor,
            endpoint,
            credential,
        }
    }

    /// Checks the key because somebody waits for it; answers what stands afterwards.
    async fn validated(&self) -> Option<Reason> {
        let (key, endpoint) = (self.credential, self.endpoint);
        self.checks
            .made(CheckKind::Validation, key, endpoint)
            .await?;
        let rows = self
            .checks
            .db
            .credential_version_rows(&[key])
            .await
            .unwrap();
        rows[0]
            .verdicts
            .get(&endpoint)
            .map(|verdict| verdict.reason)
    }
}

fn is_keyless(request: &Recorded) -> bool {
    let named = ["authorization", "x-api-key", "api-key"];
    named.iter().all(|name| request.header(name).is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_answers_without_a_key_proves_none_whatever_the_vendor() {
    let checks = RunningChecks::start().await;
    for type_ in TYPES {
        let scene = Scene::set(&checks, type_).await;
        assert_eq!(scene.validated().await, Some(KeyAccepted), "{type_}");
        // It is opened to everybody, and closed again.
        scene.vendor.shop().wants_key = false;
        assert_eq!(scene.validated().await, Some(Unverifiable), "{type_}");
        scene.vendor.shop().wants_key = true;
        assert_eq!(scene.validated().await, Some(KeyAccepted), "{type_}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_front_of_the_server_is_no_list_for_everybody() {
    let checks = RunningChecks::start().await;
    let scene = Scene::set(&checks, VLLM).await;
    let page = Fault::Body("<html>log in</html>".to_owned());
    scene.vendor.fail_when(is_keyless, page);
    assert_eq!(scene.validated().await, Some(KeyAccepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_whatever_looks_like_a_key_proves_none() {
    let checks = RunningChecks::start().await;
    let scene = Scene::set(&checks, OpenAICompatible).await;
    let list = Fault::Body(r#"{"object":"list","data":[]}"#.to_owned());
    scene.vendor.fail_when(|request| !is_keyless(request), list);
    assert_eq!(scene.validated().await, Some(Unverifiable));
}

/// A list that is for administrators is refused to whoever comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_others_get_too_makes_no_key_genuine() {
    let checks = RunningChecks::start().await;
    let scene = Scene::set(&checks, OpenAICompatible).await;
    let restricted = || {
        Fault::Answer(Answer::json(
            403,
            &json!({ "message": "Insufficient permissions" }),
        ))
    };
    scene.vendor.fail(restricted());
    assert_eq!(scene.validated().await, Some(Unverifiable));
    scene.vendor.mend();
    scene
        .vendor
        .fail_when(|request| !is_keyless(request), restricted());
    assert_eq!(
        scene.validated().await,
        Some(Unverifiable),
        "to a made-up key"
    );
    scene.vendor.mend();
    scene
        .vendor
        .fail_when(|request| request.bearer() == Some(KEY), restricted());
    assert_eq!(scene.validated().await, Some(KeyRestricted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_accepted_once_it_is_known_what_others_are_answered() {
    let checks = RunningChecks::start().await;
    for fault in [429, 503] {
        let scene = Scene::set(&checks, OpenAICompatible).await;
        let busy = || Fault::Answer(Answer::json(fault, &json!({ "error": "busy" })));
        scene.vendor.fail_when(is_keyless, busy());
        assert_eq!(scene.validated().await, Some(CheckInconclusive), "{fault}");
        scene.vendor.mend();
        scene.vendor.shop().wants_key = false;
        assert_eq!(scene.validated().await, Some(Unverifiable), "{fault}");
    }
    // One that never answers others tells keys apart.
    let scene = Scene::set(&checks, OpenAICompatible).await;
    let broken = Fault::Answer(Answer::json(500, &json!({ "error": "no header" })));
    scene.vendor.fail_when(is_keyless, broken);
    eventually("the key is accepted", async || {
        scene.validated().await == Some(KeyAccepted)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_without_a_key_once_and_then_once_a_day() {
    let checks = RunningChecks::start().await;
    let scene = Scene::set(&checks, OpenAICompatible).await;
    let (key, endpoint) = (scene.credential, scene.endpoint);
    let period = Duration::from_millis(100);
    checks
        .plan_every(
            Kind::Credential,
            CheckKind::Validation,
            key,
            endpoint,
            period,
        )
        .await;
    let count = |what: &dyn Fn(&Recorded) -> bool| {
        let requests = scene.vendor.requests();
        requests.iter().filter(|request| what(request)).count()
    };
    let keyed = || count(&|request| request.bearer() == Some(KEY));
    eventually("the key was checked five times", async || keyed() >= 5).await;
    assert_eq!(count(&is_keyless), 1);
}

/// The vendor's list is for everybody, and another call is for keys alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_for_keys_alone_proves_one_at_an_open_server() {
    let checks = RunningChecks::start().await;
    let scene = Scene::set(&checks, OpenAICompatible).await;
    scene.vendor.shop().wants_key = false;
    let is_key_call = |request: &Recorded| request.path == "/v1/key";
    let described = json!({ "data": { "label": "sk-or-v1-0e6...1c9", "usage": 0 } });
    let refused = json!({ "error": { "message": "User not found.", "code": 401 } });
    scene.vendor.fail_when(
        move |request| is_key_call(request) && request.bearer() == Some(KEY),
        Fault::Answer(Answer::json(200, &described)),
    );
    scene
        .vendor
        .fail_when(is_key_call, Fault::Answer(Answer::json(401, &refused)));
    assert_eq!(scene.validated().await, Some(KeyAccepted));
    scene.vendor.mend();
    scene
        .vendor
        .fail_when(is_key_call, Fault::Answer(Answer::json(401, &refused)));
    assert_eq!(scene.validated().await, Some(KeyRejected));
    // One that describes a key to everybody proves nothing either.
    scene.vendor.mend();
    scene
        .vendor
        .fail_when(is_key_call, Fault::Answer(Answer::json(200, &described)));
    assert_eq!(scene.validated().await, Some(Unverifiable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_key_at_an_open_server_is_ready_and_said_to_be_unproven() {
    let vendor = FakeVendor::start(&[""], &["m"]).await;
    let world = World::started("open").await;
    world.secret("s", "sk-made-up-0123456789").await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "Unknown", "Unverifiable")
        .await;
    world
        .says("LlmCredential", "c", "Ready", "True", "Unverifiable")
        .await;
    let message = world.message("LlmCredential", "c", "Ready").await;
    assert!(message.contains("without a key too"), "{message}");
    assert!(message.contains("availabilityTest"), "{message}");
}

/// A gateway that has no list, and wants a key for everything.
fn hide_list(vendor: &FakeVendor, status: u16) {
    answer_list(vendor, status, &json!({ "detail": "not found" }));
}

/// Answers whoever asks for the list so.
fn answer_list(vendor: &FakeVendor, status: u16, body: &Value) {
    vendor.fail_when(
        |request| request.path == "/v1/models",
        Fault::Answer(Answer::json(status, body)),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_server_without_a_list_a_models_answer_proves_the_key() {
    for (status, body) in [
        (404, json!({ "detail": "not found" })),
        (405, json!({ "detail": "not found" })),
        (403, json!({ "message": "Missing Authentication Token" })),
        (400, json!({ "error": "Unknown endpoint" })),
        (
            200,
            json!({ "error": "Unexpected endpoint or method. (GET /v1/models)" }),
        ),
    ] {
        let vendor = FakeVendor::start(&[KEY], &["m"]).await;
        answer_list(&vendor, status, &body);
        let world = World::started("listless").await;
        world.secret("s", KEY).await;
        world.apply_basics(&vendor.url()).await;
        world.model("m", "m").await;
        for (kind, name, condition) in [
            ("LlmCredential", "c", "Valid"),
            ("LlmModel", "m", "Available"),
        ] {
            world
                .says(kind, name, condition, "Unknown", "Unverifiable")
                .await;
            world
                .says(kind, name, "Ready", "True", "Unverifiable")
                .await;
            let message = world.message(kind, name, "Ready").await;
            assert!(message.contains("availabilityTest"), "{message}");
        }
        let tested = |enabled: bool| {
            json!({
                "providerRef": { "name": "p" }, "modelId": "m",
                "availabilityTest": { "enabled": enabled },
            })
        };
        world.apply("LlmModel", "m", tested(true)).await;
        world
            .says("LlmModel", "m", "Available", "True", "ModelAnswered")
            .await;
        world
            .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
            .await;
        // What proved it is switched off.
        world.apply("LlmModel", "m", tested(false)).await;
        world
            .says("LlmCredential", "c", "Valid", "Unknown", "Unverifiable")
            .await;
    }
}

/// A proxy's page in the place of a list that is no more.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_list_is_gone_is_alive_by_its_refusal_of_an_empty_call() {
    let vendor = FakeVendor::start(&[KEY], &["m"]).await;
    let gone = Answer::new(410, b"<html>gone</html>".to_vec()).with("content-type", "text/html");
    vendor.fail_when(|request| request.path == "/v1/models", Fault::Answer(gone));
    let world = World::started("gone").await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world
        .says("LlmEndpoint", "e", "Healthy", "True", "ProbeSucceeded")
        .await;
    let message = world.message("LlmEndpoint", "e", "Healthy").await;
    assert!(message.contains("has no model list"), "{message}");
}

/// A gateway that lists nothing to anybody, and does not say why.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_list_that_is_forbidden_a_models_answer_proves_the_key() {
    let vendor = FakeVendor::start(&[KEY], &["m"]).await;
    answer_list(&vendor, 403, &json!({ "message": "Forbidden" }));
    let world = World::started("forbidden").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    let spec = json!({
        "providerRef": { "name": "p" }, "modelId": "m", "availabilityTest": { "enabled": true },
    });
    world.apply("LlmModel", "m", spec).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.ready("LlmCredential", "c").await;
}

/// A chat that answers everybody proves no more than a list that does.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_answers_everybody_proves_no_key() {
    let vendor = FakeVendor::start(&[""], &["m"]).await;
    let world = World::started("openchat").await;
    world.secret("s", "sk-made-up-0123456789").await;
    world.apply_basics(&vendor.url()).await;
    let spec = json!({
        "providerRef": { "name": "p" }, "modelId": "m", "availabilityTest": { "enabled": true },
    });
    world.apply("LlmModel", "m", spec).await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelAnswered")
        .await;
    world
        .says("LlmCredential", "c", "Valid", "Unknown", "Unverifiable")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_no_list_can_prove_says_that_it_waits_until_when_and_why() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    hide_list(&vendor, 404);
    let world = World::started("waits").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    world.secret("s", "sk-second-0123456789abcd").await;
    eventually("it says that the new key waits", async || {
        let message = world.message("LlmCredential", "c", "Ready").await;
        message.contains("version 2 of the key, now in Secret s, waits until 20")
            && message.contains("to replace version 1")
            && message.contains("HTTP 404")
    })
    .await;
    world.ready("LlmCredential", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_nothing_free_can_prove_is_ready_and_names_its_test() {
    let azure = Fake::of(AzureOpenAI).await;
    azure.accept(KEY);
    azure.shop().lists_deployments = false;
    let world = World::started("azure").await;
    let key = json!({ "api-key": KEY });
    world.secret_of(ProviderType::AzureOpenAI, "s", key).await;
    world.provider("p", json!({ "type": "AzureOpenAI" })).await;
    world.endpoint("e", &azure.url(), json!({})).await;
    world.credential("c", "s").await;
    world.model("m", "chat").await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "Unverifiable")
        .await;
    world
        .says("LlmModel", "m", "Ready", "True", "Unverifiable")
        .await;
    let message = world.message("LlmModel", "m", "Ready").await;
    assert!(message.contains("availabilityTest"), "{message}");
}
