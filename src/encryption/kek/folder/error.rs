//! What can be wrong with a keyring folder, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::super::super::types::{KEY_BYTES, KekId};
use super::super::KekError;

/// A fault of the keyring folder. Each message names the path and the remedy, and no variant holds
/// anything of a file's contents but the ids of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no folder there.
    #[error(
        "keyring folder {dir} does not exist: mount the keyring Secret there, or make a keyring with `llmplane keyring new {dir}`",
        dir = dir.display()
    )]
    FolderMissing {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// Something else than a folder is there.
    #[error("keyring {dir} is not a folder: name the folder that holds the key files", dir = dir.display())]
    NotAFolder {
        /// The path asked for.
        dir: PathBuf,
    },
    /// The folder has no key-encryption key.
    #[error(
        "keyring folder {dir} holds no key-encryption key (a *.key file besides fingerprint.key and audit.key): make a keyring in a new folder with `llmplane keyring new`, or restore the key files",
        dir = dir.display()
    )]
    Empty {
        /// The folder.
        dir: PathBuf,
    },
    /// A key file has another length than a key.
    #[error("{path} is {length} bytes long, but a key is exactly {KEY_BYTES} raw bytes{hint}", path = path.display(), hint = length_hint(*length))]
    WrongLength {
        /// The key file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// A key file holds one byte over and over.
    #[error(
        "{path} holds the same byte {KEY_BYTES} times, which is no key: was it made and never filled? restore it, or make a keyring in a new folder with `llmplane keyring new`",
        path = path.display()
    )]
    NotRandom {
        /// The key file.
        path: PathBuf,
    },
    /// Other users could replace a key.
    #[error(
        "{path} can be changed by other users (its mode is {mode:04o}): `chmod go-w` it, and make a new keyring where somebody may have changed it already",
        path = path.display()
    )]
    Writable {
        /// The folder or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// No `active` file.
    #[error(
        "{path} is missing: name the key that new rows are encrypted under with `llmplane keyring activate DIR ID`; the folder holds {known}",
        path = path.display(),
        known = list(known)
    )]
    ActiveMissing {
        /// The `active` file.
        path: PathBuf,
        /// The keys that are there.
        known: Vec<KekId>,
    },
    /// The `active` file holds no id. Its contents are not repeated: they may be a key.
    #[error(
        "{path} holds no key id (16 lower-case hex digits): write one of {known} into it, or use `llmplane keyring activate DIR ID`",
        path = path.display(),
        known = list(known)
    )]
    ActiveMalformed {
        /// The `active` file.
        path: PathBuf,
        /// The keys that are there.
        known: Vec<KekId>,
    },
    /// The `active` file names a key that is not there.
    #[error(
        "{path} names key {id}, but the folder holds {known}: add the file of key {id}, or activate one that is there",
        path = path.display(),
        known = list(known)
    )]
    ActiveUnknown {
        /// The `active` file.
        path: PathBuf,
        /// The id in it.
        id: KekId,
        /// The keys that are there.
        known: Vec<KekId>,
    },
    /// No `fingerprint.key`.
    #[error(
        "{path} is missing: restore it, for another key changes every fingerprint; `llmplane keyring new` makes one with a new keyring",
        path = path.display()
    )]
    FingerprintKeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// `fingerprint.key` is another one than what is stored was made with.
    #[error(
        "{path} is not the key that the stored fingerprints were made with: restore that one; only where it is lost for good, empty the database's table keyring_check and restart the controller, which then takes every credential's key anew",
        path = path.display()
    )]
    OtherFingerprintKey {
        /// The file.
        path: PathBuf,
    },
    /// No `audit.key`, and something is to be anchored under it.
    #[error(
        "{path} is missing: restore it, for the audit log's anchors are verified with it; `llmplane keyring new` makes one with a new keyring",
        path = path.display()
    )]
    AuditKeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key asked for is not in the folder.
    #[error(
        "keyring folder {dir} has no key {id}, it holds {known}: put the file of key {id} back into it",
        dir = dir.display(),
        known = list(known)
    )]
    UnknownKek {
        /// The folder.
        dir: PathBuf,
        /// The key asked for.
        id: KekId,
        /// The keys that are there.
        known: Vec<KekId>,
    },
    /// The active key was to be removed.
    #[error(
        "key {id} is the active one of {dir}, under which new rows are encrypted: activate another key first, and wait until nothing is stored under this one",
        dir = dir.display()
    )]
    ActiveNotRemoved {
        /// The folder.
        dir: PathBuf,
        /// The key.
        id: KekId,
    },
    /// The operating system refuses to read something.
    #[error("{path} cannot be read by this process: {source}", path = path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A new keyring was to be made where something is already.
    #[error("{path} exists already and is left as it is: name a folder that does not exist yet", path = path.display())]
    AlreadyExists {
        /// The path asked for.
        path: PathBuf,
    },
    /// A mounted Secret was to be changed.
    #[error(
        "{dir} is a mounted Secret, which cannot be changed from here: change a copy of the folder, then replace the Secret with it",
        dir = dir.display()
    )]
    Mounted {
        /// The folder.
        dir: PathBuf,
    },
    /// The operating system refuses to write something.
    #[error("{path} cannot be written: {source}", path = path.display())]
    NotWritten {
        /// What was to be written.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers, so no key was made: {0}")]
    NoRandomNumbers(#[from] getrandom::Error),
}

/// What a wrong length usually comes from.
fn length_hint(length: u64) -> &'static str {
    match length {
        0 => ": the file is empty",
        33 => ": was a newline added at its end?",
        43..=45 => ": it looks like base64, decode it",
        64 | 65 => ": it looks like hex digits, decode them",
        _ => "",
    }
}

fn list(known: &[KekId]) -> String {
    if known.is_empty() {
        return "no key".to_owned();
    }
    let ids: Vec<String> = known.iter().map(KekId::to_string).collect();
    ids.join(", ")
}

impl From<KeyringError> for KekError {
    fn from(error: KeyringError) -> Self {
        let why = error.to_string();
        match error {
            KeyringError::UnknownKek { id: kek, .. } => Self::Unknown { kek, why },
            KeyringError::Unreadable { .. } => Self::Refused(why),
            _ => Self::Unavailable(why),
        }
    }
}
