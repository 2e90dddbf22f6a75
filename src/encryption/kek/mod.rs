//! The keyring: a folder of keys, in a cluster a mounted Secret.
//!
//! ```text
//! <id>.key          32 raw bytes, a key-encryption key (KEK); the name is free, the id is derived
//! active            the id of the KEK that new rows are sealed under
//! fingerprint.key   32 raw bytes, under which keys are fingerprinted; never rotated
//! audit.key         32 raw bytes, under which the audit chain's head is anchored; never rotated
//! ```
//!
//! Everything else in the folder is left alone. Only the commands in [`command`] write to it.

mod error;
mod handle;
pub(crate) mod load;
pub(crate) mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hmac::Mac;

use super::types::{KekId, KeyBytes};
use super::{lp, mac};
pub use error::KeyringError;
pub use handle::{KeyringHandle, Refresh};
pub use write::{activate, add, create};

const ACTIVE: &str = "active";
const FINGERPRINT_KEY: &str = "fingerprint.key";
const AUDIT_KEY: &str = "audit.key";

/// One state of the keyring's folder, complete and consistent.
pub struct Keyring {
    dir: PathBuf,
    keks: BTreeMap<KekId, KeyBytes>,
    active: KekId,
    fingerprint_key: KeyBytes,
    audit_key: Option<KeyBytes>,
}

impl Keyring {
    /// Reads the folder. A mounted Secret that is replaced meanwhile is read again, so that the
    /// result is never a mixture of two states.
    ///
    /// # Errors
    /// [`KeyringError`], one variant for each fault, which names the file and the remedy.
    pub fn load(dir: &Path) -> Result<Self, KeyringError> {
        load::load_stamped(dir).0
    }

    /// The key that new rows are sealed under.
    pub fn active(&self) -> KekId {
        self.active
    }

    /// Whether rows under this key can be opened.
    pub fn contains(&self, id: &KekId) -> bool {
        self.keks.contains_key(id)
    }

    /// All key-encryption keys, in the order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = KekId> + '_ {
        self.keks.keys().copied()
    }

    /// The folder that this was read from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// HMAC-SHA-256 of `message` under `audit.key`: the anchor of the audit chain's head.
    ///
    /// # Errors
    /// [`KeyringError::AuditKeyMissing`] where the folder has no `audit.key`: processes that never
    /// anchor may run without one.
    pub fn audit_mac(&self, message: &[u8]) -> Result<[u8; 32], KeyringError> {
        let key = (self.audit_key.as_ref()).ok_or_else(|| KeyringError::AuditKeyMissing {
            path: self.dir.join(AUDIT_KEY),
        })?;
        let mut mac = mac::keyed(key);
        // The module's other HMAC has its own key; this one still says what it is for.
        lp::feed([&b"audit-anchor/1"[..], message], |piece| mac.update(piece));
        Ok(mac.finalize().into_bytes().into())
    }

    /// Stands for `fingerprint.key` without revealing anything of it: equal for the same key alone.
    pub fn fingerprint_check(&self) -> [u8; 32] {
        let mut mac = mac::keyed(&self.fingerprint_key);
        lp::feed([&b"fingerprint-key-check/1"[..]], |piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }

    pub(super) fn active_key(&self) -> (KekId, &KeyBytes) {
        // `load` refuses a folder whose active id names no key.
        (self.active, &self.keks[&self.active])
    }

    pub(super) fn kek(&self, id: &KekId) -> Option<&KeyBytes> {
        self.keks.get(id)
    }

    pub(super) fn fingerprint_key(&self) -> &KeyBytes {
        &self.fingerprint_key
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("dir", &self.dir)
            .field("active", &self.active)
            .field("keks", &self.keks.keys())
            .finish_non_exhaustive()
    }
}

/// Keyrings built from given bytes, for the tests of this module.
#[cfg(test)]
impl Keyring {
    pub(super) fn for_tests(keks: &[[u8; 32]], active: usize, fingerprint_key: [u8; 32]) -> Self {
        let key = |bytes: &[u8; 32]| KeyBytes::new(Box::new(*bytes));
        Self {
            dir: PathBuf::from("keyring"),
            keks: (keks
                .iter()
                .map(|bytes| (KekId::of(&key(bytes)), key(bytes))))
            .collect(),
            active: KekId::of(&key(&keks[active])),
            fingerprint_key: key(&fingerprint_key),
            audit_key: None,
        }
    }
}
