//! A credential's status. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::dereference::CredentialInputs;
use crate::{
    controller::{kinds::identity, status::evaluate::Evaluation},
    crd::{
        LlmCredentialStatus,
        conditions::seconds,
        credential::{KeyVersion, VersionState},
        federation::ExchangeStatus,
    },
    db::CredentialVersionRow,
};

/// Versions that a status tells of.
const MAX_SHOWN_VERSIONS: usize = 10;

/// The status that goes with what was concluded; `versions` newest first.
pub fn of(
    input: &CredentialInputs,
    versions: &[CredentialVersionRow],
    verdict: &Evaluation,
) -> LlmCredentialStatus {
    let current = versions.iter().find(|v| v.state == VersionState::Current);
    LlmCredentialStatus {
        observed_generation: Some(identity::generation(&*input.object)),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        conditions: verdict.conditions.clone(),
        masked_key: current.map(|v| v.masked_key.clone()),
        fingerprint: current.map(|v| v.fingerprint.clone()),
        versions: told(input.object.status.as_ref(), versions),
        exchange: exchange(input),
    }
}

/// What the last exchange that worked was made with. A database that was restored or dropped may not know.
fn exchange(input: &CredentialInputs) -> Option<ExchangeStatus> {
    input.object.spec.federation.as_ref()?;
    let row = input
        .row
        .as_ref()
        .and_then(|row| row.found.last_exchange.clone());
    let told = || {
        input
            .object
            .status
            .as_ref()
            .and_then(|status| status.exchange.clone())
    };
    row.or_else(told)
}

/// The versions to tell of, newest first. One that a restored database has forgotten is gone, and
/// stays told of until there is a newer one: its number is not used again.
fn told(
    status: Option<&LlmCredentialStatus>,
    versions: &[CredentialVersionRow],
) -> Vec<KeyVersion> {
    let newest = versions.iter().map(|v| v.version).max().unwrap_or(0);
    let before = status.map_or(&[] as &[KeyVersion], |status| &status.versions);
    let forgotten = before.iter().filter(|told| told.version > newest);
    let forgotten = forgotten.map(|told| KeyVersion {
        state: VersionState::Destroyed,
        ..told.clone()
    });
    let stored = versions.iter().map(|v| KeyVersion {
        version: v.version,
        fingerprint: v.fingerprint.clone(),
        state: v.state,
        since: Time(seconds(v.since)),
    });
    forgotten.chain(stored).take(MAX_SHOWN_VERSIONS).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::crd::ProviderType;

    fn row(version: i32, state: VersionState) -> CredentialVersionRow {
        CredentialVersionRow {
            credential_uid: Uuid::nil(),
            version,
            state,
            fingerprint: format!("f{version}"),
            masked_key: String::new(),
            provider_type: ProviderType::OpenAI,
            allowed_hosts: Vec::new(),
            kek_id: String::new(),
            verdicts: Default::default(),
            since: Timestamp::UNIX_EPOCH,
            grace_until: None,
            exchanged_with: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_version_that_a_restored_database_forgot_is_told_of_until_there_is_a_newer_one() {
        let words = |told: &[KeyVersion]| {
            let words = told.iter().map(|v| (v.version, v.state));
            words.collect::<Vec<_>>()
        };
        use VersionState::{Current, Destroyed};
        let rows = [row(2, Current), row(1, Destroyed)];
        let status = |versions| LlmCredentialStatus {
            versions,
            ..LlmCredentialStatus::default()
        };
        let before = status(told(None, &rows));
        let restored = told(Some(&before), &[row(1, Destroyed)]);
        assert_eq!(words(&restored), [(2, Destroyed), (1, Destroyed)]);
        let again = told(Some(&status(restored.clone())), &[row(1, Destroyed)]);
        assert_eq!(again, restored);
        let newer = told(
            Some(&status(restored)),
            &[row(3, Current), row(1, Destroyed)],
        );
        assert_eq!(words(&newer), [(3, Current), (1, Destroyed)]);
    }
}
