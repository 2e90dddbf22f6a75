//! What a status says while the object cannot be stored. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use serde_json::{Value, json};

use crate::controller::runtime::index::Declared;
use crate::crd::{
    conditions::{ConditionInput, ConditionInputs, carried_over, conditions, find},
    reasons::{ReadyEffect, Reason},
};

/// The conditions of an object that could not be stored: `Synced` says why, the rest is as it was.
pub fn conditions_of<K: Declared>(
    object: &K,
    why: &ConditionInput,
    now: Timestamp,
) -> Vec<Condition> {
    let previous = object.conditions();
    let outside = find(previous, K::OUTSIDE)
        .and_then(|c| {
            Some(ConditionInput::new(
                Reason::parse(&c.reason)?,
                c.message.clone(),
            ))
        })
        .unwrap_or_else(|| {
            ConditionInput::new(
                Reason::NotCheckedYet,
                "not checked: this object is not stored yet",
            )
        });
    let mut built = conditions(
        &ConditionInputs {
            generation: object.meta().generation.unwrap_or(1),
            verified_generation: None,
            synced: why.clone(),
            outside: (K::OUTSIDE, outside),
            declared: None,
            lacks_what_is_off: false,
            previous,
        },
        now,
    );
    carried_over(&mut built, K::OUTSIDE, previous);
    built
}

/// The object's status with these conditions in place of its own. What its owner must fix is a
/// verdict of this generation; of anything else there is none yet.
pub fn status_with<K: Declared + Serialize>(
    object: &K,
    why: &ConditionInput,
    conditions: &[Condition],
) -> Value {
    let object = serde_json::to_value(object).unwrap_or_default();
    let mut status = object["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    if why.reason.ready() == ReadyEffect::False {
        status["observedGeneration"] = object["metadata"]["generation"].clone();
    }
    status["conditions"] = serde_json::to_value(conditions).unwrap_or_default();
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{LlmEndpoint, conditions::ConditionType};

    #[test]
    fn ready_is_as_it_was_while_the_database_is_away() {
        let object: LlmEndpoint = serde_json::from_value(json!({
            "metadata": { "name": "e", "generation": 3 },
            "spec": { "providerRef": { "name": "p" } },
            "status": { "conditions": [
                { "type": "Ready", "status": "True", "reason": "ProbeSucceeded", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2 },
                { "type": "Healthy", "status": "True", "reason": "ProbeSucceeded", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2 },
            ], "observedGeneration": 2 },
        }))
        .unwrap();
        let why = ConditionInput::new(Reason::DatabaseUnavailable, "away");
        let now = conditions_of(&object, &why, Timestamp::UNIX_EPOCH);
        let status = |kind| find(&now, kind).map(|c| (c.status.as_str(), c.reason.as_str()));
        assert_eq!(
            status(ConditionType::Ready),
            Some(("True", "DatabaseUnavailable"))
        );
        assert_eq!(
            status(ConditionType::Synced),
            Some(("False", "DatabaseUnavailable"))
        );
        assert_eq!(
            status(ConditionType::Healthy),
            Some(("True", "ProbeSucceeded"))
        );
        let said_of = |kind| find(&now, kind).and_then(|c| c.observed_generation);
        assert_eq!(said_of(ConditionType::Synced), Some(3));
        assert_eq!(said_of(ConditionType::Ready), Some(2));
        assert_eq!(said_of(ConditionType::Healthy), Some(2));
        let observed = |why| status_with(&object, why, &now)["observedGeneration"].clone();
        assert_eq!(observed(&why), 2);
        let refused = ConditionInput::new(Reason::InvalidSpec, "cannot be stored");
        assert_eq!(observed(&refused), 3);
    }
}
