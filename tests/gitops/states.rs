//! What Flux (by kstatus) and Argo CD conclude of real statuses: of objects in every state that can be brought
//! about here, as the controller writes them.

use std::collections::BTreeMap;

use kube::Api;
use llmplane::crd::{Kind, ProviderType};
use serde_json::{Value, json};

use super::{FAILS, PASSES, WAITS, agree};
use crate::support::fake_vendor::FakeVendor;
use crate::support::history::{kstatus, summary};
use crate::support::plane::eventually;
use crate::support::vendors::{Fake, Fault};
use crate::support::world::{World, find_condition};

const KEY: &str = "sk-test-0123456789abcdef";
const REFUSED: &str = "sk-test-refused-0123456789";

/// Objects, the reason of their `Ready`, and what a tool concludes in the end.
const STATES: [(&str, &str, &str, &str); 35] = [
    ("LlmProvider", "p", "SyncDisabled", PASSES),
    ("LlmEndpoint", "e", "ProbeSucceeded", PASSES),
    ("LlmCredential", "c", "KeyAccepted", PASSES),
    ("LlmModel", "m", "ModelListed", PASSES),
    ("LlmProvider", "off", "Disabled", PASSES),
    ("LlmEndpoint", "of-off", "ProviderDisabled", PASSES),
    ("LlmEndpoint", "off", "Disabled", PASSES),
    ("LlmEndpoint", "unchecked", "CheckDisabled", PASSES),
    ("LlmCredential", "unchecked", "CheckDisabled", PASSES),
    ("LlmModel", "maintained", "UnderMaintenance", PASSES),
    ("LlmModel", "old", "Deprecated", PASSES),
    ("LlmCredential", "late", "ExpiresSoon", PASSES),
    ("LlmModel", "late", "RetiresSoon", PASSES),
    ("LlmEndpoint", "broken", "ProbeFailed", WAITS),
    ("LlmEndpoint", "invalid", "InvalidSpec", FAILS),
    ("LlmEndpoint", "inside", "AddressRefused", FAILS),
    ("LlmCredential", "hostless", "HostNotAllowed", FAILS),
    ("LlmCredential", "malformed", "KeyMalformed", FAILS),
    ("LlmEndpoint", "orphan", "ProviderNotFound", FAILS),
    ("LlmModel", "misdirected", "EndpointNotFound", FAILS),
    ("LlmEndpoint", "keyless", "CredentialNotFound", FAILS),
    ("LlmCredential", "secretless", "SecretNotFound", FAILS),
    ("LlmCredential", "unlabelled", "SecretNotLabelled", FAILS),
    ("LlmCredential", "fieldless", "SecretFieldMissing", FAILS),
    ("LlmCredential", "refused", "KeyRejected", FAILS),
    ("LlmCredential", "expired", "Expired", FAILS),
    ("LlmModel", "retired", "Retired", FAILS),
    ("LlmModel", "twin", "DuplicateModel", FAILS),
    ("LlmModel", "unknown", "ModelNotFound", FAILS),
    ("LlmCredential", "homeless", "NoEndpoint", WAITS),
    ("LlmModel", "homeless", "NoEndpoint", WAITS),
    ("LlmModelClass", "meant", "CandidateFound", PASSES),
    ("LlmModelClass", "off", "Disabled", PASSES),
    ("LlmModelClass", "waiting", "CandidatesUnavailable", WAITS),
    ("LlmModelClass", "void", "NoCandidate", FAILS),
];

/// Declares an object for each state.
async fn declare(world: &World, url: &str, broken: &str) {
    world.secret("s", KEY).await;
    world.secret("r", REFUSED).await;
    world.apply_basics(url).await;
    world.model("m", "gpt-a").await;
    world.provider("off", json!({ "enabled": false })).await;
    let endpoint = async |name: &str, more: Value| world.endpoint(name, url, more).await;
    endpoint("of-off", json!({ "providerRef": { "name": "off" } })).await;
    endpoint("off", json!({ "enabled": false })).await;
    endpoint("unchecked", json!({ "healthCheck": { "enabled": false } })).await;
    endpoint("orphan", json!({ "providerRef": { "name": "nobody" } })).await;
    let keyless = json!({ "healthCheck": { "credentialRef": { "name": "nobody" } } });
    endpoint("keyless", keyless).await;
    world.provider("q", json!({})).await;
    let of_q = json!({ "providerRef": { "name": "q" } });
    world.endpoint("broken", broken, of_q.clone()).await;
    world.apply("LlmEndpoint", "invalid", of_q.clone()).await;
    let inside = "http://10.255.255.1/v1";
    world.endpoint("inside", inside, of_q).await;

    let labels = json!({ "llmplane.dev/credential": "OpenAICompatible" });
    let hosts = json!({ "llmplane.dev/allowed-hosts": "127.0.0.1" });
    let secret = async |name: &str, labels: &Value, annotations: &Value, entries: Value| {
        let secret = json!({ "metadata": { "name": name, "labels": labels, "annotations": annotations },
            "stringData": entries });
        let api: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(world.client.clone(), world.ns());
        let secret = serde_json::from_value(secret).unwrap();
        api.create(&Default::default(), &secret).await.unwrap();
    };
    let (none, key) = (json!({}), json!({ "api-key": KEY }));
    secret("unlabelled", &none, &hosts, key.clone()).await;
    secret("hostless", &labels, &none, key).await;
    secret("fieldless", &labels, &hosts, json!({ "other": KEY })).await;
    let long = json!({ "api-key": "k".repeat(501) });
    secret("malformed", &labels, &hosts, long).await;
    let credential = async |name: &str, secret: &str, more: Value| {
        let mut spec = json!({ "providerRef": { "name": "p" }, "secretRef": { "name": secret } });
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        world.apply("LlmCredential", name, spec).await;
    };
    credential(
        "unchecked",
        "s",
        json!({ "validation": { "enabled": false } }),
    )
    .await;
    credential("secretless", "nobody", json!({})).await;
    credential("unlabelled", "unlabelled", json!({})).await;
    credential("fieldless", "fieldless", json!({})).await;
    credential("refused", "r", json!({})).await;
    credential("hostless", "hostless", json!({})).await;
    credential("malformed", "malformed", json!({})).await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(72);
    credential(
        "late",
        "s",
        json!({ "expiresAt": soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }),
    )
    .await;
    credential(
        "expired",
        "s",
        json!({ "expiresAt": "2001-01-01T00:00:00Z" }),
    )
    .await;

    world.ready("LlmModel", "m").await;
    let model = async |name: &str, id: &str, more: Value| {
        let mut spec = json!({ "providerRef": { "name": "p" }, "modelId": id });
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        world.apply("LlmModel", name, spec).await;
    };
    model("maintained", "gpt-b", json!({ "lifecycle": "Maintenance" })).await;
    model("old", "gpt-c", json!({ "lifecycle": "Deprecated" })).await;
    let soon = soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    model("late", "gpt-e", json!({ "retiresAt": soon })).await;
    let over = json!({ "retiresAt": "2001-01-01T00:00:00Z" });
    model("retired", "gpt-f", over).await;
    let elsewhere = json!({ "endpointRefs": [{ "name": "nobody" }] });
    model("misdirected", "gpt-d", elsewhere).await;
    model("twin", "gpt-a", json!({})).await;
    model("unknown", "gpt-nobody-lists", json!({})).await;

    world.provider("bare", json!({})).await;
    let of_bare = json!({ "providerRef": { "name": "bare" } });
    credential("homeless", "s", of_bare.clone()).await;
    model("homeless", "gpt-a", of_bare).await;
    let class = async |name: &str, enabled: bool, model: &str| {
        let spec = json!({ "enabled": enabled, "models": [{ "name": model }] });
        world.apply("LlmModelClass", name, spec).await;
    };
    class("meant", true, "m").await;
    class("off", false, "m").await;
    class("waiting", true, "homeless").await;
    class("void", true, "nobody").await;
}

/// Every object, by kind and name.
async fn all(world: &World) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for kind in Kind::ALL.iter().map(|kind| kind.kubernetes()) {
        for mut object in world.all(kind).await {
            // Lists leave it out of their items.
            object["kind"] = kind.into();
            object["apiVersion"] = "llmplane.dev/v1alpha1".into();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            found.insert((kind.to_owned(), name), object);
        }
    }
    found
}

fn reason(object: &Value) -> String {
    let ready = find_condition(object, "Ready");
    ready.map_or(String::new(), |ready| {
        ready["reason"].as_str().unwrap().to_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_and_argocd_conclude_the_same_of_every_state() {
    let models = ["gpt-a", "gpt-b", "gpt-c", "gpt-d", "gpt-e"];
    let vendor = FakeVendor::start(&[KEY], &models).await;
    let broken = Fake::of(ProviderType::OpenAICompatible).await;
    broken.fail(Fault::Status(500));
    let mut world = World::new("states").await;

    // Before any controller has seen them nothing passes and nothing fails.
    declare_first(&world, &vendor.url()).await;
    let fresh: Vec<Value> = all(&world).await.into_values().collect();
    assert!(!fresh.is_empty());
    agree(&fresh, |_| WAITS);

    world.start().await;
    declare(&world, &vendor.url(), &broken.url()).await;
    eventually("every object has come to its state", async || {
        let all = all(&world).await;
        let mut others = STATES.iter().filter(|(kind, name, wanted, _)| {
            reason(&all[&((*kind).to_owned(), (*name).to_owned())]) != *wanted
        });
        let other = others.next();
        if let Some((kind, name, wanted, _)) = other {
            let object = &all[&((*kind).to_owned(), (*name).to_owned())];
            eprintln!("not {wanted} yet: {}", summary(object));
        }
        other.is_none()
    })
    .await;
    // What may still come by itself is Stalled once it has stood for half a minute.
    eventually("tools give up where waiting is useless", async || {
        let all = all(&world).await;
        STATES
            .iter()
            .filter(|(.., tool)| *tool == FAILS)
            .all(|(kind, name, ..)| {
                kstatus(&all[&((*kind).to_owned(), (*name).to_owned())]) == FAILS
            })
    })
    .await;
    let settled: Vec<Value> = all(&world).await.into_values().collect();
    let by_name: BTreeMap<(&str, &str), &str> = STATES
        .iter()
        .map(|(kind, name, _, tool)| ((*kind, *name), *tool))
        .collect();
    agree(&settled, |object| {
        let text = |value: &'_ Value| value.as_str().unwrap().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        by_name
            .get(&(kind.as_str(), name.as_str()))
            .copied()
            .unwrap_or(PASSES)
    });
    world.stop().await;
}

async fn declare_first(world: &World, url: &str) {
    world.apply_basics(url).await;
    world.model("m", "gpt-a").await;
}
