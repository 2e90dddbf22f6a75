//! Moves what was audited in transactions into the chain, and anchors the chain's head: in the
//! database, and in the log, which whoever has the database does not have.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Anchor};
use crate::controller::{error::Error, runtime::context::Context};
use crate::db::{AuditHead, DbError};

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
    /// The newest one.
    last: Option<Anchor>,
    /// Whether it was said what is wrong.
    told: bool,
}

impl Anchors {
    async fn anchor_if_due(&mut self, context: &Context) -> Result<(), DbError> {
        match self.made.is_none_or(|made| made.elapsed() >= ANCHOR_PERIOD) {
            true => self.anchor(context).await,
            false => Ok(()),
        }
    }

    /// Anchors the head where it has moved since the last anchor. What was anchored before must still
    /// be there: a chain that was changed is not signed.
    async fn anchor(&mut self, context: &Context) -> Result<(), DbError> {
        let head = context.db.audit_head().await?;
        if self.last.is_none() {
            self.last = self.stored(context).await?;
        }
        if let Some(last) = &self.last {
            if !is_there(context, last, &head).await? {
                self.tell(context, "the audit was changed behind the last anchor, and is not anchored any more; see docs/audit.md", &last.to_string());
                return Ok(());
            }
            if head.seq == last.seq {
                return Ok(());
            }
        }
        if head.seq == 0 {
            return Ok(());
        }
        let anchor = match audit::anchor(&context.keyring, &head) {
            Ok(anchor) => anchor,
            Err(error) => {
                self.tell(
                    context,
                    "the audit is not anchored: a row that is changed later cannot be proven to be",
                    &error.to_string(),
                );
                return Ok(());
            }
        };
        let mac = anchor.mac.clone();
        context
            .db
            .write_unversioned(context.epoch, move |tx| {
                Box::pin(async move { tx.audit_anchor_insert(&head, &mac).await })
            })
            .await?;
        tracing::info!(%anchor, "the head of the audit is anchored");
        context.metrics.audit_anchored.set(anchor.seq);
        (self.told, self.made, self.last) = (false, Some(Instant::now()), Some(anchor));
        Ok(())
    }

    /// The newest anchor of an earlier process, where it is one of this keyring's.
    async fn stored(&mut self, context: &Context) -> Result<Option<Anchor>, DbError> {
        let newest = context.db.audit_anchor_newest().await?.map(Anchor::from);
        let Some(newest) = newest else {
            return Ok(None);
        };
        match newest.is_genuine(&context.keyring) {
            Ok(true) => Ok(Some(newest)),
            Ok(false) => {
                self.tell(context, "the newest anchor of the audit was not made with this keyring's audit.key; it counts for nothing", &newest.to_string());
                Ok(None)
            }
            // Said where one is to be made.
            Err(_) => Ok(None),
        }
    }

    /// Logs and counts what an operator has to look at, once while it lasts.
    fn tell(&mut self, context: &Context, what: &str, detail: &str) {
        if !std::mem::replace(&mut self.told, true) {
            context.metrics.audit_anchor_failures.inc();
            tracing::error!(detail, "{what}");
        }
    }
}

/// Whether the row that was anchored is there as it was; the retention may have removed it.
async fn is_there(context: &Context, last: &Anchor, head: &AuditHead) -> Result<bool, DbError> {
    let (hash, oldest) = context.db.audit_hash_at(last.seq).await?;
    let pruned = hash.is_none() && oldest.is_none_or(|oldest| oldest > last.seq);
    Ok(head.seq >= last.seq && (pruned || hash.as_ref() == Some(&last.hash)))
}
