//! What objects say of each other, among the files given. The rest of the cluster is not known
//! here, so that everything found is a warning.

use std::collections::HashMap;

use serde_json::Value;

use crate::crd::names::did_you_mean;
use crate::crd::{GROUP, LABEL_CREDENTIAL, ProviderType, federation::Federation};

use super::documents::Document;
use super::metadata::secret_label;
use super::report::{Problem, Report, Severity};
use super::schema::Violation;

/// Whether an object of this kind, namespace and name is there beside the files.
pub type Elsewhere<'a> = &'a dyn Fn(&str, Option<&str>, &str) -> bool;

/// Adds a warning for each reference to what is neither declared by a file nor elsewhere, or that cannot work.
pub fn check(objects: &[&Document], elsewhere: Elsewhere<'_>, report: &mut Report) {
    let mut all = Names::of(objects);
    for object in objects.iter().filter(|o| o.group() == Some(GROUP)) {
        for violation in warnings(object, elsewhere, &mut all) {
            report
                .problems
                .push(Problem::new(Severity::Warning, object, violation));
        }
    }
}

/// Most names of a kind among which a near one is looked for: more than a person mistypes one of.
const MOST_NAMES: usize = 200;

/// The objects by what they are called: each question costs the same, however many there are.
#[derive(Default)]
struct Names<'a> {
    /// The first of a kind, namespace and name, and its place among all.
    exact: HashMap<(&'a str, Option<&'a str>, &'a str), (usize, &'a Document)>,
    /// The first of a kind and name in any namespace.
    anywhere: HashMap<(&'a str, &'a str), &'a Document>,
    /// Some names of a kind, by namespace.
    names: HashMap<(&'a str, Option<&'a str>), Vec<&'a str>>,
    /// What was answered to a name that is missing.
    near: HashMap<(&'static str, Option<&'a str>, &'a str), String>,
}

impl<'a> Names<'a> {
    fn of(objects: &[&'a Document]) -> Self {
        let mut all = Self::default();
        for (place, object) in objects.iter().copied().enumerate() {
            let (Some(kind), Some(name)) = (object.kind(), object.name()) else {
                continue;
            };
            let namespace = object.namespace();
            let exact = all.exact.entry((kind, namespace, name));
            exact.or_insert((place, object));
            all.anywhere.entry((kind, name)).or_insert(object);
            let names = all.names.entry((kind, namespace)).or_default();
            if names.len() < MOST_NAMES {
                names.push(name);
            }
        }
        all
    }

    /// The first object of this kind and name that may be in that namespace: a file without a
    /// namespace is applied to whichever the user names.
    fn find(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<&'a Document> {
        let Some(namespace) = namespace else {
            return self.anywhere.get(&(kind, name)).copied();
        };
        let places = [Some(namespace), None].map(|it| self.exact.get(&(kind, it, name)));
        let first = places.into_iter().flatten().min_by_key(|(place, _)| *place);
        first.map(|(_, object)| *object)
    }

    /// `; did you mean ...?`, where a name comes near one of those that may be meant.
    fn near(&mut self, kind: &'static str, namespace: Option<&'a str>, name: &'a str) -> &str {
        let names = &self.names;
        self.near.entry((kind, namespace, name)).or_insert_with(|| {
            let own = names.get(&(kind, namespace)).into_iter().flatten();
            let unplaced = names.get(&(kind, None)).filter(|_| namespace.is_some());
            let candidates = own.chain(unplaced.into_iter().flatten());
            did_you_mean(name, candidates.copied())
        })
    }
}

fn warnings<'a>(
    object: &'a Document,
    elsewhere: Elsewhere<'_>,
    all: &mut Names<'a>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, kind) in references(object) {
        let Some(name) = text_at(&object.value, &path) else {
            continue;
        };
        match all.find(kind, object.namespace(), name) {
            None if is_class(object, name, all) => {
                let message = format!("{name:?} is an LlmModelClass, and a class names LlmModels");
                found.push(Violation::new(path, message));
            }
            None if elsewhere(kind, object.namespace(), name) => {}
            None => {
                let near = all.near(kind, object.namespace(), name);
                let message = format!("no {kind} {name:?} among the files given{near}");
                found.push(Violation::new(path, message));
            }
            Some(secret) if kind == "Secret" => found.extend(secret_fits(object, secret, all)),
            Some(other) => found.extend(same_provider(object, other, path)),
        }
    }
    found.extend(federation_fits(object, all));
    found
}

/// The vendor that exchanges the token is the provider's.
fn federation_fits(object: &Document, all: &Names<'_>) -> Option<Violation> {
    let federation = object.value.pointer("/spec/federation")?;
    let federation: Federation = serde_json::from_value(federation.clone()).ok()?;
    let exchanger = federation.exchanger()?;
    let provider = text_at(&object.value, "spec.providerRef.name")?;
    let provider = all.find("LlmProvider", object.namespace(), provider)?;
    let type_ = ProviderType::parse(text_at(&provider.value, "spec.type")?)?;
    let why = federation.misfit(type_)?;
    Some(Violation::new(
        format!("spec.federation.{}", exchanger.field()),
        why,
    ))
}

/// Whether what a class names as a model is a class, itself for one.
fn is_class(object: &Document, name: &str, all: &Names<'_>) -> bool {
    let class = "LlmModelClass";
    object.kind() == Some(class) && all.find(class, object.namespace(), name).is_some()
}

/// The fields of an object that name another, and that other's kind.
fn references(object: &Document) -> Vec<(String, &'static str)> {
    let mut fields = match object.kind() {
        Some("LlmProvider") => vec![("spec.defaultEndpointRef.name".to_owned(), "LlmEndpoint")],
        Some("LlmEndpoint") => {
            let path = "spec.healthCheck.credentialRef.name".to_owned();
            vec![(path, "LlmCredential")]
        }
        Some("LlmCredential") => vec![
            ("spec.secretRef.name".to_owned(), "Secret"),
            (
                "spec.federation.serviceAccountRef.name".to_owned(),
                "ServiceAccount",
            ),
        ],
        Some("LlmModelClass") => return listed(object, "models", "LlmModel"),
        _ => Vec::new(),
    };
    fields.push(("spec.providerRef.name".to_owned(), "LlmProvider"));
    fields.extend(listed(object, "endpointRefs", "LlmEndpoint"));
    fields
}

/// The names in a list of references.
fn listed(object: &Document, list: &str, kind: &'static str) -> Vec<(String, &'static str)> {
    let references = object.value.pointer(&format!("/spec/{list}"));
    let count = references.and_then(Value::as_array).map_or(0, Vec::len);
    let name = |index| (format!("spec.{list}[{index}].name"), kind);
    (0..count).map(name).collect()
}

fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    let pointer = path.replace(['.', '['], "/").replace(']', "");
    value.pointer(&format!("/{pointer}"))?.as_str()
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
fn secret_fits(credential: &Document, secret: &Document, all: &Names<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let path = "spec.secretRef.name";
    let provider_type = text_at(&credential.value, "spec.providerRef.name").and_then(|name| {
        let provider = all.find("LlmProvider", credential.namespace(), name)?;
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
