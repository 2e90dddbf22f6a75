//! One object against its generated schema, in the apiserver's order: unknown fields, nulls and
//! defaults, the JSON schema, lists with keys, and then the CEL rules.

use std::collections::HashSet;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel;
use regex::Regex;
use serde_json::{Map, Value};

use super::explain::{explain, join, shown};
use crate::crd::names::did_you_mean;
use crate::crd::{GROUP, VERSION, crds};

/// A field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// For example `spec.headers[0].name`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The schema's keyword that was broken: `maxLength`, `required`, `x-kubernetes-validations`.
    pub keyword: &'static str,
}

impl Violation {
    /// A violation that no schema keyword stands for.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of("", field, message)
    }

    pub(super) fn of(
        keyword: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            keyword,
        }
    }

    /// The apiserver checks no CEL rule on an object that breaks one of these.
    fn keeps_rules_from_being_checked(&self) -> bool {
        let keywords = [
            "enum",
            "required",
            "maxLength",
            "maxItems",
            "maxProperties",
            "type",
        ];
        keywords.contains(&self.keyword)
    }
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas {
    kinds: crds().iter().filter_map(Schema::compile).collect(),
});

/// The schemas of the five kinds, ready for use.
pub struct Schemas {
    kinds: Vec<Schema>,
}

impl Schemas {
    /// The generated definitions, compiled once.
    pub fn generated() -> &'static Self {
        &SCHEMAS
    }

    /// The names of the kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|s| s.kind.as_str())
    }

    /// The schema of an object.
    ///
    /// # Errors
    /// Where there is no such version or kind, with the nearest; where there is no version at all,
    /// whatever the kind.
    pub fn find(&self, api_version: Option<&str>, kind: &str) -> Result<&Schema, Violation> {
        let ours = format!("{GROUP}/{VERSION}");
        let Some(api_version) = api_version else {
            let message = format!(
                "write the group and version, {ours} for a kind of ours: without them nobody knows what this object is"
            );
            return Err(Violation::new("apiVersion", message));
        };
        let Some(schema) = self.kinds.iter().find(|s| s.kind == kind) else {
            let near = did_you_mean(kind, self.kinds());
            let message = format!("{GROUP} has no kind {kind:?}{near}");
            return Err(Violation::new("kind", message));
        };
        if api_version != ours {
            let message = format!("write {ours}: there is no other group or version of this kind");
            return Err(Violation::new("apiVersion", message));
        }
        Ok(schema)
    }
}

/// The schema of one kind.
pub struct Schema {
    kind: String,
    schema: Value,
    validator: Validator,
    rules: cel::CompiledSchema,
}

impl Schema {
    /// `None` only for a definition without a schema, which none of ours is.
    fn compile(crd: &CustomResourceDefinition) -> Option<Self> {
        let version = crd.spec.versions.first()?;
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let schema = serde_json::to_value(schema).ok()?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft7)
            .should_validate_formats(true)
            .with_format("date-time", is_date_time)
            .build(&schema)
            .ok()?;
        Some(Self {
            kind: crd.spec.names.kind.clone(),
            rules: cel::compile_schema(&schema),
            schema,
            validator,
        })
    }

    /// What the apiserver would say when this object is created. Its metadata is not looked at,
    /// and neither is its status, which the apiserver drops.
    pub fn violations(&self, object: &Value) -> Vec<Violation> {
        self.violations_of_update(object, None)
    }

    /// What the apiserver would say when this object takes the place of `old`.
    pub fn violations_of_update(&self, object: &Value, old: Option<&Value>) -> Vec<Violation> {
        let mut violations = Vec::new();
        unknown_fields(&self.schema, object, "", &mut violations);
        let object = self.prepared(object);
        violations.extend(self.validator.iter_errors(&object).map(|e| explain(&e)));
        duplicate_items(&self.schema, &object, "", &mut violations);
        if violations
            .iter()
            .any(Violation::keeps_rules_from_being_checked)
        {
            return violations;
        }
        let old = old.map(|old| self.prepared(old));
        let checked = cel::validate_compiled(&self.rules, &object, old.as_ref());
        let known_wrong = !violations.is_empty();
        for broken in checked.err().into_iter().flatten() {
            let violation = match broken.kind {
                cel::ErrorKind::ValidationFailure => Violation::of(
                    "x-kubernetes-validations",
                    broken.field_path,
                    broken.message,
                ),
                // A rule cannot be evaluated over a value that is of no use: that is said already.
                _ if known_wrong => continue,
                _ => Violation::of(
                    "rule",
                    broken.field_path,
                    format!(
                        "a rule of this field cannot be checked here: {}",
                        broken.message
                    ),
                ),
            };
            violations.push(violation);
        }
        violations
    }

    /// The generated schema.
    pub(super) fn root(&self) -> &Value {
        &self.schema
    }

    /// The object as it is when its rules are checked: nulls taken for fields that are not there,
    /// defaults filled in, no status.
    fn prepared(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        drop_nulls(&self.schema, &mut object);
        cel::apply_defaults(&self.schema, &object)
    }
}

pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let Some(known) = properties(schema) else {
                return;
            };
            fields.retain(|key, value| !(value.is_null() && known.contains_key(key)));
            for (key, value) in fields {
                if let Some(schema) = known.get(key) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| drop_nulls(schema, item));
            }
        }
        _ => {}
    }
}

/// Fields that the schema does not know. `metadata` is checked elsewhere.
fn unknown_fields(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(fields) => {
            let Some(known) = properties(schema) else {
                return;
            };
            for (key, value) in fields {
                let field = join(path, key);
                if let Some(schema) = known.get(key) {
                    unknown_fields(schema, value, &field, found);
                } else if !(path.is_empty() && is_of_every_object(key)) {
                    let near = did_you_mean(key, known.keys().map(String::as_str));
                    let message = format!("there is no such field{near}");
                    found.push(Violation::of("unknown", field, message));
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    unknown_fields(schema, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn is_of_every_object(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata")
}

/// Items of the same key in a list that is a map, or equal ones in a list that is a set.
fn duplicate_items(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    match value {
        Value::Object(fields) => {
            for (key, schema) in properties(schema).into_iter().flatten() {
                if let Some(value) = fields.get(key) {
                    duplicate_items(schema, value, &join(path, key), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(key) = list_key(schema) else { return };
            let mut seen = HashSet::new();
            for (index, item) in items.iter().enumerate() {
                let Some(here) = key(item) else { continue };
                if seen.contains(&here) {
                    let shown = shown(&here);
                    let message = format!("{shown} is here twice; keep one of the two");
                    let field = format!("{path}[{index}]");
                    found.push(Violation::of("x-kubernetes-list-type", field, message));
                }
                seen.insert(here);
            }
        }
        _ => {}
    }
}

/// Reads from an item what it is told apart by.
type ListKey<'a> = Box<dyn Fn(&Value) -> Option<Value> + 'a>;

/// What an item of this list is told apart by, where the schema says that items must differ.
fn list_key(schema: &Value) -> Option<ListKey<'_>> {
    match schema.get("x-kubernetes-list-type")?.as_str()? {
        "set" => Some(Box::new(|item| Some(item.clone()))),
        "map" => {
            let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
            let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            Some(Box::new(move |item| match keys.as_slice() {
                [key] => item.get(key).cloned(),
                keys => keys.iter().map(|key| item.get(key).cloned()).collect(),
            }))
        }
        _ => None,
    }
}

static DATE_TIME: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$";
    Regex::new(pattern).expect("a constant pattern")
});

/// RFC 3339 as the apiserver reads it: without leap seconds and lower-case letters.
fn is_date_time(text: &str) -> bool {
    DATE_TIME.is_match(text) && text.parse::<jiff::Timestamp>().is_ok()
}
