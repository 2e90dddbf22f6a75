//! What the rest of the crate holds of the keyring, wherever its keys are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::folder::{Folder, KeyringError};
use super::{FingerprintKey, KekError, KekSource, MacKeyError, MacKeySource};

/// A source of both.
trait KeySource: KekSource + MacKeySource {}

impl<T: KekSource + MacKeySource> KeySource for T {}

/// The keyring of a process. Cloning shares it.
#[derive(Clone)]
pub struct KeyringHandle(Arc<dyn KeySource>);

impl KeyringHandle {
    /// The keyring that is a folder.
    ///
    /// # Errors
    /// [`KeyringError`], one variant for each fault of the folder.
    pub fn open(dir: &Path) -> Result<Self, KeyringError> {
        Ok(Self(Arc::new(Folder::open(dir)?)))
    }

    /// Key-encryption keys.
    pub fn keks(&self) -> &dyn KekSource {
        &*self.0
    }

    /// The key for what compares fingerprints.
    ///
    /// # Errors
    /// [`MacKeyError::OtherFingerprintKey`], where it would make other ones than are stored.
    pub fn fingerprint_key(&self) -> Result<Arc<FingerprintKey>, MacKeyError> {
        self.0.is_as_expected()?;
        Ok(self.0.fingerprint_key())
    }

    /// What stands for the key of fingerprints, whether or not it is the expected one.
    pub fn fingerprint_check(&self) -> [u8; 32] {
        self.0.fingerprint_key().check()
    }

    /// Holds the keyring to a key of fingerprints, by its [`FingerprintKey::check`]. The first value
    /// counts.
    pub fn expect(&self, check: Vec<u8>) {
        self.0.expect(check);
    }

    /// HMAC-SHA-256 of `message` under the audit's key: the anchor of the audit chain's head.
    ///
    /// # Errors
    /// [`MacKeyError::AuditKeyMissing`], where this process was given none.
    pub fn audit_mac(&self, message: &[u8]) -> Result<[u8; 32], MacKeyError> {
        Ok(self.0.audit_key()?.anchor(message))
    }

    /// Looks for changes of the source: to be called on a timer.
    ///
    /// # Errors
    /// Why it could not be read; what was known before stays in use.
    pub async fn refresh(&self) -> Result<(), KekError> {
        self.keks().refresh().await
    }
}

impl fmt::Debug for KeyringHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyringHandle").field(&self.0).finish()
    }
}
