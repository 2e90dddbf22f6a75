//! A provider's status. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::dereference::ProviderInputs;
use crate::{
    controller::{kinds::identity, status::evaluate::Evaluation},
    crd::{LlmProviderStatus, conditions::seconds},
};

/// The status that goes with what was concluded.
pub fn of(input: &ProviderInputs, verdict: &Evaluation) -> LlmProviderStatus {
    LlmProviderStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        endpoints: Some(input.counts.endpoints),
        credentials: Some(input.counts.credentials),
        models: Some(input.counts.models),
        last_synced_at: (input.row.as_ref())
            .and_then(|row| row.found.last_synced_at)
            .map(|at| Time(seconds(at))),
    }
}
