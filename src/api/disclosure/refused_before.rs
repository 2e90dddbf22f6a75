//! What the database refused a caller a moment ago, for who asks again at once: the same answer, without a row of the
//! audit for each. These are counted in one row, as other refusals that are alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use uuid::Uuid;

use crate::keys::disclose::Refusal;

/// How long the database is not asked again about a credential that stays as it is.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The same, of what is over without any object's changing.
const OF_ALL_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Refusals that are remembered.
const REMEMBERED: u64 = 10_000;

/// Refusals by caller and credential, with what the credential was then.
pub(super) struct RefusedBefore<T>(Cache<(String, Uuid), Arc<Remembered<T>>>);

struct Remembered<T> {
    refusal: Refusal,
    /// The credential as it was then.
    entry: Arc<T>,
    since: Instant,
    lasts: Duration,
}

impl<T: Send + Sync + 'static> Default for RefusedBefore<T> {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(ASKED_AGAIN_AFTER);
        Self(cache.build())
    }
}

impl<T: Send + Sync + 'static> RefusedBefore<T> {
    /// What this caller would be refused again: a credential that changed since is asked about anew.
    pub(super) fn get(
        &self,
        (caller, credential): (&str, Uuid),
        entry: &Arc<T>,
        now: Instant,
    ) -> Option<Refusal> {
        let known = self.0.get(&(caller.to_owned(), credential))?;
        let waited = now.saturating_duration_since(known.since);
        let left = known.lasts.checked_sub(waited)?;
        let is_same = Arc::ptr_eq(&known.entry, entry) && !left.is_zero();
        is_same.then(|| match &known.refusal {
            Refusal::QuotaExhausted { retry_after } => Refusal::QuotaExhausted {
                retry_after: retry_after.saturating_sub(waited),
            },
            refusal => refusal.clone(),
        })
    }

    /// Remembers a refusal that the database decided and recorded.
    pub(super) fn note(
        &self,
        (caller, credential): (&str, Uuid),
        entry: &Arc<T>,
        refusal: &Refusal,
        now: Instant,
    ) {
        let lasts = match refusal {
            Refusal::QuotaExhausted { retry_after } => ASKED_AGAIN_AFTER.min(*retry_after),
            Refusal::Gone | Refusal::Disabled | Refusal::Expired | Refusal::Invalid => {
                ASKED_AGAIN_AFTER
            }
            Refusal::NotSweptYet => OF_ALL_AGAIN_AFTER,
            _ => return,
        };
        let remembered = Arc::new(Remembered {
            refusal: refusal.clone(),
            entry: entry.clone(),
            since: now,
            lasts,
        });
        self.0.insert((caller.to_owned(), credential), remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Refusal = Refusal::QuotaExhausted {
        retry_after: Duration::from_secs(8),
    };

    #[test]
    fn who_asks_again_at_once_is_refused_without_the_database() {
        let (before, now) = (RefusedBefore::default(), Instant::now());
        let (who, entry) = (("a", Uuid::from_u128(1)), Arc::new(1));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(before.get(who, &entry, now), None);
        before.note(who, &entry, &QUOTA, now);
        let left = Refusal::QuotaExhausted {
            retry_after: Duration::from_secs(5),
        };
        assert_eq!(before.get(who, &entry, at(3)), Some(left));
        assert_eq!(before.get(who, &entry, at(8)), None, "a new period");
        for (other, entry) in [
            (("b", who.1), entry.clone()),
            (("a", Uuid::from_u128(2)), entry.clone()),
            // The credential was changed.
            (who, Arc::new(1)),
        ] {
            assert_eq!(before.get(other, &entry, now), None);
        }
        before.note(who, &entry, &Refusal::NotSweptYet, now);
        assert_eq!(before.get(who, &entry, at(1)), Some(Refusal::NotSweptYet));
        assert_eq!(before.get(who, &entry, at(2)), None);
    }

    #[test]
    fn what_may_be_over_the_next_moment_is_asked_about_again() {
        let (before, now) = (RefusedBefore::default(), Instant::now());
        let (who, entry) = (("a", Uuid::from_u128(1)), Arc::new(1));
        for passing in [
            Refusal::Superseded,
            Refusal::AuditUnavailable,
            Refusal::Overloaded,
            Refusal::KeyringUnavailable,
        ] {
            before.note(who, &entry, &passing, now);
            assert_eq!(before.get(who, &entry, now), None, "{passing}");
        }
    }
}
