//! Somebody else writes into a status: it says again what is so, and soon.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const KEY: &str = "sk-test-0123456789abcdef";
const ALL: [(&str, &str); 5] = [
    ("LlmProvider", "p"),
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "m"),
    ("LlmModelClass", "k"),
];

async fn status(world: &World, kind: &str, name: &str) -> Value {
    world.get(kind, name).await["status"].clone()
}

async fn write(world: &World, kind: &str, name: &str, status: Value) {
    let patch = json!({ "status": status });
    let params = PatchParams::default();
    let api = world.dynamic(kind);
    api.patch_status(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_into_a_status_is_put_right() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("foreign").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    let class = json!({ "models": [{ "name": "m" }] });
    world.apply("LlmModelClass", "k", class).await;
    for (kind, name) in ALL {
        world.ready(kind, name).await;
    }
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world
        .says("LlmModelClass", "k", "Available", "True", "CandidateFound")
        .await;
    eventually("the provider counts its children", async || {
        status(&world, "LlmProvider", "p").await["models"] == json!({ "total": 1, "available": 1 })
    })
    .await;
    let lie = json!([{
        "type": "Ready", "status": "False", "reason": "Lie", "message": "by somebody else",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }]);
    for (kind, name) in ALL {
        let right = status(&world, kind, name).await;
        let mut lies = vec![
            json!({ "conditions": lie }),
            json!({ "conditions": null }),
            json!({ "observedGeneration": 77 }),
        ];
        if kind == "LlmModelClass" {
            let current = json!({ "model": "other", "endpoint": "elsewhere" });
            lies.extend([
                json!({ "current": current, "candidates": 7 }),
                json!({ "current": null, "candidates": null }),
            ]);
        }
        for lied in lies {
            write(&world, kind, name, lied.clone()).await;
            let what = format!("{kind} {name} says again what is so after {lied}");
            eventually(&what, async || {
                said(&status(&world, kind, name).await) == said(&right)
            })
            .await;
        }
    }
}

/// A status without its times: a condition that was taken away begins anew.
fn said(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"].take();
    }
    status
}
