//! One state of the folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::super::types::{KekId, KeyBytes};
use super::super::{AuditKey, FingerprintKey};
use super::{KeyringError, load};

/// One state of the keyring's folder, complete and consistent.
pub struct Keyring {
    pub(super) dir: PathBuf,
    pub(super) keks: BTreeMap<KekId, KeyBytes>,
    pub(super) active: KekId,
    pub(super) fingerprint_key: Arc<FingerprintKey>,
    pub(super) audit_key: Option<Arc<AuditKey>>,
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

    pub(super) fn kek(&self, id: &KekId) -> Result<&KeyBytes, KeyringError> {
        self.keks.get(id).ok_or_else(|| KeyringError::UnknownKek {
            dir: self.dir.clone(),
            id: *id,
            known: self.ids().collect(),
        })
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
    pub(in crate::encryption) fn for_tests(
        keks: &[[u8; 32]],
        active: usize,
        fingerprint_key: [u8; 32],
    ) -> Self {
        let key = |bytes: &[u8; 32]| KeyBytes::new(Box::new(*bytes));
        Self {
            dir: PathBuf::from("keyring"),
            keks: (keks
                .iter()
                .map(|bytes| (KekId::of(&key(bytes)), key(bytes))))
            .collect(),
            active: KekId::of(&key(&keks[active])),
            fingerprint_key: Arc::new(FingerprintKey::new(key(&fingerprint_key))),
            audit_key: None,
        }
    }
}
