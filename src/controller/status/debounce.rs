//! When a status is worth a write: a verdict that is about to come is waited for, and counts that
//! many children change are gathered. Each object then costs little more than one write, however
//! many objects appear at once. The row in PostgreSQL waits for nothing but the first list of a
//! provider whose models nobody has heard of yet.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::crd::reasons::Reason;

/// How long a first verdict is waited for before the status says that there is none yet.
const FIRST_VERDICT_WAIT: Duration = Duration::from_secs(10);
/// How long another object that this one needs is waited for before the status says that it is
/// missing: what is applied together seldom arrives in the order of its references.
const OTHER_OBJECT_WAIT: Duration = Duration::from_secs(2);
/// Least time between two writes that change nothing but counts.
const COUNTS_WAIT: Duration = Duration::from_secs(5);

/// What a new status would tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// The first of this generation, and `Ready` says this.
    First {
        /// The object's generation.
        generation: i64,
        /// Reason of `Ready`.
        ready: Reason,
    },
    /// A model's first of this generation, and its provider's lists are being read.
    Unlisted {
        /// The object's generation.
        generation: i64,
    },
    /// A class's first, and models that it is about are not stored yet.
    Unstored {
        /// The object's generation.
        generation: i64,
    },
    /// Nothing but other counts.
    Counts,
    /// Something that a reader waits for.
    Other,
}

/// Which statuses are held back since when.
#[derive(Debug, Default)]
pub struct StatusDebounce {
    held: HashMap<Uuid, (i64, Instant)>,
    counted: HashMap<Uuid, Instant>,
}

impl StatusDebounce {
    /// How much longer a status waits; `None`: it is written now. The object is reconciled again
    /// after that time, and earlier when something wakes it.
    pub fn wait(&mut self, object: Uuid, news: StatusChange, now: Instant) -> Option<Duration> {
        let (since, longest) = match news {
            StatusChange::First { generation, ready } => {
                let longest = longest(ready)?;
                (self.held_since(object, generation, now), longest)
            }
            StatusChange::Unlisted { generation } | StatusChange::Unstored { generation } => {
                (self.held_since(object, generation, now), OTHER_OBJECT_WAIT)
            }
            StatusChange::Counts => (*self.counted.get(&object)?, COUNTS_WAIT),
            StatusChange::Other => return None,
        };
        let left = (since + longest).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn held_since(&mut self, object: Uuid, generation: i64, now: Instant) -> Instant {
        let held = self.held.entry(object).or_insert((generation, now));
        if held.0 != generation {
            *held = (generation, now);
        }
        held.1
    }

    /// Notes that a status was written; `counts`: whether it has any.
    pub fn written(&mut self, object: Uuid, counts: bool, now: Instant) {
        self.held.remove(&object);
        if counts {
            self.counted.insert(object, now);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&mut self, object: Uuid) {
        self.held.remove(&object);
        self.counted.remove(&object);
    }
}

/// How long a reason may wait to be told; `None` where the user waits to read it.
fn longest(ready: Reason) -> Option<Duration> {
    match ready {
        Reason::NotCheckedYet => Some(FIRST_VERDICT_WAIT),
        Reason::NoEndpoint | Reason::NoValidCredential | Reason::CandidatesUnavailable => {
            Some(OTHER_OBJECT_WAIT)
        }
        reason if reason.may_still_end_by_itself() => Some(OTHER_OBJECT_WAIT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(generation: i64, ready: Reason) -> StatusChange {
        StatusChange::First { generation, ready }
    }

    #[test]
    fn a_first_verdict_is_waited_for_and_then_told_to_be_missing() {
        let (mut patience, object, start) =
            (StatusDebounce::default(), Uuid::new_v4(), Instant::now());
        let none = first(1, Reason::NotCheckedYet);
        assert_eq!(patience.wait(object, none, start), Some(FIRST_VERDICT_WAIT));
        let later = start + Duration::from_secs(4);
        let left = FIRST_VERDICT_WAIT - Duration::from_secs(4);
        assert_eq!(patience.wait(object, none, later), Some(left));
        let verdict = first(1, Reason::ProbeSucceeded);
        assert_eq!(patience.wait(object, verdict, later), None);
        assert_eq!(
            patience.wait(object, none, start + FIRST_VERDICT_WAIT),
            None
        );
    }

    #[test]
    fn a_models_lists_are_waited_for_as_another_object_is() {
        let (mut patience, object, start) =
            (StatusDebounce::default(), Uuid::new_v4(), Instant::now());
        let unlisted = StatusChange::Unlisted { generation: 1 };
        assert_eq!(
            patience.wait(object, unlisted, start),
            Some(OTHER_OBJECT_WAIT)
        );
        assert_eq!(
            patience.wait(object, unlisted, start + OTHER_OBJECT_WAIT),
            None
        );
        let left = FIRST_VERDICT_WAIT - OTHER_OBJECT_WAIT;
        let none = first(1, Reason::NotCheckedYet);
        let then = patience.wait(object, none, start + OTHER_OBJECT_WAIT);
        assert_eq!(then, Some(left), "it has waited already");
    }

    #[test]
    fn a_new_generation_is_waited_for_anew() {
        let (mut patience, object, start) =
            (StatusDebounce::default(), Uuid::new_v4(), Instant::now());
        patience.wait(object, first(1, Reason::NotCheckedYet), start);
        let later = start + Duration::from_secs(60);
        let second = first(2, Reason::NotCheckedYet);
        assert_eq!(
            patience.wait(object, second, later),
            Some(FIRST_VERDICT_WAIT)
        );
    }

    #[test]
    fn what_a_user_must_fix_is_told_at_once() {
        let (mut patience, object, now) =
            (StatusDebounce::default(), Uuid::new_v4(), Instant::now());
        for reason in [Reason::InvalidSpec, Reason::KeyRejected, Reason::Disabled] {
            assert_eq!(patience.wait(object, first(1, reason), now), None);
        }
        assert_eq!(patience.wait(object, StatusChange::Other, now), None);
    }

    #[test]
    fn counts_alone_are_gathered_after_the_first_write() {
        let (mut patience, object, start) =
            (StatusDebounce::default(), Uuid::new_v4(), Instant::now());
        assert_eq!(patience.wait(object, StatusChange::Counts, start), None);
        patience.written(object, true, start);
        assert_eq!(
            patience.wait(object, StatusChange::Counts, start),
            Some(COUNTS_WAIT)
        );
        assert_eq!(
            patience.wait(object, StatusChange::Counts, start + COUNTS_WAIT),
            None
        );
        patience.forget(object);
        assert_eq!(patience.wait(object, StatusChange::Counts, start), None);
    }
}
