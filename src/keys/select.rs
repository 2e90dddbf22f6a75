//! Choosing a credential and its version. Pure.

use crate::{
    crd::{
        conditions::{self, ConditionType},
        credential::VersionState,
        reasons::{ConditionStatus, Reason},
    },
    db::{CredentialRow, CredentialVersionRow, EndpointRow},
};

/// Credentials that a check at this endpoint may use, the best first: those known to be valid here,
/// then anywhere, then by priority, then the oldest, then by name. What one endpoint says of a key
/// keeps it from no other.
pub fn candidates(
    mut credentials: Vec<CredentialRow>,
    versions: &[CredentialVersionRow],
    endpoint: &EndpointRow,
) -> Vec<CredentialRow> {
    credentials.retain(|c| {
        c.is_active
            && c.version.is_some()
            && (c.endpoint_uids.is_empty() || c.endpoint_uids.contains(&endpoint.uid))
            && may_be_used(c, versions, endpoint)
    });
    credentials.sort_by(|a, b| {
        let order = |c: &CredentialRow| {
            let here = validity_here(c, versions, endpoint);
            (
                here != Some(true),
                validity(c) != Some(true),
                c.priority,
                c.created_at,
            )
        };
        order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
    });
    credentials
}

/// The credentials that an endpoint's probes may use, where they name this one. A key that is
/// known not to be valid stays: its Secret may be gone, its time up, its owner's consent withdrawn.
pub fn named(
    mut credentials: Vec<CredentialRow>,
    versions: &[CredentialVersionRow],
    endpoint: &EndpointRow,
    name: &str,
) -> Vec<CredentialRow> {
    credentials.retain(|c| c.is_active && c.name == name && may_be_used(c, versions, endpoint));
    credentials
}

/// Whether nothing is known against it, neither in general nor at this endpoint.
fn may_be_used(
    credential: &CredentialRow,
    versions: &[CredentialVersionRow],
    endpoint: &EndpointRow,
) -> bool {
    validity(credential) != Some(false)
        && validity_here(credential, versions, endpoint) != Some(false)
}

/// What the last check of its key at this endpoint said, if that was made with what it has now.
fn validity_here(
    credential: &CredentialRow,
    versions: &[CredentialVersionRow],
    endpoint: &EndpointRow,
) -> Option<bool> {
    let verdict = current(versions, credential)?.verdicts.get(&endpoint.uid)?;
    let verdict = Some(verdict).filter(|v| v.is_of(&endpoint.check_inputs))?;
    known(verdict.reason)
}

fn validity(credential: &CredentialRow) -> Option<bool> {
    let valid = conditions::find(&credential.conditions, ConditionType::Valid)?;
    known(Reason::parse(&valid.reason)?)
}

/// Whether a reason says of a key that it is valid. That the keyring lacks what opens it says nothing of it.
fn known(reason: Reason) -> Option<bool> {
    match reason.status() {
        _ if reason.is_of_what_we_depend_on() => None,
        ConditionStatus::True => Some(true),
        ConditionStatus::False => Some(false),
        ConditionStatus::Unknown => None,
    }
}

/// The version of this credential that is in use.
pub fn current<'a>(
    versions: &'a [CredentialVersionRow],
    credential: &CredentialRow,
) -> Option<&'a CredentialVersionRow> {
    versions
        .iter()
        .find(|v| v.credential_uid == credential.uid && v.state == VersionState::Current)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use uuid::Uuid;

    use super::*;
    use crate::crd::{ProviderType, reasons::Reason};
    use crate::db::{
        DeclaredCredential, DeclaredEndpoint, FoundCredential, FoundEndpoint, ObjectColumns,
    };
    use crate::vendors::CheckResult;

    fn row(name: &str, valid: Reason) -> CredentialRow {
        CredentialRow {
            declared: DeclaredCredential {
                object: ObjectColumns {
                    name: name.to_owned(),
                    is_active: true,
                    conditions: vec![Condition {
                        type_: ConditionType::Valid.as_str().to_owned(),
                        status: valid.status().as_str().to_owned(),
                        reason: valid.as_str().to_owned(),
                        message: String::new(),
                        last_transition_time: Time(Timestamp::UNIX_EPOCH),
                        observed_generation: Some(1),
                    }],
                    ..ObjectColumns::default()
                },
                version: Some(1),
                ..DeclaredCredential::default()
            },
            found: FoundCredential::default(),
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            revision: 1,
        }
    }

    fn endpoint(name: &str) -> EndpointRow {
        EndpointRow {
            declared: DeclaredEndpoint {
                object: ObjectColumns {
                    uid: Uuid::from_u128(u128::from(name.len() as u64)),
                    ..ObjectColumns::default()
                },
                check_inputs: "now".to_owned(),
                ..DeclaredEndpoint::default()
            },
            found: FoundEndpoint::default(),
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            revision: 1,
        }
    }

    fn version(verdicts: &[(&EndpointRow, Reason, &str)]) -> CredentialVersionRow {
        let verdict = |(at, reason, inputs): &(&EndpointRow, Reason, &str)| {
            let verdict = CheckResult::new(*reason, "").verdict(
                1,
                (*inputs).to_owned(),
                Timestamp::UNIX_EPOCH,
            );
            (at.uid, verdict)
        };
        CredentialVersionRow {
            credential_uid: Uuid::nil(),
            version: 1,
            state: VersionState::Current,
            fingerprint: "f".to_owned(),
            masked_key: String::new(),
            provider_type: ProviderType::OpenAI,
            allowed_hosts: Vec::new(),
            kek_id: String::new(),
            verdicts: verdicts.iter().map(verdict).collect(),
            since: Timestamp::UNIX_EPOCH,
            grace_until: None,
            exchanged_with: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_one_endpoint_says_of_a_key_keeps_it_from_no_other() {
        let (here, there) = (endpoint("a"), endpoint("bb"));
        let used = |valid, versions: &[CredentialVersionRow], at: &EndpointRow| {
            let listed = candidates(vec![row("c", valid)], versions, at).len();
            assert_eq!(
                named(vec![row("c", valid)], versions, at, "c").len(),
                listed
            );
            listed == 1
        };
        for valid in [
            Reason::KeyAccepted,
            Reason::CheckInconclusive,
            Reason::KeyringUnavailable,
        ] {
            let unopened = [version(&[(&here, Reason::KeyringUnavailable, "now")])];
            assert!(used(valid, &unopened, &here));
            let rejected = [version(&[(&here, Reason::KeyRejected, "now")])];
            assert!(!used(valid, &rejected, &here));
            assert!(used(valid, &rejected, &there));
            let elsewhere = [version(&[(&here, Reason::KeyRejected, "before")])];
            assert!(used(valid, &elsewhere, &here));
        }
        assert!(!used(Reason::Expired, &[version(&[])], &here));
    }

    #[test]
    fn a_key_that_is_known_to_be_taken_here_comes_first() {
        let here = endpoint("a");
        let mut other = row("b", Reason::KeyAccepted);
        other.declared.uid = Uuid::from_u128(7);
        let mut accepted = version(&[(&here, Reason::KeyAccepted, "now")]);
        accepted.credential_uid = other.uid;
        let both = vec![row("a", Reason::KeyAccepted), other];
        let sorted = candidates(both, &[version(&[]), accepted], &here);
        assert_eq!(sorted[0].name, "b");
    }

    #[test]
    fn probes_send_no_key_that_has_expired_or_whose_secret_is_gone() {
        let left = |valid| {
            named(
                vec![row("a", valid), row("b", valid)],
                &[],
                &endpoint("e"),
                "a",
            )
            .len()
        };
        assert_eq!(left(Reason::KeyAccepted), 1);
        assert_eq!(left(Reason::NotCheckedYet), 1);
        for withdrawn in [
            Reason::Expired,
            Reason::SecretNotFound,
            Reason::SecretNotLabelled,
            Reason::HostNotAllowed,
            Reason::KeyRejected,
        ] {
            assert_eq!(left(withdrawn), 0, "{withdrawn}");
        }
    }
}
