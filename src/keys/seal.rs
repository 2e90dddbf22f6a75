//! Sealing keys.

use uuid::Uuid;

use crate::{
    db::SealedVersion,
    encryption::{Binding, KeyringHandle, Payload, SealError, seal},
};

/// A key, sealed as this version of this credential by the key-encryption key that is active.
///
/// # Errors
/// When the operating system gives no random numbers, the payload is too long, or the key-encryption
/// key cannot be used.
pub async fn seal_version(
    keyring: &KeyringHandle,
    (namespace, name, uid): (&str, &str, Uuid),
    version: i32,
    payload: &Payload,
) -> Result<SealedVersion, SealError> {
    let binding = Binding {
        namespace,
        name,
        uid,
        version,
    };
    let sealed = seal(keyring.keks(), &binding, payload).await?;
    Ok(SealedVersion {
        credential_uid: uid,
        version,
        kek_id: sealed.kek_id.to_string(),
        wrapped_key: sealed.wrapped_key,
        payload: sealed.payload,
    })
}
