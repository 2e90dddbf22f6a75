//! AES-256-GCM over a [`Frame`]: the one cipher of payloads and of the folder's wraps.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::envelope::Malformed;
use super::frame::{FRAME_VERSION, Frame, HEADER_BYTES, NONCE_BYTES, TAG_BYTES};
use super::kek::KekError;
use super::types::{KEY_BYTES, KeyBytes};

/// The plaintext is beyond what AES-GCM takes (64 GiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plaintext is too long to be encrypted")]
pub(super) struct TooLong;

/// Why a frame did not decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotDecrypted {
    /// It does not authenticate under this key with this associated data.
    NotAuthentic,
    /// It is no ciphertext.
    Malformed(super::FrameError),
}

impl From<NotDecrypted> for KekError {
    fn from(why: NotDecrypted) -> Self {
        match why {
            NotDecrypted::NotAuthentic => Self::NotAuthentic,
            NotDecrypted::Malformed(error) => Self::Malformed(Malformed::Frame(error)),
        }
    }
}

/// A frame's header, with room for a data key and its tag.
pub(super) fn framed(nonce: &[u8; NONCE_BYTES]) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + KEY_BYTES + TAG_BYTES));
    buffer.push(FRAME_VERSION);
    buffer.extend_from_slice(nonce);
    buffer
}

/// Encrypts what follows the header in place and appends the tag, for which `buffer` has room.
pub(super) fn encrypt(
    key: &KeyBytes,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    mut buffer: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, TooLong> {
    let cipher = Aes256Gcm::new(key.expose_secret().into());
    let tag = cipher
        .encrypt_inout_detached(nonce.into(), aad, (&mut buffer[HEADER_BYTES..]).into())
        .map_err(|_| TooLong)?;
    buffer.extend_from_slice(&tag);
    Ok(std::mem::take(&mut *buffer))
}

/// Decrypts a frame; the plaintext is wiped when dropped.
pub(super) fn decrypt(
    key: &KeyBytes,
    aad: &[u8],
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotDecrypted> {
    let frame = Frame::parse(bytes).map_err(NotDecrypted::Malformed)?;
    let cipher = Aes256Gcm::new(key.expose_secret().into());
    let mut buffer = Zeroizing::new(frame.ciphertext.to_vec());
    cipher
        .decrypt_in_place(frame.nonce.into(), aad, &mut *buffer)
        .map_err(|_| NotDecrypted::NotAuthentic)?;
    Ok(buffer)
}

/// A random nonce.
pub(super) fn fresh_nonce() -> Result<[u8; NONCE_BYTES], getrandom::Error> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce)?;
    Ok(nonce)
}
