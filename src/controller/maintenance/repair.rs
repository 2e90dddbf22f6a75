//! Rows that cannot be read hold up whoever reads them. They are found when that happens, emptied, and
//! written anew by their objects' reconciles; those without an object are swept.

use std::time::Duration;

use tokio::time::Instant;

use crate::controller::{
    error::Error,
    runtime::{
        context::Context,
        object_key::{ObjectKey, Wake},
    },
};

/// Least time between two searches, which read every row.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// When the last search ended; one at a time.
pub type LastRepair = tokio::sync::Mutex<Option<Instant>>;

/// Repairs what cannot be read.
///
/// # Errors
/// Those of the database.
pub async fn repair(context: &Context) -> Result<(), Error> {
    let mut last = context.last_repair.lock().await;
    if last.is_some_and(|last| last.elapsed() < MIN_INTERVAL) {
        return Ok(());
    }
    for (kind, uid) in context.db.unreadable_rows().await? {
        let (whose, _) = context
            .db
            .write(context.epoch, move |tx| {
                Box::pin(async move { tx.row_reset(kind, uid).await })
            })
            .await?;
        tracing::error!(%kind, %uid, "a row could not be read and is written anew from its resource; find out who else writes to the database");
        if let Some(whose) = whose {
            let key = ObjectKey::new(kind, whose.namespace, whose.name);
            context.waker.wake(Wake::now(key));
        }
        context.sweeper.ask(kind);
    }
    *last = Some(Instant::now());
    Ok(())
}
