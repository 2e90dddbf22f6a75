//! What happened since a revision that the log does not know, as PostgreSQL tells it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::api::auth::ReviewCache;
use crate::api::problem::{Problem, ProblemType};
use crate::db::{Changes, Db, DbError, Revision};
use crate::snapshot::{ChangeBatch, Snapshot};

/// Readings under way at once: after a restart everybody comes back.
const AT_ONCE: usize = 2;
/// How long a reading serves those who come back to the same revision.
const KEPT: Duration = Duration::from_secs(2);
/// Readings that are kept.
const READINGS: usize = 64;

/// What happened since a revision.
#[derive(Clone, Debug)]
pub enum Resumed {
    /// These changes.
    Changes(Arc<ChangeBatch>),
    /// Nobody knows any more, or the revision is of another database.
    Unknown,
}

/// Readings, one at a time for each revision.
pub struct ResumedChanges {
    readings: ReviewCache<Revision, Resumed>,
    turns: Semaphore,
}

impl Default for ResumedChanges {
    fn default() -> Self {
        Self {
            readings: ReviewCache::new(READINGS),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl ResumedChanges {
    /// What happened since a revision. Where PostgreSQL does not say, that is not known.
    pub async fn since(&self, db: &Db, revision: Revision) -> Resumed {
        let reading = async {
            let turn = self.turns.acquire().await;
            let read = read(db, revision).await;
            drop(turn);
            let resumed = read.map_err(|error| {
                tracing::debug!(%error, "cannot read what happened since a stream ended");
                Problem::new(
                    ProblemType::DatabaseUnavailable,
                    "PostgreSQL does not answer",
                )
            })?;
            Ok((resumed, Instant::now() + KEPT))
        };
        let resumed = self.readings.get_or_ask(revision, reading).await;
        resumed.unwrap_or(Resumed::Unknown)
    }
}

async fn read(db: &Db, revision: Revision) -> Result<Resumed, DbError> {
    let Changes::Rows { rows, to } = db.read_changes(revision).await? else {
        return Ok(Resumed::Unknown);
    };
    let after = match Snapshot::full(&rows, to) {
        // Whose row cannot be read is nowhere to be found: it may have been visible before.
        Ok(after) if rows.unreadable.is_empty() => after,
        _ => return Ok(Resumed::Unknown),
    };
    let batch = ChangeBatch::new(&Snapshot::default(), &after, &rows);
    Ok(Resumed::Changes(Arc::new(batch)))
}
