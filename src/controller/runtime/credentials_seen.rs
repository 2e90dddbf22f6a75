//! Which credentials were compared with the cluster in this term of leadership. A database that was
//! restored holds keys that were withdrawn since: none leaves it before each of its credentials was
//! looked at.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

/// Reconciles of one credential that may fail before it counts as looked at all the same: what nobody
/// can bring into force must not keep everybody else's keys.
const MAX_FAILURES: u32 = 5;

/// The credentials that were reconciled, and how often those failed that were not.
#[derive(Debug, Default)]
pub struct CredentialsSeen(Mutex<HashMap<Uuid, Seen>>);

#[derive(Clone, Copy, Debug)]
enum Seen {
    Stored,
    Failed(u32),
}

impl CredentialsSeen {
    /// Notes a credential whose row says now what the cluster says.
    pub fn stored(&self, credential: Uuid) {
        self.0.lock().insert(credential, Seen::Stored);
    }

    /// Notes a credential whose reconcile failed for a cause of its own, and is tried again.
    pub fn failed(&self, credential: Uuid) {
        self.failed_times(credential, 1);
    }

    /// Notes a credential that cannot be stored before somebody changes it.
    pub fn refused(&self, credential: Uuid) {
        self.failed_times(credential, MAX_FAILURES);
    }

    fn failed_times(&self, credential: Uuid, more: u32) {
        let mut seen = self.0.lock();
        let seen = seen.entry(credential).or_insert(Seen::Failed(0));
        if let Seen::Failed(times) = seen {
            *times = times.saturating_add(more);
        }
    }

    /// Whether each of these was looked at.
    pub fn all(&self, credentials: impl IntoIterator<Item = Uuid>) -> bool {
        let seen = self.0.lock();
        let mut credentials = credentials.into_iter();
        credentials.all(|uid| match seen.get(&uid) {
            Some(Seen::Stored) => true,
            Some(Seen::Failed(times)) => *times >= MAX_FAILURES,
            None => false,
        })
    }

    /// Those of these whose rows are not known to say what the cluster says.
    pub fn not_stored(&self, credentials: impl IntoIterator<Item = Uuid>) -> Vec<Uuid> {
        let seen = self.0.lock();
        let is_stored = |uid: &Uuid| matches!(seen.get(uid), Some(Seen::Stored));
        let credentials = credentials.into_iter();
        credentials.filter(|uid| !is_stored(uid)).collect()
    }

    /// Forgets a credential that is gone.
    pub fn forget(&self, credential: Uuid) {
        self.0.lock().remove(&credential);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_looked_at_once_each_is_stored_or_has_failed_often_enough() {
        let (stored, failing) = (Uuid::new_v4(), Uuid::new_v4());
        let seen = CredentialsSeen::default();
        assert!(seen.all([]));
        seen.stored(stored);
        assert!(seen.all([stored]) && !seen.all([stored, failing]));
        for _ in 1..MAX_FAILURES {
            seen.failed(failing);
            seen.failed(stored);
            assert!(!seen.all([stored, failing]));
        }
        seen.failed(failing);
        assert!(seen.all([stored, failing]));
        assert_eq!(seen.not_stored([stored, failing]), [failing]);
        let refused = Uuid::new_v4();
        seen.refused(refused);
        assert!(seen.all([stored, failing, refused]));
        assert_eq!(seen.not_stored([refused, stored]), [refused]);
        seen.forget(failing);
        assert!(!seen.all([stored, failing]) && seen.all([stored]));
    }
}
