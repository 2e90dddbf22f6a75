//! What all kinds have in common when their conditions are computed. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::controller::error::Refusal;
use crate::{
    crd::{
        conditions::{ConditionInput, ConditionInputs, ConditionType, conditions},
        credential::LlmCredentialStatus,
        endpoint::LlmEndpointStatus,
        model::LlmModelStatus,
        model_class::LlmModelClassStatus,
        provider::LlmProviderStatus,
        reasons::{ConditionStatus, Reason},
    },
    db::{DeclaredRow, ObjectRow},
};

/// What is stored of an object, as far as conditions need it.
#[derive(Clone, Debug, Default)]
pub struct PreviousStatus<'a> {
    /// The row's conditions, else the status's.
    pub conditions: &'a [Condition],
    /// The last generation whose check passed: the row's or the status's, for a database may be
    /// dropped or restored.
    pub verified_generation: Option<i64>,
    /// What the checks of that generation were made with, each as a hash; `None`: it is not known, for
    /// there is no row.
    pub verified_with: Option<&'a [String]>,
    /// The last request for checks that was answered: the row's, else the status's.
    pub handled: Option<&'a str>,
}

impl<'a> PreviousStatus<'a> {
    /// Of what row and status hold, as far as they are there.
    pub fn of(
        row: Option<&'a impl RecordedStatus>,
        status: Option<&'a impl RecordedStatus>,
    ) -> Self {
        let row = row.map(RecordedStatus::told);
        let status = status.map(RecordedStatus::told).unwrap_or_default();
        let Some(row) = row else { return status };
        Self {
            conditions: row.conditions,
            verified_generation: row.verified_generation.max(status.verified_generation),
            verified_with: row.verified_with,
            handled: row.handled.or(status.handled),
        }
    }
}

impl PreviousStatus<'_> {
    /// With the proof of the stored generation carried over to this one, where nothing that it
    /// depends on has changed between the two.
    pub fn carried(mut self, stored: Option<i64>, generation: i64, still_holds: bool) -> Self {
        if still_holds && stored.is_some() && self.verified_generation == stored {
            self.verified_generation = Some(generation);
        }
        self
    }
}

/// What was told of an object: a row, or a status.
pub trait RecordedStatus {
    /// As it stands here.
    fn told(&self) -> PreviousStatus<'_>;
}

macro_rules! told {
    ($($kept:ty),*) => {$(
        impl RecordedStatus for $kept {
            fn told(&self) -> PreviousStatus<'_> {
                PreviousStatus {
                    conditions: &self.conditions,
                    verified_generation: self.verified_generation,
                    verified_with: None,
                    handled: self.last_handled_reconcile_at.as_deref(),
                }
            }
        }
    )*};
}

impl<D: DeclaredRow> RecordedStatus for ObjectRow<D> {
    fn told(&self) -> PreviousStatus<'_> {
        PreviousStatus {
            conditions: &self.conditions,
            verified_generation: self.verified_generation,
            verified_with: Some(&self.verified_with),
            handled: self.last_handled_reconcile_at.as_deref(),
        }
    }
}

told!(
    LlmProviderStatus,
    LlmEndpointStatus,
    LlmCredentialStatus,
    LlmModelStatus,
    LlmModelClassStatus
);

/// What the checks behind an object's own condition are made with, each as a hash.
#[derive(Clone, Debug, Default)]
pub struct ProofInputs {
    /// Those of the checks by which the condition is True.
    pub passed: Vec<String>,
    /// Those of the checks that could be made now: a proof by one of them holds.
    pub possible: Vec<String>,
    /// Whether more may be possible than is known yet: the former proof stands until all is known.
    pub is_partial: bool,
}

/// What is known of an object.
#[derive(Clone, Debug)]
pub struct EvaluationInputs<'a> {
    /// Its generation.
    pub generation: i64,
    /// Its own switch.
    pub enabled: bool,
    /// Its provider's switch; true for a provider and for a class.
    pub provider_enabled: bool,
    /// Why it is not put in force, if it is not.
    pub refusal: Option<&'a Refusal>,
    /// What else decides `Ready` before the outside world does.
    pub declared: Option<ConditionInput>,
    /// What the outside world says of this generation.
    pub outside: (ConditionType, ConditionInput),
    /// What that is said by.
    pub proof: ProofInputs,
    /// Whether all that it would be checked at, or with, is switched off on purpose: then nothing is
    /// to be waited for where that is missing.
    pub lacks_what_is_off: bool,
    /// The value of `llmplane.dev/reconcile-requested-at`.
    pub asked: Option<&'a str>,
    /// Whether every check that this object needs has been made since it was asked for.
    pub settled: bool,
    /// What was before.
    pub before: PreviousStatus<'a>,
}

/// What was concluded.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The conditions, for row and status.
    pub conditions: Vec<Condition>,
    /// Whether it is in force.
    pub is_active: bool,
    /// The last generation whose check passed.
    pub verified_generation: Option<i64>,
    /// What that check was made with, see [`ProofInputs::passed`].
    pub verified_with: Vec<String>,
    /// The last request for checks that was answered.
    pub handled: Option<String>,
}

/// Concludes.
pub fn evaluate(facts: &EvaluationInputs<'_>, now: Timestamp) -> Evaluation {
    let off = switched_off(facts);
    let (outside_type, seen) = &facts.outside;
    let outside = match (&facts.refusal, &off) {
        (Some(_), _) => ConditionInput::new(
            Reason::NotCheckedYet,
            "not checked: this object is not in force; see the Ready condition",
        ),
        (None, Some(_)) => ConditionInput::new(
            Reason::CheckDisabled,
            "not checked while it is switched off",
        ),
        (None, None) => seen.clone(),
    };
    let (verified_generation, verified_with) = verified(facts, &outside, off.is_some());
    let synced = match facts.refusal {
        Some(refusal) => refusal.0.clone(),
        None => ConditionInput::new(
            Reason::Reconciled,
            "this generation is stored in the database",
        ),
    };
    let declared = match facts.refusal {
        Some(_) => None,
        None => off.clone().or_else(|| facts.declared.clone()),
    };
    let handled = match facts.asked {
        Some(asked) if facts.settled => Some(asked.to_owned()),
        _ => facts.before.handled.map(str::to_owned),
    };
    Evaluation {
        conditions: conditions(
            &ConditionInputs {
                generation: facts.generation,
                verified_generation,
                synced,
                outside: (*outside_type, outside),
                declared,
                lacks_what_is_off: facts.lacks_what_is_off,
                previous: facts.before.conditions,
            },
            now,
        ),
        is_active: facts.refusal.is_none() && off.is_none(),
        verified_generation,
        verified_with,
        handled,
    }
}

/// The proof that stands: a new one, or the former one for as long as a check could be made with what
/// it was made with. What is refused has none; of what is off, or lacks what is off, nothing is found,
/// and the proof stays.
fn verified(
    facts: &EvaluationInputs<'_>,
    outside: &ConditionInput,
    off: bool,
) -> (Option<i64>, Vec<String>) {
    let before = &facts.before;
    if outside.reason.status() == ConditionStatus::True {
        return (Some(facts.generation), facts.proof.passed.clone());
    }
    let lacks = matches!(
        outside.reason,
        Reason::NoEndpoint | Reason::NoValidCredential
    );
    let holds = match before.verified_with {
        _ if facts.refusal.is_some() => false,
        _ if off || (facts.lacks_what_is_off && lacks) => true,
        _ if facts.proof.is_partial && lacks => true,
        // Taken from the status, for the database lost its row: what it was found with is not known.
        Some([]) => !lacks && !facts.proof.possible.is_empty(),
        Some(with) => with.iter().any(|one| facts.proof.possible.contains(one)),
        None => true,
    };
    match holds {
        true => {
            let with = before.verified_with.unwrap_or_default();
            (before.verified_generation, with.to_vec())
        }
        false => (None, Vec::new()),
    }
}

fn switched_off(facts: &EvaluationInputs<'_>) -> Option<ConditionInput> {
    if !facts.enabled {
        Some(ConditionInput::new(
            Reason::Disabled,
            "switched off: spec.enabled is false",
        ))
    } else if !facts.provider_enabled {
        Some(ConditionInput::new(
            Reason::ProviderDisabled,
            "switched off: spec.enabled of its LlmProvider is false",
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::conditions::find;

    fn facts(reason: Reason) -> EvaluationInputs<'static> {
        EvaluationInputs {
            generation: 2,
            enabled: true,
            provider_enabled: true,
            refusal: None,
            declared: None,
            outside: (ConditionType::Healthy, ConditionInput::new(reason, "")),
            proof: ProofInputs {
                passed: vec!["a".to_owned()],
                possible: vec!["a".to_owned()],
                is_partial: false,
            },
            lacks_what_is_off: false,
            asked: None,
            settled: true,
            before: PreviousStatus::default(),
        }
    }

    fn ready(judged: &Evaluation) -> (String, String) {
        let ready = find(&judged.conditions, ConditionType::Ready).unwrap();
        (ready.status.clone(), ready.reason.clone())
    }

    fn says(status: &str, reason: &str) -> (String, String) {
        (status.to_owned(), reason.to_owned())
    }

    #[test]
    fn an_outage_after_the_first_proof_leaves_it_ready() {
        let first = evaluate(&facts(Reason::ProbeFailed), Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&first), says("False", "ProbeFailed"));
        let proved = evaluate(&facts(Reason::ProbeSucceeded), Timestamp::UNIX_EPOCH);
        assert_eq!(proved.verified_generation, Some(2));
        let mut later = facts(Reason::ProbeFailed);
        later.before.verified_generation = Some(2);
        let later = evaluate(&later, Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&later), says("True", "ProbeFailed"));
    }

    #[test]
    fn what_is_switched_off_on_purpose_is_ready_and_not_active() {
        let mut own = facts(Reason::NotCheckedYet);
        own.enabled = false;
        let own = evaluate(&own, Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&own), says("True", "Disabled"));
        assert!(!own.is_active);
        let mut provider = facts(Reason::NotCheckedYet);
        provider.provider_enabled = false;
        let provider = evaluate(&provider, Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&provider), says("True", "ProviderDisabled"));
    }

    #[test]
    fn what_lacks_something_that_is_off_on_purpose_is_ready_and_says_what_it_lacks() {
        for reason in [Reason::NoEndpoint, Reason::NoValidCredential] {
            let waits = evaluate(&facts(reason), Timestamp::UNIX_EPOCH);
            assert_eq!(ready(&waits), says("Unknown", reason.as_str()));
            let mut off = facts(reason);
            off.lacks_what_is_off = true;
            let off = evaluate(&off, Timestamp::UNIX_EPOCH);
            assert_eq!(ready(&off), says("True", reason.as_str()));
        }
        let mut failed = facts(Reason::ProbeFailed);
        failed.lacks_what_is_off = true;
        let failed = evaluate(&failed, Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&failed), says("False", "ProbeFailed"));
    }

    #[test]
    fn a_proof_stands_while_a_check_could_be_made_as_it_was() {
        let with = |one: &str| vec![one.to_owned()];
        let (a, b) = (with("a"), with("b"));
        let after = |stored: Option<&'static [String]>, change: fn(&mut EvaluationInputs<'_>)| {
            let mut facts = facts(Reason::ProbeFailed);
            facts.before.verified_generation = Some(2);
            facts.before.verified_with = stored;
            change(&mut facts);
            let judged = evaluate(&facts, Timestamp::UNIX_EPOCH);
            (judged.verified_generation, judged.verified_with)
        };
        let (stored_a, stored_b): (&'static [String], &'static [String]) =
            (Vec::leak(a.clone()), Vec::leak(b.clone()));
        let as_it_is: fn(&mut EvaluationInputs<'_>) = |_| {};
        assert_eq!(after(Some(stored_a), as_it_is), (Some(2), a.clone()));
        assert_eq!(after(Some(stored_b), as_it_is), (None, vec![]));
        // Of a status that outlived the row: it is not known what it was found with.
        assert_eq!(after(Some(&[]), as_it_is), (Some(2), vec![]));
        let without = |f: &mut EvaluationInputs<'_>| f.outside.1.reason = Reason::NoValidCredential;
        assert_eq!(after(Some(&[]), without), (None, vec![]));
        assert_eq!(after(None, as_it_is), (Some(2), vec![]));
        assert_eq!(
            after(Some(stored_b), |f| f.enabled = false),
            (Some(2), b.clone())
        );
        let lacks = |f: &mut EvaluationInputs<'_>| {
            f.lacks_what_is_off = true;
            f.outside.1.reason = Reason::NoEndpoint;
        };
        assert_eq!(after(Some(stored_b), lacks), (Some(2), b));
        let refused = |f: &mut EvaluationInputs<'_>| {
            f.refusal = Some(Box::leak(Box::new(Refusal::new(Reason::InvalidSpec, ""))));
        };
        assert_eq!(after(Some(stored_a), refused), (None, vec![]));
        let passed = |f: &mut EvaluationInputs<'_>| f.outside.1.reason = Reason::ProbeSucceeded;
        assert_eq!(after(Some(stored_b), passed), (Some(2), a));
    }

    #[test]
    fn a_proof_is_carried_over_an_edit_that_it_does_not_depend_on() {
        let before = |verified_generation| PreviousStatus {
            verified_generation,
            ..PreviousStatus::default()
        };
        let carried = |verified, stored, holds| {
            before(verified)
                .carried(stored, 3, holds)
                .verified_generation
        };
        assert_eq!(carried(Some(2), Some(2), true), Some(3));
        assert_eq!(carried(Some(2), Some(2), false), Some(2));
        assert_eq!(carried(Some(1), Some(2), true), Some(1));
        assert_eq!(carried(None, None, true), None);
        assert_eq!(carried(Some(2), None, true), Some(2));
    }

    #[test]
    fn a_refused_object_says_why_everywhere() {
        let refusal = Refusal::new(Reason::ProviderNotFound, "no such provider");
        let mut refused = facts(Reason::ProbeSucceeded);
        refused.refusal = Some(&refusal);
        let refused = evaluate(&refused, Timestamp::UNIX_EPOCH);
        assert_eq!(ready(&refused), says("False", "ProviderNotFound"));
        let synced = find(&refused.conditions, ConditionType::Synced).unwrap();
        assert_eq!(synced.reason, "ProviderNotFound");
        assert!(!refused.is_active);
    }

    #[test]
    fn a_request_is_answered_when_its_checks_are_made() {
        let mut asked = facts(Reason::ProbeSucceeded);
        asked.asked = Some("now");
        asked.before.handled = Some("before");
        asked.settled = false;
        let early = evaluate(&asked, Timestamp::UNIX_EPOCH);
        assert_eq!(early.handled.as_deref(), Some("before"));
        asked.settled = true;
        let answered = evaluate(&asked, Timestamp::UNIX_EPOCH);
        assert_eq!(answered.handled.as_deref(), Some("now"));
    }

    #[test]
    fn the_same_input_gives_the_same_conditions() {
        let first = evaluate(&facts(Reason::ProbeSucceeded), Timestamp::UNIX_EPOCH);
        let mut again = facts(Reason::ProbeSucceeded);
        again.before.conditions = &first.conditions;
        let later = Timestamp::from_second(100).unwrap();
        assert_eq!(evaluate(&again, later).conditions, first.conditions);
    }
}
