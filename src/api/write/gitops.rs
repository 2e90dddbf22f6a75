//! Objects that come from a repository: a change here would be undone there.
//!
//! Flux and Helm mark what they apply by labels and annotations, Argo CD by its tracking annotation or
//! the label `app.kubernetes.io/instance`. Where marks were taken away, `managedFields` still say who
//! applies the spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, ObjectMeta};
use serde::Serialize;
use serde_json::{Value, json};

use super::as_caller::resource;
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;

/// What keeps an object as a repository has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// The tool.
    tool: &'static str,
    /// What of the tool: a `Kustomization`, a `HelmRelease`, an `Application`, a `Release`.
    kind: &'static str,
    /// Its namespace, where it is known.
    namespace: Option<String>,
    /// Its name, where it is known.
    name: Option<String>,
}

/// What tools call themselves in `managedFields`.
const FIELD_MANAGERS: [(&str, &str, &str); 5] = [
    ("kustomize-controller", "Flux", "Kustomization"),
    ("helm-controller", "Flux", "HelmRelease"),
    ("argocd-controller", "Argo CD", "Application"),
    ("argocd-application-controller", "Argo CD", "Application"),
    ("helm", "Helm", "Release"),
];

impl Manager {
    /// What manages this object; none: nothing does.
    pub fn of(object: &ObjectMeta) -> Option<Self> {
        Self::by_marks(object).or_else(|| Self::by_fields(object))
    }

    fn by_marks(object: &ObjectMeta) -> Option<Self> {
        let label = |key: &str| object.labels.as_ref()?.get(key).cloned();
        let annotation = |key: &str| object.annotations.as_ref()?.get(key).cloned();
        let of = |tool, kind, namespace, name| {
            Some(Self {
                tool,
                kind,
                namespace,
                name: Some(name),
            })
        };
        if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
            let namespace = label("kustomize.toolkit.fluxcd.io/namespace");
            return of("Flux", "Kustomization", namespace, name);
        }
        if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
            let namespace = label("helm.toolkit.fluxcd.io/namespace");
            return of("Flux", "HelmRelease", namespace, name);
        }
        if let Some(id) = annotation("argocd.argoproj.io/tracking-id") {
            // APPLICATION:GROUP/KIND:NAMESPACE/NAME; an application elsewhere is NAMESPACE_NAME.
            let application = id.split(':').next().unwrap_or_default();
            let (namespace, name) = match application.split_once('_') {
                Some((namespace, name)) => (Some(namespace.to_owned()), name),
                None => (None, application),
            };
            return of("Argo CD", "Application", namespace, name.to_owned());
        }
        if let Some(name) = annotation("meta.helm.sh/release-name") {
            let namespace = annotation("meta.helm.sh/release-namespace");
            return of("Helm", "Release", namespace, name);
        }
        let instance = label("app.kubernetes.io/instance");
        match (label("app.kubernetes.io/managed-by").as_deref(), instance) {
            (Some("Helm"), Some(name)) => of("Helm", "Release", None, name),
            (Some("Helm"), None) => Some(Self {
                tool: "Helm",
                kind: "Release",
                namespace: None,
                name: None,
            }),
            (_, Some(name)) => of("Argo CD", "Application", None, name),
            (_, None) => None,
        }
    }

    fn by_fields(object: &ObjectMeta) -> Option<Self> {
        let entries = object.managed_fields.iter().flatten();
        let of_spec = entries.filter(|entry| owns_spec(entry));
        let mut managers = of_spec.filter_map(|entry| entry.manager.as_deref());
        managers.find_map(|manager| {
            let (_, tool, kind) = FIELD_MANAGERS
                .into_iter()
                .find(|(name, _, _)| *name == manager)?;
            Some(Self {
                tool,
                kind,
                namespace: None,
                name: None,
            })
        })
    }

    /// For people: `the Flux Kustomization flux-system/apps`.
    fn told(&self) -> String {
        let place = match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
            (None, Some(name)) => format!(" {name}"),
            (_, None) => String::new(),
        };
        match self.tool == "Helm" {
            true => format!("the Helm release{place}"),
            false => format!("the {} {}{place}", self.tool, self.kind),
        }
    }
}

fn owns_spec(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
}

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
    fn each_tool_is_known_by_its_marks() {
        for (marks, told) in [
            (
                json!({ "labels": {
                    "kustomize.toolkit.fluxcd.io/name": "apps",
                    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
                } }),
                "the Flux Kustomization flux-system/apps",
            ),
            (
                json!({ "labels": { "helm.toolkit.fluxcd.io/name": "llm", "app.kubernetes.io/managed-by": "Helm" } }),
                "the Flux HelmRelease llm",
            ),
            (
                json!({ "annotations": { "argocd.argoproj.io/tracking-id": "llm:llmplane.dev/LlmModel:a/b" } }),
                "the Argo CD Application llm",
            ),
            (
                json!({ "annotations": { "argocd.argoproj.io/tracking-id": "teams_llm:llmplane.dev/LlmModel:a/b" } }),
                "the Argo CD Application teams/llm",
            ),
            (
                json!({ "labels": { "app.kubernetes.io/instance": "llm" } }),
                "the Argo CD Application llm",
            ),
            (
                json!({ "annotations": { "meta.helm.sh/release-name": "llm", "meta.helm.sh/release-namespace": "a" } }),
                "the Helm release a/llm",
            ),
            (
                json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } }),
                "the Helm release",
            ),
            (
                json!({ "managedFields": [{ "manager": "argocd-controller", "fieldsV1": { "f:spec": {} } }] }),
                "the Argo CD Application",
            ),
        ] {
            let manager = Manager::of(&meta(marks.clone()));
            assert_eq!(
                manager.map(|manager| manager.told()).as_deref(),
                Some(told),
                "{marks}"
            );
        }
        for free in [
            json!({}),
            json!({ "labels": { "app.kubernetes.io/managed-by": "kubectl" } }),
            json!({ "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }] }),
            json!({ "managedFields": [{ "manager": "helm", "fieldsV1": { "f:metadata": {} } }] }),
        ] {
            assert_eq!(Manager::of(&meta(free.clone())), None, "{free}");
        }
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
