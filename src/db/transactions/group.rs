//! Group commit: writes that queue while another is under way, or soon after, share a transaction,
//! and with it a revision, a commit and a notification.
//!
//! Each runs behind a savepoint of its own, so that one that fails takes nothing else with it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::deadline::{traced, within};
use super::write::{WRITE_TIMEOUT, WriteResult, WriteTx};
use crate::crd::Kind;
use crate::db::{Db, DbError, Epoch, Revision};

/// Most writes that share a transaction.
const MAX_BATCH: usize = 64;

/// Least time between the beginnings of two transactions. A write that comes alone does not wait;
/// of many that come one after another some gather.
const BATCH_WINDOW: Duration = Duration::from_millis(20);

/// A write that waits for its turn.
trait QueuedWrite: Send {
    fn epoch(&self) -> Epoch;
    fn run<'t>(&'t mut self, tx: &'t mut WriteTx) -> BoxFuture<'t, Result<(), DbError>>;
    fn reply(self: Box<Self>, outcome: Result<Option<Revision>, DbError>);
}

struct Write<T, F> {
    epoch: Epoch,
    f: Option<F>,
    value: Option<T>,
    answer: oneshot::Sender<WriteResult<T>>,
}

impl<T, F> QueuedWrite for Write<T, F>
where
    T: Send,
    F: for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<T, DbError>> + Send,
{
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn run<'t>(&'t mut self, tx: &'t mut WriteTx) -> BoxFuture<'t, Result<(), DbError>> {
        Box::pin(async move {
            if let Some(f) = self.f.take() {
                self.value = Some(f(tx).await?);
            }
            Ok(())
        })
    }

    fn reply(self: Box<Self>, outcome: Result<Option<Revision>, DbError>) {
        let Self { value, answer, .. } = *self;
        let result = outcome.and_then(|revision| match value {
            Some(value) => Ok((value, revision)),
            None => Err(DbError::Other("the write did not run".to_owned())),
        });
        // Whoever asked may have gone; the write stands all the same.
        let _ = answer.send(result);
    }
}

/// Writes that wait for their turn.
#[derive(Default)]
pub(in crate::db) struct WriteQueue {
    jobs: Mutex<Vec<Box<dyn QueuedWrite>>>,
    /// Who holds it writes; when the next transaction may begin.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

impl WriteQueue {
    fn push(&self, job: Box<dyn QueuedWrite>) {
        self.lock().push(job);
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The next batch: the oldest writes, all of one epoch.
    fn take(&self) -> Vec<Box<dyn QueuedWrite>> {
        let mut jobs = self.lock();
        let Some(epoch) = jobs.first().map(|job| job.epoch()) else {
            return Vec::new();
        };
        let end = jobs
            .iter()
            .take(MAX_BATCH)
            .take_while(|job| job.epoch() == epoch)
            .count();
        jobs.drain(..end).collect()
    }

    /// The list is whole whatever happened to whoever held the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn QueuedWrite>>> {
        self.jobs.lock()
    }
}

impl Db {
    /// Runs `f` in a write transaction, possibly together with others that queue. Where something
    /// visible changed, the transaction takes the next revision last of all, so that revisions
    /// become visible in order, and tells the readers; where `f` changed nothing visible, it
    /// answers no revision; where nothing at all was written, the transaction is rolled back.
    ///
    /// Dropping the future does not undo the write. `f` must not wait for anything but the
    /// database: others wait for it.
    ///
    /// # Errors
    ///
    /// [`DbError::Fenced`] when another controller leads: nothing was written. On any error of
    /// `f` nothing of it was written.
    pub async fn write<T, F>(&self, epoch: Epoch, f: F) -> WriteResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<T, DbError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Box::new(Write {
            epoch,
            f: Some(f),
            value: None,
            answer,
        }));
        // As many turns as writes: each turn takes at least one while there are any.
        let db = self.clone();
        tokio::spawn(async move { db.take_turn().await });
        traced("shared transaction", async {
            answered
                .await
                .unwrap_or_else(|_| Err(DbError::Unavailable("the write was given up".to_owned())))
        })
        .await
    }

    async fn take_turn(&self) {
        let mut next = self.queue.turn.lock().await;
        if self.queue.is_empty() {
            return;
        }
        if let Some(next) = *next {
            tokio::time::sleep_until(next).await;
        }
        *next = Some(Instant::now() + BATCH_WINDOW);
        let jobs = self.queue.take();
        let Some(epoch) = jobs.first().map(|job| job.epoch()) else {
            return;
        };
        // Where it takes too long the answers' channels are dropped, which says so.
        let ran = within(WRITE_TIMEOUT, async {
            self.run_batch(epoch, jobs).await;
            Ok(())
        });
        if let Err(error) = ran.await {
            tracing::warn!(%epoch, %error, "a write transaction was given up");
        }
    }

    async fn run_batch(&self, epoch: Epoch, jobs: Vec<Box<dyn QueuedWrite>>) {
        let mut tx = match self.begin(epoch).await {
            Ok(tx) => tx,
            Err(error) => {
                for job in jobs {
                    job.reply(Err(error.clone()));
                }
                return;
            }
        };
        let alone = jobs.len() == 1;
        let mut waiting = Vec::with_capacity(jobs.len());
        let mut all = NotedChanges::default();
        for (place, mut job) in jobs.into_iter().enumerate() {
            let outcome = if alone {
                job.run(&mut tx).await
            } else {
                run_behind_savepoint(&mut tx, &mut *job, place == 0).await
            };
            let noted = NotedChanges::take(&mut tx);
            match self.noted(outcome) {
                Ok(()) => {
                    waiting.push((job, !noted.changed.is_empty()));
                    all.changed.extend(noted.changed);
                    all.wrote |= noted.wrote;
                }
                Err(error) => job.reply(Err(error)),
            }
        }
        (tx.changed, tx.wrote) = (all.changed, all.wrote);
        let ended = self.noted(self.end(tx, epoch).await);
        for (job, visible) in waiting {
            job.reply(ended.clone().map(|revision| revision.filter(|_| visible)));
        }
    }
}

/// What a write noted.
#[derive(Default)]
struct NotedChanges {
    changed: BTreeSet<(Kind, Uuid)>,
    wrote: bool,
}

impl NotedChanges {
    fn take(tx: &mut WriteTx) -> Self {
        Self {
            changed: std::mem::take(&mut tx.changed),
            wrote: std::mem::take(&mut tx.wrote),
        }
    }
}

/// A write that fails is undone to its savepoint. Releasing fails too where the closure went on
/// after a failed statement. A connection that is lost fails what follows as well. The first one
/// makes the savepoint; each leaves one behind for the next.
async fn run_behind_savepoint(
    tx: &mut WriteTx,
    job: &mut dyn QueuedWrite,
    first: bool,
) -> Result<(), DbError> {
    if first {
        sqlx::raw_sql("SAVEPOINT write")
            .execute(&mut *tx.tx)
            .await?;
    }
    let mut outcome = job.run(tx).await;
    if outcome.is_ok() {
        outcome = sqlx::raw_sql("RELEASE SAVEPOINT write; SAVEPOINT write")
            .execute(&mut *tx.tx)
            .await
            .map(drop)
            .map_err(DbError::from);
    }
    if outcome.is_err() {
        sqlx::raw_sql("ROLLBACK TO SAVEPOINT write")
            .execute(&mut *tx.tx)
            .await?;
    }
    outcome
}
