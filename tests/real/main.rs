//! From manifests to Ready against a real OpenAI-compatible upstream. `make test-real` runs it; no
//! other target does, for the upstream comes from the package index.

mod litellm;
#[allow(dead_code, unused_imports, reason = "the behaviour tests use the rest")]
#[path = "../support/mod.rs"]
mod support;

use litellm::{Auth, KEY, LiteLlm};
use support::{plane::eventually, world::World};

const WRONG_KEY: &str = "sk-wrong-0123456789abcdef012";

/// The manifests that docs/adding-a-vendor.md shows, with this gateway's address and key in them.
fn manifests(proxy: &LiteLlm, key: &str) -> String {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/gateway/manifests.yaml"
    );
    std::fs::read_to_string(file)
        .unwrap()
        .replace("http://litellm.llm.svc:4000", &proxy.address())
        .replace("REPLACE-ME-api-key", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_needs_manifests_alone_to_be_ready_with_its_models() {
    let proxy = LiteLlm::start(Auth::Custom).await;
    let world = World::started("real").await;
    let applied = world
        .plane
        .kubectl_with_input(
            &["apply", "--namespace", world.ns(), "--filename", "-"],
            &manifests(&proxy, KEY),
        )
        .await;
    assert!(applied.status.success(), "{applied:?}");

    for (kind, name, condition, reason) in [
        ("LlmEndpoint", "gateway", "Healthy", "ProbeSucceeded"),
        ("LlmCredential", "gateway", "Valid", "KeyAccepted"),
        ("LlmModel", "small-chat", "Available", "ModelAnswered"),
        ("LlmProvider", "gateway", "ModelsSynced", "SyncSucceeded"),
    ] {
        world.says(kind, name, condition, "True", reason).await;
        world.ready(kind, name).await;
    }
    let db = world.db().await;
    let endpoint = db.endpoint_rows_all(false).await.unwrap().remove(0);
    eventually("what the gateway lists is stored", async || {
        let facts = db
            .listed_models(endpoint.uid, &endpoint.base_url)
            .await
            .unwrap();
        let ids: Vec<_> = facts.keys().map(String::as_str).collect();
        ids == ["gpt-4o-mini", "team/embedding"]
            && facts["team/embedding"]["type"] == "Embedding"
            && facts["gpt-4o-mini"]["max_input_tokens"] == 128_000
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_rejected_and_its_correction_accepted() {
    let proxy = LiteLlm::start(Auth::Custom).await;
    let world = World::started("real-key").await;
    world.secret("s", WRONG_KEY).await;
    world.apply_basics(&proxy.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "KeyRejected")
        .await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    let object = world.get("LlmCredential", "c").await;
    assert!(!object.to_string().contains(WRONG_KEY));

    world.secret("s", KEY).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
}

/// Without a database of keys the proxy answers 400 `no_db_connection` to every key but its master
/// key, and so does one whose database is away: that rejects nothing, and proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_a_database_says_nothing_of_a_key_that_is_not_its_own() {
    let proxy = LiteLlm::start(Auth::MasterKey).await;
    let world = World::started("real-db").await;
    world.secret("s", WRONG_KEY).await;
    world.apply_basics(&proxy.url()).await;
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    world
        .says(
            "LlmCredential",
            "c",
            "Ready",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    world.secret("s", KEY).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.ready("LlmEndpoint", "e").await;
}
