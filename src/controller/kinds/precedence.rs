//! Who comes first: limits, duplicates, the default and failover. Pure.

use kube::ResourceExt;

use crate::controller::runtime::index::Declared;
use crate::crd::{LlmEndpoint, LlmModel, ownership::is_generated};

/// The key by which "the oldest" is decided: creation time, then name.
fn age<K: ResourceExt>(object: &K) -> (Option<jiff::Timestamp>, String) {
    let created = object.creation_timestamp().map(|t| t.0);
    (created, object.name_any())
}

/// Whether `object` is among the `limit` oldest of `siblings` (which hold it too, or not yet).
pub fn within_limit<K: Declared>(object: &K, siblings: &[impl AsRef<K>], limit: usize) -> bool {
    let own = age(object);
    let older = siblings
        .iter()
        .map(AsRef::as_ref)
        .filter(|sibling| sibling.uid() != object.uid() && age(*sibling) < own)
        .count();
    older < limit
}

/// The model of the same provider and `modelId` that is in force instead of this one, if there is
/// one: what somebody declared comes before what model sync made, and of two such the older.
pub fn twin_in_force<'a>(
    model: &LlmModel,
    twins: &'a [impl AsRef<LlmModel>],
) -> Option<&'a LlmModel> {
    let rank = |model: &LlmModel| (is_generated(&model.metadata), age(model));
    let own = rank(model);
    twins
        .iter()
        .map(AsRef::as_ref)
        .filter(|twin| twin.uid() != model.uid() && rank(twin) < own)
        .min_by_key(|twin| rank(twin))
}

/// Endpoints in the order in which they are tried: the provider's default, then by priority, then
/// the oldest.
pub fn failover(default: Option<&str>, endpoints: &mut [std::sync::Arc<LlmEndpoint>]) {
    endpoints.sort_by_key(|endpoint| {
        (
            default != Some(endpoint.name_any().as_str()),
            endpoint.spec.priority,
            age(endpoint.as_ref()),
        )
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use serde_json::json;

    use super::*;
    use crate::crd::LABEL_GENERATED_BY;

    fn endpoint(name: &str, second: i64, priority: i32) -> Arc<LlmEndpoint> {
        let created = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmEndpoint",
                "metadata": { "name": name, "namespace": "team", "uid": name, "creationTimestamp": created.to_string() },
                "spec": { "providerRef": { "name": "p" }, "priority": priority },
            }))
            .unwrap(),
        )
    }

    fn model(name: &str, second: i64) -> Arc<LlmModel> {
        let created = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
                "metadata": { "name": name, "namespace": "team", "uid": name, "creationTimestamp": created.to_string() },
                "spec": { "providerRef": { "name": "p" }, "modelId": "gpt" },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn the_oldest_stay_and_the_name_decides_a_tie() {
        let all: Vec<_> = ["c", "a", "b"].map(|n| endpoint(n, 5, 100)).into();
        let newest = endpoint("aa", 6, 100);
        let with_newest: Vec<_> = all.iter().cloned().chain([newest.clone()]).collect();
        assert!(within_limit(all[1].as_ref(), &with_newest, 2));
        assert!(within_limit(all[2].as_ref(), &with_newest, 2));
        assert!(!within_limit(all[0].as_ref(), &with_newest, 2));
        assert!(!within_limit(newest.as_ref(), &with_newest, 3));
        assert!(within_limit(newest.as_ref(), &with_newest[..2], 3));
    }

    #[test]
    fn the_older_of_two_models_of_one_id_stays() {
        let (old, new) = (model("z", 1), model("a", 2));
        let both = [old.clone(), new.clone()];
        assert_eq!(twin_in_force(&old, &both), None);
        assert_eq!(
            twin_in_force(&new, &both).map(|m| m.name_any()),
            Some("z".into())
        );
    }

    #[test]
    fn a_declaration_comes_before_an_older_generated_object() {
        let mut generated = LlmModel::clone(&model("z", 1));
        generated.metadata.labels =
            Some([(LABEL_GENERATED_BY.to_owned(), "model-sync".to_owned())].into());
        generated.metadata.owner_references = Some(vec![OwnerReference {
            kind: "LlmProvider".into(),
            ..OwnerReference::default()
        }]);
        let (generated, declared) = (Arc::new(generated), model("a", 2));
        let both = [generated.clone(), declared.clone()];
        assert_eq!(twin_in_force(&declared, &both), None);
        let winner = twin_in_force(&generated, &both).map(|m| m.name_any());
        assert_eq!(winner, Some("a".into()));
    }

    #[test]
    fn the_default_comes_first_then_priority_then_age() {
        let mut all = [
            endpoint("young", 9, 10),
            endpoint("default", 8, 900),
            endpoint("last", 0, 20),
            endpoint("old", 1, 10),
        ];
        failover(Some("default"), &mut all);
        let names: Vec<_> = all.iter().map(|e| e.name_any()).collect();
        assert_eq!(names, ["default", "old", "young", "last"]);
        failover(None, &mut all);
        assert_eq!(all[0].name_any(), "old");
    }
}
