//! Manifests of ours: they come over as they are, without what the cluster has added.

use std::collections::HashSet;

use serde_json::Value;

use super::manifests::Manifest;
use super::source::Field;
use crate::crd::{GROUP, Kind};

/// Metadata that people declare.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// Takes the manifests over.
pub fn convert(sources: &[Field<'_>], namespace: Option<&str>) -> Vec<Manifest> {
    let mut seen = HashSet::new();
    let manifests = sources.iter().filter_map(|source| {
        let manifest = one(source, namespace)?;
        let own = manifest.namespace().map(str::to_owned);
        let key = (manifest.kind, own, manifest.name().to_owned());
        if !seen.insert(key) {
            source.manual("not imported: an object of this kind and name was there already; keep one of the two");
            return None;
        }
        Some(manifest)
    });
    manifests.collect()
}

fn one(source: &Field<'_>, namespace: Option<&str>) -> Option<Manifest> {
    let document = source.document();
    if document.is_secret() {
        source.manual("not imported: no key passes through an import; make the Secret with kubectl, or by your secret manager");
        return None;
    }
    let named = document.kind().unwrap_or_default();
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.kubernetes() == named);
    let Some(kind) = kind.filter(|_| document.group() == Some(GROUP)) else {
        source.unsupported("not imported: it is none of llmplane's kinds; apply it with kubectl");
        return None;
    };
    let mut object = document.value.clone();
    for field in ["status"] {
        if let Some(field) = source.get(field) {
            field.approximate(kind.kubernetes(), "left out: the cluster says it anew");
        }
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = source.get("metadata") {
        for (name, field) in metadata.entries() {
            if !METADATA.contains(&name) {
                field.approximate(kind.kubernetes(), "left out: the cluster says it anew");
            }
        }
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|name, _| METADATA.contains(&name.as_str()));
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.retain(|name, _| !name.starts_with("kubectl.kubernetes.io/"));
        }
        if let Some(namespace) = namespace {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
    }
    let manifest = Manifest { kind, object };
    source.exact(manifest.title());
    Some(manifest)
}
