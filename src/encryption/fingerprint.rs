//! Fingerprints: prove that a key changed, reveal nothing else.

use std::fmt;
use std::str::FromStr;

use hmac::Mac;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kek::FingerprintKey;
use super::types::{InvalidId, SecretFields, parse_lower_hex};
use super::{lp, mac};

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
        lp::feed([&b"fingerprint/1"[..], uid.as_bytes()], |piece| {
            mac.update(piece)
        });
        for field in fields.each() {
            // A part for presence, so that an empty field and an absent one differ.
            let (presence, value): (&[u8], &[u8]) = match field {
                Some(secret) => (&[1], secret.expose_secret().as_bytes()),
                None => (&[0], &[]),
            };
            lp::feed([presence, value], |piece| mac.update(piece));
        }
        let digest = mac.finalize().into_bytes();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Self(fingerprint)
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
