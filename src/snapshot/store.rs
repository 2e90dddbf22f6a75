//! Where the newest snapshot is found, and how old it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{broadcast, watch};

use super::Snapshot;
use crate::db::Revision;

/// Events that a slow subscriber may lag behind before it is told that it lost some.
const EVENTS_KEPT: usize = 1024;

/// What happened to the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It went on to this revision.
    Changed(Revision),
    /// It was read anew, at this revision: what happened between is not known.
    Reset(Revision),
}

/// The newest snapshot of this process.
#[derive(Debug)]
pub struct Store {
    current: ArcSwapOption<Snapshot>,
    revision: watch::Sender<Revision>,
    events: broadcast::Sender<Event>,
    started: Instant,
    /// When PostgreSQL last answered, in milliseconds since `started`.
    answered: AtomicU64,
    /// The same, while PostgreSQL is out of reach; else 0.
    stale_since: AtomicU64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            revision: watch::Sender::new(Revision::default()),
            events: broadcast::Sender::new(EVENTS_KEPT),
            started: Instant::now(),
            answered: AtomicU64::new(1),
            stale_since: AtomicU64::new(0),
        }
    }
}

impl Store {
    /// The newest snapshot; none before the first was read.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// The newest revision; 0 before the first snapshot.
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// How old the snapshot is, while PostgreSQL is out of reach.
    pub fn age(&self) -> Option<Duration> {
        match self.stale_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(Duration::from_millis(self.now().saturating_sub(since))),
        }
    }

    /// Waits until the snapshot has reached a revision; `false` when that took too long.
    pub async fn reached(&self, revision: Revision, at_most: Duration) -> bool {
        let mut revisions = self.revision.subscribe();
        let reached = revisions.wait_for(|current| *current >= revision);
        tokio::time::timeout(at_most, reached)
            .await
            .is_ok_and(|waited| waited.is_ok())
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Puts the next snapshot in place, then tells who waits.
    pub fn replace(&self, snapshot: Snapshot, event: Event) {
        let revision = snapshot.revision;
        self.current.store(Some(Arc::new(snapshot)));
        self.revision.send_replace(revision);
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// Notes that PostgreSQL answered just now.
    pub(super) fn answered(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
        self.stale_since.store(0, Ordering::Relaxed);
    }

    /// Notes that PostgreSQL did not answer.
    pub(super) fn unanswered(&self) {
        let last = self.answered.load(Ordering::Relaxed);
        self.stale_since.store(last, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}
