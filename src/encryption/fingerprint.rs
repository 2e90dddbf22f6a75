//! Fingerprints: prove that a key changed, reveal nothing else.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

use super::kek::FingerprintKey;
use super::types::{InvalidId, SecretFields, parse_lower_hex};
use super::{length_prefixed, mac};

/// The first 16 bytes of HMAC-SHA-256, under the keyring's [`FingerprintKey`], over a credential's
/// UID and all its secret fields; written as 32 lower-case hex digits.
///
/// It changes with any change of any field, presence included. Since the UID goes in, two
/// credentials that share a key have different fingerprints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of what this credential's Secret holds.
    pub fn of(key: &FingerprintKey, uid: Uuid, fields: &SecretFields) -> Self {
        let mut mac = mac::keyed(key.bytes());
        length_prefixed::feed([&b"fingerprint/1"[..], uid.as_bytes()], |piece| {
            mac.update(piece)
        });
        for field in fields.each() {
            // A part for presence, so that an empty field and an absent one differ.
            let (presence, value): (&[u8], &[u8]) = match field {
                Some(secret) => (&[1], secret.expose_secret().as_bytes()),
                None => (&[0], &[]),
            };
            length_prefixed::feed([presence, value], |piece| mac.update(piece));
        }
        Self::truncated(mac)
    }

    /// The fingerprint of one field of this credential's key by itself, whichever field it is: by it a
    /// string that leaked is found again.
    pub fn of_field(key: &FingerprintKey, uid: Uuid, field: &SecretString) -> Self {
        let mut mac = mac::keyed(key.bytes());
        let parts = [
            &b"field-fingerprint/1"[..],
            uid.as_bytes(),
            field.expose_secret().as_bytes(),
        ];
        length_prefixed::feed(parts, |piece| mac.update(piece));
        Self::truncated(mac)
    }

    /// The fingerprints of each field that is there by itself.
    pub fn of_each(key: &FingerprintKey, uid: Uuid, fields: &SecretFields) -> Vec<Self> {
        let each = fields.each().into_iter().flatten();
        each.map(|field| Self::of_field(key, uid, field)).collect()
    }

    fn truncated(mac: Hmac<Sha256>) -> Self {
        let digest = mac.finalize().into_bytes();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Self(fingerprint)
    }
}

impl ConstantTimeEq for Fingerprint {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_lower_hex(text).map(Self)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}
