//! A resource as its user declares it, which is what a Git repository holds of it: what the cluster,
//! the tools that applied it and model sync have added is left out. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::object::HasSpec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::gitops;
use super::ownership::{self, ForeignFields};
use super::words::words;
use super::{
    ANNOTATION_RECONCILE_REQUESTED_AT, GROUP, Kind, LABEL_GENERATED_BY, LlmCredentialSpec,
    LlmEndpointSpec, LlmModelClassSpec, LlmModelSpec, LlmProviderSpec, VERSION,
};

/// What a user declares of an object, beside its kind and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// The user's own labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The user's own annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The spec. Of a generated model it has what people own of it.
    #[serde(default)]
    pub spec: Value,
    /// Whether model sync made it and nobody has touched it: it comes back by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
}

impl Declaration {
    /// What is declared by an object.
    pub fn of<K>(object: &K) -> Self
    where
        K: Resource + HasSpec,
        K::Spec: Serialize,
    {
        let meta = object.meta();
        // A spec came as JSON, and has a form in it.
        let mut spec = serde_json::to_value(object.spec()).unwrap_or_default();
        let foreign = ownership::is_generated(meta).then(|| ForeignFields::of(meta));
        if let Some(foreign) = &foreign {
            keep_foreign(&mut spec, foreign);
        }
        Self {
            labels: own_labels(meta),
            annotations: own_annotations(meta),
            spec,
            generated: foreign.is_some_and(|foreign| !foreign.have_touched()),
        }
    }

    /// Whether nothing is known of it: it was stored by a release that knew no declarations.
    pub fn is_unknown(&self) -> bool {
        self.spec.is_null()
    }
}

/// The labels that an object's user has given it.
pub fn own_labels(meta: &ObjectMeta) -> BTreeMap<String, String> {
    own(meta, meta.labels.as_ref())
}

/// The annotations that an object's user has given it.
pub fn own_annotations(meta: &ObjectMeta) -> BTreeMap<String, String> {
    own(meta, meta.annotations.as_ref())
}

fn own(meta: &ObjectMeta, all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let is_own = |key: &str, value: &str| {
        ![ANNOTATION_RECONCILE_REQUESTED_AT, LABEL_GENERATED_BY].contains(&key)
            && !gitops::is_mark(meta, key, value)
            // PostgreSQL cannot hold it.
            && !value.contains('\0')
    };
    let all = all.into_iter().flatten();
    let own = all.filter(|(key, value)| is_own(key, value));
    own.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Leaves of a generated spec what people own, and what no model can be without.
fn keep_foreign(spec: &mut Value, foreign: &ForeignFields) {
    let Some(fields) = spec.as_object_mut() else {
        return;
    };
    fields.retain(|field, _| ["providerRef", "modelId"].contains(&&**field) || foreign.own(field));
    if foreign.own_all_of("capabilities") {
        return;
    }
    if let Some(Value::Array(capabilities)) = fields.get_mut("capabilities") {
        capabilities.retain(|capability| {
            let name = capability.get("name").and_then(Value::as_str);
            let name = name.and_then(super::Capability::parse);
            name.is_some_and(|name| foreign.own_capability(name))
        });
    }
}

/// How manifests are written.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    /// Documents between lines of `---`.
    #[default]
    Yaml,
    /// One `List`.
    Json,
}

words!(Format);

/// Why a declaration cannot be written as a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is none of this kind.
    #[error("{kind} {name} cannot be written as a manifest: what is stored of it is no {kind}")]
    Unreadable {
        /// The kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// The writer refuses it.
    #[error("{kind} {name} cannot be written as a manifest")]
    Unwritable {
        /// The kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a, S> {
    api_version: String,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: S,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// Writes manifests one after the other: what [`ManifestWriter::begin`] gives, then each object, then
/// what [`ManifestWriter::end`] gives.
#[derive(Clone, Debug)]
pub struct ManifestWriter {
    format: Format,
    written: usize,
}

impl ManifestWriter {
    /// Nothing is written yet.
    pub fn new(format: Format) -> Self {
        Self { format, written: 0 }
    }

    /// What comes before the first object. JSON has no place for notes.
    pub fn begin(&self, notes: &[String]) -> String {
        match self.format {
            Format::Yaml => notes.iter().map(|note| format!("# {note}\n")).collect(),
            Format::Json => r#"{"apiVersion":"v1","kind":"List","items":["#.to_owned(),
        }
    }

    /// An object; without a namespace it can be applied to any.
    ///
    /// # Errors
    /// Where what is stored is no such kind's.
    pub fn object(
        &mut self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        declaration: &Declaration,
    ) -> Result<String, ManifestError> {
        let metadata = Metadata {
            name,
            namespace,
            labels: &declaration.labels,
            annotations: &declaration.annotations,
        };
        let spec = &declaration.spec;
        match kind {
            Kind::Provider => self.write::<LlmProviderSpec>(kind, metadata, spec),
            Kind::Endpoint => self.write::<LlmEndpointSpec>(kind, metadata, spec),
            Kind::Credential => self.write::<LlmCredentialSpec>(kind, metadata, spec),
            Kind::Model => self.write::<LlmModelSpec>(kind, metadata, spec),
            Kind::ModelClass => self.write::<LlmModelClassSpec>(kind, metadata, spec),
        }
    }

    /// By the kind's own type, whose fields have the order of its documentation.
    fn write<S: Serialize + DeserializeOwned>(
        &mut self,
        kind: Kind,
        metadata: Metadata<'_>,
        spec: &Value,
    ) -> Result<String, ManifestError> {
        let (kind, name) = (kind.kubernetes(), metadata.name.to_owned());
        let spec = match S::deserialize(spec) {
            Ok(spec) => spec,
            Err(_) => return Err(ManifestError::Unreadable { kind, name }),
        };
        let manifest = Manifest {
            api_version: format!("{GROUP}/{VERSION}"),
            kind,
            metadata,
            spec,
        };
        let text = match self.format {
            Format::Yaml => to_yaml(&manifest).ok().map(|yaml| format!("---\n{yaml}")),
            Format::Json => serde_json::to_string(&manifest).ok().map(|json| {
                let comma = if self.written > 0 { ",\n" } else { "\n" };
                format!("{comma}{json}")
            }),
        };
        self.written += 1;
        text.ok_or(ManifestError::Unwritable { kind, name })
    }

    /// What comes after the last object. It names what is left out, for what is declared of it is not
    /// known, and says how many there are, so that a part of it does not look like the whole.
    pub fn end(&self, left_out: &[String]) -> String {
        let names = left_out.join(", ");
        let left_out = match (self.format, left_out) {
            (_, []) => String::new(),
            (Format::Yaml, _) => format!(
                "# Left out, for what is declared of it is not stored (the controller does not watch its namespace, or \
                 cannot read it): {names}.\n"
            ),
            (Format::Json, _) => format!(r#","leftOut":{}"#, Value::from(left_out)),
        };
        match (self.format, self.written) {
            (Format::Yaml, 1) => format!("{left_out}# 1 object.\n"),
            (Format::Yaml, written) => format!("{left_out}# {written} objects.\n"),
            (Format::Json, _) => format!("\n]{left_out}}}\n"),
        }
    }
}

/// YAML that every reader takes as it was meant: strings that YAML 1.1 would take for something else
/// are quoted, and no string is folded.
///
/// # Errors
/// Where it has no form in YAML.
pub fn to_yaml(value: &impl Serialize) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::crd::{LlmEndpoint, LlmModel};

    fn model(meta: Value, spec: Value) -> LlmModel {
        let mut metadata = json!({ "name": "m", "namespace": "team" });
        let given = meta.as_object().unwrap().clone();
        metadata.as_object_mut().unwrap().extend(given);
        serde_json::from_value(json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
            "metadata": metadata, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn what_tools_and_the_cluster_added_is_not_declared() {
        let model = model(
            json!({
                "uid": "u", "resourceVersion": "1", "generation": 2,
                "labels": {
                    "stage": "test", "app.kubernetes.io/managed-by": "Helm",
                    "kustomize.toolkit.fluxcd.io/name": "llm", "app.kubernetes.io/instance": "llm",
                },
                "annotations": {
                    "team.example/owner": "ml",
                    "argocd.argoproj.io/tracking-id": "llm:llmplane.dev/LlmModel:team/m",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                    "llmplane.dev/reconcile-requested-at": "now",
                    "team.example/nul": "a\0",
                },
            }),
            json!({ "providerRef": { "name": "p" }, "modelId": "id" }),
        );
        let declared = Declaration::of(&model);
        let yaml = ManifestWriter::new(Format::Yaml).object(Kind::Model, None, "m", &declared);
        insta::assert_snapshot!(yaml.unwrap(), @r#"
        ---
        apiVersion: llmplane.dev/v1alpha1
        kind: LlmModel
        metadata:
          name: m
          labels:
            stage: test
          annotations:
            team.example/owner: ml
        spec:
          providerRef:
            name: p
          modelId: id
          enabled: true
          lifecycle: Available
          availabilityTest:
            enabled: false
            periodSeconds: 86400
            timeoutSeconds: 30
        "#);
    }

    fn generated(others: Value) -> Declaration {
        let ours = json!({
            "manager": "llmplane-model-sync", "operation": "Apply", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:modelId": {}, "f:contextWindow": {} } },
        });
        let mut managed = vec![ours];
        if !others.is_null() {
            managed.push(json!({
                "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1",
                "fieldsV1": others,
            }));
        }
        let mut model = model(
            json!({
                "labels": { "llmplane.dev/generated-by": "model-sync" },
                "ownerReferences": [{
                    "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider", "name": "p", "uid": "u",
                }],
                "managedFields": managed,
            }),
            json!({
                "providerRef": { "name": "p" }, "modelId": "id", "contextWindow": 1000, "enabled": false,
                "capabilities": [{ "name": "Chat" }, { "name": "Vision", "score": 2 }],
            }),
        );
        ownership::prune(&mut model.metadata);
        Declaration::of(&model)
    }

    #[test]
    fn of_a_generated_model_what_people_own_is_declared() {
        assert!(generated(Value::Null).generated);
        let touched = generated(json!({ "f:spec": {
            "f:enabled": {}, "f:capabilities": { "k:{\"name\":\"Vision\"}": { ".": {}, "f:score": {} } },
        } }));
        assert!(!touched.generated && touched.labels.is_empty());
        let spec = json!({
            "providerRef": { "name": "p" }, "modelId": "id", "enabled": false,
            "capabilities": [{ "name": "Vision", "score": 2 }],
        });
        assert_eq!(touched.spec, spec);
    }

    #[test]
    fn what_was_never_stored_is_no_manifest() {
        let unknown: Declaration = serde_json::from_value(json!({})).unwrap();
        assert!(unknown.is_unknown());
        let mut writer = ManifestWriter::new(Format::Yaml);
        let error = writer.object(Kind::Model, None, "m", &unknown).unwrap_err();
        assert!(error.to_string().contains("LlmModel m"), "{error}");
    }

    #[test]
    fn a_list_of_none_is_json_too() {
        let mut writer = ManifestWriter::new(Format::Json);
        let text = writer.begin(&["a note".to_owned()]) + &writer.end(&[]);
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["items"], json!([]));
        let declared = Declaration {
            spec: json!({ "providerRef": { "name": "p" }, "modelId": "id" }),
            ..Declaration::default()
        };
        let one = writer.object(Kind::Model, Some("a"), "m", &declared);
        let two = writer.object(Kind::Model, Some("a"), "n", &declared);
        let text = writer.begin(&[]) + &one.unwrap() + &two.unwrap() + &writer.end(&[]);
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["items"][1]["metadata"]["name"], "n");
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was_written(
            text in prop_oneof![".{0,40}", "[-:#&*!|>%@`'\"{}\\[\\], a1\\t\\n\\r]{0,12}",
                "(yes|No|on|OFF|y|null|~|0x1f|1e3|012|1_000|2026-01-01|.inf|<<|=|1:30|true)"],
            number in any::<f64>().prop_filter("JSON's", |n| n.is_finite()),
        ) {
            let endpoint: LlmEndpoint = serde_json::from_value(json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmEndpoint",
                "metadata": { "name": "e", "annotations": { "a/b": text.replace('\0', "") } },
                "spec": { "providerRef": { "name": "p" }, "displayName": text, "caBundle": text,
                          "headers": [{ "name": "x", "value": text }] },
            })).unwrap();
            let declared = Declaration::of(&endpoint);
            let yaml = ManifestWriter::new(Format::Yaml)
                .object(Kind::Endpoint, None, "e", &declared)
                .unwrap();
            let read: LlmEndpoint = serde_saphyr::from_str(&yaml).unwrap();
            prop_assert_eq!(&read.spec, &endpoint.spec, "{}", yaml);
            let value = json!({ "number": number });
            let read: Value = serde_saphyr::from_str(&to_yaml(&value).unwrap()).unwrap();
            prop_assert_eq!(read["number"].as_f64(), Some(number));
        }
    }
}
