//! What is shipped in `manifests/` is taken by a real apiserver.

use crate::support::plane::Plane;

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
    let applied = plane
        .kubectl_with_input(
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
            ],
            &manifests,
        )
        .await;
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");
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
