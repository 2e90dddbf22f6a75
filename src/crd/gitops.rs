//! Marks of the tools that keep objects as a repository or a chart has them: Flux, Argo CD and Helm. Pure.
//!
//! Flux and Helm mark what they apply by labels and annotations of their own. Argo CD does so by its
//! tracking annotation, or by a label: its own, or `app.kubernetes.io/instance`, which people and charts set
//! too and which is therefore its mark only beside another trace of it. Where marks were taken away,
//! `managedFields` still say who applies the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde::Serialize;

const FLUX: &str = "Flux";
const ARGO_CD: &str = "Argo CD";
const HELM: &str = "Helm";

/// Prefixes of labels and annotations that tools add to what they apply; kubectl's and kustomize's among them,
/// which keep nothing as it was.
const PREFIXES: [&str; 8] = [
    "argocd.argoproj.io/",
    "config.k8s.io/",
    "config.kubernetes.io/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "reconcile.fluxcd.io/",
];

const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
const ARGO_CD_INSTANCE: &str = "argocd.argoproj.io/instance";
const INSTANCE: &str = "app.kubernetes.io/instance";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// What tools call themselves in `managedFields`.
const FIELD_MANAGERS: [(&str, &str, &str); 5] = [
    ("kustomize-controller", FLUX, "Kustomization"),
    ("helm-controller", FLUX, "HelmRelease"),
    ("argocd-controller", ARGO_CD, "Application"),
    ("argocd-application-controller", ARGO_CD, "Application"),
    ("helm", HELM, "Release"),
];

/// Parts of an object that are declared: who applies one of them keeps the object.
const DECLARED: [&str; 3] = ["f:spec", "f:data", "f:stringData"];

/// What keeps an object as a repository has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// The tool.
    pub tool: &'static str,
    /// What of the tool: a `Kustomization`, a `HelmRelease`, an `Application`, a `Release`.
    pub kind: &'static str,
    /// Its namespace, where it is known.
    pub namespace: Option<String>,
    /// Its name, where it is known.
    pub name: Option<String>,
}

impl Manager {
    /// What manages this object; none: nothing does.
    pub fn of(object: &ObjectMeta) -> Option<Self> {
        by_flux(object)
            .or_else(|| by_argo_cd(object))
            .or_else(|| by_helm(object))
            .or_else(|| by_fields(object))
    }

    fn new(tool: &'static str, kind: &'static str) -> Self {
        Self {
            tool,
            kind,
            namespace: None,
            name: None,
        }
    }

    fn at(self, namespace: Option<&str>, name: Option<&str>) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            ..self
        }
    }

    /// For people: `the Flux Kustomization flux-system/apps`.
    pub fn told(&self) -> String {
        let place = match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
            (None, Some(name)) => format!(" {name}"),
            (_, None) => String::new(),
        };
        match self.tool == HELM {
            true => format!("the Helm release{place}"),
            false => format!("the {} {}{place}", self.tool, self.kind),
        }
    }
}

/// Whether a label or an annotation of an object says who applied it, and nothing that its user means.
pub fn is_mark(object: &ObjectMeta, key: &str, value: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || (key, value) == (MANAGED_BY, HELM)
        || (key == INSTANCE && application(object).is_some_and(|(_, name)| name == value))
}

fn label<'o>(object: &'o ObjectMeta, key: &str) -> Option<&'o str> {
    object.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'o>(object: &'o ObjectMeta, key: &str) -> Option<&'o str> {
    object.annotations.as_ref()?.get(key).map(String::as_str)
}

fn by_flux(object: &ObjectMeta) -> Option<Manager> {
    let of = |prefix: &str, kind| {
        let name = label(object, &format!("{prefix}/name"))?;
        let namespace = label(object, &format!("{prefix}/namespace"));
        Some(Manager::new(FLUX, kind).at(namespace, Some(name)))
    };
    of("kustomize.toolkit.fluxcd.io", "Kustomization")
        .or_else(|| of("helm.toolkit.fluxcd.io", "HelmRelease"))
}

/// Namespace and name of the application whose tracking annotation or label an object has.
fn application(object: &ObjectMeta) -> Option<(Option<&str>, &str)> {
    if let Some(id) = annotation(object, TRACKING_ID) {
        // APPLICATION:GROUP/KIND:NAMESPACE/NAME; an application elsewhere is NAMESPACE_NAME.
        let application = id.split(':').next().unwrap_or_default();
        return Some(match application.split_once('_') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, application),
        });
    }
    label(object, ARGO_CD_INSTANCE).map(|name| (None, name))
}

fn by_argo_cd(object: &ObjectMeta) -> Option<Manager> {
    if let Some((namespace, name)) = application(object) {
        return Some(Manager::new(ARGO_CD, "Application").at(namespace, Some(name)));
    }
    by_fields(object)
        .filter(|manager| manager.tool == ARGO_CD)
        .map(|manager| manager.at(None, label(object, INSTANCE)))
}

fn by_helm(object: &ObjectMeta) -> Option<Manager> {
    let release = Manager::new(HELM, "Release");
    if let Some(name) = annotation(object, "meta.helm.sh/release-name") {
        let namespace = annotation(object, "meta.helm.sh/release-namespace");
        return Some(release.at(namespace, Some(name)));
    }
    let is_helms = label(object, MANAGED_BY) == Some(HELM);
    is_helms.then(|| release.at(None, label(object, INSTANCE)))
}

fn by_fields(object: &ObjectMeta) -> Option<Manager> {
    let entries = object.managed_fields.iter().flatten();
    let declaring = entries.filter(|entry| owns_what_is_declared(entry));
    let mut managers = declaring.filter_map(|entry| entry.manager.as_deref());
    managers.find_map(|manager| {
        let mut known = FIELD_MANAGERS.into_iter();
        let (_, tool, kind) = known.find(|(name, _, _)| *name == manager)?;
        Some(Manager::new(tool, kind))
    })
}

fn owns_what_is_declared(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| DECLARED.iter().any(|part| fields.0.get(part).is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meta(value: &Value) -> ObjectMeta {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn applied_by(manager: &str, part: &str) -> Value {
        json!([{ "manager": manager, "fieldsV1": { part: {} } }])
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
                json!({ "labels": { "argocd.argoproj.io/instance": "llm" } }),
                "the Argo CD Application llm",
            ),
            (
                json!({
                    "labels": { "app.kubernetes.io/instance": "llm", "app.kubernetes.io/managed-by": "Helm" },
                    "managedFields": applied_by("argocd-controller", "f:spec"),
                }),
                "the Argo CD Application llm",
            ),
            (
                json!({ "annotations": { "meta.helm.sh/release-name": "llm", "meta.helm.sh/release-namespace": "a" } }),
                "the Helm release a/llm",
            ),
            (
                json!({ "labels": { "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "llm" } }),
                "the Helm release llm",
            ),
            (
                json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } }),
                "the Helm release",
            ),
            (
                json!({ "managedFields": applied_by("argocd-controller", "f:spec") }),
                "the Argo CD Application",
            ),
            (
                json!({ "managedFields": applied_by("kustomize-controller", "f:data") }),
                "the Flux Kustomization",
            ),
        ] {
            let manager = Manager::of(&meta(&marks));
            assert_eq!(
                manager.map(|manager| manager.told()).as_deref(),
                Some(told),
                "{marks}"
            );
        }
    }

    #[test]
    fn what_people_and_charts_set_too_is_no_mark_by_itself() {
        for free in [
            json!({}),
            json!({ "labels": { "app.kubernetes.io/instance": "llm" } }),
            json!({ "labels": { "app.kubernetes.io/instance": "llm", "app.kubernetes.io/managed-by": "kubectl" } }),
            json!({ "managedFields": applied_by("kubectl", "f:spec") }),
            json!({ "managedFields": applied_by("helm", "f:metadata") }),
        ] {
            assert_eq!(Manager::of(&meta(&free)), None, "{free}");
        }
    }

    #[test]
    fn the_instance_is_a_mark_where_argo_cd_tracks_by_it_too() {
        let is_mark = |marks: Value| is_mark(&meta(&marks), INSTANCE, "llm");
        let tracked = |id: &str| json!({ "annotations": { "argocd.argoproj.io/tracking-id": id } });
        assert!(is_mark(tracked("llm:llmplane.dev/LlmModel:a/b")));
        assert!(is_mark(tracked("teams_llm:llmplane.dev/LlmModel:a/b")));
        assert!(!is_mark(tracked("other:llmplane.dev/LlmModel:a/b")));
        assert!(!is_mark(
            json!({ "labels": { "app.kubernetes.io/instance": "llm" } })
        ));
    }
}
