//! Envelope encryption: AES-256-GCM, a fresh data key for each credential version.
//!
//! ```text
//! payload = GCM(data key, fields + provider type + hosts, AAD = lp("payload/1", namespace, name, uid, version))
//! wrap    = GCM(KEK, data key, AAD = lp("data-key/1", kek id, namespace, name, uid, version))
//! ```
//!
//! In the associated data `uid` is the UID's 16 bytes, `version` a big-endian `i32` and `kek id`
//! its 16 hex digits. A data key encrypts once, so its nonce cannot repeat. How the wrap looks is its
//! [`KekSource`]'s affair; the line above is the folder's.

use secrecy::ExposeSecretMut;

use super::frame::{FrameError, NONCE_BYTES, TAG_BYTES};
use super::gcm::{self, NotDecrypted};
use super::kek::{KekError, KekSource};
use super::length_prefixed;
use super::payload::{self, DecodeError};
use super::types::{Binding, KekId, KeyBytes, Payload, Sealed};

/// Why a payload was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no random numbers; nothing can be sealed safely until it does.
    #[error("the operating system gave no random numbers: {0}")]
    NoRandomNumbers(#[from] getrandom::Error),
    /// The payload could not be encoded or is beyond what AES-GCM takes (64 GiB).
    #[error("the payload could not be encrypted")]
    NotEncryptable,
    /// The key-encryption key could not be used.
    #[error(transparent)]
    Kek(#[from] KekError),
}

/// Why a row did not open. No variant carries anything of its contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key-encryption key cannot be used, for now; the row may be whole.
    /// ([`KekError::NotAuthentic`] and [`KekError::Malformed`] are told by the other variants.)
    #[error(transparent)]
    Kek(KekError),
    /// The row does not authenticate: it was edited, moved, or sealed under another key.
    #[error("the stored key does not authenticate: its row was changed or moved")]
    Tampered,
    /// The row is no ciphertext of a layout that this release knows.
    #[error("the stored key has an unknown layout: {0}")]
    Malformed(#[from] Malformed),
}

impl OpenError {
    /// One word for metrics and for the audit.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kek(KekError::Unknown { .. }) => "kek-missing",
            Self::Kek(KekError::Refused(_)) => "kek-refused",
            Self::Kek(_) => "kek-unavailable",
            Self::Tampered => "not-authentic",
            Self::Malformed(_) => "unknown-layout",
        }
    }

    /// Whether the row itself is at fault, so that waiting for a key-encryption key heals nothing.
    pub fn is_of_the_row(&self) -> bool {
        !matches!(self, Self::Kek(_))
    }
}

impl From<KekError> for OpenError {
    fn from(error: KekError) -> Self {
        match error {
            KekError::NotAuthentic => Self::Tampered,
            KekError::Malformed(what) => Self::Malformed(what),
            error => Self::Kek(error),
        }
    }
}

impl From<NotDecrypted> for OpenError {
    fn from(why: NotDecrypted) -> Self {
        match why {
            NotDecrypted::NotAuthentic => Self::Tampered,
            NotDecrypted::Malformed(error) => Self::Malformed(Malformed::Frame(error)),
        }
    }
}

/// What is wrong with a row's layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The wrapped data key or the payload is no ciphertext.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The payload decrypted to something that this release does not read.
    #[error(transparent)]
    Payload(#[from] DecodeError),
    /// The wrap decrypted to something that is no data key.
    #[error("the data key has a wrong length")]
    DataKeyLength,
}

/// Why a data key was not re-wrapped; the row is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The old wrap did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new wrap could not be made.
    #[error(transparent)]
    Wrap(KekError),
}

/// Encrypts `payload` for the row `binding`, under the key-encryption key that is active.
///
/// # Errors
/// [`SealError`], where the operating system gives no random numbers or the key-encryption key cannot
/// be used.
pub async fn seal(
    keks: &dyn KekSource,
    binding: &Binding<'_>,
    payload: &Payload,
) -> Result<Sealed, SealError> {
    let mut data_key = KeyBytes::default();
    getrandom::fill(data_key.expose_secret_mut())?;
    let payload = encrypt_payload(binding, payload, &data_key, &gcm::fresh_nonce()?)?;
    let kek_id = keks.active().await?.id;
    let aad = wrap_aad(&kek_id, binding);
    let wrapped_key = keks.wrap(&kek_id, &data_key, &aad).await?;
    Ok(Sealed {
        kek_id,
        wrapped_key,
        payload,
    })
}

/// Decrypts a row.
///
/// # Errors
/// [`OpenError::Kek`] where its key-encryption key cannot be used for now, [`OpenError::Tampered`] where
/// the row is not the one that was sealed, [`OpenError::Malformed`] where it is no ciphertext of a known
/// layout.
pub async fn open(
    keks: &dyn KekSource,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<Payload, OpenError> {
    let aad = wrap_aad(&sealed.kek_id, binding);
    let data_key = keks
        .unwrap(&sealed.kek_id, &sealed.wrapped_key, &aad)
        .await?;
    let plaintext = gcm::decrypt(&data_key, &payload_aad(binding), &sealed.payload)?;
    Ok(payload::decode(&plaintext).map_err(Malformed::from)?)
}

/// Wraps a row's data key anew: from the key `from`, under which it is, to the key `to`. Answers the new
/// wrap; the payload is neither needed nor touched.
///
/// # Errors
/// [`RewrapError`]; the old wrap is then still the one to keep.
pub async fn rewrap(
    keks: &dyn KekSource,
    (from, wrapped_key): (&KekId, &[u8]),
    to: &KekId,
    binding: &Binding<'_>,
) -> Result<Vec<u8>, RewrapError> {
    let aad = wrap_aad(from, binding);
    let unwrapped = keks.unwrap(from, wrapped_key, &aad).await;
    let data_key = unwrapped.map_err(OpenError::from)?;
    let wrapped = keks.wrap(to, &data_key, &wrap_aad(to, binding)).await;
    wrapped.map_err(RewrapError::Wrap)
}

/// A payload's ciphertext under this data key, with the nonce given.
pub(super) fn encrypt_payload(
    binding: &Binding<'_>,
    payload: &Payload,
    data_key: &KeyBytes,
    nonce: &[u8; NONCE_BYTES],
) -> Result<Vec<u8>, SealError> {
    let mut buffer = gcm::framed(nonce);
    payload::encode_into(payload, &mut buffer, TAG_BYTES).map_err(|_| SealError::NotEncryptable)?;
    gcm::encrypt(data_key, nonce, &payload_aad(binding), buffer)
        .map_err(|_| SealError::NotEncryptable)
}

fn payload_aad(binding: &Binding<'_>) -> Vec<u8> {
    length_prefixed::encode(&[
        b"payload/1",
        binding.namespace.as_bytes(),
        binding.name.as_bytes(),
        binding.uid.as_bytes(),
        &binding.version.to_be_bytes(),
    ])
}

pub(super) fn wrap_aad(kek_id: &KekId, binding: &Binding<'_>) -> Vec<u8> {
    length_prefixed::encode(&[
        b"data-key/1",
        kek_id.to_string().as_bytes(),
        binding.namespace.as_bytes(),
        binding.name.as_bytes(),
        binding.uid.as_bytes(),
        &binding.version.to_be_bytes(),
    ])
}
