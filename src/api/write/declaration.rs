//! From a body's fields to a spec, and back. Pure.

use serde_json::{Map, Value};

use crate::api::problem::Problem;
use crate::api::read::request_body::MAX_TOLD;
use crate::crd::field_schemas;
use crate::crd::fields::{self, Field, Form};
use crate::crd::{Kind, names::did_you_mean};

/// Puts a body's fields into a spec. What the body leaves out gets the schema's default, or is taken
/// out where there is none, but for what a replacement keeps. Where it declares one of the parts of which
/// there is one at a time, the others are taken out.
///
/// # Errors
///
/// 400 for a word or a field that there is not.
pub fn apply(
    kind: Kind,
    spec: &mut Map<String, Value>,
    body: &Map<String, Value>,
) -> Result<(), Problem> {
    for field in fields::of(kind) {
        match (body.get(field.name), field.form) {
            (Some(given), _) => {
                field.write(spec, Some(declared(kind, field, given)?));
                take_out_others(kind, field, spec);
            }
            (None, Form::Kept | Form::Part) => {}
            (None, _) if field.read(spec).is_none() => {}
            (None, _) => field.write(spec, field_schemas::default_of(kind, field)),
        }
    }
    Ok(())
}

/// Takes out what is declared in the place of this field's part of the spec.
fn take_out_others(kind: Kind, field: &Field, spec: &mut Map<String, Value>) {
    let parts = fields::alternatives(kind);
    let own = field.place.split('.').next().unwrap_or_default();
    if parts.contains(&own) {
        spec.retain(|part, _| part == own || !parts.contains(&part.as_str()));
    }
}

/// A row's value as the spec has it.
fn declared(kind: Kind, field: &Field, given: &Value) -> Result<Value, Problem> {
    match field.form {
        Form::Part => part(kind, field, given),
        Form::Word(words) => word(field.name, words, given),
        // An object is whatever its owner means by it; of the schema's own, null is what is not said.
        Form::Same if given.is_object() => Ok(given.clone()),
        Form::Same | Form::Kept => Ok(without_null(given)),
        Form::Endpoints => Ok(given.clone()),
        Form::Tiers => Ok(fields::renamed_tiers(
            &without_null(given),
            fields::tier_declared,
        )),
    }
}

fn part(kind: Kind, field: &Field, given: &Value) -> Result<Value, Problem> {
    let schema = field_schemas::part(field_schemas::spec_of(kind), field);
    fields::part_declared(schema, given).map_err(|unknown| {
        let (within, name) = match unknown.place.rsplit_once('.') {
            Some((within, name)) => (format!("{}.{within}", field.name), name),
            None => (field.name.to_owned(), unknown.place.as_str()),
        };
        let told: String = name.chars().take(MAX_TOLD).collect();
        let near = did_you_mean(&told, unknown.known.iter().map(String::as_str));
        Problem::body(format!(
            "{within}: {told:?} is no field of it{near}; it has {}",
            unknown.known.join(", ")
        ))
    })
}

fn word(field: &str, words: &[&str], given: &Value) -> Result<Value, Problem> {
    let said = given.as_str().unwrap_or_default();
    let found = words.iter().find(|word| word.to_lowercase() == said);
    found.map(|word| Value::from(*word)).ok_or_else(|| {
        let shown: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let near = did_you_mean(said, shown.iter().map(String::as_str));
        Problem::body(format!(
            "{field}: expected one of {}{near}",
            shown.join(", ")
        ))
    })
}

fn without_null(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_null).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_null(value)))
            .collect(),
        other => other.clone(),
    }
}

/// What a spec declares, by the names of a row's fields.
pub fn shown(kind: Kind, spec: &Value) -> Map<String, Value> {
    let shown = |field: &Field| Some((field.name.to_owned(), field.shown(spec.as_object()?)?));
    fields::of(kind).iter().filter_map(shown).collect()
}

/// The fields of which two specs say different things.
pub fn changed(kind: Kind, before: &Value, after: &Value) -> Vec<&'static str> {
    let value =
        |field: &Field, spec: &Value| spec.as_object().and_then(|spec| field.read(spec).cloned());
    let differs = |field: &&Field| value(field, before) != value(field, after);
    let changed = fields::of(kind).iter().filter(differs);
    changed.map(|field| field.name).collect()
}

/// The merge patch (RFC 7386) that makes of one value the other.
pub fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return after.clone();
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut patch: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in new {
        match old.get(name) {
            Some(same) if same == value => {}
            Some(other) => drop(patch.insert(name.clone(), merge_patch(other, value))),
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else {
            panic!("an object");
        };
        map
    }

    #[test]
    fn a_replacement_takes_out_what_it_leaves_out_and_keeps_what_rows_do_not_show() {
        let mut spec = map(json!({
            "providerRef": { "name": "p" }, "enabled": false, "displayName": "old", "region": "eu",
            "retry": { "count": 9 }, "priority": 100, "headers": [{ "name": "x", "value": "y" }],
        }));
        let before = json!(spec);
        apply(
            Kind::Endpoint,
            &mut spec,
            &map(json!({ "display_name": "new", "timeout_read": 7 })),
        )
        .unwrap();
        let after = json!({
            "providerRef": { "name": "p" }, "enabled": false, "displayName": "new",
            "readTimeoutSeconds": 7, "retry": { "count": 2 }, "priority": 100, "headers": [{ "name": "x", "value": "y" }],
        });
        assert_eq!(json!(spec), after);
        assert_eq!(
            changed(Kind::Endpoint, &before, &after),
            ["display_name", "region", "timeout_read", "retry_count"]
        );
    }

    #[test]
    fn what_is_declared_is_shown_as_it_was_said() {
        let body = json!({
            "model_id": "gpt", "currency": "USD", "input_price": "0.1", "status": "deprecated",
            "capabilities": [{ "name": "Chat", "score": null }], "default_parameters": { "stop": null },
        });
        let mut spec = Map::new();
        apply(Kind::Model, &mut spec, &map(body)).unwrap();
        assert_eq!(
            json!(spec),
            json!({
                "modelId": "gpt", "pricing": { "currency": "USD", "inputPer1kTokens": "0.1" },
                "lifecycle": "Deprecated", "capabilities": [{ "name": "Chat" }],
                "defaultParameters": { "stop": null },
            })
        );
        assert_eq!(shown(Kind::Model, &json!(spec))["status"], "deprecated");
    }

    #[test]
    fn a_word_that_there_is_not_is_refused_with_those_that_there_are() {
        for word in [json!("Available"), json!("depricated"), json!(7)] {
            let refused = apply(
                Kind::Model,
                &mut Map::new(),
                &map(json!({ "status": word })),
            );
            let said = refused.expect_err("refused").detail;
            assert!(
                said.starts_with("status: expected one of available, maintenance, deprecated"),
                "{said}"
            );
        }
    }

    /// As RFC 7386, 2 has it.
    fn merged(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else {
            return patch.clone();
        };
        let mut target = match target {
            Value::Object(target) => target,
            _ => Map::new(),
        };
        for (name, value) in patch {
            match value {
                Value::Null => drop(target.remove(name)),
                value => {
                    let old = target.remove(name).unwrap_or_default();
                    target.insert(name.clone(), merged(old, value));
                }
            }
        }
        Value::Object(target)
    }

    fn specs() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (0..4_i64).prop_map(Value::from),
            Just(json!("x")),
            Just(json!([1]))
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into())
        })
    }

    proptest! {
        #[test]
        fn a_merge_patch_makes_of_one_the_other(before in specs(), after in specs()) {
            let patch = merge_patch(&before, &after);
            prop_assert_eq!(merged(before, &patch), after);
        }
    }
}
