//! Which providers wait for a pass, and when each has its turn. Pure but for the clock that its
//! caller hands in.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::controller::runtime::object_key::ObjectKey;

/// How long requests are gathered: lists of several endpoints become one pass.
const SYNC_DEBOUNCE: Duration = Duration::from_millis(500);
/// Rest between two passes of one provider, in which others have their turn.
const MIN_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// First wait after a pass that did not get through.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// Longest wait after one.
const BACKOFF_LONGEST: Duration = Duration::from_secs(300);

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncEnd {
    /// Nothing is left to do.
    Complete,
    /// There is more than one pass takes.
    More,
    /// It did not get through.
    Failed,
}

#[derive(Debug)]
struct WaitingSync {
    at: Option<Instant>,
    failures: u32,
}

/// The providers that wait.
#[derive(Debug, Default)]
pub struct WaitingSyncs(HashMap<ObjectKey, WaitingSync>);

impl WaitingSyncs {
    /// Notes that a provider has something to do. One that failed keeps to its backoff.
    pub fn ask(&mut self, key: ObjectKey, now: Instant) {
        let entry = self.0.entry(key).or_insert(WaitingSync {
            at: None,
            failures: 0,
        });
        entry.at.get_or_insert(now + SYNC_DEBOUNCE);
    }

    /// When the next one has its turn.
    pub fn next_at(&self) -> Option<Instant> {
        self.0.values().filter_map(|entry| entry.at).min()
    }

    /// Takes the one whose turn it is.
    pub fn take_due(&mut self, now: Instant) -> Option<ObjectKey> {
        let due = self
            .0
            .iter()
            .filter_map(|(key, entry)| Some((entry.at?, key)))
            .min()?;
        if due.0 > now {
            return None;
        }
        let key = due.1.clone();
        if let Some(entry) = self.0.get_mut(&key) {
            entry.at = None;
        }
        Some(key)
    }

    /// Notes how a pass ended.
    pub fn ended(&mut self, key: &ObjectKey, ended: SyncEnd, now: Instant) {
        let Some(entry) = self.0.get_mut(key) else {
            return;
        };
        match ended {
            SyncEnd::Complete => {
                self.0.remove(key);
            }
            SyncEnd::More => {
                entry.failures = 0;
                entry.at = Some(now + MIN_SYNC_INTERVAL);
            }
            SyncEnd::Failed => {
                entry.failures += 1;
                entry.at = Some(now + backoff(entry.failures));
            }
        }
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(BACKOFF_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::Kind;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::Provider, "team", name)
    }

    #[test]
    fn requests_are_gathered_and_turns_go_round() {
        let (mut waiting, start) = (WaitingSyncs::default(), Instant::now());
        waiting.ask(key("a"), start);
        waiting.ask(key("b"), start + Duration::from_millis(100));
        waiting.ask(key("a"), start + Duration::from_millis(200));
        assert_eq!(waiting.take_due(start), None);
        let later = start + MIN_SYNC_INTERVAL;
        assert_eq!(waiting.take_due(later), Some(key("a")));
        waiting.ended(&key("a"), SyncEnd::More, later);
        assert_eq!(waiting.take_due(later), Some(key("b")));
        waiting.ended(&key("b"), SyncEnd::Complete, later);
        assert_eq!(waiting.take_due(later), None);
        assert_eq!(waiting.next_at(), Some(later + MIN_SYNC_INTERVAL));
    }

    #[test]
    fn a_failed_pass_waits_longer_each_time_however_often_it_is_asked_for() {
        let (mut waiting, start) = (WaitingSyncs::default(), Instant::now());
        waiting.ask(key("a"), start);
        let mut now = start + SYNC_DEBOUNCE;
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(waiting.take_due(now), Some(key("a")));
            waiting.ended(&key("a"), SyncEnd::Failed, now);
            waiting.ask(key("a"), now);
            let next = waiting.next_at().unwrap();
            assert_eq!(next - now, Duration::from_secs(wait));
            now = next;
        }
    }
}
