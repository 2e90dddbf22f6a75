//! An endpoint's status. Pure.

use super::{dereference::Input, validate::Desired};
use crate::{
    controller::{kinds::identity, status::evaluate::Judged},
    crd::LlmEndpointStatus,
};

/// The status that goes with what was concluded.
pub fn of(input: &Input, desired: Option<&Desired>, verdict: &Judged) -> LlmEndpointStatus {
    LlmEndpointStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        effective_url: desired.map(|d| d.base_url.clone()),
    }
}
