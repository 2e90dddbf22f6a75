//! The two keys that never rotate, one for each MAC: fingerprints, and anchors of the audit log.
//!
//! They are held in memory, whatever the source: thousands of fingerprints are compared at once, which
//! no remote call could serve. A source that gives out no keys stores these two wrapped, and unwraps
//! them once, when it is opened.

use std::fmt;
use std::sync::Arc;

use hmac::Mac;

use super::super::types::KeyBytes;
use super::super::{length_prefixed, mac};

/// Where the two keys come from.
pub trait MacKeySource: fmt::Debug + Send + Sync + 'static {
    /// The key of fingerprints.
    fn fingerprint_key(&self) -> Arc<FingerprintKey>;

    /// The key of the audit log's anchors.
    ///
    /// # Errors
    /// [`MacKeyError::AuditKeyMissing`], for processes that never anchor may run without one.
    fn audit_key(&self) -> Result<Arc<AuditKey>, MacKeyError>;

    /// Holds the source to the key of fingerprints of which [`FingerprintKey::check`] is this: a change
    /// to another one is refused from now on. The first value counts.
    fn expect(&self, check: Vec<u8>);

    /// Whether its key of fingerprints is the one that it is held to, if it is held to one.
    ///
    /// # Errors
    /// [`MacKeyError::OtherFingerprintKey`].
    fn is_as_expected(&self) -> Result<(), MacKeyError>;
}

/// Why one of the two keys cannot be used. The texts say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacKeyError {
    /// There is no key for anchors.
    #[error("{0}")]
    AuditKeyMissing(String),
    /// Another key made the fingerprints that are stored.
    #[error("{0}")]
    OtherFingerprintKey(String),
}

/// `fingerprint.key`: proves that a credential's key changed, see [`Fingerprint`](super::super::Fingerprint).
pub struct FingerprintKey(KeyBytes);

impl FingerprintKey {
    pub(super) fn new(key: KeyBytes) -> Self {
        Self(key)
    }

    /// Stands for the key without revealing anything of it: equal for the same key alone.
    pub fn check(&self) -> [u8; 32] {
        let mut mac = mac::keyed(&self.0);
        length_prefixed::feed([&b"fingerprint-key-check/1"[..]], |piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }

    pub(in crate::encryption) fn bytes(&self) -> &KeyBytes {
        &self.0
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey")
    }
}

/// `audit.key`: under which the head of the audit log's chain is anchored.
pub struct AuditKey(KeyBytes);

impl AuditKey {
    pub(super) fn new(key: KeyBytes) -> Self {
        Self(key)
    }

    /// HMAC-SHA-256 of `message`: the anchor of the chain's head.
    pub fn anchor(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = mac::keyed(&self.0);
        // The other MAC has its own key; this one still says what it is for.
        length_prefixed::feed([&b"audit-anchor/1"[..], message], |piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}
