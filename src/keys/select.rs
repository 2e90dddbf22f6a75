//! Choosing a credential and its version. Pure.

use crate::{
    crd::{
        conditions::{self, ConditionType},
        credential::VersionState,
    },
    db::{CredentialRow, CredentialVersionRow},
};

/// Credentials that a check at this endpoint may use, the best first: those known to be valid,
/// then by priority, then the oldest, then by name.
pub fn candidates(mut credentials: Vec<CredentialRow>, endpoint: uuid::Uuid) -> Vec<CredentialRow> {
    credentials.retain(|c| {
        c.is_active
            && c.version.is_some()
            && (c.endpoint_uids.is_empty() || c.endpoint_uids.contains(&endpoint))
            && validity(c) != Some(false)
    });
    credentials.sort_by(|a, b| {
        let order = |c: &CredentialRow| (validity(c) != Some(true), c.priority, c.created_at);
        order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
    });
    credentials
}

/// The credentials that an endpoint's probes may use, where they name this one. A key that is
/// known not to be valid stays: its Secret may be gone, its time up, its owner's consent withdrawn.
pub fn named(mut credentials: Vec<CredentialRow>, name: &str) -> Vec<CredentialRow> {
    credentials.retain(|c| c.is_active && c.name == name && validity(c) != Some(false));
    credentials
}

fn validity(credential: &CredentialRow) -> Option<bool> {
    let valid = conditions::find(&credential.conditions, ConditionType::Valid)?;
    match valid.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
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

    use super::*;
    use crate::crd::reasons::Reason;
    use crate::db::{DeclaredCredential, ObjectColumns};

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
            found: (),
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            revision: 1,
        }
    }

    #[test]
    fn probes_send_no_key_that_has_expired_or_whose_secret_is_gone() {
        let left = |valid| named(vec![row("a", valid), row("b", valid)], "a").len();
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
