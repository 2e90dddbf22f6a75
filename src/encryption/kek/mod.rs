//! Where key-encryption keys (KEKs) come from, and the two keys that never rotate.
//!
//! [`KekSource`] wraps and unwraps data keys; [`MacKeySource`] gives the keys of fingerprints and of
//! the audit log's anchors. [`KeyringHandle`] is what the rest of the crate holds: it knows the two
//! traits and none of their sources. Today's source is [`folder`]; another (a cloud's KMS, OpenBao's
//! transit engine) is one more file beside it and one more constructor of the handle.

mod error;
pub mod folder;
mod handle;
mod mac_keys;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::types::{KekId, KeyBytes};
pub use error::KekError;
pub use handle::KeyringHandle;
pub use mac_keys::{AuditKey, FingerprintKey, MacKeyError, MacKeySource};

/// The key that new data keys are wrapped under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveKek {
    /// Its id.
    pub id: KekId,
    /// For how long this process has known it as the active one. Stored rows are re-wrapped under it
    /// only once every replica had time to receive it.
    pub known_for: Duration,
}

/// A source of key-encryption keys. Its keys need not leave it: only data keys, wrapped and plain,
/// pass through here.
///
/// Each call may go over a network, and ends in a time that the source bounds. A call that names a
/// key which is not known yet looks for it before it fails, so that a process to which a key is
/// delivered late heals with the first row that needs it.
#[async_trait]
pub trait KekSource: fmt::Debug + Send + Sync + 'static {
    /// The key that new data keys are wrapped under.
    async fn active(&self) -> Result<ActiveKek, KekError>;

    /// Ids of all keys that can unwrap, in order.
    async fn ids(&self) -> Result<Vec<KekId>, KekError>;

    /// Whether this key can unwrap, as far as is known without looking for it anew.
    async fn contains(&self, kek: &KekId) -> Result<bool, KekError> {
        Ok(self.ids().await?.contains(kek))
    }

    /// Encrypts a data key under this key, bound to `aad`.
    async fn wrap(&self, kek: &KekId, data_key: &KeyBytes, aad: &[u8])
    -> Result<Vec<u8>, KekError>;

    /// Decrypts a data key that was wrapped under this key and bound to `aad`.
    async fn unwrap(
        &self,
        kek: &KekId,
        wrapped_key: &[u8],
        aad: &[u8],
    ) -> Result<KeyBytes, KekError>;

    /// Looks for changes: to be called on a timer. What was known before stays in use where it fails,
    /// and it fails until the source is mended.
    async fn refresh(&self) -> Result<(), KekError>;
}
