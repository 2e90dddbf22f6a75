//! What a repository has is changed there: a write says where, and with what.

use reqwest::Method;
use serde_json::{Value, json};

use super::Scene;

async fn marked(scene: &Scene, name: &str, metadata: Value) {
    let mut object =
        json!({ "metadata": metadata, "spec": { "type": "OpenAI", "displayName": "old" } });
    object["metadata"]["name"] = name.into();
    scene.world.apply_object("LlmProvider", object).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flux_argo_cd_or_helm_manages_is_refused_with_the_patch_for_its_repository() {
    let scene = Scene::new("write-gitops").await;
    let editor = &scene.editor;
    for (name, metadata, told) in [
        (
            "flux",
            json!({ "labels": {
                "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            } }),
            "the Flux Kustomization flux-system/apps",
        ),
        (
            "argo",
            json!({ "annotations": { "argocd.argoproj.io/tracking-id": "llm:llmplane.dev/LlmProvider:n/argo" } }),
            "the Argo CD Application llm",
        ),
        (
            "helm",
            json!({ "annotations": { "meta.helm.sh/release-name": "llm", "meta.helm.sh/release-namespace": "n" } }),
            "the Helm release n/llm",
        ),
    ] {
        marked(&scene, name, metadata).await;
        let path = format!("/providers/{name}");
        let refused = editor
            .put(&path, json!({ "type": "OpenAI", "display_name": "new" }))
            .await;
        assert_eq!(
            (refused.status, refused.problem()),
            (409, "managed-elsewhere".to_owned()),
            "{}",
            refused.text
        );
        assert!(refused.detail().contains(told), "{}", refused.detail());
        let patch: Value =
            serde_saphyr::from_str(refused.json()["patch"].as_str().unwrap()).unwrap();
        assert_eq!(
            patch,
            json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider",
                "metadata": { "name": name, "namespace": scene.ns() }, "spec": { "displayName": "new" },
            })
        );
        let off = editor
            .ask(
                Method::PATCH,
                &format!("{path}/status"),
                json!({ "is_active": false }),
            )
            .await;
        assert_eq!(off.problem(), "managed-elsewhere");
        let patch = off.json()["patch"].as_str().unwrap().to_owned();
        assert!(patch.contains("enabled: false"), "{patch}");
        let gone = editor.delete(&path).await;
        assert_eq!(gone.problem(), "managed-elsewhere");
        assert!(
            gone.json()["patch"]
                .as_str()
                .unwrap()
                .contains("$patch: delete")
        );
        assert_eq!(scene.spec("LlmProvider", name).await["displayName"], "old");
        assert!(scene.told().await.iter().all(|(_, about, _)| about != name));

        let forced = editor
            .put(
                &format!("{path}?force=true"),
                json!({ "type": "OpenAI", "display_name": "new" }),
            )
            .await;
        assert_eq!(
            (forced.status, &forced.json()["display_name"]),
            (200, &json!("new"))
        );
        let last = scene.audit().await.pop().unwrap();
        let detail: Value = serde_json::from_str(&last.detail).unwrap();
        assert_eq!(
            (&detail["force"], &detail["fields"]),
            (&json!(true), &json!(["display_name"]))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_does_not_go_with_children_that_a_repository_has() {
    let scene = Scene::new("write-gitops-child").await;
    scene.world.provider("p", json!({})).await;
    let object = json!({
        "metadata": { "name": "m", "labels": { "kustomize.toolkit.fluxcd.io/name": "apps" } },
        "spec": { "providerRef": { "name": "p" }, "modelId": "m" },
    });
    scene.world.apply_object("LlmModel", object).await;
    let refused = scene.editor.delete("/providers/p?cascade=true").await;
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "managed-elsewhere".to_owned())
    );
    assert!(
        refused.detail().contains("LlmModel m"),
        "{}",
        refused.detail()
    );
    assert!(!scene.spec("LlmProvider", "p").await.is_null());
    let forced = scene
        .editor
        .delete("/providers/p?cascade=true&force=true")
        .await;
    assert_eq!(forced.status, 200, "{}", forced.text);
}
