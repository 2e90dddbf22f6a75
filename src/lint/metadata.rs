//! What every object has: names, labels, annotations; and the Secrets that hold keys.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::crd::hosts::parse_allowed_hosts;
use crate::crd::names::did_you_mean;
use crate::crd::{ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, ProviderType};

use super::documents::Document;
use super::schema::Violation;

/// Longest name of an object, in bytes.
const MAX_NAME: usize = 253;
/// Longest name or value of a label, in bytes.
const MAX_LABEL: usize = 63;

/// Fields of `metadata`; any other is refused.
const FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// A pattern that is known to compile.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static SUBDOMAIN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static WORD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"));

/// What is wrong with an object's metadata.
pub fn check(object: &Document) -> Vec<Violation> {
    let Some(metadata) = object.value.get("metadata").and_then(Value::as_object) else {
        return vec![Violation::new("metadata.name", "give the object a name")];
    };
    let mut violations = Vec::new();
    for key in metadata.keys().filter(|k| !FIELDS.contains(&k.as_str())) {
        let near = did_you_mean(key, FIELDS);
        let message = format!("there is no such field{near}");
        violations.push(Violation::new(format!("metadata.{key}"), message));
    }
    violations.extend(check_names(metadata));
    violations.extend(check_pairs(metadata));
    violations
}

fn check_names(metadata: &Map<String, Value>) -> Vec<Violation> {
    let mut violations = Vec::new();
    match (metadata.get("name"), metadata.get("generateName")) {
        (Some(Value::String(name)), _) if name.len() <= MAX_NAME && SUBDOMAIN.is_match(name) => {}
        (None | Some(Value::Null), Some(Value::String(prefix))) if !prefix.is_empty() => {}
        (None | Some(Value::Null), _) => {
            violations.push(Violation::new("metadata.name", "give the object a name"));
        }
        _ => violations.push(Violation::new(
            "metadata.name",
            "write at most 253 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
        )),
    }
    if let Some(prefix) = metadata.get("generateName").filter(|p| !p.is_null())
        && !prefix.as_str().is_some_and(is_prefix)
    {
        violations.push(Violation::new(
            "metadata.generateName",
            "write the beginning of a name: lower-case letters, digits, '-' and '.', beginning with a letter or digit and not ending with '.'",
        ));
    }
    match metadata.get("namespace") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.len() <= MAX_LABEL && LABEL.is_match(name) => {}
        Some(_) => violations.push(Violation::new(
            "metadata.namespace",
            "write at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit",
        )),
    }
    violations
}

/// Whether names can begin so. The apiserver judges the prefix as if it were a name, but lets it end
/// with a dash.
fn is_prefix(prefix: &str) -> bool {
    let as_name = match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{prefix}a"),
        _ => prefix.to_owned(),
    };
    prefix.is_empty() || (prefix.len() <= MAX_NAME && SUBDOMAIN.is_match(&as_name))
}

/// Labels and annotations: text to text, with keys of the form `prefix/name`.
fn check_pairs(metadata: &Map<String, Value>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for field in ["labels", "annotations"] {
        let pairs = match metadata.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(pairs)) => pairs,
            Some(_) => {
                let message = "write names and values, one a line";
                violations.push(Violation::new(format!("metadata.{field}"), message));
                continue;
            }
        };
        for (key, value) in pairs {
            let path = format!("metadata.{field}[{key}]");
            if !is_qualified(key) {
                let message = "write name or prefix/name: a name of at most 63 letters, digits, '-', '_' and '.', after a DNS name";
                violations.push(Violation::new(path, message));
            } else if !value.is_string() {
                violations.push(Violation::new(path, "write text: put the value in quotes"));
            } else if field == "labels" && !value.as_str().is_some_and(is_label_value) {
                let message = "write at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";
                violations.push(Violation::new(path, message));
            }
        }
    }
    violations
}

fn is_qualified(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(|p| p.len() <= MAX_NAME && SUBDOMAIN.is_match(p))
        && name.len() <= MAX_LABEL
        && WORD.is_match(name)
}

fn is_label_value(value: &str) -> bool {
    value.is_empty() || (value.len() <= MAX_LABEL && WORD.is_match(value))
}

/// What is wrong with the label and the annotation that make a Secret a credential's. Nothing of
/// the Secret's data is looked at.
pub fn check_secret(secret: &Document) -> Vec<Violation> {
    let mut violations = Vec::new();
    if let Some(label) = secret_label(secret)
        && ProviderType::parse(label).is_none()
    {
        let near = did_you_mean(label, ProviderType::ALL.map(ProviderType::as_str));
        let message = format!("{label:?} is no provider type{near}");
        let path = format!("metadata.labels[{LABEL_CREDENTIAL}]");
        violations.push(Violation::new(path, message));
    }
    violations.extend(check_hosts(secret));
    violations
}

/// What is wrong with the annotation that says where a Secret's key, or the token that a vendor gives a
/// ServiceAccount, may go.
pub fn check_hosts(object: &Document) -> Vec<Violation> {
    let mut violations = Vec::new();
    let annotations = object.value.pointer("/metadata/annotations");
    let hosts = annotations
        .and_then(|a| a.get(ANNOTATION_ALLOWED_HOSTS))
        .and_then(Value::as_str);
    if let Some(Err(error)) = hosts.map(parse_allowed_hosts) {
        let path = format!("metadata.annotations[{ANNOTATION_ALLOWED_HOSTS}]");
        violations.push(Violation::new(path, error.to_string()));
    }
    violations
}

/// The value of the label that opts a Secret in.
pub(super) fn secret_label(secret: &Document) -> Option<&str> {
    let labels = secret.value.pointer("/metadata/labels")?;
    labels.get(LABEL_CREDENTIAL)?.as_str()
}
