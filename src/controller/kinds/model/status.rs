//! A model's status. Pure.

use super::{dereference::ModelInputs, validate::ValidatedModel};
use crate::{
    controller::{kinds::identity, status::evaluate::Evaluation},
    crd::LlmModelStatus,
};

/// The status that goes with what was concluded.
pub fn of(
    input: &ModelInputs,
    desired: Option<&ValidatedModel>,
    verdict: &Evaluation,
) -> LlmModelStatus {
    LlmModelStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        effective: desired.map(|d| d.effective.clone()),
    }
}
