//! What no free check can prove does not keep a GitOps tool waiting.

use llmplane::crd::ProviderType::{self, *};
use serde_json::{Value, json};

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    vendors::{Fake, Fault, Recorded},
    world::World,
};

const KEY: &str = "tk-4fK2mQ8zR1vXw7Lb0nTc";
const SWITCH_ON: &str = "switch spec.availabilityTest on";

fn nothing_here() -> Fault {
    Fault::documented("gateways", "no_such_path")
}

fn is_list(request: &Recorded) -> bool {
    request.path == "/v1/models"
}

/// A vendor of this type that takes [`KEY`].
async fn vendor(type_: ProviderType) -> Fake {
    let fake = Fake::of(type_).await;
    fake.accept(KEY);
    fake
}

/// Provider, endpoint, Secret and credential of one name.
async fn declare(world: &World, name: &str, type_: ProviderType, url: &str) {
    let provider = json!({ "type": type_.as_str() });
    world.declare(name, url, KEY, provider).await;
}

/// The model of this id, tested or not.
async fn model(world: &World, name: &str, id: &str, tested: bool, more: Value) {
    let mut spec = json!({
        "providerRef": { "name": name }, "modelId": id,
        "availabilityTest": { "enabled": tested },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.apply("LlmModel", name, spec).await;
}

/// It says so in its own condition, and is ready.
async fn is_settled(world: &World, kind: &str, name: &str) {
    let condition = match kind {
        "LlmCredential" => "Valid",
        _ => "Available",
    };
    world
        .says(kind, name, condition, "Unknown", "Unverifiable")
        .await;
    world
        .says(kind, name, "Ready", "True", "Unverifiable")
        .await;
}

/// Waits until what is said of the model comes from its test.
async fn until_tested(world: &World, name: &str) -> String {
    eventually("its test has nothing to ask", async || {
        let message = world.message("LlmModel", name, "Available").await;
        let of_list = ["being read", "under way", "nothing free tells", SWITCH_ON];
        !message.is_empty() && !of_list.iter().any(|words| message.contains(words))
    })
    .await;
    world.message("LlmModel", name, "Available").await
}

/// At a server without a list each type's test is switched on where the status says so. What that
/// finds is said, and nothing waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_has_nothing_to_ask_leaves_nothing_open_at_any_type() {
    let world = World::started("nothing").await;
    let plain = || json!({});
    let cases = [
        ("openai", OpenAI, plain()),
        ("anthropic", Anthropic, plain()),
        ("gemini", Gemini, plain()),
        ("ollama", Ollama, plain()),
        ("dashscope", DashScope, plain()),
        ("vllm", VLLM, plain()),
        ("gateway", OpenAICompatible, plain()),
        ("rerank", OpenAICompatible, json!({ "type": "Rerank" })),
        ("image", OpenAICompatible, json!({ "type": "Image" })),
        ("audio", OpenAICompatible, json!({ "type": "Audio" })),
    ];
    let reads_the_list = ["dashscope", "vllm", "rerank", "image", "audio"];
    let mut fakes = Vec::new();
    for (name, type_, more) in &cases {
        let fake = vendor(*type_).await;
        fake.fail(nothing_here());
        declare(&world, name, *type_, &fake.url()).await;
        model(&world, name, "m", false, more.clone()).await;
        fakes.push(fake);
    }
    for (name, type_, _) in &cases {
        is_settled(&world, "LlmCredential", name).await;
        is_settled(&world, "LlmModel", name).await;
        let message = world.message("LlmModel", name, "Ready").await;
        let advised = message.contains(SWITCH_ON);
        assert_eq!(advised, !reads_the_list.contains(name), "{name}: {message}");
        let message = world.message("LlmCredential", name, "Ready").await;
        let advised = message.contains(SWITCH_ON);
        assert_eq!(advised, !matches!(type_, DashScope | VLLM), "{message}");
    }
    for (name, _, more) in &cases {
        model(&world, name, "m", true, more.clone()).await;
    }
    for (name, ..) in &cases {
        let message = until_tested(&world, name).await;
        assert!(message.contains("HTTP 404"), "{name}: {message}");
        assert!(message.contains("nothing"), "{name}: {message}");
        is_settled(&world, "LlmModel", name).await;
        is_settled(&world, "LlmCredential", name).await;
    }
}

/// The list works, and the call that would test the model is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_model_without_a_call_that_tests_it_is_ready_and_says_both() {
    let gateway = vendor(OpenAICompatible).await;
    gateway.list_only(&["m"]);
    gateway.fail_when(|request| !is_list(request), nothing_here());
    let world = World::started("nocall").await;
    declare(&world, "g", OpenAICompatible, &gateway.url()).await;
    world.ready("LlmCredential", "g").await;
    model(&world, "g", "m", true, json!({})).await;
    is_settled(&world, "LlmModel", "g").await;
    let message = world.message("LlmModel", "g", "Ready").await;
    assert!(message.contains("lists the model"), "{message}");
    assert!(message.contains("/chat/completions"), "{message}");
    // What is not even listed is not there.
    model(&world, "g", "other", true, json!({})).await;
    world
        .says("LlmModel", "g", "Available", "False", "ModelNotFound")
        .await;
}

/// The model answered before: that stands, as through any outage.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_proved_stands_while_its_call_is_not_there() {
    let gateway = vendor(OpenAICompatible).await;
    gateway.list_only(&["m"]);
    let world = World::started("wasthere").await;
    declare(&world, "g", OpenAICompatible, &gateway.url()).await;
    world.ready("LlmCredential", "g").await;
    model(&world, "g", "m", true, json!({})).await;
    world
        .says("LlmModel", "g", "Available", "True", "ModelAnswered")
        .await;
    gateway.fail_when(|request| !is_list(request), nothing_here());
    let calls = || {
        let requests = gateway.requests();
        requests.iter().filter(|r| !is_list(r)).count()
    };
    let before = calls();
    let object = json!({
        "metadata": { "name": "g", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": {
            "providerRef": { "name": "g" }, "modelId": "m",
            "availabilityTest": { "enabled": true },
        },
    });
    world.apply_object("LlmModel", object).await;
    eventually("it was tested again", async || {
        world.get("LlmModel", "g").await["status"]["lastHandledReconcileAt"] == "1"
    })
    .await;
    assert!(calls() > before);
    let said = world.said("LlmModel", "g", "Available").await;
    assert_eq!(said, Some(("True".into(), "ModelAnswered".into())));
}

/// No list, but the call that describes one model, which wants a key.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_described_to_the_key_alone_proves_the_key() {
    let openai = vendor(OpenAI).await;
    openai.list_only(&["m"]);
    openai.fail_when(is_list, nothing_here());
    let world = World::started("described").await;
    declare(&world, "o", OpenAI, &openai.url()).await;
    model(&world, "o", "m", false, json!({})).await;
    is_settled(&world, "LlmCredential", "o").await;
    model(&world, "o", "m", true, json!({})).await;
    world
        .says("LlmModel", "o", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmCredential", "o", "Valid", "True", "KeyAccepted")
        .await;
}

/// List and models answer everybody: nothing proves the key, and both say so.
#[tokio::test(flavor = "multi_thread")]
async fn at_a_server_that_answers_everybody_it_is_said_that_nothing_proves_a_key() {
    let world = World::started("everybody").await;
    let mut fakes = Vec::new();
    for (name, type_) in [("gateway", OpenAICompatible), ("vllm", VLLM)] {
        let fake = vendor(type_).await;
        fake.shop().wants_key = false;
        fake.list_only(&["m"]);
        declare(&world, name, type_, &fake.url()).await;
        is_settled(&world, "LlmCredential", name).await;
        model(&world, name, "m", true, json!({})).await;
        fakes.push(fake);
    }
    for (name, reason) in [("gateway", "ModelAnswered"), ("vllm", "ModelListed")] {
        world
            .says("LlmModel", name, "Available", "True", reason)
            .await;
        let message = world.message("LlmModel", name, "Available").await;
        assert!(message.contains("it proves no key"), "{name}: {message}");
        is_settled(&world, "LlmCredential", name).await;
        let message = world.message("LlmCredential", name, "Ready").await;
        assert!(message.contains("nothing"), "{name}: {message}");
        assert_eq!(message.contains(SWITCH_ON), name == "gateway", "{message}");
    }
}

/// Bedrock lists no model by its ARN, and a test of it is not switched on.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_no_list_names_is_ready_once_there_is_a_key() {
    let vendor = FakeVendor::start(&["bedrock-api-key-0123456789"], &[]).await;
    let world = World::started("unlisted").await;
    world.provider("p", json!({ "type": "Bedrock" })).await;
    let region = json!({ "region": "us-east-1" });
    world.endpoint("e", &vendor.url(), region).await;
    let arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc";
    world.model("m", arn).await;
    world
        .says("LlmModel", "m", "Ready", "Unknown", "NoValidCredential")
        .await;
    let key = json!({ "api-key": "bedrock-api-key-0123456789" });
    world.secret_of(Bedrock, "s", key).await;
    world.credential("c", "s").await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "Unverifiable")
        .await;
    world
        .says("LlmModel", "m", "Ready", "True", "Unverifiable")
        .await;
}
