//! Where the newest snapshot is found, how old it is, and what changed in it of late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::Snapshot;
use super::change_log::{ChangeBatch, ChangeCursor, ChangeLog, NextChange};
use crate::db::Revision;

/// The newest snapshot of this process.
#[derive(Debug)]
pub struct Store {
    current: ArcSwapOption<Snapshot>,
    revision: watch::Sender<Revision>,
    /// Held while a snapshot takes the place of another: both are of one moment.
    log: RwLock<ChangeLog>,
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
            log: RwLock::default(),
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

    /// Waits until something is found in a snapshot; `None` when that took too long.
    pub async fn until<T>(
        &self,
        at_most: Duration,
        look: impl Fn(&Snapshot) -> Option<T>,
    ) -> Option<T> {
        let mut revisions = self.revision.subscribe();
        let looking = async {
            loop {
                revisions.mark_unchanged();
                if let Some(found) = self.snapshot().as_deref().and_then(&look) {
                    return Some(found);
                }
                revisions.changed().await.ok()?;
            }
        };
        tokio::time::timeout(at_most, looking).await.ok().flatten()
    }

    /// Tells of every revision from now on.
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// The newest snapshot, and where a reader is who has read it; none before the first was read.
    pub fn begin(&self) -> Option<(Arc<Snapshot>, ChangeCursor)> {
        let log = self.log.read();
        self.snapshot().map(|snapshot| (snapshot, log.head()))
    }

    /// Where a reader is who has reached exactly this revision; none where it is not among those of late.
    pub fn cursor(&self, revision: Revision) -> Option<ChangeCursor> {
        self.log.read().cursor(revision)
    }

    /// What that reader is told next.
    pub fn next(&self, reader: ChangeCursor) -> NextChange {
        self.log.read().next(reader)
    }

    /// Puts the next snapshot in place, then tells who waits. None: it was read anew, and what changed is not
    /// known.
    pub fn replace(&self, snapshot: Snapshot, changed: Option<ChangeBatch>) {
        let revision = snapshot.revision;
        {
            let mut log = self.log.write();
            self.current.store(Some(Arc::new(snapshot)));
            match changed {
                Some(batch) => log.push(batch),
                None => log.reset(revision),
            }
        }
        self.revision.send_replace(revision);
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
