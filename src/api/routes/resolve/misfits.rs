//! Credentials that serve nobody at an endpoint, and why: what a caller who got no key is told of its own, and what
//! the audit is told of.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use crate::keys::disclose::Refusal;
use crate::resolve::{CredentialReason, Reason, Target, Unresolved, withheld};
use crate::snapshot::{CredentialView, EndpointView, Entry, Snapshot};

/// Models that were passed over whose credentials are looked at.
const MAX_MODELS: usize = 10;

/// A credential, and why its key is given to nobody.
pub type Misfit = (Arc<Entry<CredentialView>>, CredentialReason);

/// Of a target those that came nearest first.
pub fn of_target(snapshot: &Snapshot, target: &Target, now: Timestamp) -> Vec<Misfit> {
    let mut misfits: Vec<_> = of_endpoint(snapshot, &target.endpoint.view, now).collect();
    misfits.sort_by_key(|(_, reason)| Reverse(*reason));
    misfits
}

/// The nearest one of those that keep a request for a key from an answer.
pub fn of_no_answer(snapshot: &Snapshot, refused: &Unresolved, now: Timestamp) -> Option<Misfit> {
    let without = (refused.considered.models.iter())
        .filter(|passed| passed.reason == Reason::NoCredential)
        .take(MAX_MODELS);
    without
        .filter_map(|passed| snapshot.models.by_name(&passed.namespace, &passed.model))
        .flat_map(|model| {
            let provider = model.view.provider_id;
            snapshot.endpoints.of_provider(provider, "")
        })
        .flat_map(|endpoint| of_endpoint(snapshot, &endpoint.view, now))
        .max_by_key(|(_, reason)| *reason)
}

fn of_endpoint<'s>(
    snapshot: &'s Snapshot,
    endpoint: &'s EndpointView,
    now: Timestamp,
) -> impl Iterator<Item = Misfit> + 's {
    let credentials = snapshot.credentials.of_provider(endpoint.provider_id, "");
    credentials.filter_map(move |entry| {
        let why = withheld(snapshot, &entry.view, endpoint, now)?;
        Some((entry.clone(), why))
    })
}

/// The audit's word for it: what the database would have said.
pub fn audited(why: CredentialReason) -> &'static str {
    match why {
        CredentialReason::Inactive => Refusal::Disabled.word(),
        CredentialReason::NoKey => Refusal::Gone.word(),
        why => why.as_str(),
    }
}
