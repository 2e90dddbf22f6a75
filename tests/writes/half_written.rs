//! A key that is changed in two objects, of which only one can be.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::faults::gated;
use super::{EVERYTHING, KINDS, Scene, Writer, url};
use crate::support::gate::{ApiserverProxy, Gate, Side};
use crate::support::process::Process;

/// Somebody who may write credentials and their Secrets, with a credential that has a key, and an API
/// behind a gate.
async fn with_key(scene: &Scene, gate: &Arc<Gate>) -> (ApiserverProxy, Process, Writer) {
    scene.world.provider("p", json!({})).await;
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"] },
    ]);
    scene.writer_with("keeper", rules).await;
    let (proxy, api) = gated(&scene.world, gate).await;
    let token = scene.token("keeper", &["llmplane", super::APISERVER]).await;
    let keeper = Writer::new(token, url(&api));
    let body = json!({ "name": "c", "api_key": OLD, "quota_limit": 5, "quota_unit": "Requests", "quota_period": "Day" });
    let made = keeper.post("/providers/p/credentials", body).await;
    assert!([201, 202].contains(&made.status), "{}", made.text);
    (proxy, api, keeper)
}

const OLD: &str = "sk-old-0123456789abcdef";
const NEW: &str = "sk-new-0123456789abcdef";

fn rotation() -> Value {
    json!({ "api_key": NEW, "alias": "new" })
}

async fn key(scene: &Scene) -> String {
    let secret = scene.world.get("Secret", "c").await;
    let key = STANDARD.decode(secret["data"]["api-key"].as_str().unwrap());
    String::from_utf8(key.unwrap()).unwrap()
}

/// The controller says of the changed credential what it found before the Secret is refused: what was
/// made is put back all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_changed_leaves_the_credential_as_it_was() {
    let scene = Scene::new("write-unrotated").await;
    let gate = Gate::new(None);
    let (_proxy, _api, keeper) = with_key(&scene, &gate).await;
    let before = scene.spec("LlmCredential", "c").await;
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmcredentials/c",
        scene.ns()
    );
    gate.pause_at(["PUT", Box::leak(path.into_boxed_str())], Side::After);
    let asked = tokio::spawn(async move { keeper.put("/credentials/c", rotation()).await });
    gate.paused().await;
    assert_eq!(scene.spec("LlmCredential", "c").await["alias"], "new");
    let params = PatchParams::default();
    for (kind, change) in [
        ("Secret", json!({ "immutable": true })),
        (
            "LlmCredential",
            json!({ "metadata": { "annotations": { "example.com/seen": "yes" } } }),
        ),
    ] {
        let change = Patch::Merge(change);
        let objects = scene.world.dynamic(kind);
        objects.patch("c", &params, &change).await.unwrap();
    }
    gate.resume();
    let refused = asked.await.unwrap();
    assert_eq!(
        (refused.status, refused.problem()),
        (422, "invalid-object".to_owned()),
        "{}",
        refused.text
    );
    assert!(
        refused.detail().contains("was put back as it was"),
        "{}",
        refused.detail()
    );
    assert_eq!(scene.spec("LlmCredential", "c").await, before);
    assert_eq!(key(&scene).await, OLD);
    let rows = scene.audit().await;
    let detail: Value = serde_json::from_str(&rows.last().unwrap().detail).unwrap();
    assert_eq!(detail["undone"], true);
}

/// A connection that ends in between: the Secret itself tells whether it was changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_key_that_nobody_answered_is_looked_at_before_anything_is_put_back() {
    for happened in [true, false] {
        let scene = Scene::new("write-unanswered").await;
        let gate = Gate::new(None);
        let (proxy, _api, keeper) = with_key(&scene, &gate).await;
        let before = scene.spec("LlmCredential", "c").await;
        let path = format!("/api/v1/namespaces/{}/secrets/c", scene.ns());
        gate.pause_at(["PATCH", Box::leak(path.into_boxed_str())], Side::Before);
        let asked = tokio::spawn(async move { keeper.put("/credentials/c", rotation()).await });
        gate.paused().await;
        if happened {
            let data = json!({ "data": { "api-key": STANDARD.encode(NEW) } });
            let secrets = scene.world.dynamic("Secret");
            let (params, patch) = (PatchParams::default(), Patch::Merge(data));
            secrets.patch("c", &params, &patch).await.unwrap();
        }
        proxy.sever();
        proxy.mend();
        gate.resume();
        let answer = asked.await.unwrap();
        let spec = scene.spec("LlmCredential", "c").await;
        if happened {
            assert!([200, 202].contains(&answer.status), "{}", answer.text);
            assert_eq!((&spec["alias"], &*key(&scene).await), (&json!("new"), NEW));
            continue;
        }
        assert_eq!(
            (answer.status, answer.problem()),
            (503, "apiserver-unavailable".to_owned()),
            "{}",
            answer.text
        );
        assert!(
            answer.detail().contains("was put back as it was"),
            "{}",
            answer.detail()
        );
        assert_eq!((&spec, &*key(&scene).await), (&before, OLD));
    }
}
