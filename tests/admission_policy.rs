//! Who may not read a Secret cannot have llmplane read it for them.

use std::process::Output;

use crate::support::plane::Plane;

const USER: &str = "--as=mallory@example.com";

/// A Role that lets the user manage credentials, and one Secret that they may get.
fn rights(namespace: &str) -> String {
    format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: editor, namespace: {namespace}}}
rules:
- apiGroups: [llmplane.dev]
  resources: [llmcredentials]
  verbs: ["*"]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [own]
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  resourceNames: [own]
  verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: editor, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: editor}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: mallory@example.com}}
"#
    )
}

fn credential(namespace: &str, name: &str, secret: &str) -> String {
    format!(
        "apiVersion: llmplane.dev/v1alpha1
kind: LlmCredential
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  providerRef: {{name: p}}
  secretRef: {{name: {secret}}}
"
    )
}

async fn apply(plane: &Plane, manifest: &str, user: &[&str]) -> Output {
    let args = [&["apply", "-f", "-"], user].concat();
    plane.kubectl_with_input(&args, manifest).await
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn refused_for(output: &Output, secret: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was taken");
    assert!(
        said.contains(&format!("you may not read Secret {secret}")),
        "{said}"
    );
    assert!(said.contains("kubectl auth can-i get secret/"), "{said}");
}

/// Policies are compiled some time after they are applied; until then nothing is refused.
async fn wait_until_in_force(plane: &Plane, namespace: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let args = ["create", "--dry-run=server", "-f", "-", USER];
    for manifest in [
        credential(namespace, "probe", "other"),
        keyless(namespace, "probe", "other", OPENROUTER),
    ] {
        while plane
            .kubectl_with_input(&args, &manifest)
            .await
            .status
            .success()
        {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the admission policies do not come into force"
            );
        }
    }
}

#[tokio::test]
async fn a_credential_names_only_a_secret_that_its_author_may_get() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("admission").await;
    let namespace = namespace.name.as_str();
    succeeded(&apply(plane, &rights(namespace), &[]).await);
    wait_until_in_force(plane, namespace).await;

    refused_for(
        &apply(plane, &credential(namespace, "theirs", "other"), &[USER]).await,
        "other",
    );
    succeeded(&apply(plane, &credential(namespace, "own", "own"), &[USER]).await);
    refused_for(
        &apply(plane, &credential(namespace, "own", "other"), &[USER]).await,
        "other",
    );
}

#[tokio::test]
async fn what_leaves_the_secret_ref_alone_needs_no_right_to_the_secret() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("admission").await;
    let namespace = namespace.name.as_str();
    succeeded(&apply(plane, &rights(namespace), &[]).await);
    wait_until_in_force(plane, namespace).await;
    succeeded(&apply(plane, &credential(namespace, "admins", "other"), &[]).await);

    let label = [
        "label",
        "llmcredential",
        "admins",
        "team=a",
        "-n",
        namespace,
        USER,
    ];
    succeeded(&plane.kubectl(&label).await);
    let patch = r#"{"spec":{"enabled":false}}"#;
    let disable = [
        "patch",
        "llmcredential",
        "admins",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        patch,
        USER,
    ];
    succeeded(&plane.kubectl(&disable).await);
    let patch = r#"{"spec":{"secretRef":{"keys":{"apiKey":"another-entry"}}}}"#;
    let other_entry = [
        "patch",
        "llmcredential",
        "admins",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        patch,
        USER,
    ];
    refused_for(&plane.kubectl(&other_entry).await, "other");
}

/// The vendor's part of a credential without a key.
const OPENROUTER: &str = "openRouter: {federationPolicyId: pol_1}";

fn keyless(namespace: &str, name: &str, account: &str, vendor: &str) -> String {
    format!(
        "apiVersion: llmplane.dev/v1alpha1
kind: LlmCredential
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  providerRef: {{name: p}}
  federation:
    serviceAccountRef: {{name: {account}}}
    audience: https://vendor.example
    {vendor}
"
    )
}

fn refused_for_account(output: &Output, account: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was taken");
    let right = format!("you may not create tokens of ServiceAccount {account}");
    assert!(said.contains(&right), "{said}");
    assert!(said.contains("--subresource=token"), "{said}");
}

async fn patch(plane: &Plane, namespace: &str, name: &str, patch: &str) -> Output {
    let args = [
        "patch",
        "llmcredential",
        name,
        "-n",
        namespace,
        "--type=merge",
        "-p",
        patch,
        USER,
    ];
    plane.kubectl(&args).await
}

/// Who may not create an account's tokens cannot have llmplane exchange them.
#[tokio::test]
async fn a_credential_names_only_an_account_whose_tokens_its_author_may_create() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("admission").await;
    let namespace = namespace.name.as_str();
    succeeded(&apply(plane, &rights(namespace), &[]).await);
    wait_until_in_force(plane, namespace).await;
    let refused = |output: &Output| refused_for_account(output, "other");
    let of = |name: &str, account: &str| keyless(namespace, name, account, OPENROUTER);
    refused(&apply(plane, &of("theirs", "other"), &[USER]).await);
    succeeded(&apply(plane, &of("own", "own"), &[USER]).await);
    refused(&apply(plane, &of("own", "other"), &[USER]).await);

    succeeded(&apply(plane, &of("admins", "other"), &[]).await);
    let patched = async |text: &str| patch(plane, namespace, "admins", text).await;
    succeeded(&patched(r#"{"metadata":{"labels":{"team":"a"}},"spec":{"enabled":false}}"#).await);
    refused(&patched(r#"{"spec":{"federation":{"audience":"https://other.example"}}}"#).await);
}

/// Several identities at a vendor may trust one account.
#[tokio::test]
async fn whom_an_account_acts_as_is_changed_only_by_who_may_create_its_tokens() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("admission").await;
    let namespace = namespace.name.as_str();
    succeeded(&apply(plane, &rights(namespace), &[]).await);
    wait_until_in_force(plane, namespace).await;
    let aws = "aws: {roleArn: 'arn:aws:iam::123456789012:role/llm'}";
    let google =
        "google: {provider: projects/1/locations/global/workloadIdentityPools/p/providers/c}";
    let anthropic = "anthropic: {federationRuleId: fdrl_1, serviceAccountId: svac_1, \
                     organizationId: 11111111-2222-3333-4444-555555555555}";
    for (vendor, ids, changes) in [
        (
            "aws",
            aws,
            &[
                r#""aws":{"roleArn":"arn:aws:iam::123456789012:role/admin"}"#,
                r#""aws":{"sessionName":"another"}"#,
                r#""aws":null,"openRouter":{"federationPolicyId":"pol_1"}"#,
                r#""expirationSeconds":600"#,
            ][..],
        ),
        (
            "google",
            google,
            &[r#""google":{"serviceAccountEmail":"admin@p.iam.gserviceaccount.com"}"#][..],
        ),
        (
            "anthropic",
            anthropic,
            &[
                r#""anthropic":{"serviceAccountId":"svac_2"}"#,
                r#""anthropic":{"workspaceId":"default"}"#,
            ][..],
        ),
    ] {
        let (admins, own) = (format!("{vendor}-admins"), format!("{vendor}-own"));
        let theirs = keyless(namespace, &admins, "other", ids);
        succeeded(&apply(plane, &theirs, &[]).await);
        succeeded(&apply(plane, &keyless(namespace, &own, "own", ids), &[USER]).await);
        for change in changes {
            let change = format!(r#"{{"spec":{{"federation":{{{change}}}}}}}"#);
            let refused = patch(plane, namespace, &admins, &change).await;
            refused_for_account(&refused, "other");
            succeeded(&patch(plane, namespace, &own, &change).await);
        }
        // What stays as it was needs no right, whoever sends it along.
        let same = theirs + "  alias: another\n";
        succeeded(&apply(plane, &same, &[USER]).await);
    }
}

/// No schema can bound an object of any form as a whole.
#[tokio::test]
async fn parameters_of_more_than_16_kib_are_refused_however_they_are_nested() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("parameters").await;
    let tried = async |name: &str, parameters: serde_json::Value| {
        let model = serde_json::json!({
            "apiVersion": "llmplane.dev/v1alpha1",
            "kind": "LlmModel",
            "metadata": { "name": name, "namespace": namespace.name },
            "spec": {
                "providerRef": { "name": "p" }, "modelId": name, "defaultParameters": parameters,
            },
        });
        apply(plane, &model.to_string(), &[]).await
    };
    let text = |bytes: usize| "x".repeat(bytes);
    let exact = serde_json::json!({ "a": text(16_384 - r#"{"a":""}"#.len()) });
    succeeded(&tried("exact", exact).await);
    let fractions = serde_json::json!({ "a": vec![0.5; 4_000] });
    succeeded(&tried("fractions", fractions).await);
    let nested =
        serde_json::json!({ "a": { "b": [{ "c": [text(9_000), { "d": text(9_000) }] }] } });
    let flat = serde_json::json!({ "a": text(16_384) });
    for (name, parameters) in [("nested", nested), ("flat", flat)] {
        let answer = tried(name, parameters).await;
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(!answer.status.success(), "{name} was taken");
        assert!(said.contains("spec.defaultParameters"), "{name}: {said}");
    }
}
