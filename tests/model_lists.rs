//! A vendor's list is neither complete nor final for having been read once.

use serde_json::json;

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    vendors::{Fault, Recorded},
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const EMPTY: &str = r#"{"object":"list","data":[]}"#;

fn keyed_lists(vendor: &FakeVendor) -> usize {
    let requests = vendor.requests();
    requests.iter().filter(|r| is_keyed_list(r)).count()
}

fn is_keyed_list(request: &Recorded) -> bool {
    request.path == "/v1/models" && request.bearer() == Some(KEY)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_listed_a_little_later_is_never_called_missing_and_heals_by_itself() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("later").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    let before = keyed_lists(&vendor);
    world.model("m", "gpt-a").await;
    eventually("the list was read without it", async || {
        keyed_lists(&vendor) > before
    })
    .await;
    vendor.list_model("gpt-a");
    eventually("it is found", async || {
        let said = world.said("LlmModel", "m", "Available").await;
        let reason = said.map(|(_, reason)| reason).unwrap_or_default();
        assert_ne!(reason, "ModelNotFound");
        reason == "ModelListed"
    })
    .await;
    // Taken away and brought back, without anybody's asking.
    vendor.unlist_model("gpt-a");
    world.model("n", "gpt-b").await;
    world
        .says("LlmModel", "n", "Available", "False", "ModelNotFound")
        .await;
    vendor.list_model("gpt-b");
    world
        .says("LlmModel", "n", "Available", "True", "ModelListed")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_empty_once_takes_no_model_away() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::started("empty").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    let version = world.resource_versions(&[("LlmModel", "m")]).await;
    vendor.fail_when(is_keyed_list, Fault::Body(EMPTY.to_owned()));
    let before = keyed_lists(&vendor);
    let asked = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "type": "OpenAICompatible" },
    });
    world.apply_object("LlmProvider", asked).await;
    eventually("the list was read once", async || {
        keyed_lists(&vendor) > before
    })
    .await;
    vendor.mend();
    // The process that read it ends; the next one reads it again.
    world.abandon().await;
    world.start().await;
    let before = keyed_lists(&vendor);
    let asked = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "2" } },
        "spec": { "type": "OpenAICompatible" },
    });
    world.apply_object("LlmProvider", asked).await;
    eventually("the list was read again", async || {
        keyed_lists(&vendor) > before
            && world.get("LlmProvider", "p").await["status"]["lastHandledReconcileAt"] == "2"
    })
    .await;
    let now = world.resource_versions(&[("LlmModel", "m")]).await;
    assert_eq!(now, version, "the model said nothing in between");
}
