//! Statuses that somebody else has changed. The watch notices, a reconcile puts them right, and who
//! changes one again and again is answered less and less often.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

/// Wait before the second repair of one status; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before a repair.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time without a repair after which the next one comes at once again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Writes of ours whose watch events may still come.
const WRITES_KEPT: usize = 8;

/// What this process has last said in each status.
#[derive(Debug, Default)]
pub struct OwnStatuses(Mutex<HashMap<Uuid, OwnStatus>>);

#[derive(Debug, Default)]
struct OwnStatus {
    says: u64,
    versions: VecDeque<String>,
    repairs: u32,
    repaired_at: Option<Instant>,
}

impl OwnStatuses {
    /// Notes what a status says, or is about to say; times and what is not ours left out.
    pub fn says(&self, object: Uuid, status: &Value) {
        self.all().entry(object).or_default().says = digest(status);
    }

    /// Notes the resourceVersion that a write of ours has made.
    pub fn wrote(&self, object: Uuid, resource_version: Option<String>) {
        let mut all = self.all();
        let own = all.entry(object).or_default();
        own.versions.extend(resource_version);
        while own.versions.len() > WRITES_KEPT {
            own.versions.pop_front();
        }
    }

    /// After how long this state of an object is to be put right; `None` where it says what we said,
    /// or we said nothing yet.
    pub fn repair(
        &self,
        object: Uuid,
        resource_version: Option<&str>,
        status: &Value,
        now: Instant,
    ) -> Option<Duration> {
        let mut all = self.all();
        let own = all.get_mut(&object)?;
        let is_ours = resource_version.is_some_and(|v| own.versions.iter().any(|own| own == v));
        if is_ours || own.says == digest(status) {
            return None;
        }
        if own.repaired_at.is_some_and(|at| at + FORGIVEN_AFTER < now) {
            own.repairs = 0;
        }
        let wait = match own.repairs {
            0 => Duration::ZERO,
            n => FIRST_WAIT.saturating_mul(1 << (n - 1).min(6)),
        };
        own.repairs += 1;
        own.repaired_at = Some(now);
        Some(wait.min(LONGEST_WAIT))
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: Uuid) {
        self.all().remove(&object);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, OwnStatus>> {
        self.0.lock()
    }
}

fn digest(status: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    status.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_somebody_else_wrote_is_put_right_and_less_often_each_time() {
        let (own, object, start) = (OwnStatuses::default(), Uuid::new_v4(), Instant::now());
        let (ours, theirs) = (json!({ "a": 1 }), json!({ "a": 2 }));
        let repair = |version: &str, status: &Value, after: u64| {
            let now = start + Duration::from_secs(after);
            let wait = own.repair(object, Some(version), status, now);
            wait.map(|wait| wait.as_secs())
        };
        assert_eq!(repair("1", &theirs, 0), None, "nothing was said yet");
        own.says(object, &ours);
        own.wrote(object, Some("2".to_owned()));
        assert_eq!(repair("9", &ours, 0), None);
        assert_eq!(repair("2", &theirs, 0), None, "an older one of ours");
        let waits = (0..9).map(|n| repair("3", &theirs, n).unwrap());
        assert_eq!(waits.collect::<Vec<_>>(), [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(repair("3", &theirs, 700), Some(0));
        own.forget(object);
        assert_eq!(repair("3", &theirs, 700), None);
    }
}
