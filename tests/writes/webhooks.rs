//! An admission webhook that must be asked, and does not answer.

use kube::api::{DeleteParams, DynamicObject, PostParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EVERYTHING, KINDS, Scene, done, outcome};
use crate::support::api::Answer;
use crate::support::plane::eventually;

/// A webhook of the scene's namespace alone, at an address where nobody listens.
struct SilentWebhook<'s> {
    scene: &'s Scene,
    name: String,
}

impl<'s> SilentWebhook<'s> {
    /// That is asked about one operation on one resource; about what is only tried too, unless only what counts
    /// is its business.
    async fn new(
        scene: &'s Scene,
        (group, resource): (&str, &str),
        operation: &str,
        of_what_counts: bool,
    ) -> Self {
        let name = format!("{}-{resource}.test.llmplane.dev", scene.ns());
        let version = if group.is_empty() { "v1" } else { "v1alpha1" };
        let mut webhook = json!({
            "name": name,
            "clientConfig": { "url": "https://127.0.0.1:1/" },
            "rules": [{
                "apiGroups": [group], "apiVersions": [version],
                "resources": [resource], "operations": [operation],
            }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": scene.ns() } },
            "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 5,
            "admissionReviewVersions": ["v1"],
        });
        if of_what_counts {
            let counts = json!({ "name": "counts", "expression": "!has(request.dryRun) || !request.dryRun" });
            webhook["matchConditions"] = json!([counts]);
        }
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": name }, "webhooks": [webhook],
        });
        let apply = ["apply", "-f", "-"];
        let manifest = configuration.to_string();
        let applied = scene
            .world
            .plane
            .kubectl_with_input(&apply, &manifest)
            .await;
        assert!(applied.status.success(), "{applied:?}");
        Self { scene, name }
    }

    async fn gone(self) {
        let args = [
            "delete",
            "validatingwebhookconfiguration",
            &self.name,
            "--wait=true",
        ];
        let deleted = self.scene.world.plane.kubectl(&args).await;
        assert!(deleted.status.success(), "{deleted:?}");
    }
}

fn is_webhooks(error: &kube::Error) -> bool {
    error.to_string().contains("failed calling webhook")
}

/// 503 that says that nothing was changed, and what to do.
fn says_so(refused: &Answer) {
    assert_eq!(
        (refused.status, refused.problem()),
        (503, "apiserver-unavailable".to_owned()),
        "{}",
        refused.text
    );
    assert!(!refused.header("retry-after").is_empty());
    let detail = refused.detail();
    for says in ["webhook", "nothing was changed", "try again"] {
        assert!(detail.contains(says), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_webhook_keeps_out_is_not_done_and_said() {
    let scene = Scene::new("webhook-tried").await;
    let editor = &scene.editor;
    scene
        .world
        .provider("p", json!({ "displayName": "old" }))
        .await;
    let body = |name: &str| json!({ "name": name, "type": "OpenAI" });
    let resource = ("llmplane.dev", "llmproviders");
    let webhook = SilentWebhook::new(&scene, resource, "*", false).await;
    eventually("the webhook is asked", async || {
        let tried = editor.post("/providers?dry_run=true", body("q")).await;
        tried.status == 503
    })
    .await;
    let manifest = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider",
        "metadata": { "name": "q" }, "spec": { "type": "OpenAI" },
    });
    for (method, path, body) in [
        (Method::POST, "/providers", body("q")),
        (
            Method::PUT,
            "/providers/p",
            json!({ "type": "OpenAICompatible", "display_name": "new" }),
        ),
        (
            Method::PATCH,
            "/providers/p/status",
            json!({ "is_active": false }),
        ),
        (Method::DELETE, "/providers/p", Value::Null),
        (Method::POST, "/import", manifest),
    ] {
        says_so(&editor.ask(method, path, body).await);
    }
    assert!(scene.spec("LlmProvider", "q").await.is_null());
    let spec = scene.spec("LlmProvider", "p").await;
    assert_eq!(
        (&spec["displayName"], &spec["enabled"]),
        (&json!("old"), &json!(true))
    );
    assert!(scene.told().await.is_empty(), "none came to a write");
    webhook.gone().await;
    eventually("writes go on", async || {
        let made = editor.post("/providers", body("q")).await;
        [201, 202].contains(&made.status)
    })
    .await;
}

/// One that lets pass what is only tried: both objects pass, and the second is kept out in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_secret_a_silent_webhook_keeps_out_leaves_no_credential() {
    let scene = Scene::new("webhook-secret").await;
    scene.world.provider("p", json!({})).await;
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"] },
    ]);
    let keeper = scene.writer_with("keeper", rules).await;
    let webhook = SilentWebhook::new(&scene, ("", "secrets"), "CREATE", true).await;
    let secrets = scene.world.dynamic("Secret");
    eventually("the webhook is asked", async || {
        let probe: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "generateName": "probe-" },
        }))
        .unwrap();
        let made = secrets.create(&PostParams::default(), &probe).await;
        made.is_err_and(|error| is_webhooks(&error))
    })
    .await;
    let body = json!({ "name": "c", "api_key": "sk-test-0123456789abcdef" });
    let refused = keeper.post("/providers/p/credentials", body).await;
    says_so(&refused);
    assert!(
        refused.detail().contains("was put back as it was"),
        "{}",
        refused.detail()
    );
    assert!(scene.spec("LlmCredential", "c").await.is_null());
    assert!(secrets.get_opt("c").await.unwrap().is_none());
    assert_eq!(scene.told().await, outcome("Create", "c", "WebhookFailed"));
    webhook.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_with_a_provider_is_told_where_it_stops_midway() {
    let scene = Scene::new("webhook-cascade").await;
    let (editor, world) = (&scene.editor, &scene.world);
    world.secret("s", "sk-test-0123456789abcdef").await;
    world.apply_basics("http://127.0.0.1:9/v1").await;
    world.model("m", "gpt-x").await;
    let resource = ("llmplane.dev", "llmcredentials");
    let webhook = SilentWebhook::new(&scene, resource, "DELETE", true).await;
    let credentials = world.dynamic("LlmCredential");
    eventually("the webhook is asked", async || {
        world.provider("other", json!({})).await;
        let spec = json!({ "providerRef": { "name": "other" }, "secretRef": { "name": "s" } });
        world.apply("LlmCredential", "probe", spec).await;
        let deleted = credentials.delete("probe", &DeleteParams::default()).await;
        deleted.is_err_and(|error| is_webhooks(&error))
    })
    .await;
    let stopped = editor.delete("/providers/p?cascade=true").await;
    says_so(&stopped);
    let detail = stopped.detail();
    assert!(
        detail.starts_with("LlmCredential c was not deleted")
            && detail.contains("1 objects are gone"),
        "{detail}"
    );
    let deleted = stopped.json()["deleted"].clone();
    assert_eq!(deleted.as_array().map(Vec::len), Some(1), "{deleted}");
    assert_eq!(
        (&deleted[0]["kind"], &deleted[0]["name"]),
        (&json!("LlmModel"), &json!("m"))
    );
    for (kind, name) in [
        ("LlmCredential", "c"),
        ("LlmEndpoint", "e"),
        ("LlmProvider", "p"),
    ] {
        assert!(!scene.spec(kind, name).await.is_null(), "{kind} is there");
    }
    let told = [done("Delete", "m"), outcome("Delete", "c", "WebhookFailed")];
    assert_eq!(scene.told().await, told.concat());

    webhook.gone().await;
    // The same request again goes on.
    eventually("the rest goes too", async || {
        let rest = editor.delete("/providers/p?cascade=true").await;
        rest.status == 200
    })
    .await;
    assert!(scene.spec("LlmProvider", "p").await.is_null());
}
