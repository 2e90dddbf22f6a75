//! A proof lives as long as what it was found with: an outage makes nothing unready that was proved,
//! nothing stays ready by a proof of something else, and what one endpoint says of a key is no news of
//! another.

use llmplane::crd::ProviderType;
use llmplane::crd::credential::VersionState::{Current, Pending, Previous};
use serde_json::{Value, json};

use crate::support::{
    fake_vendor::FakeVendor,
    history::History,
    keys::{states, words},
    plane::eventually,
    vendors::{Fake, Fault},
    world::{World, find_condition},
};

const KEY: &str = "sk-test-0123456789abcdef";
const NEXT_KEY: &str = "sk-test-fedcba9876543210";

const ALL: [(&str, &str); 4] = [
    ("LlmCredential", "c"),
    ("LlmEndpoint", "e"),
    ("LlmModel", "m"),
    ("LlmProvider", "p"),
];

/// Everything ready, by what the vendor says; model sync is on.
async fn proved(prefix: &str) -> (FakeVendor, World) {
    let vendor = FakeVendor::start(&[KEY, NEXT_KEY], &["gpt-a"]).await;
    let world = World::started(prefix).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    syncing(&world, json!({})).await;
    for (kind, name) in ALL {
        world.ready(kind, name).await;
    }
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    (vendor, world)
}

async fn syncing(world: &World, more: Value) {
    let mut spec = json!({ "modelSync": { "enabled": true } });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.provider("p", spec).await;
}

/// Ends the vendor, and waits until that is noticed.
async fn down(vendor: &FakeVendor, world: &World, asked: &str) {
    vendor.break_with(500);
    let object = json!({
        "metadata": { "name": "e", "annotations": { "llmplane.dev/reconcile-requested-at": asked } },
        "spec": {
            "providerRef": { "name": "p" }, "baseUrl": vendor.url(),
            "healthCheck": { "failureThreshold": 1 },
        },
    });
    world.apply_object("LlmEndpoint", object).await;
    world
        .says("LlmEndpoint", "e", "Healthy", "False", "ProbeFailed")
        .await;
}

async fn says_ready(world: &World, said: &[(&str, &str, &str, &str)]) {
    for (kind, name, status, reason) in said {
        world.says(kind, name, "Ready", status, reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_ready_by_a_proof_of_another_address() {
    let (vendor, world) = proved("moved").await;
    down(&vendor, &world, "1").await;
    says_ready(&world, &[("LlmEndpoint", "e", "True", "ProbeFailed")]).await;
    let elsewhere = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    elsewhere.break_with(500);
    world.endpoint("e", &elsewhere.url(), json!({})).await;
    // As where it was declared so at first.
    says_ready(
        &world,
        &[
            ("LlmEndpoint", "e", "False", "ProbeFailed"),
            ("LlmCredential", "c", "Unknown", "CheckInconclusive"),
            ("LlmModel", "m", "Unknown", "CheckInconclusive"),
            ("LlmProvider", "p", "False", "SyncFailed"),
        ],
    )
    .await;
    elsewhere.mend();
    for (kind, name) in ALL {
        world.ready(kind, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_ready_by_a_proof_of_another_type() {
    let (vendor, world) = proved("othertype").await;
    down(&vendor, &world, "1").await;
    world.delete("LlmProvider", "p").await;
    syncing(&world, json!({ "type": "VLLM" })).await;
    says_ready(
        &world,
        &[
            ("LlmEndpoint", "e", "False", "ProbeFailed"),
            ("LlmCredential", "c", "False", "HostNotAllowed"),
            ("LlmModel", "m", "Unknown", "CheckInconclusive"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_no_check_depends_on_neither_stalls_nor_fails_during_an_outage() {
    let (vendor, world) = proved("edited").await;
    down(&vendor, &world, "1").await;
    let history = History::of(&world);
    let named = |name: &str| json!({ "name": name });
    syncing(&world, json!({ "displayName": "P", "description": "d" })).await;
    let endpoint = json!({ "displayName": "E", "priority": 7, "retry": { "count": 1 } });
    world.endpoint("e", &vendor.url(), endpoint).await;
    let credential = json!({
        "providerRef": named("p"), "secretRef": named("s"), "alias": "main", "priority": 7,
    });
    world.apply("LlmCredential", "c", credential).await;
    let model = json!({
        "providerRef": named("p"), "modelId": "gpt-a", "displayName": "M",
        "contextWindow": 8192, "recommendedFor": ["drafts"],
    });
    world.apply("LlmModel", "m", model).await;
    for (kind, name) in ALL {
        eventually(&format!("{kind} {name} is stored as edited"), async || {
            let object = world.get(kind, name).await;
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && object["metadata"]["generation"] != 1
        })
        .await;
        world.ready(kind, name).await;
    }
    assert_eq!(history.failures(), [""; 0]);
    let unready: Vec<Value> = (history.objects().into_iter())
        .filter(|object| {
            find_condition(object, "Ready").is_some_and(|ready| ready["status"] != "True")
        })
        .collect();
    assert_eq!(unready, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_called_not_allowed_while_an_endpoint_that_it_may_go_to_has_no_row() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let elsewhere = Fake::at(ProviderType::OpenAICompatible, "127.0.0.2:0").await;
    let world = World::started("norow").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .endpoint("elsewhere", &elsewhere.url(), json!({}))
        .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.ready("LlmEndpoint", "elsewhere").await;
    let history = History::of(&world);
    for _ in 0..5 {
        world.delete("LlmProvider", "p").await;
        world
            .says("LlmEndpoint", "e", "Ready", "False", "ProviderNotFound")
            .await;
        world.provider("p", json!({})).await;
        world
            .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
            .await;
        world.ready("LlmEndpoint", "elsewhere").await;
    }
    let said: Vec<Value> = (history.objects().iter())
        .filter(|object| object["kind"] == "LlmCredential")
        .filter_map(|object| find_condition(object, "Valid").cloned())
        .filter(|valid| valid["reason"] == "HostNotAllowed")
        .collect();
    assert_eq!(said, [] as [Value; 0]);
}

async fn credential(world: &World, name: &str, secret: &str, priority: i32) {
    let spec = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": secret }, "priority": priority,
    });
    world.apply("LlmCredential", name, spec).await;
    world
        .says("LlmCredential", name, "Valid", "True", "KeyAccepted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_key_is_exhausted_is_made_with_the_next() {
    let vendor = FakeVendor::start(&[KEY, NEXT_KEY], &["gpt-a"]).await;
    vendor.fail_when(
        |request| request.method == "POST" && request.bearer() == Some(KEY),
        Fault::documented("openai", "insufficient_quota"),
    );
    let world = World::started("exhausted").await;
    world.secret("s", KEY).await;
    world.secret("t", NEXT_KEY).await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    credential(&world, "first", "s", 1).await;
    credential(&world, "second", "t", 2).await;
    let spec = json!({
        "providerRef": { "name": "p" }, "modelId": "gpt-a", "availabilityTest": { "enabled": true },
    });
    world.apply("LlmModel", "m", spec).await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelAnswered")
        .await;
    let asked_with = |key: &str| {
        let requests = vendor.requests();
        requests
            .iter()
            .any(|r| r.method == "POST" && r.bearer() == Some(key))
    };
    assert!(asked_with(KEY), "the best key comes first");
    assert!(asked_with(NEXT_KEY));
}

/// The key is another's at the first endpoint, before as after; the second is away when it is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_one_endpoint_refuses_waits_for_the_other_and_blames_nobody() {
    let others = FakeVendor::start(&["sk-others-0123456789abcd"], &["gpt-a"]).await;
    let vendor = FakeVendor::start(&[KEY, NEXT_KEY], &["gpt-a"]).await;
    let world = World::started("twoends").await;
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    world.endpoint("a", &others.url(), json!({})).await;
    world.endpoint("b", &vendor.url(), json!({})).await;
    world.credential("c", "s").await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    eventually("the first is left out", async || {
        let message = world.message("LlmCredential", "c", "Valid").await;
        message.contains("not at a (KeyRejected)")
    })
    .await;

    let history = History::of(&world);
    vendor.break_with(503);
    world.secret("s", NEXT_KEY).await;
    eventually("it says what the new key waits for", async || {
        let message = world.message("LlmCredential", "c", "Ready").await;
        message.contains("version 2 of the key, now in Secret s,")
            && message.contains("does not replace version 1")
            && message.contains("at endpoint a:")
            && message.contains("at endpoint b:")
    })
    .await;
    assert_eq!(
        states(&world, "c").await,
        words(&[(2, Pending), (1, Current)])
    );

    vendor.mend();
    world.check_key("1").await;
    eventually("the new key is in use", async || {
        states(&world, "c").await == words(&[(2, Current), (1, Previous)])
    })
    .await;
    world.ready("LlmCredential", "c").await;
    assert_eq!(history.failures(), [""; 0]);

    // Where both refuse it, it is the key.
    world.secret("s", "sk-nobodys-0123456789abc").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    let message = world.message("LlmCredential", "c", "Ready").await;
    assert!(message.contains("version 2 stays in use"), "{message}");
}
