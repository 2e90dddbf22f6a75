//! What happened since a revision that the log does not know: PostgreSQL tells which objects changed, and
//! the snapshot has their rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::auth::ReviewCache;
use crate::api::problem::{Problem, ProblemType};
use crate::db::{Db, DbError, Revision};
use crate::snapshot::{ChangeBatch, ChangeCursor, Store};

/// Readings under way at once: after a restart everybody comes back.
const AT_ONCE: usize = 2;
/// How long one waits for its turn: whoever does takes a place of its caller's requests meanwhile.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a reading serves those who come back to the same revision.
const KEPT: Duration = Duration::from_secs(2);
/// Readings that are kept.
const READINGS: usize = 64;
/// Objects that are told of one by one; of more all that is there is told, which costs less.
const MAX_OBJECTS: usize = 2_000;
/// Bytes that all readings hold together while they are kept, or told.
const MAX_BYTES: usize = 32 << 20;

/// What happened since a revision.
#[derive(Clone, Debug)]
pub enum Resumed {
    /// These changes.
    Changes(ResumedChanges),
    /// Nobody knows any more, it is too much, or the revision is of another database.
    Unknown,
}

/// Changes that were read for those who came back, and their room among all such; a clone shares both.
#[derive(Clone, Debug)]
pub struct ResumedChanges {
    /// Where a reader is who has heard of them.
    pub cursor: ChangeCursor,
    /// The changes.
    pub batch: Arc<ChangeBatch>,
    /// Given back once nobody has them.
    pub room: Arc<OwnedSemaphorePermit>,
}

/// Readings, one at a time for each revision.
pub struct Resumes {
    readings: ReviewCache<Revision, Resumed>,
    turns: Semaphore,
    room: Arc<Semaphore>,
}

impl Default for Resumes {
    fn default() -> Self {
        Self {
            readings: ReviewCache::new(READINGS),
            turns: Semaphore::new(AT_ONCE),
            room: Arc::new(Semaphore::new(MAX_BYTES)),
        }
    }
}

impl Resumes {
    /// What happened since a revision. Where PostgreSQL does not say so soon, that is not known.
    pub async fn since(&self, store: &Store, db: &Db, revision: Revision) -> Resumed {
        if store.age().is_some() {
            return Resumed::Unknown;
        }
        let reading = async {
            let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.acquire()).await;
            let turn = turn.map_err(|_| unavailable())?;
            let read = self.read(store, db, revision).await;
            drop(turn);
            let resumed = read.map_err(|error| {
                tracing::debug!(%error, "cannot read what happened since a stream ended");
                unavailable()
            })?;
            Ok((
                resumed.map_or(Resumed::Unknown, Resumed::Changes),
                Instant::now() + KEPT,
            ))
        };
        let resumed = self.readings.get_or_ask(revision, reading).await;
        resumed.unwrap_or(Resumed::Unknown)
    }

    async fn read(
        &self,
        store: &Store,
        db: &Db,
        from: Revision,
    ) -> Result<Option<ResumedChanges>, DbError> {
        let Some((snapshot, cursor)) = store.begin() else {
            return Ok(None);
        };
        let changed = db.changed_objects(from, snapshot.revision, MAX_OBJECTS);
        let batch = changed.await?;
        let batch = batch.and_then(|objects| ChangeBatch::of_objects(&snapshot, objects));
        Ok(batch.and_then(|batch| {
            Some(ResumedChanges {
                cursor,
                room: self.room_for(&batch)?,
                batch: Arc::new(batch),
            })
        }))
    }

    fn room_for(&self, batch: &ChangeBatch) -> Option<Arc<OwnedSemaphorePermit>> {
        let bytes = u32::try_from(batch.bytes()).ok()?;
        let room = self.room.clone().try_acquire_many_owned(bytes);
        room.ok().map(Arc::new)
    }
}

fn unavailable() -> Problem {
    Problem::new(
        ProblemType::DatabaseUnavailable,
        "PostgreSQL does not answer",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_read_for_those_who_come_back_has_its_room_and_gives_it_back() {
        let resumes = Resumes::default();
        // A row counts twice: as it is, and as it is told.
        let batch = ChangeBatch::of_bytes(Revision(1), 2_000_000);
        let fit = MAX_BYTES / batch.bytes();
        let mut held: Vec<_> = (0..fit).map_while(|_| resumes.room_for(&batch)).collect();
        assert_eq!(held.len(), fit);
        assert!(
            resumes.room_for(&batch).is_none(),
            "whoever comes then is told all that is there"
        );
        // Two readers of one reading share its room.
        let other = held[0].clone();
        held.remove(0);
        assert!(resumes.room_for(&batch).is_none());
        drop(other);
        assert!(resumes.room_for(&batch).is_some());
        drop(held);
        assert_eq!(resumes.room.available_permits(), MAX_BYTES);
        let larger = ChangeBatch::of_bytes(Revision(1), MAX_BYTES);
        assert!(resumes.room_for(&larger).is_none());
    }
}
