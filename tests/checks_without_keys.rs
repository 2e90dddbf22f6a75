//! What becomes of checks that take a key where there is none, and when there is one.

use llmplane::crd::{ProviderType, reasons::Reason};
use serde_json::{Value, json};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, vendors::Fake, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

/// Provider `p` of this type with sync on, and a request for its lists.
async fn provider(world: &World, type_: &str, asked: &str) {
    let object = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": asked } },
        "spec": { "type": type_, "modelSync": { "enabled": true } },
    });
    world.apply_object("LlmProvider", object).await;
}

async fn answered(world: &World, kind: &str, name: &str, asked: &str) {
    eventually("the request is answered", async || {
        world.get(kind, name).await["status"]["lastHandledReconcileAt"] == asked
    })
    .await;
}

async fn ids(world: &World) -> Vec<String> {
    let models = world.all("LlmModel").await;
    let id = |model: &Value| model["spec"]["modelId"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = models.iter().map(id).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ollama_of_ones_own_needs_no_credential() {
    let ollama = Fake::of(ProviderType::Ollama).await;
    ollama.shop().wants_key = false;
    ollama.list_only(&["llama3.2:latest"]);
    let world = World::started("ollama").await;
    provider(&world, "Ollama", "1").await;
    world.endpoint("e", &ollama.url(), json!({})).await;
    world.model("m", "llama3.2").await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    for (kind, name) in [
        ("LlmProvider", "p"),
        ("LlmEndpoint", "e"),
        ("LlmModel", "m"),
    ] {
        world.ready(kind, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_tested_as_soon_as_there_is_a_key() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("tested").await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    let spec = json!({
        "providerRef": { "name": "p" }, "modelId": "gpt-a",
        "availabilityTest": { "enabled": true },
    });
    world.apply("LlmModel", "m", spec).await;
    eventually("the test found no key", async || {
        let models = world.db().await.model_rows_all(false).await.unwrap();
        let verdict = models
            .first()
            .and_then(|row| row.found.test_verdict.as_ref());
        verdict.is_some_and(|verdict| verdict.reason == Reason::NoValidCredential)
    })
    .await;
    world.secret("s", KEY).await;
    world.credential("c", "s").await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelAnswered")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_without_a_usable_key_holds_up_no_other() {
    let (open, closed) = (
        FakeVendor::start(&[KEY], &["gpt-a"]).await,
        FakeVendor::start(&["sk-another-0123456789abcd"], &["gpt-b"]).await,
    );
    let world = World::started("halfkeyed").await;
    world.secret("s", KEY).await;
    provider(&world, "OpenAICompatible", "1").await;
    world.endpoint("a", &open.url(), json!({})).await;
    world.endpoint("b", &closed.url(), json!({})).await;
    // Declared, and listed at `b` alone.
    world.model("m", "gpt-b").await;
    let spec = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
        "endpointRefs": [{ "name": "a" }],
    });
    world.apply("LlmCredential", "c", spec).await;
    eventually("what is new at one endpoint is made", async || {
        ids(&world).await == ["gpt-a", "gpt-b"]
    })
    .await;
    answered(&world, "LlmProvider", "p", "1").await;
    provider(&world, "OpenAICompatible", "2").await;
    answered(&world, "LlmProvider", "p", "2").await;
    let provider = ("LlmProvider", "p", "ModelsSynced");
    // A list that was not read misses nothing.
    let model = ("LlmModel", "m", "Available");
    for (kind, name, condition) in [provider, model] {
        world
            .says(kind, name, condition, "Unknown", "NoValidCredential")
            .await;
    }
}
