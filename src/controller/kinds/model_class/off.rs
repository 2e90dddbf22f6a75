//! What a class lacks because it is switched off on purpose. Pure.

use super::dereference::ClassInputs;
use crate::{
    crd::{
        conditions::ConditionType,
        reasons::{ConditionStatus, Reason},
    },
    resolve::{Considered, PassedOver, Reason as PassedFor, is_in},
    snapshot::{Common, ConditionView, EndpointView, ModelView, View},
};

/// Whether the models that would do if they could be called lack nothing but what is switched off on
/// purpose: themselves, their provider, and what is declared for them. False where there is no such model.
pub fn lacks_what_is_off(input: &ClassInputs, considered: &Considered) -> bool {
    let mut held_up = considered.models.iter().filter(is_held_up).peekable();
    held_up.peek().is_some() && held_up.all(|passed| is_off_on_purpose(input, passed))
}

/// Whether a model is passed over for what it lacks now, and not for what it is.
fn is_held_up(passed: &&PassedOver) -> bool {
    matches!(
        passed.reason,
        PassedFor::Inactive
            | PassedFor::UnderMaintenance
            | PassedFor::Unavailable
            | PassedFor::NoEndpoint
            | PassedFor::RegionMismatch
            | PassedFor::NoCredential
    )
}

fn is_off_on_purpose(input: &ClassInputs, passed: &PassedOver) -> bool {
    let snapshot = &input.snapshot;
    let model = snapshot.models.by_name(&passed.namespace, &passed.model);
    let Some(model) = model.map(|entry| &entry.view) else {
        return false;
    };
    let endpoints = snapshot.endpoints.of_provider(model.provider_id, "");
    let serving = endpoints
        .map(|entry| &entry.view)
        .filter(|endpoint| serves(input, endpoint, model));
    match passed.reason {
        PassedFor::Inactive | PassedFor::UnderMaintenance => true,
        // It waits for something else too.
        _ if !is_ready(model) => false,
        PassedFor::NoEndpoint | PassedFor::RegionMismatch => all_off(serving),
        PassedFor::NoCredential => {
            let serving: Vec<_> = serving.map(|endpoint| endpoint.common.id).collect();
            let credentials = snapshot.credentials.of_provider(model.provider_id, "");
            let fitting = credentials.map(|entry| &entry.view).filter(|credential| {
                let named = &credential.endpoint_ids;
                named.is_empty() || named.iter().any(|id| serving.contains(id))
            });
            all_off(fitting)
        }
        _ => false,
    }
}

/// Whether a model is for an endpoint, and the class asks for the endpoint's region or for none.
fn serves(input: &ClassInputs, endpoint: &EndpointView, model: &ModelView) -> bool {
    let need = input.object.spec.need.as_ref();
    let regions = need.map_or(&[][..], |need| &need.regions);
    let named = &model.endpoint_ids;
    (named.is_empty() || named.contains(&endpoint.common.id)) && is_in(endpoint, regions)
}

/// Whether there are some, and each of them is switched off.
fn all_off<'a, V: View + 'a>(declared: impl Iterator<Item = &'a V>) -> bool {
    let mut declared = declared.peekable();
    declared.peek().is_some() && declared.all(|view| is_off(view.common()))
}

fn is_off(common: &Common) -> bool {
    let off = [Reason::Disabled, Reason::ProviderDisabled];
    ready(common).is_some_and(|ready| off.iter().any(|reason| reason.as_str() == ready.reason))
}

fn is_ready(model: &ModelView) -> bool {
    let yes = ConditionStatus::True.as_str();
    ready(&model.common).is_some_and(|ready| ready.status == yes)
}

fn ready(common: &Common) -> Option<&ConditionView> {
    let ready = ConditionType::Ready.as_str();
    common.conditions.iter().find(|one| one.type_ == ready)
}

#[cfg(test)]
#[path = "off_tests.rs"]
mod tests;
