//! Limits, duplicates and the order of failover, and how they heal.

use serde_json::json;

use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn the_eleventh_endpoint_waits_until_an_older_one_is_deleted() {
    let vendor = FakeVendor::start(&[], &[]).await;
    let world = World::started("ten").await;
    world.provider("p", json!({})).await;
    for number in 0..11 {
        // Names in the order of creation: within one second the name decides.
        let name = format!("e{number:02}");
        // The one too many would come first.
        let more = json!({ "priority": if number == 10 { 0 } else { 100 } });
        world.endpoint(&name, &vendor.url(), more).await;
    }
    world
        .says("LlmEndpoint", "e10", "Ready", "False", "LimitExceeded")
        .await;
    for number in 0..10 {
        world.ready("LlmEndpoint", &format!("e{number:02}")).await;
    }
    let db = world.db().await;
    let default = async || {
        let rows = db.endpoint_rows_all(false).await.unwrap();
        let defaults = rows.iter().filter(|row| row.is_default);
        let names: Vec<_> = defaults.map(|row| row.name.clone()).collect();
        (rows.len(), names)
    };
    let is = |count, name: &str| (count, vec![name.to_owned()]);
    eventually("the default is one of those in force", async || {
        default().await == is(10, "e00")
    })
    .await;
    world.delete("LlmEndpoint", "e03").await;
    world.ready("LlmEndpoint", "e10").await;
    eventually("it is the default now", async || {
        default().await == is(10, "e10")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twenty_first_credential_waits_until_an_older_one_is_deleted() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("twenty").await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world.secret("s", KEY).await;
    for number in 0..21 {
        world.credential(&format!("c{number:02}"), "s").await;
    }
    world
        .says("LlmCredential", "c20", "Ready", "False", "LimitExceeded")
        .await;
    world.ready("LlmCredential", "c19").await;
    world.delete("LlmCredential", "c00").await;
    world.ready("LlmCredential", "c20").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_models_of_one_id_the_older_works_and_the_other_heals_when_it_is_deleted() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("twins").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("a", "gpt-a").await;
    world.model("b", "gpt-a").await;
    world.ready("LlmModel", "a").await;
    world
        .says("LlmModel", "b", "Ready", "False", "DuplicateModel")
        .await;
    world.delete("LlmModel", "a").await;
    world.ready("LlmModel", "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_the_one_named_then_the_lowest_priority_then_the_oldest() {
    let vendor = FakeVendor::start(&[], &[]).await;
    let world = World::started("default").await;
    world.provider("p", json!({})).await;
    for (name, priority) in [("a", 50), ("b", 10), ("c", 90)] {
        let more = json!({ "priority": priority });
        world.endpoint(name, &vendor.url(), more).await;
    }
    // Refused: this provider's type has no URL of its own.
    let refused = json!({ "providerRef": { "name": "p" }, "priority": 0 });
    world.apply("LlmEndpoint", "refused", refused).await;
    let db = world.db().await;
    let is_default = async |wanted: &str| {
        let rows = db.endpoint_rows_all(false).await.unwrap();
        let names: Vec<String> = rows
            .into_iter()
            .filter(|row| row.is_default)
            .map(|row| row.name.clone())
            .collect();
        names == [wanted]
    };
    eventually("b has the lowest number", async || is_default("b").await).await;
    let named = json!({ "defaultEndpointRef": { "name": "c" } });
    world.provider("p", named).await;
    eventually("c is named", async || is_default("c").await).await;
    world.delete("LlmEndpoint", "c").await;
    eventually("b again", async || is_default("b").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_listed_later_becomes_available_when_asked_for() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("later").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-new").await;
    world
        .says("LlmModel", "m", "Available", "False", "ModelNotFound")
        .await;
    vendor.list_model("gpt-new");
    let asked = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "type": "OpenAICompatible" },
    });
    world.apply_object("LlmProvider", asked).await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
}
