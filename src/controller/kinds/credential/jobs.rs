//! The checks of a credential that are to be made. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{
    dereference::CredentialInputs, federation, usable::Usable, validate::ValidatedCredential,
    verdicts::allowed,
};
use crate::{
    checks::{JobKey, PlannedJob, Stored},
    controller::{
        kinds::{identity, parent, provider::validate::seconds},
        runtime::index::{asked_at, is_asked},
    },
    crd::credential::VersionState,
    db::CheckKind,
};

/// The checks to make: the exchange, where there is one, and the key's at each endpoint that it may go to.
pub fn jobs(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    versions: &[Usable<'_>],
) -> Vec<PlannedJob> {
    let Some(desired) = desired.filter(|d| d.on) else {
        return Vec::new();
    };
    let spec = &input.object.spec;
    let federation = spec.federation.as_ref();
    let exchange = federation.map(|f| federation::job(input, (desired, f), versions));
    let mut jobs: Vec<PlannedJob> = exchange.into_iter().collect();
    if spec.validation.enabled {
        jobs.extend(validations(input, desired, versions));
    }
    jobs
}

fn validations(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    versions: &[Usable<'_>],
) -> Vec<PlannedJob> {
    let check = &input.object.spec.validation;
    let checked: Vec<&Usable<'_>> = versions
        .iter()
        .filter(|v| matches!(v.state, VersionState::Current | VersionState::Pending))
        .collect();
    let has_source = input.holding().is_some() || input.object.spec.federation.is_some();
    if checked.is_empty() || !has_source {
        return Vec::new();
    }
    let generation = identity::generation(&*input.object);
    let asked = asked_at(&*input.object);
    let handled = (input.row.as_ref()).and_then(|r| r.last_handled_reconcile_at.as_deref());
    let is_asked = is_asked(&*input.object, handled);
    let numbers: Vec<i32> = checked.iter().map(|v| v.version).collect();
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    allowed
        .iter()
        .map(|endpoint| {
            let mut trigger = DefaultHasher::new();
            (
                generation,
                asked,
                &numbers,
                &endpoint.check_inputs,
                endpoint.generation,
            )
                .hash(&mut trigger);
            let stored = |version: &&Usable<'_>| match version.verdict(endpoint) {
                Some(verdict) if !is_asked => Stored::of(verdict),
                _ => Stored::Nothing,
            };
            PlannedJob {
                key: JobKey {
                    kind: CheckKind::Validation,
                    subject: input.owner.uid,
                    endpoint: endpoint.uid,
                },
                period: seconds(check.period_seconds),
                timeout: seconds(check.timeout_seconds),
                trigger: trigger.finish(),
                stored: checked
                    .iter()
                    .map(stored)
                    .fold(Stored::StoredCheck, Stored::and),
                apart: std::time::Duration::ZERO,
                not_final: None,
                held: false,
                credentials: None,
            }
        })
        .collect()
}
