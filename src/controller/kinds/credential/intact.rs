//! Stored keys that do not authenticate: somebody changed or moved their rows. They are found here
//! and told of once; the steps say what becomes of them.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use super::dereference::CredentialInputs;
use crate::{
    checks::Owner,
    controller::{error::Error, runtime::context::Context, status::events::EventDraft},
    crd::{credential::VersionState, reasons::STORED_KEY_TAMPERED},
    db::CredentialVersionRow,
    keys::{open::is_unreadable, versions::VersionSteps},
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

/// The stored versions that do not authenticate. What the keyring lacks, for now, is another thing.
pub async fn unreadable(
    context: &Context,
    owner: &Owner,
    versions: &[CredentialVersionRow],
) -> Result<Vec<i32>, Error> {
    let live = |row: &CredentialVersionRow| row.state != VersionState::Destroyed;
    if !versions.iter().any(live) {
        context.unreadable.forget(owner.uid);
        return Ok(Vec::new());
    }
    let stored = context.db.sealed_versions(owner.uid).await?;
    let mut unreadable = Vec::new();
    for sealed in stored {
        let version = sealed.version;
        if is_unreadable(&context.keyring, &owner.namespace, &owner.name, sealed).await {
            unreadable.push(version);
        }
    }
    for version in context.unreadable.note(owner.uid, &unreadable) {
        let (namespace, name) = (&owner.namespace, &owner.name);
        tracing::error!(%namespace, %name, version, "a stored key does not authenticate: its row in the database was changed or moved");
        context.metrics.unreadable.inc();
    }
    Ok(unreadable)
}

/// Tells, once these steps are stored, what became of the versions that did not authenticate.
pub fn tell_healed(context: &Context, input: &CredentialInputs, steps: &VersionSteps) {
    let secret = &input.object.spec.secret_ref.name;
    let mut told = Vec::new();
    for version in &input.unreadable {
        let outcome = if steps.reseal == Some(*version) {
            format!("it was sealed anew from Secret {secret}")
        } else if steps.destroys(*version) {
            "it was destroyed, for the Secret does not hold it".to_owned()
        } else {
            continue;
        };
        told.push(EventDraft {
            warning: true,
            reason: STORED_KEY_TAMPERED.to_owned(),
            note: format!(
                "version {version} of the key, as it was stored, did not authenticate: its row in the database was changed or moved; {outcome}. Find out who else writes to the database"
            ),
            apart: true,
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
