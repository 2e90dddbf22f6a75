//! Why a key-encryption key could not be used.

use super::super::envelope::Malformed;
use super::super::types::KekId;

/// Why a call of a [`KekSource`](super::KekSource) failed. The texts name keys by their ids, and say
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KekError {
    /// The source has no key of this id, for now: it is not delivered yet, or was removed too early.
    #[error("{why}")]
    Unknown {
        /// The key asked for.
        kek: KekId,
        /// What is there instead, and the remedy.
        why: String,
    },
    /// The source does not answer, or is in a state that passes. To be tried again.
    #[error("{0}")]
    Unavailable(String),
    /// The source does not let this process use its keys; somebody has to grant it.
    #[error("{0}")]
    Refused(String),
    /// The wrapped key does not authenticate: it was changed, moved, or wrapped under another key.
    #[error("the stored key does not authenticate: its row was changed or moved")]
    NotAuthentic,
    /// The wrapped key is nothing that this source has ever made.
    #[error("the stored key has an unknown layout: {0}")]
    Malformed(Malformed),
}

impl From<getrandom::Error> for KekError {
    fn from(error: getrandom::Error) -> Self {
        Self::Unavailable(format!(
            "the operating system gave no random numbers: {error}"
        ))
    }
}
