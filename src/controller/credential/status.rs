//! A credential's status. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::dereference::Input;
use crate::{
    controller::{identity, judge::Judged},
    crd::{
        LlmCredentialStatus,
        conditions::seconds,
        credential::{KeyVersion, VersionState},
    },
    db::CredentialVersionRow,
};

/// Versions that a status tells of.
const TOLD: usize = 10;

/// The status that goes with what was concluded; `versions` newest first.
pub fn of(
    input: &Input,
    versions: &[CredentialVersionRow],
    verdict: &Judged,
) -> LlmCredentialStatus {
    let current = versions.iter().find(|v| v.state == VersionState::Current);
    LlmCredentialStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        masked_key: current.map(|v| v.masked_key.clone()),
        fingerprint: current.map(|v| v.fingerprint.clone()),
        versions: versions
            .iter()
            .take(TOLD)
            .map(|v| KeyVersion {
                version: v.version,
                fingerprint: v.fingerprint.clone(),
                state: v.state,
                since: Time(seconds(v.since)),
            })
            .collect(),
    }
}
