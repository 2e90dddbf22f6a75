//! Reading the folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statvfs::{FsFlags, fstatvfs};
use secrecy::{ExposeSecret, ExposeSecretMut};
use zeroize::Zeroizing;

use super::super::super::types::{KEY_BYTES, KekId, KeyBytes};
use super::super::{AuditKey, FingerprintKey};
use super::{ACTIVE, AUDIT_KEY, FINGERPRINT_KEY, Keyring, KeyringError};
use crate::files::open_regular;

/// The link by which a kubelet replaces all files of a mounted Secret at once.
pub(super) const DATA_LINK: &str = "..data";
/// How often a folder that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// The metadata of everything that a keyring is read from. Two equal stamps mean an unchanged
/// folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    data_link: Option<PathBuf>,
    files: BTreeMap<OsString, Option<FileStamp>>,
}

#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    device_and_inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            if name == ACTIVE || is_key_file(&name) {
                // Through the link, where there is one; None for a link that leads nowhere.
                let stamp = fs::metadata(dir.join(&name))
                    .ok()
                    .map(|metadata| FileStamp {
                        device_and_inode: (metadata.dev(), metadata.ino()),
                        length: metadata.len(),
                        modified: (metadata.mtime(), metadata.mtime_nsec()),
                        changed: (metadata.ctime(), metadata.ctime_nsec()),
                    });
                files.insert(name, stamp);
            }
        }
        let data_link = fs::read_link(dir.join(DATA_LINK)).ok();
        Ok(Self { data_link, files })
    }
}

/// Loads the folder and says at which stamp. No stamp: it could not be told which state was read.
pub(super) fn load_stamped(dir: &Path) -> (Result<Keyring, KeyringError>, Option<Stamp>) {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let before = Stamp::of(dir).ok();
        let loaded = read_keyring(dir);
        if before.is_some() && before == Stamp::of(dir).ok() {
            return (loaded, before);
        }
        last = Some(loaded);
    }
    (last.unwrap_or_else(|| read_keyring(dir)), None)
}

/// Writing by the group, and by everybody.
const WRITABLE: u32 = 0o022;
/// In a folder with this bit each file is its owner's alone to replace.
const STICKY: u32 = 0o1000;
/// Longest content of `active` that is read, in bytes: an id, and blanks around it.
const MAX_ACTIVE: u64 = 256;

/// Refuses a folder in which another user could replace a key. A kubelet mounts a Secret as a
/// folder of mode 1777, or 3777 with `fsGroup`: the sticky bit keeps its files the kubelet's.
pub(super) fn refuse_writable_folder(dir: &Path) -> Result<(), KeyringError> {
    let unreadable = |source| KeyringError::Unreadable {
        path: dir.to_owned(),
        source,
    };
    let folder = File::open(dir).map_err(unreadable)?;
    let mode = folder.metadata().map_err(unreadable)?.mode();
    if mode & STICKY != 0 {
        return Ok(());
    }
    refuse_writable(dir, &folder, mode)
}

fn refuse_writable(path: &Path, opened: &File, mode: u32) -> Result<(), KeyringError> {
    let read_only = || fstatvfs(opened).is_ok_and(|it| it.flags().contains(FsFlags::ST_RDONLY));
    if mode & WRITABLE == 0 || read_only() {
        return Ok(());
    }
    Err(KeyringError::Writable {
        path: path.to_owned(),
        mode: mode & 0o7777,
    })
}

/// Opens a file of the folder; none where there is none.
fn open(path: &Path) -> Result<Option<File>, KeyringError> {
    let unreadable = |source| KeyringError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    let mode = file.metadata().map_err(unreadable)?.mode();
    refuse_writable(path, &file, mode)?;
    Ok(Some(file))
}

fn read_keyring(dir: &Path) -> Result<Keyring, KeyringError> {
    let keks = read_keks(dir)?;
    let active = read_active(dir, &keks)?;
    let fingerprint_key = read_fingerprint_key(dir)?;
    let audit_key = read_key(dir, AUDIT_KEY.as_ref())?;
    Ok(Keyring {
        dir: dir.to_owned(),
        active,
        fingerprint_key: Arc::new(FingerprintKey::new(fingerprint_key)),
        audit_key: audit_key.map(|key| Arc::new(AuditKey::new(key))),
        keks,
    })
}

pub(super) fn read_fingerprint_key(dir: &Path) -> Result<KeyBytes, KeyringError> {
    read_key(dir, FINGERPRINT_KEY.as_ref())?.ok_or_else(|| KeyringError::FingerprintKeyMissing {
        path: dir.join(FINGERPRINT_KEY),
    })
}

/// All key-encryption keys of the folder; never none.
pub(super) fn read_keks(dir: &Path) -> Result<BTreeMap<KekId, KeyBytes>, KeyringError> {
    let files = kek_files(dir)?.into_iter();
    Ok(files.map(|file| (file.id, file.key)).collect())
}

/// A file that holds a key-encryption key.
pub(super) struct KekFile {
    /// The key's id.
    pub id: KekId,
    /// The file's name within the folder.
    pub name: OsString,
    key: KeyBytes,
}

/// The files that hold key-encryption keys, in the order of their names; never none.
pub(super) fn kek_files(dir: &Path) -> Result<Vec<KekFile>, KeyringError> {
    let mut files = Vec::new();
    for name in kek_file_names(dir)? {
        // A file that vanished since it was listed is no longer a key.
        if let Some(key) = read_key(dir, name.as_ref())? {
            let id = KekId::of(&key);
            files.push(KekFile { id, name, key });
        }
    }
    if files.is_empty() {
        return Err(KeyringError::Empty {
            dir: dir.to_owned(),
        });
    }
    refuse_writable_folder(dir)?;
    Ok(files)
}

pub(super) fn kek_file_names(dir: &Path) -> Result<Vec<OsString>, KeyringError> {
    let listing_failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyringError::FolderMissing {
            dir: dir.to_owned(),
        },
        io::ErrorKind::NotADirectory => KeyringError::NotAFolder {
            dir: dir.to_owned(),
        },
        _ => KeyringError::Unreadable {
            path: dir.to_owned(),
            source,
        },
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(listing_failed)? {
        let name = entry.map_err(listing_failed)?.file_name();
        if is_key_file(&name) && name != FINGERPRINT_KEY && name != AUDIT_KEY {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Hidden files are editors' and kubelets', not keys.
fn is_key_file(name: &OsString) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".key") && !name.starts_with(b".")
}

pub(super) fn read_active(
    dir: &Path,
    keks: &BTreeMap<KekId, KeyBytes>,
) -> Result<KekId, KeyringError> {
    let path = dir.join(ACTIVE);
    let known = || keks.keys().copied().collect();
    let Some(file) = open(&path)? else {
        return Err(KeyringError::ActiveMissing {
            path,
            known: known(),
        });
    };
    // It may be a key put in the wrong place, so it is wiped like one and read as bytes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_ACTIVE as usize));
    if let Err(source) = file.take(MAX_ACTIVE).read_to_end(&mut bytes) {
        return Err(KeyringError::Unreadable { path, source });
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let Ok(id) = text.trim().parse::<KekId>() else {
        return Err(KeyringError::ActiveMalformed {
            path,
            known: known(),
        });
    };
    if !keks.contains_key(&id) {
        return Err(KeyringError::ActiveUnknown {
            path,
            id,
            known: known(),
        });
    }
    Ok(id)
}

/// Reads one key file; None where there is none.
pub(super) fn read_key(dir: &Path, name: &Path) -> Result<Option<KeyBytes>, KeyringError> {
    let path = dir.join(name);
    let Some(mut file) = open(&path)? else {
        return Ok(None);
    };
    // One byte more than a key, so that a longer file shows.
    let mut buffer = Zeroizing::new([0; KEY_BYTES + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(KeyringError::Unreadable { path, source }),
        }
    }
    if filled != KEY_BYTES {
        let at_least = filled as u64;
        let length = file
            .metadata()
            .map_or(at_least, |metadata| metadata.len().max(at_least));
        return Err(KeyringError::WrongLength { path, length });
    }
    let mut key = KeyBytes::default();
    key.expose_secret_mut()
        .copy_from_slice(&buffer[..KEY_BYTES]);
    // What a file holds that was made and never filled, or wiped; no random key is such a one.
    let bytes = key.expose_secret();
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err(KeyringError::NotRandom { path });
    }
    Ok(Some(key))
}
