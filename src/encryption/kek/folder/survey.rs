//! The folder as it is, faults and all: for the commands that say what is missing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::super::super::types::{KekId, KeyBytes};
use super::super::{ActiveKek, FingerprintKey, KekError, KekSource};
use super::load::{self, kek_file_names, read_active, read_key, refuse_writable_folder};
use super::{AUDIT_KEY, KeyringError, unwrap_with};

/// A file that is there as a key-encryption key, and its id, or why it is none.
#[derive(Debug)]
pub struct SurveyedFile {
    /// The file's name within the folder.
    pub name: OsString,
    /// The key's id.
    pub id: Result<KekId, KeyringError>,
}

/// What can be read of a folder, and what is wrong with the rest. Nothing is sealed with it.
pub struct Survey {
    dir: PathBuf,
    keks: BTreeMap<KekId, KeyBytes>,
    files: Vec<SurveyedFile>,
    active: Option<KekId>,
    fingerprint_key: Option<FingerprintKey>,
    faults: Vec<KeyringError>,
}

impl Survey {
    /// Looks at each file by itself.
    ///
    /// # Errors
    /// [`KeyringError`], where there is no folder, or it cannot be listed.
    pub fn of(dir: &Path) -> Result<Self, KeyringError> {
        let mut survey = Self {
            dir: dir.to_owned(),
            keks: BTreeMap::new(),
            files: Vec::new(),
            active: None,
            fingerprint_key: None,
            faults: Vec::new(),
        };
        let names = kek_file_names(dir)?;
        let writable = refuse_writable_folder(dir);
        survey.note(writable);
        for name in names {
            let id = match read_key(dir, name.as_ref()) {
                // A file that vanished since it was listed is no longer a key.
                Ok(None) => continue,
                Ok(Some(key)) => {
                    let id = KekId::of(&key);
                    survey.keks.insert(id, key);
                    Ok(id)
                }
                Err(fault) => Err(fault),
            };
            survey.files.push(SurveyedFile { name, id });
        }
        if survey.files.is_empty() {
            let dir = dir.to_owned();
            survey.faults.push(KeyringError::Empty { dir });
        }
        let active = read_active(dir, &survey.keks);
        survey.active = survey.note(active);
        let fingerprint_key = load::read_fingerprint_key(dir);
        survey.fingerprint_key = survey.note(fingerprint_key).map(FingerprintKey::new);
        let audit_key = read_key(dir, AUDIT_KEY.as_ref());
        survey.note(audit_key);
        Ok(survey)
    }

    fn note<T>(&mut self, read: Result<T, KeyringError>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// The files that are there as key-encryption keys, in the order of their names.
    pub fn files(&self) -> &[SurveyedFile] {
        &self.files
    }

    /// The key-encryption keys that can be used, in the order of their ids.
    pub fn keks(&self) -> impl Iterator<Item = KekId> + '_ {
        self.keks.keys().copied()
    }

    /// Whether rows under this key can be opened.
    pub fn has(&self, id: &KekId) -> bool {
        self.keks.contains_key(id)
    }

    /// The key that new rows are sealed under, where the folder names one that can be used.
    pub fn active_kek(&self) -> Option<KekId> {
        self.active
    }

    /// The key of fingerprints, where it can be read.
    pub fn fingerprint_key(&self) -> Option<&FingerprintKey> {
        self.fingerprint_key.as_ref()
    }

    /// What is wrong with the folder, a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let of_files = self.files.iter().filter_map(|file| file.id.as_ref().err());
        let all = of_files.chain(&self.faults);
        all.map(ToString::to_string).collect()
    }

    fn read_only() -> KekError {
        KekError::Unavailable("a keyring that is only looked at encrypts nothing".to_owned())
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey")
            .field("dir", &self.dir)
            .field("files", &self.files)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KekSource for Survey {
    async fn active(&self) -> Result<ActiveKek, KekError> {
        Err(Self::read_only())
    }

    async fn ids(&self) -> Result<Vec<KekId>, KekError> {
        Ok(self.keks().collect())
    }

    async fn wrap(&self, _: &KekId, _: &KeyBytes, _: &[u8]) -> Result<Vec<u8>, KekError> {
        Err(Self::read_only())
    }

    async fn unwrap(
        &self,
        kek: &KekId,
        wrapped_key: &[u8],
        aad: &[u8],
    ) -> Result<KeyBytes, KekError> {
        let key = self.keks.get(kek).ok_or_else(|| KeyringError::UnknownKek {
            dir: self.dir.clone(),
            id: *kek,
            known: self.keks().collect(),
        });
        unwrap_with(key?, wrapped_key, aad)
    }

    async fn refresh(&self) -> Result<(), KekError> {
        Ok(())
    }
}
