//! What a fresh cluster is given: the five kinds, llmplane's roles and identities, the admission
//! policy. The same manifests as on a real cluster, but for what runs pods.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};

use super::error::{LocalError, Result};
use super::state::{Component, StateDir};

/// The namespace of llmplane's own ServiceAccounts and lease.
pub const SYSTEM_NAMESPACE: &str = "llmplane-system";
pub(super) const CONTROLLER_USER: &str =
    "system:serviceaccount:llmplane-system:llmplane-controller";
pub(super) const API_USER: &str = "system:serviceaccount:llmplane-system:llmplane-api";

const FIELD_MANAGER: &str = "llmplane-local";
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(300);

/// In an order in which each finds what it needs. Secrets of every namespace are readable to the
/// controller here: the laptop's namespaces are its user's own.
const MANIFESTS: [(&str, &str); 7] = [
    (
        "namespace.yaml",
        include_str!("../../manifests/base/namespace.yaml"),
    ),
    (
        "roles.yaml",
        include_str!("../../manifests/base/roles.yaml"),
    ),
    (
        "controller-rbac.yaml",
        include_str!("../../manifests/base/controller-rbac.yaml"),
    ),
    (
        "api-rbac.yaml",
        include_str!("../../manifests/base/api-rbac.yaml"),
    ),
    (
        "admission-policy.yaml",
        include_str!("../../manifests/base/admission-policy.yaml"),
    ),
    (
        "secrets-rbac.yaml",
        include_str!("../../manifests/base/secrets-rbac.yaml"),
    ),
    (
        "all-namespaces/secrets-rbac.yaml",
        include_str!("../../manifests/overlays/all-namespaces/secrets-rbac.yaml"),
    ),
];

/// Applies everything; what is there already and equal stays as it is.
pub(super) async fn apply_manifests(client: &Client, dir: &StateDir) -> Result<()> {
    apply_crds(client, dir).await?;
    for (file, text) in MANIFESTS {
        let objects: Vec<DynamicObject> = serde_saphyr::from_multiple(text)
            .map_err(|error| LocalError::Manifest(format!("{file}: {error}")))?;
        for object in objects {
            apply(client, file, &object).await?;
        }
    }
    Ok(())
}

async fn apply_crds(client: &Client, dir: &StateDir) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crate::crd::crds() {
        let name = crd.name_any();
        let failed = |error| kubernetes_error(format!("apply the CRD {name}"), error);
        api.patch(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&crd),
        )
        .await
        .map_err(failed)?;
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        let reason = match tokio::time::timeout(ESTABLISHED_WITHIN, established).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not within {} s", ESTABLISHED_WITHIN.as_secs()),
        };
        return Err(LocalError::NotServed {
            name,
            reason,
            log: dir.log(Component::ApiServer),
        });
    }
    Ok(())
}

/// Applies one object, which came from `file`.
pub(super) async fn apply(client: &Client, file: &str, object: &DynamicObject) -> Result<()> {
    let name = object.name_any();
    let kind = object
        .types
        .as_ref()
        .and_then(|types| GroupVersionKind::try_from(types).ok());
    let kind = kind.ok_or_else(|| LocalError::Manifest(format!("{file}: {name} has no kind")))?;
    let action = format!("apply {} {name}", kind.kind);
    let (resource, _) = kube::discovery::pinned_kind(client, &kind)
        .await
        .map_err(|error| kubernetes_error(action.clone(), error))?;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.patch(
        &name,
        &PatchParams::apply(FIELD_MANAGER).force(),
        &Patch::Apply(object),
    )
    .await
    .map_err(|error| kubernetes_error(action, error))?;
    Ok(())
}

/// A request to the local kube-apiserver that failed.
pub(super) fn kubernetes_error(action: String, source: kube::Error) -> LocalError {
    LocalError::Kubernetes {
        action,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identities_are_the_shipped_service_accounts() {
        for (user, file) in [
            (CONTROLLER_USER, "controller-rbac.yaml"),
            (API_USER, "api-rbac.yaml"),
        ] {
            let name = user.rsplit(':').next().unwrap();
            let (_, text) = MANIFESTS
                .iter()
                .find(|(candidate, _)| *candidate == file)
                .unwrap();
            let objects: Vec<DynamicObject> = serde_saphyr::from_multiple(text).unwrap();
            let account = objects.iter().find(|object| {
                object
                    .types
                    .as_ref()
                    .is_some_and(|types| types.kind == "ServiceAccount")
            });
            assert_eq!(
                account.map(|account| account.name_any()).as_deref(),
                Some(name)
            );
            assert_eq!(
                account.and_then(|account| account.namespace()).as_deref(),
                Some(SYSTEM_NAMESPACE)
            );
        }
    }
}
