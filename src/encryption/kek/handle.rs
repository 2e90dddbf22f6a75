//! The keyring in use: shared, and read again when its folder changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::super::types::KekId;
use super::load::{Stamp, load_stamped};
use super::{FINGERPRINT_KEY, Keyring, KeyringError};

/// A shared keyring that follows its folder. Cloning shares it.
///
/// Reads never block. A refresh looks at a handful of files; it is quick, but it is file IO.
#[derive(Clone)]
pub struct KeyringHandle(Arc<Shared>);

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

/// What a refresh found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// The folder is as it was.
    Unchanged,
    /// The folder changed; the keyring is now what it holds.
    Reloaded {
        /// The active key now.
        active: KekId,
        /// Whether another key was active before.
        active_changed: bool,
    },
}

impl KeyringHandle {
    /// Loads the folder for the first time.
    ///
    /// # Errors
    /// [`KeyringError`], as [`Keyring::load`].
    pub fn open(dir: &Path) -> Result<Self, KeyringError> {
        let (loaded, stamp) = load_stamped(dir);
        Ok(Self(Arc::new(Shared {
            dir: dir.to_owned(),
            state: ArcSwap::from_pointee(State {
                keyring: Arc::new(loaded?),
                active_since: Instant::now(),
            }),
            seen: Mutex::new(stamp),
            expected: OnceLock::new(),
        })))
    }

    /// Holds the keyring to a `fingerprint.key`, by its [`Keyring::fingerprint_check`]. The first
    /// value counts.
    pub fn expect(&self, check: Vec<u8>) {
        let _ = self.0.expected.set(check);
    }

    /// The keyring for what compares fingerprints.
    ///
    /// # Errors
    /// [`KeyringError::OtherFingerprintKey`], where it would make other ones than are stored.
    pub fn for_fingerprints(&self) -> Result<Arc<Keyring>, KeyringError> {
        let current = self.current();
        self.is_expected(&current)
            .then_some(current)
            .ok_or_else(|| self.other_fingerprint_key())
    }

    fn is_expected(&self, keyring: &Keyring) -> bool {
        let expected = self.0.expected.get();
        expected.is_none_or(|expected| expected[..] == keyring.fingerprint_check())
    }

    fn other_fingerprint_key(&self) -> KeyringError {
        KeyringError::OtherFingerprintKey {
            path: self.0.dir.join(FINGERPRINT_KEY),
        }
    }

    /// The keyring as of the last good read.
    pub fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.state.load().keyring)
    }

    /// For how long this process has known the active key as the active one: rows are re-wrapped
    /// only once every replica had time to receive it.
    pub fn active_for(&self) -> Duration {
        self.0.state.load().active_since.elapsed()
    }

    /// Reads the folder again if its files' metadata changed or the last attempt failed. To be
    /// called on a timer.
    ///
    /// # Errors
    /// [`KeyringError`], where the folder's new state is no keyring, or has another
    /// `fingerprint.key` than it is held to. The old keyring stays in use,
    /// and every refresh reports the error until the folder is mended.
    pub fn refresh_if_changed(&self) -> Result<Refresh, KeyringError> {
        let mut seen = self.0.seen.lock();
        if seen.is_some() && *seen == Stamp::of(&self.0.dir).ok() {
            return Ok(Refresh::Unchanged);
        }
        *seen = None;
        let (loaded, stamp) = load_stamped(&self.0.dir);
        let keyring = loaded?;
        if !self.is_expected(&keyring) {
            return Err(self.other_fingerprint_key());
        }
        *seen = stamp;
        Ok(self.replace(keyring))
    }

    /// The keyring that has this key: the current one or, where a row names a key that is not
    /// there yet, the folder's present state.
    ///
    /// # Errors
    /// The folder's fault where it has one, else [`KeyringError::UnknownKek`].
    pub fn get_or_refresh(&self, id: &KekId) -> Result<Arc<Keyring>, KeyringError> {
        let current = self.current();
        if current.contains(id) {
            return Ok(current);
        }
        self.refresh_if_changed()?;
        let current = self.current();
        if current.contains(id) {
            return Ok(current);
        }
        Err(KeyringError::UnknownKek {
            dir: self.0.dir.clone(),
            id: *id,
            known: current.ids().collect(),
        })
    }

    fn replace(&self, keyring: Keyring) -> Refresh {
        let active = keyring.active();
        let before = self.0.state.load();
        let active_changed = before.keyring.active() != active;
        let active_since = match active_changed {
            true => Instant::now(),
            false => before.active_since,
        };
        self.0.state.store(Arc::new(State {
            keyring: Arc::new(keyring),
            active_since,
        }));
        Refresh::Reloaded {
            active,
            active_changed,
        }
    }
}

impl fmt::Debug for KeyringHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyringHandle")
            .field(&self.current())
            .finish()
    }
}
