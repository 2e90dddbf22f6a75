//! The words of this module: ids, secrets and what is stored.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

/// Length of every key in a keyring and of every data key, in bytes (AES-256, HMAC-SHA-256).
pub const KEY_BYTES: usize = 32;

/// 32 bytes of key material, wiped when dropped, never shown.
pub type KeyBytes = SecretBox<[u8; KEY_BYTES]>;

/// A key-encryption key's id: the first 8 bytes of its SHA-256, written as 16 lower-case hex digits.
///
/// The id is derived, never chosen, so a file that holds another key than its name says cannot be
/// taken for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KekId([u8; 8]);

impl KekId {
    /// The id of this key.
    pub fn of(key: &KeyBytes) -> Self {
        let digest = Sha256::digest(key.expose_secret());
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

impl FromStr for KekId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_lower_hex(text).map(Self)
    }
}

impl TryFrom<String> for KekId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<KekId> for String {
    fn from(id: KekId) -> Self {
        id.to_string()
    }
}

/// A text that is no id of the kind asked for. It does not repeat the text, which may be a key
/// that was put in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} lower-case hex digits")]
pub struct InvalidId {
    /// How many digits an id of this kind has.
    pub digits: usize,
}

/// Parses exactly `2 * N` lower-case hex digits: one id has one spelling.
pub(super) fn parse_lower_hex<const N: usize>(text: &str) -> Result<[u8; N], InvalidId> {
    let invalid = InvalidId { digits: 2 * N };
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(invalid);
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| invalid)?;
    Ok(bytes)
}

/// What a Secret holds for one credential. A field that is absent differs from one that is empty.
#[derive(Clone, Debug, Default)]
pub struct SecretFields {
    /// The API key, or the access key's id where the vendor has a pair.
    pub api_key: Option<SecretString>,
    /// The second half of a key pair.
    pub secret_key: Option<SecretString>,
    /// A session token or an access token.
    pub access_token: Option<SecretString>,
}

impl SecretFields {
    /// The fields with their names, in the order in which fingerprints cover them.
    pub(crate) fn each(&self) -> [Option<&SecretString>; 3] {
        [
            self.api_key.as_ref(),
            self.secret_key.as_ref(),
            self.access_token.as_ref(),
        ]
    }

    /// Whether no field is present.
    pub fn is_empty(&self) -> bool {
        self.each().iter().all(Option::is_none)
    }
}

impl ConstantTimeEq for SecretFields {
    /// Takes a time that depends on which fields are present and on their lengths, not on their
    /// contents.
    fn ct_eq(&self, other: &Self) -> Choice {
        let mut equal = Choice::from(1);
        for (ours, theirs) in self.each().into_iter().zip(other.each()) {
            equal &= match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    (ours.expose_secret().as_bytes()).ct_eq(theirs.expose_secret().as_bytes())
                }
                (None, None) => Choice::from(1),
                _ => Choice::from(0),
            };
        }
        equal
    }
}

/// What one credential version's ciphertext holds: the key, and whose it is and where it may go.
///
/// Type and hosts are in here so that a use of the key decides by what was sealed, not by a column
/// that somebody edited.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The key itself.
    pub fields: SecretFields,
    /// The Secret's label: the provider type whose key this is.
    pub provider_type: String,
    /// The Secret's `llmplane.dev/allowed-hosts`, one entry each, in the order given.
    pub allowed_hosts: Vec<String>,
}

/// The row that a ciphertext belongs to. It is authenticated, so that a ciphertext opens in no
/// other row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The credential's namespace.
    pub namespace: &'a str,
    /// The credential's name.
    pub name: &'a str,
    /// The credential's Kubernetes UID.
    pub uid: Uuid,
    /// The credential version, from 1.
    pub version: i32,
}

/// One credential version as it is stored: three columns of a row.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key-encryption key that wraps the data key.
    pub kek_id: KekId,
    /// The data key, encrypted under that key; see [`super::Frame`] for the layout.
    pub wrapped_key: Vec<u8>,
    /// The payload, encrypted under the data key; see [`super::Frame`] for the layout.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("kek_id", &self.kek_id)
            .field("wrapped_key_bytes", &self.wrapped_key.len())
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}
