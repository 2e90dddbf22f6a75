//! Making and changing a keyring folder: every step is complete or did not happen.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, ExposeSecretMut};

use super::super::super::types::{KekId, KeyBytes};
use super::load::{DATA_LINK, kek_files, read_keks};
use super::{ACTIVE, AUDIT_KEY, FINGERPRINT_KEY, Keyring, KeyringError};

/// Makes a new keyring with one active key: a folder of mode 0700, files of mode 0600. It is built
/// beside its place and renamed into it. Returns the key's id.
///
/// # Errors
/// [`KeyringError::AlreadyExists`] where `dir` is anything but absent or an empty folder; nothing is
/// ever overwritten.
pub fn create(dir: &Path) -> Result<KekId, KeyringError> {
    refuse_occupied(dir)?;
    let kek = fresh_key()?;
    let id = KekId::of(&kek);
    let staging = Staging::beside(dir)?;
    write_new(&staging.0.join(key_file(id)), kek.expose_secret())?;
    write_new(&staging.0.join(ACTIVE), active_line(id).as_bytes())?;
    write_new(
        &staging.0.join(FINGERPRINT_KEY),
        fresh_key()?.expose_secret(),
    )?;
    write_new(&staging.0.join(AUDIT_KEY), fresh_key()?.expose_secret())?;
    sync_folder(&staging.0)?;
    // A rename never replaces a folder that holds something.
    fs::rename(&staging.0, dir).map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory => KeyringError::AlreadyExists {
            path: dir.to_owned(),
        },
        _ => not_written(dir)(source),
    })?;
    sync_folder(parent(dir))?;
    Ok(id)
}

/// Adds a fresh key, which is not active yet. Returns its id.
///
/// # Errors
/// [`KeyringError`] where the folder is no keyring, is a mounted Secret, or cannot be written.
pub fn add(dir: &Path) -> Result<KekId, KeyringError> {
    refuse_mounted(dir)?;
    read_keks(dir)?;
    let key = fresh_key()?;
    let id = KekId::of(&key);
    publish(dir, &key_file(id), key.expose_secret())?;
    Ok(id)
}

/// Makes a key of the folder the one that new rows are sealed under. It also mends a folder whose
/// `active` is missing or wrong.
///
/// # Errors
/// [`KeyringError::UnknownKek`] where the folder has no such key; otherwise as [`add`].
pub fn activate(dir: &Path, id: &KekId) -> Result<(), KeyringError> {
    refuse_mounted(dir)?;
    let keks = read_keks(dir)?;
    if !keks.contains_key(id) {
        return Err(KeyringError::UnknownKek {
            dir: dir.to_owned(),
            id: *id,
            known: keks.into_keys().collect(),
        });
    }
    publish(dir, ACTIVE, active_line(*id).as_bytes())
}

/// Removes a key from the folder: every file that holds it. Whether a row still needs it is the
/// caller's to know.
///
/// # Errors
/// [`KeyringError::ActiveNotRemoved`] for the active key, [`KeyringError::UnknownKek`] where the folder
/// has no such key; otherwise as [`add`]. Where the folder is no whole keyring nothing is removed.
pub fn remove(dir: &Path, id: &KekId) -> Result<(), KeyringError> {
    refuse_mounted(dir)?;
    let keyring = Keyring::load(dir)?;
    keyring.kek(id)?;
    if keyring.active() == *id {
        return Err(KeyringError::ActiveNotRemoved {
            dir: dir.to_owned(),
            id: *id,
        });
    }
    for file in kek_files(dir)?.into_iter().filter(|file| file.id == *id) {
        let path = dir.join(&file.name);
        fs::remove_file(&path).map_err(not_written(&path))?;
    }
    sync_folder(dir)
}

/// The folder in which a new keyring grows; removed unless it was renamed into place.
struct Staging(PathBuf);

impl Staging {
    fn beside(dir: &Path) -> Result<Self, KeyringError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(dir.file_name().unwrap_or_default());
        name.push(format!(".new-{}", random_suffix()?));
        let path = parent(dir).join(name);
        (DirBuilder::new().mode(0o700).create(&path)).map_err(not_written(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove; otherwise the first error is the one
        // that is reported.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refuse_occupied(dir: &Path) -> Result<(), KeyringError> {
    let occupied = match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(source) => {
            let path = dir.to_owned();
            return Err(KeyringError::Unreadable { path, source });
        }
        Ok(metadata) => {
            !metadata.is_dir()
                || fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_some())
        }
    };
    if occupied {
        let path = dir.to_owned();
        return Err(KeyringError::AlreadyExists { path });
    }
    Ok(())
}

fn refuse_mounted(dir: &Path) -> Result<(), KeyringError> {
    if fs::symlink_metadata(dir.join(DATA_LINK)).is_ok() {
        let dir = dir.to_owned();
        return Err(KeyringError::Mounted { dir });
    }
    Ok(())
}

/// Writes a hidden file, then renames it to `name`, so that a reader sees all of it or none.
fn publish(dir: &Path, name: &str, contents: &[u8]) -> Result<(), KeyringError> {
    let draft = dir.join(format!(".{name}.{}", random_suffix()?));
    let target = dir.join(name);
    let written = write_new(&draft, contents)
        .and_then(|()| fs::rename(&draft, &target).map_err(not_written(&target)));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    sync_folder(dir)
}

fn write_new(path: &Path, contents: &[u8]) -> Result<(), KeyringError> {
    let write = || -> io::Result<()> {
        let mut file = (OpenOptions::new().write(true).create_new(true).mode(0o600)).open(path)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(not_written(path))
}

fn sync_folder(dir: &Path) -> Result<(), KeyringError> {
    (File::open(dir).and_then(|folder| folder.sync_all())).map_err(not_written(dir))
}

fn not_written(path: &Path) -> impl FnOnce(io::Error) -> KeyringError {
    let path = path.to_owned();
    move |source| KeyringError::NotWritten { path, source }
}

fn parent(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn fresh_key() -> Result<KeyBytes, KeyringError> {
    let mut key = KeyBytes::default();
    getrandom::fill(key.expose_secret_mut())?;
    Ok(key)
}

fn random_suffix() -> Result<String, KeyringError> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

fn key_file(id: KekId) -> String {
    format!("{id}.key")
}

fn active_line(id: KekId) -> String {
    format!("{id}\n")
}
