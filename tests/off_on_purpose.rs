//! What is switched off on purpose leaves its dependents Ready, whatever was there before: as in a
//! namespace where it was declared so at first.

use serde_json::{Value, json};

use crate::support::{fake_vendor::FakeVendor, history::History, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

/// Kind, name, and the reason of its Ready.
type Said = (&'static str, &'static str, &'static str);

/// What is switched off, and what is said then.
const OFF: [(&str, &[Said]); 3] = [
    (
        "LlmCredential",
        &[
            ("LlmCredential", "c", "Disabled"),
            ("LlmEndpoint", "e", "ProbeSucceeded"),
            ("LlmModel", "m", "NoValidCredential"),
        ],
    ),
    (
        "LlmEndpoint",
        &[
            ("LlmCredential", "c", "NoEndpoint"),
            ("LlmEndpoint", "e", "Disabled"),
            ("LlmModel", "m", "NoEndpoint"),
        ],
    ),
    (
        "LlmProvider",
        &[
            ("LlmCredential", "c", "ProviderDisabled"),
            ("LlmEndpoint", "e", "ProviderDisabled"),
            ("LlmModel", "m", "ProviderDisabled"),
            ("LlmProvider", "p", "Disabled"),
        ],
    ),
];

fn declared(vendor: &FakeVendor, off: Option<&str>) -> Vec<(&'static str, &'static str, Value)> {
    let provider = json!({ "name": "p" });
    let mut all = vec![
        ("LlmProvider", "p", json!({ "type": "OpenAICompatible" })),
        (
            "LlmEndpoint",
            "e",
            json!({ "providerRef": provider, "baseUrl": vendor.url() }),
        ),
        (
            "LlmCredential",
            "c",
            json!({ "providerRef": provider, "secretRef": { "name": "s" } }),
        ),
        (
            "LlmModel",
            "m",
            json!({ "providerRef": provider, "modelId": "gpt-a" }),
        ),
    ];
    for (kind, _, spec) in &mut all {
        spec["enabled"] = (off != Some(*kind)).into();
    }
    all
}

async fn apply(world: &World, vendor: &FakeVendor, off: Option<&str>) {
    for (kind, name, spec) in declared(vendor, off) {
        world.apply(kind, name, spec).await;
    }
}

async fn all_say(world: &World, said: &[Said]) {
    for (kind, name, reason) in said {
        world.says(kind, name, "Ready", "True", reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_off_leaves_its_dependents_ready_where_all_was_in_force_before() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("offold").await;
    world.secret("s", KEY).await;
    for (kind, said) in OFF {
        apply(&world, &vendor, None).await;
        world.ready("LlmModel", "m").await;
        world
            .says("LlmModel", "m", "Available", "True", "ModelListed")
            .await;
        world
            .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
            .await;
        let history = History::of(&world);
        apply(&world, &vendor, Some(kind)).await;
        all_say(&world, said).await;
        assert_eq!(history.failures(), [""; 0], "{kind} off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_off_leaves_its_dependents_ready_where_nothing_was_before() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    for (kind, said) in OFF {
        let world = World::started("offnew").await;
        world.secret("s", KEY).await;
        let history = History::of(&world);
        apply(&world, &vendor, Some(kind)).await;
        all_say(&world, said).await;
        assert_eq!(history.failures(), [""; 0], "{kind} off");
    }
}
