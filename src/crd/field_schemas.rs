//! The JSON Schema of a row's or body's field, made from its resource's own: the same limits, said once. Pure.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::fields::{Field, snake_case};
use super::{Kind, crds};

/// What of a resource's schema a body's has too.
const KEYWORDS: [&str; 13] = [
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
];

/// The spec's schema of each kind, in their order.
static SPECS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let spec = |crd| {
        let crd = serde_json::to_value(crd).unwrap_or_default();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    };
    crds().into_iter().map(spec).collect()
});

/// The schema of a kind's spec.
pub fn spec_of(kind: Kind) -> &'static Value {
    SPECS.get(kind as usize).unwrap_or(&Value::Null)
}

/// A field's part of its spec's schema.
pub fn part<'s>(spec: &'s Value, field: &Field) -> &'s Value {
    let parts = field.place.split('.');
    parts.fold(spec, |at, part| &at["properties"][part])
}

/// What a field is where nothing is said.
pub fn default_of(kind: Kind, field: &Field) -> Option<Value> {
    part(spec_of(kind), field).get("default").cloned()
}

/// A part of a spec as rows show it: in snake case, and without what is not said.
pub fn shown_part(kind: Kind, name: &str) -> Value {
    let mut schema = translated(&spec_of(kind)["properties"][name], Absent::LeftOut);
    rename_properties(&mut schema, true, snake_case);
    schema["type"] = json!(["object", "null"]);
    schema
}

/// What stands for a field that is not said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing.
    LeftOut,
    /// Nothing, or null.
    OrNull,
}

/// A resource's schema as a row's or body's: rules that are one pattern are said as such.
pub fn translated(of_spec: &Value, absent: Absent) -> Value {
    let mut schema = Map::new();
    for keyword in KEYWORDS {
        if let Some(value) = of_spec.get(keyword) {
            schema.insert(keyword.to_owned(), value.clone());
        }
    }
    let rules = items(&of_spec["x-kubernetes-validations"]);
    let mut rules = rules.filter_map(|rule| rule["rule"].as_str());
    let rule = rules.next().unwrap_or_default();
    if let Some(pattern) = pattern_of(rule, "self.matches(r'", "')") {
        schema.insert("pattern".to_owned(), pattern.into());
    }
    if let Some(item) = of_spec.get("items") {
        let mut item = translated(item, absent);
        if let Some(pattern) = pattern_of(rule, "self.all(s, s.matches(r'", "'))") {
            item["pattern"] = pattern.into();
        }
        schema.insert("items".to_owned(), item);
    }
    if of_spec["x-kubernetes-list-type"] == "set" {
        schema.insert("uniqueItems".to_owned(), true.into());
    }
    if let Some(Value::Object(properties)) = of_spec.get("properties") {
        let required = of_spec.get("required").cloned().unwrap_or(json!([]));
        let is_required = |name: &String| items(&required).any(|one| one == name.as_str());
        let property = |(name, schema): (&String, &Value)| {
            let schema = translated(schema, absent);
            let schema = match is_required(name) || absent == Absent::LeftOut {
                true => schema,
                false => or_null(schema),
            };
            (name.clone(), schema)
        };
        let properties: Map<_, _> = properties.iter().map(property).collect();
        schema.insert("properties".to_owned(), properties.into());
        schema.insert("required".to_owned(), required.clone());
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema.into()
}

/// Null is as if it were not said.
pub fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    if let Value::Array(words) = &mut schema["enum"] {
        words.push(Value::Null);
    }
    // Indexing put it there.
    if schema["enum"].is_null() {
        schema
            .as_object_mut()
            .and_then(|schema| schema.remove("enum"));
    }
    schema
}

/// Gives an object's properties other names, and where `deep` those of its properties.
pub fn rename_properties(schema: &mut Value, deep: bool, rename: fn(&str) -> String) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let named = std::mem::take(properties).into_iter();
        let named = named.map(|(name, mut property)| {
            if deep {
                rename_properties(&mut property, deep, rename);
            }
            (rename(&name), property)
        });
        *properties = named.collect();
    }
    if let Some(Value::Array(names)) = schema.get_mut("required") {
        for name in names {
            *name = rename(name.as_str().unwrap_or_default()).into();
        }
    }
}

/// The pattern of a rule that is nothing else.
fn pattern_of<'r>(rule: &'r str, begin: &str, end: &str) -> Option<&'r str> {
    let pattern = rule.strip_prefix(begin)?.strip_suffix(end)?;
    (!pattern.contains('\'')).then_some(pattern)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
