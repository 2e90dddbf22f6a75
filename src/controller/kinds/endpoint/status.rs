//! An endpoint's status. Pure.

use super::{dereference::EndpointInputs, validate::ValidatedEndpoint};
use crate::{
    controller::{kinds::identity, status::evaluate::Evaluation},
    crd::LlmEndpointStatus,
};

/// The status that goes with what was concluded.
pub fn of(
    input: &EndpointInputs,
    desired: Option<&ValidatedEndpoint>,
    verdict: &Evaluation,
) -> LlmEndpointStatus {
    LlmEndpointStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        effective_url: desired.map(|d| d.base_url.as_str().to_owned()),
    }
}
