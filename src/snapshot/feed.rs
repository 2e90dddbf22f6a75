//! What fills the store: everything once, then what changed.
//!
//! Notifications are hints, and a poll is the backstop: losing one costs latency, never data.
//! While PostgreSQL is away the store keeps what it has and says how old it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{ChangeBatch, Snapshot, Store};
use crate::admin::Readiness;
use crate::db::{self, Changes, Db, DbError, FeedListener, Revision, Woken};

/// How often the feed is read when nobody notifies.
const POLL_PERIOD: Duration = Duration::from_secs(2);

/// Least time between the beginnings of two readings: while much changes, each takes in what the
/// others would have.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(25);

/// Polls in a row that find changes before the listener is no longer believed to hear anything. One
/// may have been faster than the word of it.
const UNANNOUNCED: u32 = 2;

const WAITS_FOR: &str = "snapshot";

/// Why the feed ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The schema is not this binary's: waiting does not help.
    #[error("{0}")]
    Schema(DbError),
    /// A row cannot be shown: a defect.
    #[error("a row cannot be written as JSON: {0}")]
    Row(#[from] serde_json::Error),
}

/// The feed of one store.
pub struct Feed {
    db: Db,
    store: Arc<Store>,
    readiness: Readiness,
}

impl Feed {
    /// A feed from this database into this store. From here on the process waits for the first
    /// snapshot before it is ready.
    pub fn new(db: Db, store: Arc<Store>, readiness: Readiness) -> Self {
        readiness.waiting(WAITS_FOR, "not read yet");
        Self {
            db,
            store,
            readiness,
        }
    }

    /// Keeps the store current until the token is cancelled.
    ///
    /// # Errors
    ///
    /// What waiting cannot mend.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), FeedError> {
        let mut listener = FeedListener::new(&self.db);
        let mut poll = interval_at(Instant::now() + POLL_PERIOD, POLL_PERIOD);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut polled, mut unannounced) = (false, 0);
        loop {
            let begun = Instant::now();
            let before = self.store.revision();
            tokio::select! {
                stepped = self.step() => stepped?,
                () = shutdown.cancelled() => return Ok(()),
            }
            if polled && self.store.revision() > before {
                unannounced += 1;
            }
            if unannounced == UNANNOUNCED {
                tracing::warn!(
                    "changes came without a word from the connection that listens; connecting anew"
                );
                listener.reconnect();
                unannounced = 0;
            }
            polled = loop {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return Ok(()),
                    told = listener.next() => {
                        unannounced = 0;
                        // What was told while the last reading went on may be part of it.
                        if !self.has(&told) { break false }
                    }
                    _ = poll.tick() => break true,
                }
            };
            sleep_until(begun + MIN_READ_INTERVAL).await;
        }
    }

    fn has(&self, told: &Woken<Revision>) -> bool {
        let Woken::Told(revision) = told else {
            return false;
        };
        let snapshot = self.store.snapshot();
        snapshot.is_some_and(|current| current.revision >= *revision)
    }

    /// One reading. A database that does not answer is waited for.
    async fn step(&self) -> Result<(), FeedError> {
        let read = match self.store.snapshot() {
            None => self.first().await,
            Some(current) => self.next(&current).await,
        };
        match read {
            Ok(read) => {
                if self.store.age().is_some() {
                    tracing::info!("PostgreSQL answers again");
                }
                self.store.answered();
                if let Some((snapshot, changed)) = read? {
                    self.store.replace(snapshot, changed);
                    self.readiness.ready(WAITS_FOR);
                }
                Ok(())
            }
            Err(error @ DbError::SchemaUnknown(_)) if self.store.snapshot().is_none() => {
                Err(FeedError::Schema(error))
            }
            Err(error) => {
                self.unanswered(&error);
                Ok(())
            }
        }
    }

    /// Everything, from a schema that is known.
    async fn first(&self) -> Result<ParsedChange, DbError> {
        self.db.check_schema().await?;
        let all = self.everything().await?;
        tracing::info!(revision = %all.revision, models = all.rows.models.len(), "read everything");
        Ok(Snapshot::full(&all.rows, all.revision).map(|snapshot| Some((snapshot, None))))
    }

    /// What changed, or everything where the feed no longer holds our revision.
    async fn next(&self, current: &Snapshot) -> Result<ParsedChange, DbError> {
        match self.db.read_changes(current.revision).await? {
            Changes::Rows { to, .. } if to == current.revision => Ok(Ok(None)),
            Changes::Rows { rows, to } => Ok(current.apply(&rows, to).map(|next| {
                let changed = ChangeBatch::new(current, &next, &rows);
                Some((next, Some(changed)))
            })),
            Changes::Reset => {
                tracing::warn!(from = %current.revision, "the feed does not hold this revision any more; reading everything again");
                let all = self.everything().await?;
                Ok(Snapshot::full(&all.rows, all.revision).map(|snapshot| Some((snapshot, None))))
            }
        }
    }

    /// Everything, of a database that a controller has filled, or is about to. An empty one says
    /// nothing of what is declared.
    async fn everything(&self) -> Result<db::Snapshot, DbError> {
        let all = self.db.read_all().await?;
        if all.revision == Revision::default() {
            return Err(DbError::NeverLed);
        }
        Ok(all)
    }

    fn unanswered(&self, error: &DbError) {
        if self.store.snapshot().is_none() {
            self.readiness.waiting(WAITS_FOR, error.to_string());
        }
        if self.store.age().is_none() {
            tracing::warn!(%error, "cannot read the feed; serving what is in memory");
        }
        self.store.unanswered();
    }
}

/// The next snapshot and what changed to it (none: that is not known); none where nothing changed.
type ParsedChange = Result<Option<(Snapshot, Option<ChangeBatch>)>, serde_json::Error>;
