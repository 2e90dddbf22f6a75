//! Envelope encryption: AES-256-GCM, a fresh data key for each credential version.
//!
//! ```text
//! payload = GCM(data key, fields + provider type + hosts, AAD = lp("payload/1", namespace, name, uid, version))
//! wrap    = GCM(KEK, data key, AAD = lp("data-key/1", kek id, namespace, name, uid, version))
//! ```
//!
//! In the associated data `uid` is the UID's 16 bytes, `version` a big-endian `i32` and `kek id`
//! its 16 hex digits. A data key encrypts once, so its nonce cannot repeat; a KEK's nonces are
//! random, which is sound for far more than the versions an installation ever makes (2^32).

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use secrecy::{ExposeSecret, ExposeSecretMut};
use zeroize::Zeroizing;

use super::frame::{FRAME_VERSION, Frame, FrameError, HEADER_BYTES, NONCE_BYTES, TAG_BYTES};
use super::kek::Keyring;
use super::lp;
use super::payload::{self, DecodeError};
use super::types::{Binding, KEY_BYTES, KekId, KeyBytes, Payload, Sealed};

/// Why a payload was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no random numbers; nothing can be sealed safely until it does.
    #[error("the operating system gave no random numbers: {0}")]
    NoRandomNumbers(#[from] getrandom::Error),
    /// The payload could not be encoded or is beyond what AES-GCM takes (64 GiB).
    #[error("the payload could not be encrypted")]
    NotEncryptable,
}

/// Why a row did not open. No variant carries anything of its contents.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The keyring has no key of this id: it is not delivered yet, or was removed too early.
    #[error("the keyring has no key {kek}: add the file that holds it back to the keyring folder")]
    UnknownKek {
        /// The key that the row names.
        kek: KekId,
    },
    /// The row does not authenticate: it was edited, moved, or sealed under another key.
    #[error("the stored key does not authenticate: its row was changed or moved")]
    Tampered,
    /// The row is no ciphertext of a layout that this release knows.
    #[error("the stored key has an unknown layout: {0}")]
    Malformed(#[from] Malformed),
}

/// What is wrong with a row's layout.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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

/// Why a row was not re-wrapped; the row is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The old wrap did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new wrap could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Encrypts `payload` for the row `binding`, under the keyring's active key.
///
/// # Errors
/// [`SealError`], where the operating system gives no random numbers.
pub fn seal(
    keyring: &Keyring,
    binding: &Binding<'_>,
    payload: &Payload,
) -> Result<Sealed, SealError> {
    let mut data_key = KeyBytes::default();
    getrandom::fill(data_key.expose_secret_mut())?;
    let nonces = Nonces {
        payload: fresh_nonce()?,
        wrap: fresh_nonce()?,
    };
    seal_with(keyring, binding, payload, &data_key, &nonces)
}

/// Decrypts a row.
///
/// # Errors
/// [`OpenError::UnknownKek`] where the keyring lacks its key (refresh the keyring, then try again),
/// [`OpenError::Tampered`] where the row is not the one that was sealed, [`OpenError::Malformed`]
/// where it is no ciphertext of a known layout.
pub fn open(
    keyring: &Keyring,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<Payload, OpenError> {
    let data_key = unwrap_data_key(keyring, binding, sealed)?;
    let plaintext = decrypt(&data_key, &payload_aad(binding), &sealed.payload)?;
    Ok(payload::decode(&plaintext).map_err(Malformed::from)?)
}

/// Wraps a row's data key anew, under the keyring's active key. The payload stays byte for byte.
///
/// # Errors
/// [`RewrapError`]; the old row is then still the one to keep.
pub fn rewrap(
    keyring: &Keyring,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<Sealed, RewrapError> {
    let data_key = unwrap_data_key(keyring, binding, sealed)?;
    let (kek_id, wrapped_key) = wrap(keyring, binding, &data_key, &fresh_nonce()?)?;
    Ok(Sealed {
        kek_id,
        wrapped_key,
        payload: sealed.payload.clone(),
    })
}

/// The nonces of one sealing.
pub(super) struct Nonces {
    pub payload: [u8; NONCE_BYTES],
    pub wrap: [u8; NONCE_BYTES],
}

/// [`seal`] with everything random given: the format's known answers are pinned through it.
pub(super) fn seal_with(
    keyring: &Keyring,
    binding: &Binding<'_>,
    payload: &Payload,
    data_key: &KeyBytes,
    nonces: &Nonces,
) -> Result<Sealed, SealError> {
    let mut buffer = framed(&nonces.payload);
    payload::encode_into(payload, &mut buffer, TAG_BYTES).map_err(|_| SealError::NotEncryptable)?;
    let payload = encrypt(data_key, &nonces.payload, &payload_aad(binding), buffer)?;
    let (kek_id, wrapped_key) = wrap(keyring, binding, data_key, &nonces.wrap)?;
    Ok(Sealed {
        kek_id,
        wrapped_key,
        payload,
    })
}

fn wrap(
    keyring: &Keyring,
    binding: &Binding<'_>,
    data_key: &KeyBytes,
    nonce: &[u8; NONCE_BYTES],
) -> Result<(KekId, Vec<u8>), SealError> {
    let (kek_id, kek) = keyring.active_key();
    let mut buffer = framed(nonce);
    buffer.extend_from_slice(data_key.expose_secret());
    let wrapped = encrypt(kek, nonce, &wrap_aad(kek_id, binding), buffer)?;
    Ok((kek_id, wrapped))
}

fn unwrap_data_key(
    keyring: &Keyring,
    binding: &Binding<'_>,
    sealed: &Sealed,
) -> Result<KeyBytes, OpenError> {
    let kek = keyring
        .kek(&sealed.kek_id)
        .ok_or(OpenError::UnknownKek { kek: sealed.kek_id })?;
    let bytes = decrypt(kek, &wrap_aad(sealed.kek_id, binding), &sealed.wrapped_key)?;
    if bytes.len() != KEY_BYTES {
        return Err(Malformed::DataKeyLength.into());
    }
    let mut data_key = KeyBytes::default();
    data_key.expose_secret_mut().copy_from_slice(&bytes);
    Ok(data_key)
}

fn payload_aad(binding: &Binding<'_>) -> Vec<u8> {
    lp::encode(&[
        b"payload/1",
        binding.namespace.as_bytes(),
        binding.name.as_bytes(),
        binding.uid.as_bytes(),
        &binding.version.to_be_bytes(),
    ])
}

fn wrap_aad(kek_id: KekId, binding: &Binding<'_>) -> Vec<u8> {
    lp::encode(&[
        b"data-key/1",
        kek_id.to_string().as_bytes(),
        binding.namespace.as_bytes(),
        binding.name.as_bytes(),
        binding.uid.as_bytes(),
        &binding.version.to_be_bytes(),
    ])
}

/// A frame's header, with room for a data key and its tag.
fn framed(nonce: &[u8; NONCE_BYTES]) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + KEY_BYTES + TAG_BYTES));
    buffer.push(FRAME_VERSION);
    buffer.extend_from_slice(nonce);
    buffer
}

/// Encrypts what follows the header in place and appends the tag, for which `buffer` has room.
fn encrypt(
    key: &KeyBytes,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    mut buffer: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, SealError> {
    let cipher = Aes256Gcm::new(key.expose_secret().into());
    let tag = cipher
        .encrypt_inout_detached(nonce.into(), aad, (&mut buffer[HEADER_BYTES..]).into())
        .map_err(|_| SealError::NotEncryptable)?;
    buffer.extend_from_slice(&tag);
    Ok(std::mem::take(&mut *buffer))
}

fn decrypt(key: &KeyBytes, aad: &[u8], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let frame = Frame::parse(bytes).map_err(Malformed::from)?;
    let cipher = Aes256Gcm::new(key.expose_secret().into());
    let mut buffer = Zeroizing::new(frame.ciphertext.to_vec());
    cipher
        .decrypt_in_place(frame.nonce.into(), aad, &mut *buffer)
        .map_err(|_| OpenError::Tampered)?;
    Ok(buffer)
}

fn fresh_nonce() -> Result<[u8; NONCE_BYTES], SealError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce)?;
    Ok(nonce)
}
