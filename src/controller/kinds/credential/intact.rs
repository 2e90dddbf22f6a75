//! Stored keys that do not open: somebody changed or moved their rows, or their key-encryption key is
//! lost, or not there for now. They are found here and told of once; the steps say what becomes of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use uuid::Uuid;

use super::dereference::CredentialInputs;
use crate::{
    checks::Owner,
    controller::{error::Error, runtime::context::Context, status::events::EventDraft},
    crd::{
        credential::VersionState,
        reasons::{KEY_ENCRYPTION_KEY_LOST, STORED_KEY_TAMPERED},
    },
    db::CredentialVersionRow,
    encryption::{Fingerprint, KekError, KekId, OpenError, Payload},
    keys::{open::open_stored, versions::VersionSteps},
};

/// What is known of the versions that do not open, by credential.
#[derive(Debug, Default)]
pub struct UnreadableVersions {
    /// Those that were told of and do not authenticate yet.
    told: Mutex<HashMap<Uuid, Vec<i32>>>,
    /// The credentials whose keys wait for key-encryption keys, with the ids of these.
    waiting: Mutex<HashMap<Uuid, (Owner, BTreeSet<KekId>)>>,
}

impl UnreadableVersions {
    /// The credentials that wait for key-encryption keys, with the ids of these.
    pub fn waiting(&self) -> Vec<(Owner, BTreeSet<KekId>)> {
        self.waiting.lock().values().cloned().collect()
    }

    /// Forgets that a credential waits: it is looked at now, and notes anew what it still waits for.
    pub fn woken(&self, credential: Uuid) {
        self.waiting.lock().remove(&credential);
    }

    /// Notes for which key-encryption keys a credential's keys wait.
    fn wait(&self, owner: &Owner, keks: BTreeSet<KekId>) {
        let mut waiting = self.waiting.lock();
        match keks.is_empty() {
            true => waiting.remove(&owner.uid),
            false => waiting.insert(owner.uid, (owner.clone(), keks)),
        };
    }

    /// Notes the versions of a credential that do not authenticate now; answers those that are news.
    fn note(&self, credential: Uuid, versions: &[i32]) -> Vec<i32> {
        let mut known = self.told.lock();
        let before = known.remove(&credential).unwrap_or_default();
        if !versions.is_empty() {
            known.insert(credential, versions.to_vec());
        }
        let news = versions.iter().filter(|version| !before.contains(version));
        news.copied().collect()
    }

    /// Forgets a credential that is gone, or whose versions authenticate again.
    pub fn forget(&self, credential: Uuid) {
        self.note(credential, &[]);
        self.waiting.lock().remove(&credential);
    }
}

/// Stored versions that do not open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Those that no waiting heals.
    pub versions: Vec<i32>,
    /// Those of them whose key-encryption key was declared lost, with its id. The others do not
    /// authenticate: somebody changed or moved their rows.
    pub lost: BTreeMap<i32, String>,
    /// Those whose rows name a key-encryption key that was never the active one here: somebody changed the
    /// row, or the key is not delivered yet. Nothing is destroyed for it.
    pub unknown_kek: Vec<i32>,
    /// Those that open once the keyring has what it lacks, with why they do not now; all of `unknown_kek`
    /// are among them.
    pub waiting: BTreeMap<i32, String>,
}

/// The stored versions that do not open.
pub async fn unreadable(
    context: &Context,
    owner: &Owner,
    versions: &[CredentialVersionRow],
) -> Result<Unreadable, Error> {
    let live = |row: &CredentialVersionRow| row.state != VersionState::Destroyed;
    if !versions.iter().any(live) {
        context.unreadable.forget(owner.uid);
        return Ok(Unreadable::default());
    }
    let stored = context.db.sealed_versions(owner.uid).await?;
    let (mut tampered, mut found, mut keks) = (Vec::new(), Unreadable::default(), BTreeSet::new());
    for sealed in stored {
        let (version, kek) = (sealed.version, sealed.kek_id.clone());
        let opened = open_stored(&context.keyring, &owner.namespace, &owner.name, sealed).await;
        let why = match opened {
            Ok(payload) => {
                let told = versions.iter().find(|row| row.version == version);
                if told.is_some_and(|row| !is_of(context, row, &payload)) {
                    tampered.push(version);
                }
                continue;
            }
            Err(why) if why.is_of_the_row() => {
                tampered.push(version);
                continue;
            }
            Err(why) => why,
        };
        if matches!(why, OpenError::Kek(KekError::Unknown { .. })) {
            if context.db.lost_keks().await?.contains(&kek) {
                found.lost.insert(version, kek);
                continue;
            }
            if !context.db.kek_was_active(&kek).await? {
                found.unknown_kek.push(version);
            }
        }
        let why = format!(
            "version {version} of the key is stored under key-encryption key {kek}, and cannot be opened: {why}"
        );
        found.waiting.insert(version, why);
        keks.extend(kek.parse::<KekId>());
    }
    context.unreadable.wait(owner, keks);
    for version in context.unreadable.note(owner.uid, &tampered) {
        let (namespace, name) = (&owner.namespace, &owner.name);
        tracing::error!(%namespace, %name, version, "a stored key does not authenticate, or is not the one that its row tells of: the row in the database was changed or moved");
        context.metrics.unreadable.inc();
    }
    found.versions = tampered;
    found.versions.extend(found.lost.keys());
    Ok(found)
}

/// Whether a row's fingerprint is that of the key that it holds; without the key of fingerprints nobody can tell.
fn is_of(context: &Context, row: &CredentialVersionRow, payload: &Payload) -> bool {
    let Ok(key) = context.keyring.fingerprint_key() else {
        return true;
    };
    let held = Fingerprint::of(&key, row.credential_uid, &payload.fields);
    held.to_string() == row.fingerprint
}

/// Tells, once these steps are stored, what became of the versions that did not open.
pub fn tell_healed(context: &Context, input: &CredentialInputs, steps: &VersionSteps) {
    let source = input.object.spec.source();
    let mut told = Vec::new();
    for version in &input.unreadable.unknown_kek {
        if steps.reseal == Some(*version) {
            let (namespace, name) = (&input.owner.namespace, &input.owner.name);
            tracing::error!(%namespace, %name, version, "a stored key's row named a key-encryption key that was never in use here: it was changed");
            context.metrics.unreadable.inc();
            told.push(EventDraft {
                warning: true,
                reason: STORED_KEY_TAMPERED.to_owned(),
                note: format!(
                    "version {version} of the key, as it was stored, named a key-encryption key that was never in use here: its row in the database was changed; it was sealed anew from {source}. Find out who else writes to the database"
                ),
                apart: true,
            });
        }
    }
    for version in &input.unreadable.versions {
        let outcome = if steps.reseal == Some(*version) {
            format!("it was sealed anew from {source}")
        } else if steps.destroys(*version) {
            format!("it was destroyed, for {source} does not hold it")
        } else {
            continue;
        };
        told.push(match input.unreadable.lost.get(version) {
            Some(kek) => EventDraft {
                warning: steps.destroys(*version),
                reason: KEY_ENCRYPTION_KEY_LOST.to_owned(),
                note: format!(
                    "version {version} of the key was stored under key-encryption key {kek}, which is lost; {outcome}"
                ),
                apart: true,
            },
            None => EventDraft {
                warning: true,
                reason: STORED_KEY_TAMPERED.to_owned(),
                note: format!(
                    "version {version} of the key, as it was stored, did not authenticate: its row in the database was changed or moved; {outcome}. Find out who else writes to the database"
                ),
                apart: true,
            },
        });
    }
    if !told.is_empty() {
        context.unreadable.forget(input.owner.uid);
        context.events.publish(&*input.object, told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_waits_for_its_key_encryption_keys_until_it_does_no_more() {
        let unreadable = UnreadableVersions::default();
        let owner = Owner {
            kind: crate::crd::Kind::Credential,
            uid: Uuid::nil(),
            namespace: "team".to_owned(),
            name: "c".to_owned(),
        };
        let kek: KekId = "00112233445566ff".parse().unwrap();
        unreadable.wait(&owner, BTreeSet::from([kek]));
        assert_eq!(
            unreadable.waiting(),
            [(owner.clone(), BTreeSet::from([kek]))]
        );
        unreadable.wait(&owner, BTreeSet::new());
        assert!(unreadable.waiting().is_empty());
        unreadable.wait(&owner, BTreeSet::from([kek]));
        unreadable.forget(owner.uid);
        assert!(unreadable.waiting().is_empty());
    }

    #[test]
    fn a_version_is_news_once_until_it_authenticates_again() {
        let unreadable = UnreadableVersions::default();
        let uid = Uuid::nil();
        assert_eq!(unreadable.note(uid, &[2, 1]), [2, 1]);
        assert_eq!(unreadable.note(uid, &[2, 1]), [0; 0]);
        assert_eq!(unreadable.note(uid, &[3, 1]), [3]);
        unreadable.forget(uid);
        assert_eq!(unreadable.note(uid, &[1]), [1]);
    }
}
