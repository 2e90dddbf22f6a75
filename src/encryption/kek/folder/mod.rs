//! The keyring as a folder of keys, in a cluster a mounted Secret.
//!
//! ```text
//! <id>.key          32 raw bytes, a key-encryption key (KEK); the name is free, the id is derived
//! active            the id of the KEK that new rows are sealed under
//! fingerprint.key   32 raw bytes, under which keys are fingerprinted; never rotated
//! audit.key         32 raw bytes, under which the audit chain's head is anchored; never rotated
//! ```
//!
//! Everything else in the folder is left alone. It is followed while it changes: read again on a timer,
//! and where a row names a key that is not there yet. Only what the commands call ([`create`], [`add`],
//! [`activate`], [`remove`]) writes to it.

mod error;
mod load;
mod state;
mod survey;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, ExposeSecretMut};

use super::super::envelope::Malformed;
use super::super::frame::NONCE_BYTES;
use super::super::gcm;
use super::super::types::{KEY_BYTES, KekId, KeyBytes};
use super::{ActiveKek, AuditKey, FingerprintKey, KekError, KekSource, MacKeyError, MacKeySource};
pub use error::KeyringError;
use load::{Stamp, load_stamped};
pub use state::Keyring;
pub use survey::{Survey, SurveyedFile};
pub use write::{activate, add, create, remove};

const ACTIVE: &str = "active";
const FINGERPRINT_KEY: &str = "fingerprint.key";
const AUDIT_KEY: &str = "audit.key";

/// A folder that is followed while it changes. Cloning shares it.
///
/// What is known is used without waiting; a refresh looks at a handful of files, on a thread where it
/// may block.
#[derive(Clone)]
pub struct Folder(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    state: ArcSwap<State>,
    /// The folder's stamp at the last attempt that succeeded; held while the folder is read, so
    /// that one reader at a time does it.
    seen: Mutex<Option<Stamp>>,
    /// What stands for the `fingerprint.key` that stored fingerprints were made with.
    expected: OnceLock<Vec<u8>>,
}

struct State {
    keyring: Arc<Keyring>,
    active_since: Instant,
}

impl Folder {
    /// Loads the folder for the first time.
    ///
    /// # Errors
    /// [`KeyringError`], as [`Keyring::load`].
    pub fn open(dir: &Path) -> Result<Self, KeyringError> {
        let (loaded, stamp) = load_stamped(dir);
        Ok(Self::of(loaded?, dir, stamp))
    }

    fn of(keyring: Keyring, dir: &Path, stamp: Option<Stamp>) -> Self {
        Self(Arc::new(Shared {
            dir: dir.to_owned(),
            state: ArcSwap::from_pointee(State {
                keyring: Arc::new(keyring),
                active_since: Instant::now(),
            }),
            seen: Mutex::new(stamp),
            expected: OnceLock::new(),
        }))
    }

    /// The folder as of the last good read.
    pub(super) fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.state.load().keyring)
    }

    /// The folder as it has this key: as it was read last or, where a row names a key that was not
    /// there then, as it is now.
    async fn with(&self, kek: &KekId) -> Result<Arc<Keyring>, KekError> {
        let current = self.current();
        if current.contains(kek) {
            return Ok(current);
        }
        self.refresh().await?;
        Ok(self.current())
    }

    fn refresh_blocking(&self) -> Result<(), KeyringError> {
        let mut seen = self.0.seen.lock();
        if seen.is_some() && *seen == Stamp::of(&self.0.dir).ok() {
            return Ok(());
        }
        *seen = None;
        let (loaded, stamp) = load_stamped(&self.0.dir);
        let keyring = loaded?;
        if !self.is_expected(&keyring) {
            return Err(self.other_fingerprint_key());
        }
        *seen = stamp;
        self.replace(keyring);
        Ok(())
    }

    fn is_expected(&self, keyring: &Keyring) -> bool {
        let expected = self.0.expected.get();
        expected.is_none_or(|expected| expected[..] == keyring.fingerprint_key.check())
    }

    fn other_fingerprint_key(&self) -> KeyringError {
        KeyringError::OtherFingerprintKey {
            path: self.0.dir.join(FINGERPRINT_KEY),
        }
    }

    fn replace(&self, keyring: Keyring) {
        let before = self.0.state.load();
        let active_since = match before.keyring.active == keyring.active {
            true => before.active_since,
            false => Instant::now(),
        };
        self.0.state.store(Arc::new(State {
            keyring: Arc::new(keyring),
            active_since,
        }));
    }
}

#[async_trait]
impl KekSource for Folder {
    async fn active(&self) -> Result<ActiveKek, KekError> {
        let state = self.0.state.load();
        Ok(ActiveKek {
            id: state.keyring.active,
            known_for: state.active_since.elapsed(),
        })
    }

    async fn ids(&self) -> Result<Vec<KekId>, KekError> {
        Ok(self.current().ids().collect())
    }

    async fn wrap(
        &self,
        kek: &KekId,
        data_key: &KeyBytes,
        aad: &[u8],
    ) -> Result<Vec<u8>, KekError> {
        let keyring = self.with(kek).await?;
        wrap_with(keyring.kek(kek)?, data_key, aad, &gcm::fresh_nonce()?)
    }

    async fn unwrap(
        &self,
        kek: &KekId,
        wrapped_key: &[u8],
        aad: &[u8],
    ) -> Result<KeyBytes, KekError> {
        let keyring = self.with(kek).await?;
        unwrap_with(keyring.kek(kek)?, wrapped_key, aad)
    }

    async fn refresh(&self) -> Result<(), KekError> {
        let folder = self.clone();
        let read = tokio::task::spawn_blocking(move || folder.refresh_blocking());
        match read.await {
            Ok(read) => Ok(read?),
            // The process ends.
            Err(ended) => Err(KekError::Unavailable(ended.to_string())),
        }
    }
}

impl MacKeySource for Folder {
    fn fingerprint_key(&self) -> Arc<FingerprintKey> {
        Arc::clone(&self.current().fingerprint_key)
    }

    fn audit_key(&self) -> Result<Arc<AuditKey>, MacKeyError> {
        let missing = || KeyringError::AuditKeyMissing {
            path: self.0.dir.join(AUDIT_KEY),
        };
        let current = self.current();
        let key = current.audit_key.clone().ok_or_else(missing);
        key.map_err(|error| MacKeyError::AuditKeyMissing(error.to_string()))
    }

    fn expect(&self, check: Vec<u8>) {
        let _ = self.0.expected.set(check);
    }

    fn is_as_expected(&self) -> Result<(), MacKeyError> {
        if self.is_expected(&self.current()) {
            return Ok(());
        }
        let other = self.other_fingerprint_key();
        Err(MacKeyError::OtherFingerprintKey(other.to_string()))
    }
}

/// [`KekSource::wrap`] with the nonce given: the format's known answers are pinned through it. A KEK's
/// nonces are random, which is sound for far more data keys than an installation ever wraps (2^32).
pub(in crate::encryption) fn wrap_with(
    kek: &KeyBytes,
    data_key: &KeyBytes,
    aad: &[u8],
    nonce: &[u8; NONCE_BYTES],
) -> Result<Vec<u8>, KekError> {
    let mut buffer = gcm::framed(nonce);
    buffer.extend_from_slice(data_key.expose_secret());
    gcm::encrypt(kek, nonce, aad, buffer).map_err(|error| KekError::Unavailable(error.to_string()))
}

fn unwrap_with(kek: &KeyBytes, wrapped_key: &[u8], aad: &[u8]) -> Result<KeyBytes, KekError> {
    let bytes = gcm::decrypt(kek, aad, wrapped_key)?;
    if bytes.len() != KEY_BYTES {
        return Err(KekError::Malformed(Malformed::DataKeyLength));
    }
    let mut data_key = KeyBytes::default();
    data_key.expose_secret_mut().copy_from_slice(&bytes);
    Ok(data_key)
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Folder").field(&self.current()).finish()
    }
}

/// A folder of given keys, for tests.
#[cfg(test)]
impl Folder {
    pub(in crate::encryption) fn for_tests(keks: &[[u8; 32]], active: usize) -> Self {
        let keyring = Keyring::for_tests(keks, active, [9; 32]);
        Self::of(keyring, Path::new("keyring"), None)
    }

    pub(in crate::encryption) fn kek_for_tests(&self, kek: &KekId) -> KeyBytes {
        KeyBytes::new(Box::new(*self.current().keks[kek].expose_secret()))
    }
}
