//! A class's status. Pure.

use super::{dereference::ClassInputs, meaning::ClassMeaning};
use crate::{
    controller::{kinds::identity, status::evaluate::Evaluation},
    crd::LlmModelClassStatus,
};

/// The status that goes with what was concluded.
pub fn of(
    input: &ClassInputs,
    meaning: &ClassMeaning,
    verdict: &Evaluation,
) -> LlmModelClassStatus {
    LlmModelClassStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        current: meaning.current.clone(),
        candidates: verdict.is_active.then_some(meaning.candidates),
    }
}
