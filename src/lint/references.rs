//! What objects say of each other, among the files given. The rest of the cluster is not known
//! here, so that everything found is a warning.

use serde_json::Value;

use crate::crd::names::did_you_mean;
use crate::crd::{GROUP, LABEL_CREDENTIAL};

use super::documents::Document;
use super::metadata::secret_label;
use super::report::{Problem, Report, Severity};
use super::schema::Violation;

/// Adds a warning for each reference to what no file declares, or that cannot work.
pub fn check(objects: &[&Document], report: &mut Report) {
    for object in objects.iter().filter(|o| o.group() == Some(GROUP)) {
        for violation in warnings(object, objects) {
            report
                .problems
                .push(Problem::new(Severity::Warning, object, violation));
        }
    }
}

fn warnings(object: &Document, all: &[&Document]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, kind) in references(object) {
        let Some(name) = text_at(&object.value, &path) else {
            continue;
        };
        let others = candidates(object, kind, all);
        match others.iter().find(|o| o.name() == Some(name)) {
            None => {
                let near = did_you_mean(name, others.iter().filter_map(|o| o.name()));
                let message = format!("no {kind} {name:?} among the files given{near}");
                found.push(Violation::new(path, message));
            }
            Some(secret) if kind == "Secret" => found.extend(secret_fits(object, secret, all)),
            Some(other) => found.extend(same_provider(object, other, path)),
        }
    }
    found
}

/// The fields of an object that name another, and that other's kind.
fn references(object: &Document) -> Vec<(String, &'static str)> {
    let mut fields = match object.kind() {
        Some("LlmProvider") => vec![("spec.defaultEndpointRef.name".to_owned(), "LlmEndpoint")],
        Some("LlmEndpoint") => {
            let path = "spec.healthCheck.credentialRef.name".to_owned();
            vec![(path, "LlmCredential")]
        }
        Some("LlmCredential") => vec![("spec.secretRef.name".to_owned(), "Secret")],
        _ => Vec::new(),
    };
    fields.push(("spec.providerRef.name".to_owned(), "LlmProvider"));
    let endpoints = object.value.pointer("/spec/endpointRefs");
    let count = endpoints.and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..count {
        fields.push((format!("spec.endpointRefs[{index}].name"), "LlmEndpoint"));
    }
    fields
}

fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    let pointer = path.replace(['.', '['], "/").replace(']', "");
    value.pointer(&format!("/{pointer}"))?.as_str()
}

/// Objects of a kind that may be in this object's namespace. A file without a namespace is
/// applied to whichever the user names.
fn candidates<'a>(object: &Document, kind: &str, all: &[&'a Document]) -> Vec<&'a Document> {
    let same = |other: &Document| match (object.namespace(), other.namespace()) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    all.iter()
        .copied()
        .filter(|o| o.kind() == Some(kind) && same(o))
        .collect()
}

/// An endpoint or credential that is referred to belongs to the provider of who refers to it.
fn same_provider(object: &Document, other: &Document, path: String) -> Option<Violation> {
    let provider = match object.kind() {
        Some("LlmProvider") => object.name()?,
        _ => text_at(&object.value, "spec.providerRef.name")?,
    };
    let theirs = text_at(&other.value, "spec.providerRef.name")?;
    if theirs == provider {
        return None;
    }
    let kind = other.kind()?;
    let message = format!(
        "{kind} {:?} belongs to provider {theirs:?}, not to {provider:?}; name one of {provider:?}",
        other.name()?
    );
    Some(Violation::new(path, message))
}

/// The Secret is opted in, for this provider's type, and has the entries that are named.
fn secret_fits(credential: &Document, secret: &Document, all: &[&Document]) -> Vec<Violation> {
    let mut found = Vec::new();
    let path = "spec.secretRef.name";
    let provider_type = text_at(&credential.value, "spec.providerRef.name").and_then(|name| {
        let providers = candidates(credential, "LlmProvider", all);
        let provider = providers.into_iter().find(|p| p.name() == Some(name))?;
        text_at(&provider.value, "spec.type")
    });
    match (secret_label(secret), provider_type) {
        (None, _) => {
            let wanted = provider_type.unwrap_or("<provider type>");
            let message = format!(
                "the Secret does not opt in: give it the label {LABEL_CREDENTIAL}: {wanted}"
            );
            found.push(Violation::new(path, message));
        }
        (Some(label), Some(wanted)) if label != wanted => {
            let message = format!(
                "the Secret holds a key of {label}, and the provider is of type {wanted}; name another Secret or correct its label {LABEL_CREDENTIAL}"
            );
            found.push(Violation::new(path, message));
        }
        _ => {}
    }
    for (field, entry) in entries(credential) {
        let has = |map: &str| {
            secret
                .value
                .get(map)
                .is_some_and(|m| m.get(&entry).is_some())
        };
        if !has("data") && !has("stringData") {
            let message = format!("the Secret has no entry {entry:?}");
            found.push(Violation::new(field, message));
        }
    }
    found
}

/// The Secret's entries that a credential names, or the default.
fn entries(credential: &Document) -> Vec<(String, String)> {
    let keys = credential.value.pointer("/spec/secretRef/keys");
    let Some(keys) = keys.and_then(Value::as_object) else {
        return vec![("spec.secretRef.name".to_owned(), "api-key".to_owned())];
    };
    keys.iter()
        .filter_map(|(field, entry)| {
            let entry = entry.as_str()?.to_owned();
            Some((format!("spec.secretRef.keys.{field}"), entry))
        })
        .collect()
}
