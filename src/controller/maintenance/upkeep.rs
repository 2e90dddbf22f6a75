//! Looks after what changes by itself: whether database and kube-apiserver answer, the keyring,
//! partitions, the length of the feed, what was deleted long ago.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::controller::{error::Error, runtime::context::Context};
use crate::crd::Kind;
use crate::db::{DbError, WriteTx};
use crate::encryption::{KekError, KekId};

/// Time between two looks at the database, the keyring, and a kube-apiserver that was lost.
const DEPENDENCY_POLL: Duration = Duration::from_secs(5);
/// How long a kube-apiserver may take to say its version.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// Time between two looks after partitions, the length of the feed and what was deleted.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(3600);
/// How long changes are kept for readers to resume from, and how many.
const FEED_RETENTION: Duration = Duration::from_secs(24 * 3600);
const MAX_FEED_ROWS: i64 = 1_000_000;
/// Rows of a table that one transaction of the upkeep removes.
const BATCH: i32 = 1000;

/// Rows of the audit that one transaction removes: whoever asks for a key waits meanwhile.
const AUDIT_BATCH: i32 = 10_000;

/// Looks after all of it until `stop`.
///
/// # Errors
/// What must end the process.
pub async fn run(context: Arc<Context>, stop: CancellationToken) -> Result<(), Error> {
    // Apart, for the upkeep may take long, and a look tells whether this controller still leads.
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = look(&context) => ended,
        ended = keep_up(&context) => ended,
    }
}

async fn look(context: &Context) -> Result<(), Error> {
    let mut look = tokio::time::interval(DEPENDENCY_POLL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = KeyringSeen::now(context).await.ok();
    loop {
        look.tick().await;
        look_at_database(context).await?;
        look_at_swept(context).await;
        look_at_apiserver(context).await;
        look_at_keyring(context, &mut seen).await;
    }
}

/// Says whether the database answers and takes writes, and ends a leader that has been replaced while it had
/// nothing to write. So does one whose database was restored to an earlier moment: it believes to
/// be stored what is not.
async fn look_at_database(context: &Context) -> Result<(), Error> {
    let committed = context.db.committed();
    match context.db.feed_state().await {
        Ok(state) if state.epoch != context.epoch || state.revision < committed => {
            Err(DbError::Fenced.into())
        }
        Ok(_) => {
            match context.db.takes_writes().await {
                Ok(()) => context.database.found(),
                Err(error) => context.database.lost(&error),
            }
            Ok(())
        }
        Err(error) => {
            context.database.lost(&error);
            Ok(())
        }
    }
}

/// A database that was restored, or in which another server took over, is compared with the cluster at
/// once: until then it gives out no keys.
async fn look_at_swept(context: &Context) {
    match context.db.database_is_swept().await {
        Ok(true) => {}
        Ok(false) => context.sweeper.ask(Kind::Credential),
        Err(error) => tracing::debug!(%error, "cannot ask whether the database was swept"),
    }
}

/// What a look at the keyring tells from another.
#[derive(PartialEq, Eq)]
struct KeyringSeen {
    active: KekId,
    keks: Vec<KekId>,
    fingerprint_check: [u8; 32],
}

impl KeyringSeen {
    async fn now(context: &Context) -> Result<Self, KekError> {
        let keks = context.keyring.keks();
        Ok(Self {
            active: keks.active().await?.id,
            keks: keks.ids().await?,
            fingerprint_check: context.keyring.fingerprint_check(),
        })
    }
}

/// Reads the keyring anew if it has changed, says so where another key is active than before, and wakes
/// what waited for a key that is there now.
async fn look_at_keyring(context: &Context, seen: &mut Option<KeyringSeen>) {
    let read = match context.keyring.refresh().await {
        Ok(()) => KeyringSeen::now(context).await,
        Err(error) => Err(error),
    };
    let now = match read {
        Ok(now) => now,
        Err(error) => {
            tracing::error!(%error, "the keyring cannot be read; the keys known so far stay in use");
            return;
        }
    };
    let before = seen.as_ref();
    if before.is_some_and(|before| before.active != now.active) {
        tracing::info!(kek = %now.active, "another key-encryption key is active: new rows are encrypted under it");
    }
    let waiting = context.unreadable.waiting().into_iter();
    let found: Vec<_> = waiting
        .filter(|(_, keks)| keks.iter().any(|kek| now.keks.contains(kek)))
        .map(|(owner, _)| owner)
        .collect();
    for owner in &found {
        context.unreadable.woken(owner.uid);
    }
    if !found.is_empty() || before != Some(&now) {
        context.checks.keyring_changed(found);
    }
    *seen = Some(now);
}

/// The watches say when the kube-apiserver is lost; that it is back they say only when something
/// happens, so that it is asked.
async fn look_at_apiserver(context: &Context) {
    if !context.apiserver.is_lost() {
        return;
    }
    let version = tokio::time::timeout(ANSWERS_WITHIN, context.client.apiserver_version());
    if let Ok(Ok(_)) = version.await {
        context.apiserver.found();
    }
}

async fn keep_up(context: &Context) -> Result<(), Error> {
    let mut upkeep = tokio::time::interval(MAINTENANCE_PERIOD);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        upkeep.tick().await;
        let partitions = context.db.maintain_partitions().await;
        got_through("partitions and retention", partitions.map(drop))?;
        let compacted = in_batches(context, |tx| {
            Box::pin(tx.changes_compact(FEED_RETENTION, MAX_FEED_ROWS, BATCH.into()))
        });
        got_through("the length of the feed", compacted.await)?;
        let purged = in_batches(context, |tx| Box::pin(tx.deleted_purge(BATCH)));
        got_through("what was deleted long ago", purged.await)?;
        let forgotten = in_batches(context, |tx| Box::pin(tx.needs_forget(BATCH)));
        got_through("old counts of what was asked for", forgotten.await)?;
        let checks = in_batches(context, |tx| Box::pin(tx.audit_checks()));
        got_through("what checks used keys for", checks.await)?;
        let pruned = in_batches(context, |tx| {
            Box::pin(async move { Ok(u64::from(tx.audit_prune(AUDIT_BATCH).await?)) })
        });
        got_through("old rows of the audit", pruned.await)?;
    }
}

/// One thing that does not get through keeps nothing else from it; it is tried again next time.
fn got_through(what: &str, done: Result<(), DbError>) -> Result<(), Error> {
    match done {
        Ok(()) => Ok(()),
        Err(error @ DbError::Fenced) => Err(error.into()),
        Err(error) => {
            tracing::warn!(what, %error, "upkeep of the database did not get through");
            Ok(())
        }
    }
}

/// Removes rows a batch at a time, each in a transaction of its own, until none is left.
async fn in_batches(
    context: &Context,
    batch: for<'t> fn(&'t mut WriteTx) -> BoxFuture<'t, Result<u64, DbError>>,
) -> Result<(), DbError> {
    while context.db.write_unversioned(context.epoch, batch).await? > 0 {}
    Ok(())
}
