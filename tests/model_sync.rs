//! Model sync on the real plane: what is made, whose fields stay whose, and how fast it writes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use llmplane::crd::LlmModel;
use serde_json::{Value, json};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, vendors::Fault, world::World};

const GENERATED: &str = "llmplane.dev/generated-by=model-sync";

fn api(world: &World) -> Api<LlmModel> {
    Api::namespaced(world.client.clone(), world.ns())
}

/// The generated objects by id.
async fn generated(world: &World) -> BTreeMap<String, LlmModel> {
    let list = api(world)
        .list(&ListParams::default().labels(GENERATED))
        .await;
    list.unwrap()
        .items
        .into_iter()
        .map(|model| (model.spec.model_id.clone(), model))
        .collect()
}

async fn ids(world: &World) -> Vec<String> {
    generated(world).await.into_keys().collect()
}

async fn name_of(world: &World, id: &str) -> String {
    generated(world).await[id].metadata.name.clone().unwrap()
}

/// A vLLM provider `p` with sync on, which needs no key and lists windows.
async fn provider(world: &World, sync: Value) {
    provider_asked(world, sync, "").await;
}

/// The same, and a request for its list now.
async fn provider_asked(world: &World, mut sync: Value, asked: &str) {
    if sync.get("enabled").is_none() {
        sync["enabled"] = true.into();
    }
    let object = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": asked } },
        "spec": { "type": "VLLM", "modelSync": sync },
    });
    world.apply_object("LlmProvider", object).await;
    if !asked.is_empty() {
        eventually("the request is answered", async || {
            world.get("LlmProvider", "p").await["status"]["lastHandledReconcileAt"] == asked
        })
        .await;
    }
}

async fn synced(world: &World) {
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_declared_is_made_with_label_owner_and_the_vendors_facts() {
    let vendor =
        FakeVendor::start(&[""], &["declared", "meta-llama/Llama-3.1-8B", "skip-me"]).await;
    vendor.list_window("big", 8192);
    vendor.list_model(&"X".repeat(200));
    vendor.list_model(&"x".repeat(300));
    let world = World::started("made").await;
    world.model("mine", "declared").await;
    provider(&world, json!({ "exclude": ["skip-*"] })).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    synced(&world).await;
    let long = "X".repeat(200);
    let expected = [long.as_str(), "big", "meta-llama/Llama-3.1-8B"];
    eventually("three are made", async || ids(&world).await == expected).await;

    let models = generated(&world).await;
    let big = serde_json::to_value(&models["big"]).unwrap();
    let provider = world.get("LlmProvider", "p").await;
    let owner = &big["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], provider["metadata"]["uid"]);
    assert_eq!(owner["kind"], "LlmProvider");
    assert_eq!(big["spec"]["contextWindow"], 8192);
    assert_eq!(big["spec"].get("endpointRefs"), None);
    let name = name_of(&world, "big").await;
    world
        .says("LlmModel", &name, "Ready", "True", "ModelListed")
        .await;
    let status = world.get("LlmModel", &name).await["status"].clone();
    assert_eq!(status["effective"]["origin"]["contextWindow"], "vendor");
    let message = world.message("LlmProvider", "p", "ModelsSynced").await;
    assert!(message.contains("but for 1 entry "), "{message}");
    eventually("the provider counts them", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        status["models"] == json!({ "total": 4, "available": 4 })
            && status["lastSyncedAt"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_field_stays_theirs_while_the_rest_is_updated() {
    let vendor = FakeVendor::start(&[""], &[]).await;
    vendor.list_window("a", 4096);
    vendor.list_window("b", 4096);
    let world = World::started("fields").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("both are made", async || ids(&world).await == ["a", "b"]).await;
    let name = name_of(&world, "a").await;
    let theirs = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "name": name },
        "spec": { "providerRef": { "name": "p" }, "modelId": "a", "contextWindow": 1000, "version": "ours" },
    });
    let person = PatchParams::apply("kubectl").force();
    api(&world)
        .patch(&name, &person, &Patch::Apply(&theirs))
        .await
        .unwrap();

    vendor.list_window("a", 16384);
    vendor.list_window("b", 16384);
    provider_asked(&world, json!({}), "1").await;
    eventually("b is updated", async || {
        generated(&world).await["b"].spec.context_window == Some(16384)
    })
    .await;
    synced(&world).await;
    let a = generated(&world).await.remove("a").unwrap();
    assert_eq!(a.spec.context_window, Some(1000));
    assert_eq!(a.spec.version.as_deref(), Some("ours"));
    eventually("its origin is told", async || {
        let status = world.get("LlmModel", &name).await["status"].clone();
        status["effective"]["origin"]["contextWindow"] == "declared"
    })
    .await;

    // What the person gives back is the vendor's again.
    let back = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "name": name }, "spec": { "providerRef": { "name": "p" }, "modelId": "a" },
    });
    api(&world)
        .patch(&name, &person, &Patch::Apply(&back))
        .await
        .unwrap();
    eventually("a is updated", async || {
        generated(&world).await["a"].spec.context_window == Some(16384)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_is_marked_and_heals_and_a_failed_list_changes_nothing() {
    let vendor = FakeVendor::start(&[""], &["a", "b"]).await;
    let world = World::started("vanish").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("both are made", async || ids(&world).await == ["a", "b"]).await;
    let name = name_of(&world, "b").await;
    world
        .says("LlmModel", &name, "Available", "True", "ModelListed")
        .await;

    vendor.break_with(500);
    provider_asked(&world, json!({}), "1").await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "False", "SyncFailed")
        .await;
    let said = world.said("LlmModel", &name, "Available").await;
    assert_eq!(said, Some(("True".into(), "ModelListed".into())));

    vendor.mend();
    vendor.unlist_model("b");
    provider_asked(&world, json!({}), "2").await;
    world
        .says("LlmModel", &name, "Available", "False", "ModelNotFound")
        .await;
    assert_eq!(ids(&world).await, ["a", "b"]);
    vendor.list_model("b");
    provider_asked(&world, json!({}), "3").await;
    world
        .says("LlmModel", &name, "Available", "True", "ModelListed")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_wins_and_an_untouched_generated_object_makes_way() {
    let vendor = FakeVendor::start(&[""], &["a", "b"]).await;
    let world = World::started("wins").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("both are made", async || ids(&world).await == ["a", "b"]).await;
    let touched = name_of(&world, "b").await;
    let person = PatchParams::default();
    let lifecycle = json!({ "spec": { "recommendedFor": ["tests"] } });
    api(&world)
        .patch(&touched, &person, &Patch::Merge(&lifecycle))
        .await
        .unwrap();

    world.model("mine-a", "a").await;
    world.model("mine-b", "b").await;
    world
        .says("LlmModel", "mine-a", "Ready", "True", "ModelListed")
        .await;
    world
        .says("LlmModel", "mine-b", "Ready", "True", "ModelListed")
        .await;
    world
        .says("LlmModel", &touched, "Ready", "False", "DuplicateModel")
        .await;
    eventually("the untouched one is gone", async || {
        ids(&world).await == ["b"]
    })
    .await;

    // Declared no more, it is generated again.
    world.delete("LlmModel", "mine-a").await;
    eventually("it is back", async || ids(&world).await == ["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_of_its_name_and_one_without_its_label_are_not_touched() {
    let vendor = FakeVendor::start(&[""], &[]).await;
    vendor.list_window("a", 4096);
    let world = World::started("foreign").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("it is made", async || ids(&world).await == ["a"]).await;
    let name = name_of(&world, "a").await;
    let adopt = json!({ "metadata": { "labels": { "llmplane.dev/generated-by": null } } });
    api(&world)
        .patch(&name, &PatchParams::default(), &Patch::Merge(&adopt))
        .await
        .unwrap();
    vendor.list_window("a", 8192);
    vendor.list_model("b");
    provider_asked(&world, json!({}), "1").await;
    eventually("the other is made", async || ids(&world).await == ["b"]).await;
    synced(&world).await;
    let adopted = api(&world).get(&name).await.unwrap();
    assert_eq!(adopted.spec.context_window, Some(4096));
    assert_eq!(
        api(&world)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_that_cannot_be_read_is_said_and_makes_nothing() {
    let vendor = FakeVendor::start(&[""], &["a"]).await;
    let world = World::started("glob").await;
    provider(&world, json!({ "include": ["[z-a]"] })).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world
        .says("LlmProvider", "p", "Ready", "False", "InvalidSpec")
        .await;
    let message = world.message("LlmProvider", "p", "Ready").await;
    assert!(message.contains("spec.modelSync.include"), "{message}");
    world
        .says("LlmEndpoint", "e", "Ready", "True", "ProbeSucceeded")
        .await;
    assert!(ids(&world).await.is_empty());
    provider(&world, json!({ "include": ["a"] })).await;
    eventually("it is made", async || ids(&world).await == ["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lists_are_united_and_the_endpoint_is_named_where_only_one_has_the_model() {
    let (one, two) = (
        FakeVendor::start(&[""], &["a", "both"]).await,
        FakeVendor::start(&[""], &["b", "both"]).await,
    );
    let world = World::started("union").await;
    world.endpoint("one", &one.url(), json!({})).await;
    world.endpoint("two", &two.url(), json!({})).await;
    provider(&world, json!({})).await;
    eventually("three are made", async || {
        ids(&world).await == ["a", "b", "both"]
    })
    .await;
    let refs = |models: &BTreeMap<String, LlmModel>, id: &str| -> Vec<String> {
        let refs = &models[id].spec.endpoint_refs;
        refs.iter().map(|r| r.name.clone()).collect()
    };
    let models = generated(&world).await;
    assert_eq!(refs(&models, "a"), ["one"]);
    assert_eq!(refs(&models, "b"), ["two"]);
    assert!(refs(&models, "both").is_empty());
    synced(&world).await;

    // One that cannot be read, from here on or ever, takes nothing away.
    let three = FakeVendor::start(&[""], &["c"]).await;
    three.break_with(500);
    two.break_with(500);
    world.endpoint("three", &three.url(), json!({})).await;
    provider_asked(&world, json!({}), "1").await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "False", "SyncFailed")
        .await;
    for model in generated(&world).await.values() {
        let name = model.metadata.name.as_deref().unwrap();
        world
            .says("LlmModel", name, "Available", "True", "ModelListed")
            .await;
    }
    assert_eq!(ids(&world).await, ["a", "b", "both"]);
}

/// A GitOps tool that waited for a sync there would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_list_nothing_is_waited_for_and_another_endpoints_is_taken() {
    let bare = FakeVendor::start(&[""], &[]).await;
    bare.fail(Fault::documented("gateways", "no_such_path"));
    let world = World::started("nolist").await;
    provider(&world, json!({})).await;
    world.endpoint("bare", &bare.url(), json!({})).await;
    world
        .says(
            "LlmProvider",
            "p",
            "ModelsSynced",
            "Unknown",
            "Unverifiable",
        )
        .await;
    world
        .says("LlmProvider", "p", "Ready", "True", "Unverifiable")
        .await;
    let message = world.message("LlmProvider", "p", "Ready").await;
    assert!(message.contains("switch spec.modelSync off"), "{message}");
    assert!(ids(&world).await.is_empty());

    let full = FakeVendor::start(&[""], &["a"]).await;
    world.endpoint("full", &full.url(), json!({})).await;
    synced(&world).await;
    assert_eq!(ids(&world).await, ["a"]);
    let message = world.message("LlmProvider", "p", "ModelsSynced").await;
    let read = "the model list of endpoint full was read";
    assert!(message.starts_with(read), "{message}");
    assert!(message.contains("at endpoint bare: "), "{message}");
    // One that cannot be read is no such thing.
    full.mend();
    full.break_with(500);
    provider_asked(&world, json!({}), "1").await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "False", "SyncFailed")
        .await;
}

/// A path that answers no more, or a baseUrl that lost its end: somebody has to know.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_had_a_list_and_has_it_no_more_is_named() {
    let vendor = FakeVendor::start(&[""], &["a"]).await;
    let other = FakeVendor::start(&[""], &["b"]).await;
    let world = World::started("lostlist").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world.endpoint("other", &other.url(), json!({})).await;
    synced(&world).await;
    vendor.fail(Fault::documented("gateways", "no_such_path"));
    provider_asked(&world, json!({}), "1").await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "False", "SyncFailed")
        .await;
    let message = world.message("LlmProvider", "p", "ModelsSynced").await;
    assert!(message.starts_with("at endpoint e: "), "{message}");
    assert_eq!(ids(&world).await, ["a", "b"]);
    vendor.mend();
    provider_asked(&world, json!({}), "2").await;
    synced(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_stays_and_is_updated_no_more() {
    let vendor = FakeVendor::start(&[""], &[]).await;
    vendor.list_window("a", 4096);
    let world = World::started("stays").await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("it is made", async || ids(&world).await == ["a"]).await;
    vendor.list_window("a", 8192);
    vendor.list_model("b");
    let off = json!({ "enabled": false });
    provider_asked(&world, off.clone(), "1").await;
    world
        .says(
            "LlmProvider",
            "p",
            "ModelsSynced",
            "Unknown",
            "SyncDisabled",
        )
        .await;
    assert_eq!(generated(&world).await["a"].spec.context_window, Some(4096));
    assert_eq!(ids(&world).await, ["a"]);
}

/// The newest write of any generated object, and how many objects there are.
async fn versions(world: &World) -> BTreeMap<String, String> {
    generated(world)
        .await
        .into_iter()
        .map(|(id, model)| (id, model.metadata.resource_version.unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_models_are_made_at_the_set_pace_through_a_restart_and_then_nothing_is_written()
{
    let ids: Vec<String> = (0..1000).map(|n| format!("org/Model-{n:04}:0")).collect();
    let refs: Vec<&str> = ids.iter().map(String::as_str).collect();
    let vendor = FakeVendor::start(&[""], &refs).await;
    let mut world = World::new("herd").await;
    let settings = || llmplane::controller::Settings {
        model_sync_limit: 900,
        ..world.settings()
    };
    let (first, second) = (settings(), settings());
    world.start_with(first).await;
    provider(&world, json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    eventually("some are made", async || {
        generated(&world).await.len() > 100
    })
    .await;
    world.abandon().await;
    let (before, restarted) = (generated(&world).await.len(), Instant::now());
    assert!(before < 900, "it was not interrupted");
    world.start_with(second).await;
    let deadline = Instant::now() + Duration::from_secs(300);
    while generated(&world).await.len() < 900 {
        assert!(
            Instant::now() < deadline,
            "nine hundred are made within five minutes"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = restarted.elapsed();
    let least = Duration::from_secs_f64((900 - before) as f64 / 40.0) - Duration::from_secs(1);
    assert!(took >= least, "{before} to 900 in {took:?}");

    synced(&world).await;
    eventually("all have their verdict", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        status["models"] == json!({ "total": 900, "available": 900 })
    })
    .await;
    let message = world.message("LlmProvider", "p", "ModelsSynced").await;
    assert!(
        message.contains("900 of 1000 have a generated LlmModel"),
        "{message}"
    );
    let created: BTreeMap<String, usize> = per_second(&world).await;
    assert!(created.values().all(|n| *n <= 45), "{created:?}");

    let (was, provider_was) = (versions(&world).await, world.get("LlmProvider", "p").await);
    let calls = vendor.calls();
    provider_asked(&world, json!({}), "again").await;
    assert!(vendor.calls() > calls);
    assert_eq!(versions(&world).await, was);
    let provider_is = world.get("LlmProvider", "p").await;
    assert_eq!(
        provider_is["status"]["models"],
        provider_was["status"]["models"]
    );
}

/// Objects made, by the second in which they were.
async fn per_second(world: &World) -> BTreeMap<String, usize> {
    let mut seconds = BTreeMap::new();
    for model in generated(world).await.into_values() {
        let made = model.metadata.creation_timestamp.unwrap().0.to_string();
        *seconds.entry(made).or_default() += 1;
    }
    seconds
}
