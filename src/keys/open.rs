//! Opening stored keys. Where a key may go is decided here, by what was sealed with it, at every
//! use.

use url::Url;
use uuid::Uuid;

use super::destinations::{BoundKey, HostNotAllowed, Vendor};
use crate::{
    db::{CredentialRow, CredentialVersionRow, Db, DbError, SealedVersion},
    encryption::{Binding, KekSource, KeyringHandle, OpenError, Payload, Sealed, open},
};

/// Why a stored key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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

impl From<OpenError> for KeyError {
    fn from(why: OpenError) -> Self {
        match why.is_of_the_row() {
            true => Self::Unreadable(why),
            false => Self::Keyring(why.to_string()),
        }
    }
}

impl From<HostNotAllowed> for KeyError {
    fn from(why: HostNotAllowed) -> Self {
        Self::NotAllowed(why.to_string())
    }
}

/// A key that may be sent to the URL it was asked for.
pub struct UsableKey {
    pub bound: BoundKey,
    pub fingerprint: String,
    /// What proofs name it by: [`CredentialVersionRow::identity`].
    pub identity: String,
    /// UID, namespace and name of the credential whose it is.
    pub credential: (Uuid, String, String),
}

/// Opens one version for this URL.
pub async fn open_for(
    db: &Db,
    keyring: &KeyringHandle,
    credential: &CredentialRow,
    version: &CredentialVersionRow,
    vendor: Vendor,
    url: &Url,
) -> Result<UsableKey, KeyError> {
    let stored = db
        .sealed_version(credential.uid, version.version)
        .await?
        .ok_or(KeyError::Gone)?;
    let (namespace, name) = (&credential.namespace, &credential.name);
    let payload = open_stored(keyring, namespace, name, stored).await?;
    let bound = BoundKey::bind(
        payload.fields,
        &payload.provider_type,
        &payload.allowed_hosts,
        vendor,
        url,
    )?;
    Ok(UsableKey {
        bound,
        fingerprint: version.fingerprint.clone(),
        identity: version.identity().to_owned(),
        credential: (
            credential.uid,
            credential.namespace.clone(),
            credential.name.clone(),
        ),
    })
}

/// Opens what is stored of a version of this credential's key.
///
/// # Errors
/// [`OpenError`]: whether the row is at fault, or its key-encryption key cannot be used for now.
pub async fn open_stored(
    keyring: &KeyringHandle,
    namespace: &str,
    name: &str,
    stored: SealedVersion,
) -> Result<Payload, OpenError> {
    open_stored_with(keyring.keks(), namespace, name, stored).await
}

/// [`open_stored`] with the key-encryption keys of another source than the process's keyring.
///
/// # Errors
/// As [`open_stored`].
pub async fn open_stored_with(
    keks: &dyn KekSource,
    namespace: &str,
    name: &str,
    stored: SealedVersion,
) -> Result<Payload, OpenError> {
    let kek_id = (stored.kek_id.parse()).map_err(|_| OpenError::Tampered)?;
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
    open(keks, &binding, &sealed).await
}
