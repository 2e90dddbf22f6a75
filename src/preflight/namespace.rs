//! The namespace that is installed into, and those that are watched.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::NAMESPACE;
use super::report::Report;
use super::said;
use super::values::Values;

const LEVEL: &str = "pod-security.kubernetes.io/enforce";
/// Whose pods are tried, by the names of their values.
const COMPONENTS: [&str; 2] = ["controller", "api"];

/// Whether the namespace is there, and takes what is installed with these values.
pub(super) async fn check(
    client: &Client,
    name: &str,
    values: &Values,
    report: &mut Report,
) -> bool {
    const CHECK: &str = "namespace";
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = match api.get_opt(name).await {
        Ok(Some(namespace)) => namespace,
        Ok(None) => {
            let remedy = format!(
                "kubectl create namespace {name} && kubectl label namespace {name} {LEVEL}=restricted"
            );
            report.fail(CHECK, format!("{name} is not there"), remedy);
            return false;
        }
        Err(error) => {
            let remedy = "let the account get this namespace";
            report.warn(
                CHECK,
                format!("{name} cannot be read: {}", said(&error)),
                remedy,
            );
            return true;
        }
    };
    match name {
        NAMESPACE => report.ok(CHECK, format!("{name} is there")),
        _ => report.warn(
            CHECK,
            format!("{name} is there, and manifests/base installs into {NAMESPACE}"),
            format!("install by the chart (helm install -n {name}), and give kubectl llm --api-namespace {name}"),
        ),
    }
    other_installation(client, name, report).await;
    let level = namespace
        .metadata
        .labels
        .as_ref()
        .and_then(|it| it.get(LEVEL));
    match level {
        Some(level) => report.ok("pod security", format!("{name} enforces the level {level}")),
        None => report.warn(
            "pod security",
            format!("{name} enforces no level"),
            format!("kubectl label namespace {name} {LEVEL}=restricted: llmplane's pods meet it"),
        ),
    }
    admits(client, name, values, report).await;
    true
}

/// Roles, definitions and admission policies belong to all namespaces.
async fn other_installation(client: &Client, name: &str, report: &mut Report) {
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let binding = bindings.get_opt("llmplane-controller").await.ok().flatten();
    let subjects = binding.and_then(|it| it.subjects).unwrap_or_default();
    let mut elsewhere = subjects.iter().filter_map(|it| it.namespace.as_deref());
    if let Some(other) = elsewhere.find(|other| *other != name) {
        report.fail(
            "other installation",
            format!("llmplane is installed in namespace {other}"),
            format!(
                "install there (--namespace {other}), or take that installation away first: one serves a cluster"
            ),
        );
    }
}

/// Pods like llmplane's, as a dry run: Pod Security, quotas and policies of others have their say.
async fn admits(client: &Client, name: &str, values: &Values, report: &mut Report) {
    const CHECK: &str = "pods";
    let kind = ApiResource::erase::<Pod>(&());
    // As they are written: a quantity may be a number, and what is none is the apiserver's to refuse.
    let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), name, &kind);
    let dry_run = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let mut refused = Vec::new();
    for component in COMPONENTS {
        let Ok(pod) = serde_json::from_value(pod(values, component)) else {
            return report.fail(CHECK, "the pod that is tried is none", "report this defect");
        };
        match pods.create(&dry_run, &pod).await {
            Ok(_) => {}
            // The account of the trial is the namespace's `default`, which the controller manager may have yet to make.
            Err(kube::Error::Api(status))
                if status.message.contains("error looking up service account") =>
            {
                return report.warn(
                    CHECK,
                    format!("{name} has no ServiceAccount yet, so that no pod can be tried"),
                    "run this again in a moment",
                );
            }
            Err(kube::Error::Api(status))
                if status.message.contains("cannot create resource \"pods\"") =>
            {
                return report.warn(
                    CHECK,
                    "whether the namespace admits llmplane's pods cannot be tried",
                    "let the account create pods there, or run this as somebody who may",
                );
            }
            Err(kube::Error::Api(status)) => {
                refused.push(format!("no pod like the {component}'s: {}", status.message));
            }
            Err(error) => {
                return report.warn(
                    CHECK,
                    format!("no pod can be tried: {}", said(&error)),
                    "run this again",
                );
            }
        }
    }
    match refused.is_empty() {
        true => report.ok(CHECK, format!("{name} admits pods like llmplane's")),
        false => report.fail(
            CHECK,
            format!("{name} admits {}", refused.join("; ")),
            "change the quota or the policy that this names, or controller.resources and api.resources of the values",
        ),
    }
}

/// With what manifests/base and the chart give the pods of a component; a test compares. The pods of the chart's
/// hooks are like the API's.
fn pod(values: &Values, component: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "llmplane-preflight-" },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "preflight",
                "image": "ghcr.io/llmplane/llmplane",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "resources": values.at(&[component, "resources"]),
            }],
        },
    })
}

/// Each namespace that the values name must be there: objects are made in those that are watched and those whose
/// ServiceAccounts have tokens, and models are looked for in those that are shared.
pub(super) async fn check_watched(client: &Client, values: &Values, report: &mut Report) {
    const CHECK: &str = "watched namespaces";
    let federation = values.entries(&["federation"]).map(|(name, _)| name);
    let named = values.secret_namespaces().into_iter().chain(federation);
    let named: BTreeSet<&str> = named.chain(values.list(&["sharedNamespaces"])).collect();
    let api: Api<Namespace> = Api::all(client.clone());
    let mut absent = Vec::new();
    for name in &named {
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => {}
            Ok(None) => absent.push(*name),
            Err(error) => {
                let remedy = "let the account get these namespaces";
                return report.warn(
                    CHECK,
                    format!("{name} cannot be read: {}", said(&error)),
                    remedy,
                );
            }
        }
    }
    match absent.is_empty() {
        true if values.list(&["namespaces"]).contains(&"*") => report.ok(CHECK, "all of them"),
        true => report.ok(CHECK, named.into_iter().collect::<Vec<_>>().join(", ")),
        false => report.fail(
            CHECK,
            format!("not there: {}", absent.join(", ")),
            "create them, or take them out of the values `namespaces`, `sharedNamespaces` and `federation`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_that_is_tried_is_secured_as_those_that_are_installed() {
        let defaults = Values::read(&[]).unwrap();
        for file in COMPONENTS {
            let tried = pod(&defaults, file);
            let path = format!("manifests/base/{file}.yaml");
            let text = std::fs::read_to_string(path).unwrap();
            let read = crate::lint::documents::parse(file, &text);
            let deployments = read.documents.iter().map(|document| &document.value);
            let deployment: &Value = deployments
                .into_iter()
                .find(|object| object["kind"] == "Deployment")
                .expect("a Deployment");
            let installed = &deployment["spec"]["template"]["spec"];
            assert_eq!(
                tried["spec"]["securityContext"], installed["securityContext"],
                "{file}"
            );
            let (ours, theirs) = (&tried["spec"]["containers"][0], &installed["containers"][0]);
            for field in ["securityContext", "resources"] {
                assert_eq!(ours[field], theirs[field], "{file}: {field}");
            }
        }
    }
}
