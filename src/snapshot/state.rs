//! Health, validity and availability: each computed from its condition by one function.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use utoipa::ToSchema;

use crate::crd::conditions::{ConditionType, find};
use crate::crd::reasons::Reason;

/// What a condition says, before it has the kind's own word.
enum StateInput {
    Yes,
    No,
    Unknown,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $state:ident { $yes:ident, $no:ident }, $condition:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
        pub struct $name {
            /// What is known.
            pub state: $state,
            /// Since when it is so; null where nothing was found yet.
            pub since: Option<Timestamp>,
            /// Why: a reason of the condition.
            pub reason: String,
        }

        /// What is known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $state {
            $yes,
            $no,
            Unknown,
        }

        impl $name {
            /// From the conditions of the object.
            pub fn of(conditions: &[Condition]) -> Self {
                let (said, since, reason) = said(conditions, $condition);
                let state = match said {
                    StateInput::Yes => $state::$yes,
                    StateInput::No => $state::$no,
                    StateInput::Unknown => $state::Unknown,
                };
                Self { state, since, reason }
            }
        }
    };
}

states!(
    /// Whether an endpoint answers.
    Health, HealthState { Healthy, Unhealthy }, ConditionType::Healthy
);
states!(
    /// Whether the vendor takes a key.
    Validity, ValidityState { Valid, Invalid }, ConditionType::Valid
);
states!(
    /// Whether a model can be called.
    Availability, AvailabilityState { Available, Unavailable }, ConditionType::Available
);

fn said(conditions: &[Condition], kind: ConditionType) -> (StateInput, Option<Timestamp>, String) {
    let Some(condition) = find(conditions, kind) else {
        return (
            StateInput::Unknown,
            None,
            Reason::NotCheckedYet.as_str().to_owned(),
        );
    };
    let said = match condition.status.as_str() {
        // What was switched off is as it was declared, and nobody knows whether it would answer.
        "True" if switched_off(&condition.reason) => StateInput::Unknown,
        "True" => StateInput::Yes,
        "False" => StateInput::No,
        _ => StateInput::Unknown,
    };
    (
        said,
        Some(condition.last_transition_time.0),
        condition.reason.clone(),
    )
}

fn switched_off(reason: &str) -> bool {
    matches!(
        Reason::parse(reason),
        Some(Reason::Disabled | Reason::ProviderDisabled)
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(status: &str, reason: Reason) -> Vec<Condition> {
        vec![Condition {
            type_: "Healthy".to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: String::new(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: Some(1),
        }]
    }

    #[test]
    fn each_status_has_its_state() {
        let state = |status, reason| Health::of(&condition(status, reason)).state;
        assert_eq!(state("True", Reason::ProbeSucceeded), HealthState::Healthy);
        assert_eq!(state("False", Reason::ProbeFailed), HealthState::Unhealthy);
        assert_eq!(
            state("Unknown", Reason::NotCheckedYet),
            HealthState::Unknown
        );
        assert_eq!(state("True", Reason::Disabled), HealthState::Unknown);
    }

    #[test]
    fn what_was_never_looked_at_is_unknown_since_never() {
        let validity = Validity::of(&condition("True", Reason::ProbeSucceeded));
        assert_eq!(validity.state, ValidityState::Unknown);
        assert_eq!(validity.since, None);
    }
}
