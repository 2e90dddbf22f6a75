//! Moves what was audited in transactions into the chain, and anchors the chain's head: in the
//! database, and in the log, which whoever has the database does not have.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::controller::{error::Error, runtime::context::Context};
use crate::db::DbError;

/// Time between two looks for rows that wait to be moved into the chain.
const FLUSH_PERIOD: Duration = Duration::from_secs(2);
/// Rows that are moved at once: who asks for a key waits meanwhile.
const FLUSH_BATCH: i32 = 500;
/// Least time between two anchors of a head that moves.
const ANCHOR_PERIOD: Duration = Duration::from_secs(60);

/// Does both until `stop`.
///
/// # Errors
/// What must end the process.
pub async fn run(context: Arc<Context>, stop: CancellationToken) -> Result<(), Error> {
    let mut anchors = Anchors::default();
    let mut look = tokio::time::interval(FLUSH_PERIOD);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = look.tick() => {}
        }
        let done = async {
            flush_outbox(&context).await?;
            anchors.anchor_if_due(&context).await
        };
        match done.await {
            Err(error @ DbError::Fenced) => return Err(error.into()),
            // What the next look will do as well.
            Err(error) if error.is_transient() => tracing::debug!(%error, "the audit waits"),
            Err(error) => tracing::error!(%error, "the audit's rows cannot be chained or anchored"),
            Ok(()) => {}
        }
    }
}

async fn flush_outbox(context: &Context) -> Result<(), DbError> {
    while context.db.audit_flush(FLUSH_BATCH).await? == FLUSH_BATCH {}
    Ok(())
}

#[derive(Default)]
struct Anchors {
    /// When this process anchored last.
    made: Option<Instant>,
    /// Whether it was said that there is no key to anchor with.
    told: bool,
}

impl Anchors {
    async fn anchor_if_due(&mut self, context: &Context) -> Result<(), DbError> {
        match self.made.is_none_or(|made| made.elapsed() >= ANCHOR_PERIOD) {
            true => self.anchor(context).await,
            false => Ok(()),
        }
    }

    /// Anchors the head where it has moved since the last anchor.
    async fn anchor(&mut self, context: &Context) -> Result<(), DbError> {
        let head = context.db.audit_head().await?;
        let newest = context.db.audit_anchor_newest().await?;
        if head.seq == 0 || newest.is_some_and(|newest| newest.seq >= head.seq) {
            return Ok(());
        }
        let anchor = match audit::anchor(&context.keyring, &head) {
            Ok(anchor) => anchor,
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, "the audit is not anchored: a row that is changed later cannot be proven to be");
                }
                return Ok(());
            }
        };
        (self.told, self.made) = (false, Some(Instant::now()));
        let mac = anchor.mac.clone();
        context
            .db
            .write_unversioned(context.epoch, move |tx| {
                Box::pin(async move { tx.audit_anchor_insert(&head, &mac).await })
            })
            .await?;
        tracing::info!(%anchor, "the head of the audit is anchored");
        context.metrics.audit_anchored.set(anchor.seq);
        Ok(())
    }
}
