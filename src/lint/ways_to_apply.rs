//! What one way of applying takes and another refuses. `kubectl create` and `kubectl apply` send the
//! object to be stored, and the apiserver drops a null first; `kubectl apply --server-side`, which Flux
//! and others use, sends it to be merged, and there a null is a value of the wrong type.

use serde_json::Value;

use super::documents::Document;
use super::explain::join;
use super::schema::{Schema, Violation, properties};

/// Each field of an object on which the ways of applying it differ.
pub fn differences(schema: &Schema, object: &Document) -> Vec<Violation> {
    let mut found = Vec::new();
    // Its status is dropped, and its metadata takes nulls.
    if let (Some(spec), Some(schema)) = (
        object.value.get("spec"),
        properties(schema.root()).and_then(|known| known.get("spec")),
    ) {
        nulls(schema, spec, "spec", &mut found);
    }
    found.extend(of_metadata(object));
    found
}

/// Nulls in fields without a default, which would take their place.
fn nulls(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    match value {
        Value::Object(fields) => {
            for (key, schema) in properties(schema).into_iter().flatten() {
                match fields.get(key) {
                    Some(Value::Null) if schema.get("default").is_none() => {
                        let message = "has no value: `kubectl create` and `kubectl apply` leave the field out, \
                                       `kubectl apply --server-side` (Flux too) refuses it; give it a value, or remove the line";
                        found.push(Violation::new(join(path, key), message));
                    }
                    Some(value) => nulls(schema, value, &join(path, key), found),
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    nulls(schema, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn of_metadata(object: &Document) -> Vec<Violation> {
    let field = |name: &str| {
        let value = object.value.pointer(&format!("/metadata/{name}"))?;
        (!value.is_null()).then_some(value)
    };
    let mut found = Vec::new();
    if field("name").is_none() && field("generateName").is_some() {
        let message = "`kubectl create` takes it, `kubectl apply` refuses an object without a name; give it a name";
        found.push(Violation::new("metadata.generateName", message));
    }
    if field("managedFields").is_some_and(|value| value.as_array().is_none_or(|it| !it.is_empty()))
    {
        let message = "`kubectl create` and `kubectl apply` take it, `kubectl apply --server-side` (Flux too) refuses it; remove it";
        found.push(Violation::new("metadata.managedFields", message));
    }
    for name in ["uid", "resourceVersion"] {
        if field(name).is_some() {
            let message = "`kubectl create` takes it, `kubectl apply` refuses it where the cluster's object has another; remove it";
            found.push(Violation::new(format!("metadata.{name}"), message));
        }
    }
    found
}
