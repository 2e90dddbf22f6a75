//! What is shipped in `manifests/` is taken by a real apiserver, and does what it is for.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{history::kstatus, plane::Plane};

fn folder(name: &str) -> String {
    format!("{}/manifests/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Renders a kustomization and has the apiserver judge every object of it.
async fn is_taken(name: &str) {
    let plane = Plane::shared().await;
    let rendered = plane
        .kubectl(&[
            "kustomize",
            "--load-restrictor=LoadRestrictionsNone",
            &folder(name),
        ])
        .await;
    assert!(
        rendered.status.success(),
        "{}",
        String::from_utf8_lossy(&rendered.stderr)
    );
    // The plane has no llmplane-system namespace of its own, and a dry run makes none.
    let manifests = String::from_utf8_lossy(&rendered.stdout)
        .replace("namespace: llmplane-system", "namespace: default");
    plane.takes(name, &manifests).await;
}

#[tokio::test]
async fn the_base_is_taken_by_the_apiserver() {
    is_taken("base").await;
}

#[tokio::test]
async fn the_overlay_for_all_namespaces_is_taken_by_the_apiserver() {
    is_taken("overlays/all-namespaces").await;
}

#[tokio::test]
async fn the_overlay_for_federation_is_taken_by_the_apiserver() {
    is_taken("overlays/federation").await;
}

#[tokio::test]
async fn every_pod_is_as_restricted_as_pod_security_asks() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("restricted").await;
    let labelled = plane
        .kubectl(&[
            "label",
            "namespace",
            &namespace.name,
            "pod-security.kubernetes.io/warn=restricted",
        ])
        .await;
    assert!(labelled.status.success());
    let rendered = plane.kubectl(&["kustomize", &folder("base")]).await;
    let manifests = String::from_utf8_lossy(&rendered.stdout).replace(
        "namespace: llmplane-system",
        &format!("namespace: {}", namespace.name),
    );
    let deployments: Vec<&str> = manifests
        .split("\n---\n")
        .filter(|d| d.contains("kind: Deployment"))
        .collect();
    assert_eq!(deployments.len(), 2);
    let applied = plane
        .kubectl_with_input(
            &["apply", "--server-side", "--dry-run=server", "-f", "-"],
            &deployments.join("\n---\n"),
        )
        .await;
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(
        applied.status.success() && !said.contains("PodSecurity"),
        "{said}"
    );
}

/// A role that names `use` by accident would give out keys.
#[tokio::test]
async fn reading_and_editing_do_not_include_the_right_to_get_a_key() {
    let plane = Plane::shared().await;
    let rendered = plane.kubectl(&["kustomize", &folder("base")]).await;
    let manifests = String::from_utf8_lossy(&rendered.stdout).into_owned();
    let roles: Vec<&str> = manifests
        .split("\n---\n")
        .filter(|d| d.contains("kind: ClusterRole\n"))
        .collect();
    let with_use: Vec<&str> = roles
        .into_iter()
        .filter(|r| {
            r.lines()
                .any(|l| l.trim() == "- use" || l.trim() == "- '*'")
        })
        .collect();
    assert_eq!(with_use.len(), 1);
    assert!(with_use[0].contains("name: llmplane-credential-user"));
}

/// Every object of the base.
async fn base() -> Vec<Value> {
    rendered("base").await
}

/// The objects of a kustomization.
pub async fn rendered(name: &str) -> Vec<Value> {
    let plane = Plane::shared().await;
    let rendered = plane.kubectl(&["kustomize", &folder(name)]).await;
    let manifests = String::from_utf8(rendered.stdout).unwrap();
    let objects = llmplane::lint::documents::parse(name, &manifests);
    assert!(objects.errors.is_empty(), "{:?}", objects.errors);
    let documents = objects.documents.into_iter();
    documents.map(|object| object.value).collect()
}

/// Metrics name resources, and the admin ports ask for no token.
#[tokio::test]
async fn the_admin_ports_are_open_to_the_monitoring_alone() {
    let mut doors = 0;
    for policy in base().await {
        if policy["kind"] != "NetworkPolicy" {
            continue;
        }
        for rule in policy["spec"]["ingress"].as_array().unwrap() {
            let ports = rule["ports"].as_array().expect("no rule opens every port");
            if ports.iter().any(|port| port["port"] == "admin") {
                doors += 1;
                let monitoring = json!([{ "namespaceSelector": {
                    "matchLabels": { "kubernetes.io/metadata.name": "monitoring" },
                } }]);
                assert_eq!(rule["from"], monitoring, "{policy}");
            }
        }
    }
    assert_eq!(doors, 2);
}

/// Without the overlay the API gives out no keys: taken over, it must not be able to open one. Who holds
/// the audit key can anchor an audit log that hides what was disclosed.
#[tokio::test]
async fn the_controller_alone_mounts_the_keyring_and_the_audit_key() {
    let mounts = |deployment: &Value| {
        let volumes = deployment["spec"]["template"]["spec"]["volumes"].to_string();
        ["llmplane-keyring", "llmplane-audit-key"].map(|secret| volumes.contains(secret))
    };
    let mut found = Vec::new();
    for object in base().await {
        if object["kind"] == "Deployment" {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            found.push((name, mounts(&object)));
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            ("llmplane-api".to_owned(), [false, false]),
            ("llmplane-controller".to_owned(), [true, true]),
        ]
    );
}

#[tokio::test]
async fn the_overlay_gives_the_api_the_keyring_without_the_audit_key() {
    let objects = rendered("overlays/api-keyring").await;
    let api = objects.iter().find(|object| {
        object["kind"] == "Deployment" && object["metadata"]["name"] == "llmplane-api"
    });
    let pod = &api.unwrap()["spec"]["template"]["spec"];
    let volumes = pod["volumes"].to_string();
    assert!(volumes.contains("llmplane-keyring"), "{volumes}");
    assert!(!volumes.contains("llmplane-audit-key"), "{volumes}");
    let container = &pod["containers"][0];
    let dir = json!({ "name": "LLMPLANE_KEYRING_DIR", "value": "/etc/llmplane/keyring" });
    assert!(container["env"].as_array().unwrap().contains(&dir));
    let mounted =
        json!({ "name": "keyring", "mountPath": "/etc/llmplane/keyring", "readOnly": true });
    assert!(
        container["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&mounted)
    );
    is_taken("overlays/api-keyring").await;
}

/// A JSON value as a Lua expression.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(lua).collect();
            format!("{{{}}}", items.join(","))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("[{key:?}]={}", lua(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// What Argo CD's health script says of one of llmplane's objects: status and message.
pub fn argocd_health(object: &Value) -> (String, String) {
    health_by("argocd/health.lua", object)
}

/// What a health script for Argo CD says of an object: status and message.
pub fn health_by(script: &str, object: &Value) -> (String, String) {
    let script = format!(
        "obj = {}\nlocal hs = dofile({:?})\nio.write(hs.status, '\\n', hs.message)",
        lua(object),
        folder(script),
    );
    let output = Command::new("lua5.1").arg("-e").arg(script).output();
    let output = output.expect("lua5.1, which .ci/install installs");
    let said = String::from_utf8(output.stdout).unwrap();
    let (status, message) = said.split_once('\n').unwrap_or_else(|| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    (status.to_owned(), message.to_owned())
}

/// A sync of Argo CD goes on when a resource is Healthy, fails when it is Degraded, and waits
/// otherwise. Flux concludes the same from the same conditions.
#[test]
fn argocd_waits_for_the_first_verdict_and_for_nothing_that_is_switched_off() {
    let judged = |status: &str, reason: &str, seen: i64| {
        json!({
            "metadata": { "generation": 2 },
            "status": {
                "observedGeneration": seen,
                "conditions": [
                    { "type": "Synced", "status": "True", "reason": "Reconciled", "message": "" },
                    { "type": "Ready", "status": status, "reason": reason, "message": "why" },
                ],
            },
        })
    };
    let stalled = |reason: &str| {
        let mut object = judged("False", reason, 2);
        let conditions = object["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(json!({
            "type": "Stalled", "status": "True", "reason": reason, "message": "why",
        }));
        object
    };
    let fresh = json!({ "metadata": { "generation": 1 }, "status": { "observedGeneration": -1 } });
    let cases = [
        (
            json!({ "metadata": { "generation": 1 } }),
            "Progressing",
            "waiting",
        ),
        (fresh, "Progressing", "waiting"),
        (
            judged("True", "ProbeSucceeded", 1),
            "Progressing",
            "waiting",
        ),
        (
            judged("Unknown", "NotCheckedYet", 2),
            "Progressing",
            "NotCheckedYet: why",
        ),
        (
            judged("True", "ProbeSucceeded", 2),
            "Healthy",
            "ProbeSucceeded: why",
        ),
        (judged("True", "Disabled", 2), "Healthy", "Disabled: why"),
        (
            judged("True", "ProviderDisabled", 2),
            "Healthy",
            "ProviderDisabled: why",
        ),
        (stalled("KeyRejected"), "Degraded", "KeyRejected: why"),
        (
            judged("False", "ProviderNotFound", 2),
            "Progressing",
            "ProviderNotFound: why",
        ),
        (
            judged("False", "ProbeFailed", 2),
            "Progressing",
            "ProbeFailed: why",
        ),
        (
            stalled("ProviderNotFound"),
            "Degraded",
            "ProviderNotFound: why",
        ),
    ];
    for (object, status, message) in cases {
        let kstatus = match kstatus(&object) {
            "Current" => "Healthy",
            "Failed" => "Degraded",
            _ => "Progressing",
        };
        // An object without any condition is none that the kube-apiserver hands out.
        if !object["status"].is_null() {
            assert_eq!(kstatus, status, "Flux and Argo CD differ: {object}");
        }
        let said = argocd_health(&object);
        assert_eq!(said.0, status, "{object}");
        assert!(said.1.starts_with(message), "{object}: {}", said.1);
    }
}
