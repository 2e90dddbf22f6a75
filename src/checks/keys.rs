//! Opening stored keys, and choosing the one to check with. Where a key may go is decided here, by
//! what was sealed with it, at every use.

use url::Url;

use crate::{
    crd::{
        ProviderType,
        conditions::{self, ConditionType},
        credential::VersionState,
    },
    db::{CredentialRow, CredentialVersionRow, Db, DbError, SealedVersion},
    encryption::{Binding, KeyringHandle, OpenError, Payload, Sealed, open},
    vendors::{BoundKey, HostNotAllowed},
};

/// Why a stored key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// It is gone, or was never stored.
    #[error("there is no such key any more")]
    Gone,
    /// The keyring lacks what it needs, for now.
    #[error("{0}")]
    Keyring(String),
    /// It does not authenticate.
    #[error("{0}")]
    Unreadable(OpenError),
    /// Its owner does not let it go there.
    #[error("{0}")]
    NotAllowed(String),
    /// PostgreSQL.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<HostNotAllowed> for KeyError {
    fn from(why: HostNotAllowed) -> Self {
        Self::NotAllowed(why.to_string())
    }
}

/// A key that may be sent to the URL it was asked for.
pub(super) struct UsableKey {
    pub bound: BoundKey,
    pub fingerprint: String,
}

/// Opens one version for this URL.
pub(super) async fn open_for(
    db: &Db,
    keyring: &KeyringHandle,
    credential: &CredentialRow,
    version: &CredentialVersionRow,
    provider: ProviderType,
    url: &Url,
) -> Result<UsableKey, KeyError> {
    let stored = db
        .sealed_version(credential.uid, version.version)
        .await?
        .ok_or(KeyError::Gone)?;
    let payload = open_stored(keyring, &credential.namespace, &credential.name, stored)?;
    let bound = BoundKey::bind(
        payload.fields,
        &payload.provider_type,
        &payload.allowed_hosts,
        provider,
        url,
    )?;
    Ok(UsableKey {
        bound,
        fingerprint: version.fingerprint.clone(),
    })
}

/// Opens what is stored of a version of this credential's key.
fn open_stored(
    keyring: &KeyringHandle,
    namespace: &str,
    name: &str,
    stored: SealedVersion,
) -> Result<Payload, KeyError> {
    let kek_id = (stored.kek_id.parse()).map_err(|_| KeyError::Unreadable(OpenError::Tampered))?;
    let ring = keyring
        .get_or_refresh(&kek_id)
        .map_err(|error| KeyError::Keyring(error.to_string()))?;
    let binding = Binding {
        namespace,
        name,
        uid: stored.credential_uid,
        version: stored.version,
    };
    let sealed = Sealed {
        kek_id,
        wrapped_key: stored.wrapped_key,
        payload: stored.payload,
    };
    open(&ring, &binding, &sealed).map_err(|error| match error {
        OpenError::UnknownKek { .. } => KeyError::Keyring(error.to_string()),
        error => KeyError::Unreadable(error),
    })
}

/// Whether what is stored of a version of this credential's key does not authenticate, though the
/// keyring has what wraps it.
pub fn is_unreadable(
    keyring: &KeyringHandle,
    namespace: &str,
    name: &str,
    stored: SealedVersion,
) -> bool {
    let opened = open_stored(keyring, namespace, name, stored);
    matches!(opened, Err(KeyError::Unreadable(_)))
}

/// Credentials that a check at this endpoint may use, the best first: those known to be valid,
/// then by priority, then the oldest, then by name.
pub(super) fn candidates(
    mut credentials: Vec<CredentialRow>,
    endpoint: uuid::Uuid,
) -> Vec<CredentialRow> {
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
pub(super) fn named(mut credentials: Vec<CredentialRow>, name: &str) -> Vec<CredentialRow> {
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
pub(super) fn current<'a>(
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
    use crate::crd::{credential::Validation, reasons::Reason};

    fn row(name: &str, valid: Reason) -> CredentialRow {
        CredentialRow {
            uid: Uuid::nil(),
            namespace: "team".to_owned(),
            name: name.to_owned(),
            generation: 1,
            enabled: true,
            is_active: true,
            conditions: vec![Condition {
                type_: ConditionType::Valid.as_str().to_owned(),
                status: valid.status().as_str().to_owned(),
                reason: valid.as_str().to_owned(),
                message: String::new(),
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
                observed_generation: Some(1),
            }],
            verified_generation: None,
            last_handled_reconcile_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            revision: 1,
            provider_uid: Uuid::nil(),
            endpoint_uids: Vec::new(),
            alias: None,
            description: None,
            expires_at: None,
            quota_limit: None,
            quota_unit: None,
            quota_period: None,
            priority: 100,
            grace_seconds: 3600,
            validation: Validation {
                enabled: true,
                period_seconds: 3600,
                timeout_seconds: 10,
            },
            secret_name: "s".to_owned(),
            secret_uid: None,
            secret_resource_version: None,
            masked_key: None,
            fingerprint: None,
            version: Some(1),
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
