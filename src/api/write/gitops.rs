//! Objects that come from a repository: a change here would be undone there.

use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use super::as_caller::resource;
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;
use crate::crd::gitops::Manager;

/// Refuses a change of what a GitOps tool manages, unless it is forced. `patch` is the change of the
/// spec; none: the object is to go.
///
/// # Errors
///
/// 409 that names the tool's object, and holds the patch for its repository.
pub fn refuse(
    kind: Kind,
    object: &DynamicObject,
    patch: Option<&Value>,
    force: bool,
) -> Result<(), Problem> {
    let manager = Manager::of(&object.metadata).filter(|_| !force);
    let Some(manager) = manager else {
        return Ok(());
    };
    let told = manager.told();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let detail = format!(
        "{} {name} is managed by {told}, which would undo this: make the change in its repository (patch \
         holds it for a kustomization), or add force=true",
        kind.kubernetes()
    );
    let yaml = yaml(kind, &object.metadata, patch)?;
    Err(Problem::new(ProblemType::ManagedElsewhere, detail)
        .with("managed_by", json!(manager))
        .with("patch", yaml))
}

/// A strategic merge patch, as kustomize takes it.
fn yaml(kind: Kind, object: &ObjectMeta, patch: Option<&Value>) -> Result<String, Problem> {
    let resource = resource(kind);
    let mut manifest = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": object.name, "namespace": object.namespace },
    });
    match patch {
        Some(patch) => manifest["spec"] = patch.clone(),
        None => manifest["$patch"] = "delete".into(),
    }
    serde_saphyr::to_string(&manifest).map_err(|error| {
        tracing::error!(%error, "a patch cannot be written as YAML");
        Problem::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_patch_is_what_a_kustomization_takes() {
        let object = meta(json!({ "name": "a", "namespace": "n" }));
        let change = json!({ "displayName": "new", "description": null });
        let text = yaml(Kind::Provider, &object, Some(&change)).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(
            read,
            json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider",
                "metadata": { "name": "a", "namespace": "n" }, "spec": change,
            })
        );
        let gone = yaml(Kind::Provider, &object, None).unwrap();
        assert!(gone.contains("$patch: delete"), "{gone}");
    }
}
