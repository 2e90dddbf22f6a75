//! What cannot be stored, found before it is tried: a NUL character, which JSON's strings and keys
//! may have and PostgreSQL's may not, and parameters that are nested too
//! deeply or too long. Pure.

use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use crate::controller::error::Refusal;
use crate::crd::{
    ANNOTATION_RECONCILE_REQUESTED_AT, model::parameters_out_of_bounds, reasons::Reason,
};

/// Why an object cannot be stored, if it cannot; `spec` is its own.
pub fn refusal<K: ResourceExt>(object: &K, spec: &impl Serialize) -> Option<Refusal> {
    let spec = serde_json::to_value(spec).unwrap_or_default();
    let asked = object.annotations().get(ANNOTATION_RECONCILE_REQUESTED_AT);
    let field = match asked {
        Some(asked) if asked.contains('\0') => Some(format!(
            "metadata.annotations[{ANNOTATION_RECONCILE_REQUESTED_AT}]"
        )),
        _ => nul(&spec, "spec"),
    };
    let Some(field) = field else {
        return parameters_out_of_bounds(&spec).map(|why| Refusal::new(Reason::InvalidSpec, why));
    };
    Some(Refusal::new(
        Reason::InvalidSpec,
        format!("{field} holds a NUL character, which the database cannot; take it out"),
    ))
}

/// The path to the first string or key with a NUL character.
fn nul(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(n, item)| nul(item, &format!("{path}[{n}]"))),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            if key.contains('\0') {
                return Some(format!("a key of {path}"));
            }
            nul(value, &format!("{path}.{key}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::LlmModel;

    fn refused(annotations: Value, parameters: Value) -> Option<String> {
        let model: LlmModel = serde_json::from_value(json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
            "metadata": { "name": "m", "namespace": "team", "annotations": annotations },
            "spec": {
                "providerRef": { "name": "p" }, "modelId": "m", "defaultParameters": parameters,
            },
        }))
        .unwrap();
        let refusal = refusal(&model, &model.spec)?;
        assert_eq!(refusal.0.reason, Reason::InvalidSpec);
        Some(refusal.0.message)
    }

    #[test]
    fn the_field_that_holds_a_nul_character_is_named() {
        let nothing = json!({});
        let told = |parameters| refused(nothing.clone(), parameters).unwrap_or_default();
        assert!(
            told(json!({ "stop": ["a", "b\0"] })).starts_with("spec.defaultParameters.stop[1]")
        );
        assert!(
            told(json!({ "a": { "b\0": 1 } })).starts_with("a key of spec.defaultParameters.a")
        );
        assert_eq!(told(json!({ "stop": ["\\u0000", 0, null, true] })), "");
        let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert_eq!(told(nested(32)), "");
        assert!(told(nested(33)).starts_with("spec.defaultParameters is nested"));
        let long = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
        assert_eq!(told(long(16_384)), "");
        assert!(told(long(16_385)).starts_with("spec.defaultParameters has 16385 bytes"));
        let asked = json!({ "llmplane.dev/reconcile-requested-at": "\0" });
        let told = refused(asked, nothing).unwrap();
        assert!(
            told.starts_with("metadata.annotations[llmplane.dev/"),
            "{told}"
        );
    }
}
