//! Values that are no values, and values that contradict each other.

use super::helm::{Helm, template_args};

/// Values, and what the refusal has to name.
const REFUSED: [(&[&str], &[&str]); 19] = [
    (
        &[
            "database.api.url=postgres://a:canary@db/x",
            "database.api.existingSecret=s",
        ],
        &["database.api", "give one of them"],
    ),
    (
        &[
            "database.owner.url=postgres://a:canary@db/x",
            "database.owner.existingSecret=s",
        ],
        &["database.owner", "give one of them"],
    ),
    (
        &[
            "api.tls.certManager.enabled=true",
            "api.tls.certManager.issuerRef.name=ca",
            "api.tls.existingSecret=tls",
        ],
        &["api.tls.existingSecret", "api.tls.certManager.enabled"],
    ),
    (
        &["api.tls.certManager.enabled=true"],
        &["needs api.tls.certManager.issuerRef.name"],
    ),
    (
        &["api.tls.certManager.issuerRef.name=ca"],
        &["set api.tls.certManager.enabled=true"],
    ),
    (
        &["namespaces={*,default}"],
        &["namespaces has \"*\" beside other names"],
    ),
    (
        &["keyring.auditKeySecret=llmplane-keyring"],
        &["audit.key needs one of its own"],
    ),
    (
        &["settings.LLMPLANE_NAMESPACES=a"],
        &["settings.LLMPLANE_NAMESPACES", "namespaces decides it"],
    ),
    (
        &["settings.DATABASE_URL=postgres://a:canary@db/x"],
        &["a password into a ConfigMap", "database.controller"],
    ),
    (
        &["settings.LLMPLANE_LISTEN=0.0.0.0:9000"],
        &["settings.LLMPLANE_LISTEN", "leave it out"],
    ),
    (
        &["settings.LLMPLANE_LEADER_ELECTION=false"],
        &["controller.replicas=1"],
    ),
    (
        &[
            "podDisruptionBudget.enabled=false",
            "podDisruptionBudget.maxUnavailable=2",
        ],
        &["podDisruptionBudget.enabled is false"],
    ),
    (&["replicas=3"], &["replicas", "not allowed"]),
    (&["api.replicas=0"], &["/api/replicas", "minimum"]),
    (&["api.replicas=two"], &["/api/replicas", "integer"]),
    (&["namespaces=null"], &["missing property 'namespaces'"]),
    (&["namespaces={Team}"], &["/namespaces/0", "pattern"]),
    (
        &["database.api.url=mysql://a:canary@db/x"],
        &["database.api.url is no PostgreSQL URL"],
    ),
    (&["image.digest=sha256:12"], &["/image/digest", "pattern"]),
];

#[tokio::test]
async fn values_that_contradict_each_other_are_refused_with_what_to_do() {
    for (values, named) in REFUSED {
        let said = Helm::offline().refusal(&template_args(values)).await;
        for word in named {
            assert!(said.contains(word), "{values:?}: {word:?} is not in {said}");
        }
    }
}

#[tokio::test]
async fn no_refusal_repeats_a_password() {
    for (values, _) in REFUSED {
        let said = Helm::offline().refusal(&template_args(values)).await;
        assert!(!said.contains("canary"), "{values:?}: {said}");
    }
}

/// Definitions with selectable fields, and policies in CEL, need it.
#[tokio::test]
async fn a_cluster_that_is_too_old_is_refused_with_the_version_it_takes() {
    let mut args = template_args(&[]);
    args.extend(["--kube-version", "1.29.0"]);
    let said = Helm::offline().refusal(&args).await;
    assert!(
        said.contains("1.29.0") && said.contains(">=1.32.0-0"),
        "{said}"
    );
}
