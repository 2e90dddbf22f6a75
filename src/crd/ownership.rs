//! Who owns what in a generated object, read from its `managedFields`. Pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::{Capability, LABEL_GENERATED_BY};

/// Field manager of everything that model sync writes.
pub const FIELD_MANAGER: &str = "llmplane-model-sync";
/// Value of the label that says so.
pub const GENERATED_BY: &str = "model-sync";

/// What others than model sync own in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignFields {
    /// Fields of the spec, by name.
    fields: BTreeSet<String>,
    /// Entries of `spec.capabilities`.
    capabilities: BTreeSet<String>,
    /// Whether anything but annotations is among it.
    touched: bool,
}

impl ForeignFields {
    /// Reads it.
    pub fn of(meta: &ObjectMeta) -> Self {
        let mut others = Self::default();
        for entry in meta.managed_fields.iter().flatten() {
            if is_others(entry)
                && let Some(fields) = &entry.fields_v1
            {
                others.read(&fields.0);
            }
        }
        others
    }

    fn read(&mut self, owned: &Value) {
        for (name, inner) in children(owned) {
            match name {
                "f:spec" => self.read_spec(inner),
                "f:metadata" => {
                    self.touched |= children(inner).any(|(name, _)| name != "f:annotations");
                }
                _ => self.touched = true,
            }
        }
    }

    fn read_spec(&mut self, spec: &Value) {
        for (name, inner) in children(spec) {
            self.touched = true;
            let Some(field) = name.strip_prefix("f:") else {
                continue;
            };
            let items: Vec<String> = children(inner).filter_map(|(key, _)| item(key)).collect();
            if field == "capabilities" && !items.is_empty() {
                self.capabilities.extend(items);
            } else {
                self.fields.insert(field.to_owned());
            }
        }
    }

    /// Whether someone else owns this field of the spec, or part of it.
    pub fn own(&self, field: &str) -> bool {
        self.fields.contains(field) || field == "capabilities" && !self.capabilities.is_empty()
    }

    /// Whether someone else owns the whole of this field.
    pub fn own_all_of(&self, field: &str) -> bool {
        self.fields.contains(field)
    }

    /// Whether someone else owns this entry of `spec.capabilities`.
    pub fn own_capability(&self, name: Capability) -> bool {
        self.capabilities.contains(name.as_str())
    }

    /// Whether someone has made the object theirs in part: beyond annotations.
    pub fn have_touched(&self) -> bool {
        self.touched
    }
}

fn children(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, inner)| (name.as_str(), inner))
        .filter(|(name, _)| *name != ".")
}

/// The name in a list-map's key, as in `k:{"name":"Chat"}`.
fn item(key: &str) -> Option<String> {
    let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    Some(key.get("name")?.as_str()?.to_owned())
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

fn is_others(entry: &ManagedFieldsEntry) -> bool {
    !is_ours(entry) && entry.subresource.as_deref() != Some("status")
}

/// Whether the object says that model sync made it: by its label, and by an owner.
pub fn is_generated(meta: &ObjectMeta) -> bool {
    is_labelled(meta) && owner_uid(meta).is_some()
}

/// Whether model sync made this object for this provider, by all that shows it: label, owner and,
/// in a live object, field manager.
pub fn is_made_for(meta: &ObjectMeta, provider_uid: &str) -> bool {
    is_labelled(meta)
        && owner_uid(meta) == Some(provider_uid)
        && meta.managed_fields.iter().flatten().any(is_ours)
}

/// Whether its label and its owner are those of this provider's generated objects.
pub fn belongs_to(meta: &ObjectMeta, provider_uid: &str) -> bool {
    is_labelled(meta) && owner_uid(meta) == Some(provider_uid)
}

fn is_labelled(meta: &ObjectMeta) -> bool {
    let label = meta.labels.as_ref().and_then(|l| l.get(LABEL_GENERATED_BY));
    label.is_some_and(|value| value == GENERATED_BY)
}

fn owner_uid(meta: &ObjectMeta) -> Option<&str> {
    meta.owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "LlmProvider")
        .map(|owner| owner.uid.as_str())
}

/// Leaves of an object's `managedFields` what says which fields of a generated object people own;
/// of every other object nothing, for they are most of its size.
pub fn prune(meta: &mut ObjectMeta) {
    let kept = match meta.managed_fields.take() {
        Some(entries) if is_labelled(meta) => entries.into_iter().filter(is_others).collect(),
        _ => Vec::new(),
    };
    meta.managed_fields = Some(kept).filter(|kept| !kept.is_empty());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(managed: Value) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "m",
            "labels": { "llmplane.dev/generated-by": "model-sync" },
            "ownerReferences": [{ "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider", "name": "p", "uid": "u" }],
            "managedFields": managed,
        }))
        .unwrap()
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields })
    }

    fn ours() -> Value {
        let fields = json!({ "f:spec": { "f:modelId": {}, "f:contextWindow": {} } });
        entry(FIELD_MANAGER, "Apply", fields)
    }

    #[test]
    fn our_own_fields_and_the_status_are_nobody_elses() {
        let mut status = entry("llmplane", "Apply", json!({ "f:status": {} }));
        status["subresource"] = "status".into();
        let mut meta = meta(json!([ours(), status]));
        assert_eq!(ForeignFields::of(&meta), ForeignFields::default());
        assert!(is_made_for(&meta, "u") && !is_made_for(&meta, "v"));
        prune(&mut meta);
        assert_eq!(meta.managed_fields, None);
        assert!(belongs_to(&meta, "u") && !is_made_for(&meta, "u"));
    }

    #[test]
    fn what_people_own_is_known_by_field_and_by_capability() {
        let spec = json!({ "f:spec": {
            "f:contextWindow": {}, "f:endpointRefs": { "k:{\"name\":\"e\"}": { ".": {}, "f:name": {} } },
            "f:capabilities": { ".": {}, "k:{\"name\":\"Chat\"}": { ".": {}, "f:name": {}, "f:score": {} } },
        } });
        let mut meta = meta(json!([ours(), entry("kubectl", "Update", spec)]));
        let others = ForeignFields::of(&meta);
        assert!(others.own("contextWindow") && others.own_all_of("endpointRefs"));
        assert!(others.own("capabilities") && !others.own_all_of("capabilities"));
        assert!(others.own_capability(Capability::Chat));
        assert!(!others.own_capability(Capability::Vision) && !others.own("modelId"));
        assert!(others.have_touched());
        prune(&mut meta);
        assert_eq!(ForeignFields::of(&meta), others);
    }

    #[test]
    fn an_annotation_alone_does_not_make_it_a_persons() {
        let annotated = json!({ "f:metadata": { "f:annotations": { "f:a": {} } } });
        let labelled = json!({ "f:metadata": { "f:labels": { "f:team": {} } } });
        let of =
            |fields| ForeignFields::of(&meta(json!([ours(), entry("kubectl", "Update", fields)])));
        assert!(!of(annotated).have_touched());
        assert!(of(labelled).have_touched());
    }

    #[test]
    fn another_manager_of_our_name_is_not_us() {
        let meta = meta(json!([entry(
            FIELD_MANAGER,
            "Update",
            json!({ "f:spec": { "f:version": {} } })
        )]));
        assert!(ForeignFields::of(&meta).own("version"));
        assert!(!is_made_for(&meta, "u"));
    }
}
