//! Stored keys that do not open: somebody changed or moved their rows, or their key-encryption key is
//! lost. They are found here and told of once; the steps say what becomes of them.

use std::collections::{BTreeMap, HashMap};

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
    encryption::{KekError, OpenError},
    keys::{open::open_stored, versions::VersionSteps},
};

/// The versions that were told of and do not authenticate yet, by credential.
#[derive(Debug, Default)]
pub struct UnreadableVersions(Mutex<HashMap<Uuid, Vec<i32>>>);

impl UnreadableVersions {
    /// Notes the versions of a credential that do not authenticate now; answers those that are news.
    fn note(&self, credential: Uuid, versions: &[i32]) -> Vec<i32> {
        let mut known = self.0.lock();
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
    }
}

/// Stored versions that do not open, and that no waiting heals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// All of them.
    pub versions: Vec<i32>,
    /// Those of them whose key-encryption key was declared lost, with its id. The others do not
    /// authenticate: somebody changed or moved their rows.
    pub lost: BTreeMap<i32, String>,
}

/// The stored versions that do not open. What the keyring lacks for now, and nobody has declared lost, is
/// another thing.
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
    let (mut tampered, mut lost) = (Vec::new(), BTreeMap::new());
    for sealed in stored {
        let (version, kek) = (sealed.version, sealed.kek_id.clone());
        let opened = open_stored(&context.keyring, &owner.namespace, &owner.name, sealed).await;
        match opened {
            Err(why) if why.is_of_the_row() => tampered.push(version),
            Err(OpenError::Kek(KekError::Unknown { .. })) => {
                if context.db.lost_keks().await?.contains(&kek) {
                    lost.insert(version, kek);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    for version in context.unreadable.note(owner.uid, &tampered) {
        let (namespace, name) = (&owner.namespace, &owner.name);
        tracing::error!(%namespace, %name, version, "a stored key does not authenticate: its row in the database was changed or moved");
        context.metrics.unreadable.inc();
    }
    let versions = tampered.into_iter().chain(lost.keys().copied()).collect();
    Ok(Unreadable { versions, lost })
}

/// Tells, once these steps are stored, what became of the versions that did not open.
pub fn tell_healed(context: &Context, input: &CredentialInputs, steps: &VersionSteps) {
    let source = input.object.spec.source();
    let mut told = Vec::new();
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
