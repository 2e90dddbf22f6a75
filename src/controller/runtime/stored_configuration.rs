//! The configuration as it is stored, in memory, for as long as there are classes whose meaning depends
//! on it; and whom a change of it wakes.
//!
//! It is the snapshot that the read API answers from, filled by the same feed, so that a class means
//! here what an agent is told. A controller without classes reads and holds none of it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{context::Context, object_key::Wake};
use crate::{
    admin::Readiness,
    controller::error::Error,
    crd::Kind,
    snapshot::{ChangeCursor, NextChange, Snapshot, Store, feed::Feed},
};

/// Least time between two wake-ups of a class by changes of what is stored.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after a feed that ended by itself.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// The configuration as it is stored.
#[derive(Default)]
pub struct StoredConfiguration {
    store: Arc<Store>,
    wanted: Notify,
}

impl StoredConfiguration {
    /// The newest that was read. The first call asks for it to be read, and every class is woken then.
    ///
    /// # Errors
    /// [`Error::Waiting`] before it was read.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        self.store.snapshot().ok_or_else(|| {
            self.wanted.notify_one();
            Error::Waiting("the stored configuration to be read".to_owned())
        })
    }
}

/// Reads it once it is wanted, follows it, and wakes classes, until `stop`.
///
/// # Errors
/// None so far: what goes wrong is logged and tried again.
pub async fn run(context: Arc<Context>, stop: CancellationToken) -> Result<(), Error> {
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = context.stored.wanted.notified() => {}
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow(&context, &stop) => {}
        () = wake_classes(&context) => {}
    }
    Ok(())
}

async fn follow(context: &Context, stop: &CancellationToken) {
    loop {
        // The controller's own readiness does not wait for it: it says itself whether the database answers.
        let store = context.stored.store.clone();
        let feed = Feed::new(context.db.clone(), store, Readiness::default());
        match feed.run(stop.clone()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(%error, "the stored configuration cannot be followed, so that classes keep their meaning; it is tried again");
            }
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Wakes the classes of the namespaces in which something changed that they may depend on.
async fn wake_classes(context: &Context) {
    let store = &context.stored.store;
    let mut revisions = store.revisions();
    let mut reader: Option<ChangeCursor> = None;
    while revisions.changed().await.is_ok() {
        let changed = changes(store, &mut reader);
        let is_none = changed.as_ref().is_some_and(HashSet::is_empty);
        if !is_none {
            let classes = context.index().class_keys(changed.as_ref());
            context.waker.wake_all(classes.into_iter().map(Wake::now));
            // What changes meanwhile wakes them together, once.
            tokio::time::sleep(MIN_INTERVAL).await;
        }
    }
    // The store is there for as long as the context is.
    std::future::pending::<()>().await;
}

/// The namespaces in which something else than a class changed since the last call; `None`: it may be
/// any.
fn changes(store: &Store, reader: &mut Option<ChangeCursor>) -> Option<HashSet<String>> {
    let mut namespaces = HashSet::new();
    let mut at = match *reader {
        Some(at) => at,
        None => {
            *reader = store.begin().map(|(_, head)| head);
            return None;
        }
    };
    loop {
        match store.next(at) {
            NextChange::Batch(batch) => {
                let others = batch.changes.iter();
                let others = others.filter(|change| change.kind != Kind::ModelClass);
                namespaces.extend(others.map(|change| change.namespace.clone()));
                at = at.at(batch.to);
            }
            NextChange::None => {
                *reader = Some(at);
                return Some(namespaces);
            }
            NextChange::Lost | NextChange::Reset => {
                *reader = store.begin().map(|(_, head)| head);
                return None;
            }
        }
    }
}
