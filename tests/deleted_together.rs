//! Objects that are deleted together raise no alarm about each other.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use llmplane::crd::Kind;
use serde_json::{Value, json};

use crate::support::{
    fake_vendor::FakeVendor, history::History, plane::eventually, process::Process, world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";

/// A provider with children of each kind, declared and made by model sync, all Ready.
async fn populated(world: &World, vendor: &FakeVendor) {
    world.secret("s", KEY).await;
    let sync = json!({ "modelSync": { "enabled": true }, "defaultEndpointRef": { "name": "e0" } });
    world.provider("p", sync).await;
    for n in 0..5 {
        let check = json!({ "healthCheck": { "credentialRef": { "name": "c0" } } });
        world.endpoint(&format!("e{n}"), &vendor.url(), check).await;
        let spec = json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
            "endpointRefs": [{ "name": format!("e{n}") }],
        });
        world.apply("LlmCredential", &format!("c{n}"), spec).await;
    }
    for n in 0..20 {
        let spec = json!({
            "providerRef": { "name": "p" }, "modelId": format!("model-{n}"),
            "endpointRefs": [{ "name": format!("e{}", n % 5) }],
        });
        world.apply("LlmModel", &format!("m{n}"), spec).await;
    }
    eventually("everything is there and Ready", async || {
        let mut ready = 0;
        for kind in Kind::ALL {
            for object in world.all(kind.kubernetes()).await {
                let name = object["metadata"]["name"].as_str().unwrap();
                let said = world.said(kind.kubernetes(), name, "Ready").await;
                if said.is_none_or(|(status, _)| status != "True") {
                    return false;
                }
                ready += 1;
            }
        }
        ready == 1 + 5 + 5 + 40
    })
    .await;
}

async fn nothing_is_left(world: &World) {
    eventually("everything is gone", async || {
        let mut left = 0;
        for kind in Kind::ALL {
            left += world.all(kind.kubernetes()).await.len();
        }
        left == 0
    })
    .await;
    let db = world.db().await;
    eventually("no row is left", async || {
        db.provider_rows_all(false).await.unwrap().is_empty()
            && db.model_rows_all(false).await.unwrap().is_empty()
    })
    .await;
}

fn vendor_ids() -> Vec<String> {
    (0..40).map(|n| format!("model-{n}")).collect()
}

/// The Warnings are these, and the log has none.
fn quiet(history: &History, controller: &Process, warnings: &[&str]) {
    let reasons: Vec<Value> = (history.warnings().iter())
        .map(|event| event["reason"].clone())
        .collect();
    assert_eq!(reasons, warnings);
    let log = controller.log();
    // A busy machine may have the database's library warn of slow connections.
    let loud: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .filter(|line| line.contains("\"target\":\"llmplane"))
        .collect();
    assert_eq!(loud, [] as [&str; 0]);
}

/// Deletes every declared object, a kind after the other.
async fn delete_all(world: &World, order: [Kind; 4]) {
    for kind in order {
        for object in world.all(kind.kubernetes()).await {
            // What model sync made goes with its provider.
            if object["metadata"]["ownerReferences"].is_null() {
                let name = object["metadata"]["name"].as_str().unwrap();
                world.delete(kind.kubernetes(), name).await;
            }
        }
    }
    world.delete("Secret", "s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_and_its_children_are_deleted_in_any_order_without_an_alarm() {
    use Kind::{Credential, Endpoint, Model, Provider};
    let ids = vendor_ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let vendor = FakeVendor::start(&[KEY], &ids).await;
    let world = World::new("together").await;
    let history = History::of(&world);
    let controller = Process::controller(&world, &[]);
    for order in [
        [Provider, Model, Credential, Endpoint],
        [Credential, Endpoint, Model, Provider],
        [Endpoint, Provider, Model, Credential],
    ] {
        populated(&world, &vendor).await;
        delete_all(&world, order).await;
        nothing_is_left(&world).await;
    }
    an_alarm_is_heard(&world, &history).await;
    quiet(&history, &controller, &["InvalidSpec"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_deleted_without_an_alarm() {
    let ids = vendor_ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let vendor = FakeVendor::start(&[KEY], &ids).await;
    let world = World::new("together").await;
    let history = History::of(&world);
    let controller = Process::controller(&world, &[]);
    populated(&world, &vendor).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let params = DeleteParams::default();
    namespaces.delete(world.ns(), &params).await.unwrap();
    nothing_is_left(&world).await;
    eventually("the namespace is gone", async || {
        namespaces.get_opt(world.ns()).await.unwrap().is_none()
    })
    .await;
    quiet(&history, &controller, &[]);
}

/// Waits for the Warning of an object that nothing was deleted with. It waits as the others do, so
/// that those before it were published or dropped.
async fn an_alarm_is_heard(world: &World, history: &History) {
    world.provider("other", json!({})).await;
    let spec = json!({ "providerRef": { "name": "other" } });
    world.apply("LlmEndpoint", "without-url", spec).await;
    eventually("a Warning of what is invalid", async || {
        !history.warnings().is_empty()
    })
    .await;
}
