//! The schemas of the definitions in the forms that other tools read: JSON schemas for kubeconform,
//! and the OpenAPI document from which kustomize learns which lists are maps. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use serde_json::{Map, Value, json};

use super::{GROUP, VERSION};

/// Path of one kind's JSON schema below the folder of all: `{group}/{kind}_{version}.json`, as
/// kubeconform's users lay them out.
pub fn file_path(crd: &CustomResourceDefinition) -> String {
    let kind = crd.spec.names.kind.to_lowercase();
    format!("{GROUP}/{kind}_{VERSION}.json")
}

/// One kind's JSON schema (draft 7). It refuses what the apiserver's schema refuses, unknown fields
/// included; CEL rules and keys that stand twice in a list are beyond it.
pub fn json_schema(crd: &CustomResourceDefinition) -> Value {
    let mut schema = open_api(crd);
    strict(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        // The apiserver drops the status of what is applied.
        properties.insert("status".to_owned(), json!({}));
        let api_version = format!("{GROUP}/{VERSION}");
        properties.insert("apiVersion".to_owned(), json!({ "const": api_version }));
        properties.insert("kind".to_owned(), json!({ "const": crd.spec.names.kind }));
        properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    }
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema
}

/// The OpenAPI document of these definitions, as far as kustomize reads it: a strategic merge patch
/// of one item of a list with a key leaves the other items as they are.
pub fn kustomize_openapi(crds: &[CustomResourceDefinition]) -> Value {
    let definitions: Map<String, Value> = crds.iter().map(definition).collect();
    json!({ "definitions": definitions })
}

fn definition(crd: &CustomResourceDefinition) -> (String, Value) {
    let kind = &crd.spec.names.kind;
    let mut schema = lists_with_keys(&open_api(crd)).unwrap_or_else(|| json!({}));
    let gvk = json!({ "group": GROUP, "version": VERSION, "kind": kind });
    schema["x-kubernetes-group-version-kind"] = json!([gvk]);
    (format!("dev.llmplane.{VERSION}.{kind}"), schema)
}

fn open_api(crd: &CustomResourceDefinition) -> Value {
    crd.spec
        .versions
        .first()
        .map(of_version)
        .unwrap_or_default()
}

/// The schema of a version, as the apiserver takes it.
pub fn of_version(version: &CustomResourceDefinitionVersion) -> Value {
    let schema = version.schema.as_ref();
    serde_json::to_value(schema.map(|schema| &schema.open_api_v3_schema)).unwrap_or_default()
}

/// From an apiserver's schema to a JSON schema that knows no other fields. A field that need not be
/// there may be null, which the apiserver takes for absent.
fn strict(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if fields.get("x-kubernetes-list-type") == Some(&json!("set")) {
        fields.insert("uniqueItems".to_owned(), true.into());
    }
    fields.retain(|keyword, _| !keyword.starts_with("x-kubernetes-"));
    let required = fields.get("required").cloned().unwrap_or_default();
    let required = |name: &str| {
        let names = required.as_array().into_iter().flatten();
        names.into_iter().any(|known| known.as_str() == Some(name))
    };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            strict(property);
            if !required(name) {
                allow_null(property);
            }
        }
        let open = Value::Bool(false);
        fields.entry("additionalProperties").or_insert(open);
    }
    for below in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(below) {
            strict(schema);
        }
    }
    if fields.remove("nullable") == Some(Value::Bool(true)) {
        allow_null(schema);
    }
}

fn allow_null(schema: &mut Value) {
    if let Some(type_) = schema.get("type").filter(|type_| type_.is_string()) {
        schema["type"] = json!([type_, "null"]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
}

/// What of a schema leads to lists with one key, each with the strategy that merges them.
fn lists_with_keys(schema: &Value) -> Option<Value> {
    if let Some(items) = schema.get("items") {
        let inner = lists_with_keys(items);
        let key = schema.pointer("/x-kubernetes-list-map-keys/0");
        if inner.is_none() && key.is_none() {
            return None;
        }
        let items = inner.unwrap_or_else(|| json!({ "type": "object" }));
        let mut list = json!({ "type": "array", "items": items });
        if let Some(key) = key {
            list["x-kubernetes-patch-strategy"] = "merge".into();
            list["x-kubernetes-patch-merge-key"] = key.clone();
        }
        return Some(list);
    }
    let properties = schema.get("properties")?.as_object()?;
    let kept = |(name, schema): (&String, &Value)| Some((name.clone(), lists_with_keys(schema)?));
    let kept: Map<String, Value> = properties.iter().filter_map(kept).collect();
    (!kept.is_empty()).then(|| json!({ "type": "object", "properties": kept }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::crds;

    #[test]
    fn a_schema_knows_its_fields_and_no_others() {
        let crds = crds();
        let model = crds.iter().find(|crd| crd.spec.names.kind == "LlmModel");
        let schema = json_schema(model.unwrap());
        let spec = &schema["properties"]["spec"];
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(spec["additionalProperties"], false);
        assert_eq!(spec["properties"]["modelId"]["type"], "string");
        let optional = &spec["properties"]["displayName"]["type"];
        assert_eq!(optional, &json!(["string", "null"]));
        let text = schema.to_string();
        assert!(!text.contains("x-kubernetes-") && !text.contains("nullable"));
    }

    #[test]
    fn every_list_with_a_key_is_merged_by_it() {
        let text = kustomize_openapi(&crds()).to_string();
        let keyed: usize = crds()
            .iter()
            .map(|crd| open_api(crd).to_string().matches("list-map-keys").count())
            .sum();
        assert_eq!(text.matches("patch-merge-key").count(), keyed);
        assert!(keyed > 6);
    }
}
