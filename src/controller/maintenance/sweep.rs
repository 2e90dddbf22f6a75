//! Removing rows whose objects are gone: the one mechanism that does, for there are no finalizers.
//!
//! A kind's rows are read first, then its complete list: a row that was there before the list was
//! made and is not in it has lost its object. It runs after deletions, after relists and every few
//! minutes, and only over the namespaces that are watched.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Resource,
    api::ListParams,
    core::{ObjectList, Request},
};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::controller::{
    error::{Class, Error},
    runtime::{
        context::Context,
        metrics::KindLabel,
        object_key::{ObjectKey, Wake},
    },
};
use crate::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider};
use crate::db::LiveObject;
use crate::telemetry::spans;

/// Time between two sweeps that nobody asked for.
const SWEEP_PERIOD: Duration = Duration::from_secs(180);
/// How long requests are gathered, so that a deleted namespace is one sweep.
const SWEEP_DEBOUNCE: Duration = Duration::from_millis(200);
/// Wait after a sweep that failed.
const SWEEP_RETRY: Duration = Duration::from_secs(5);
/// Objects listed at once.
const LIST_PAGE_SIZE: u32 = 500;

/// Asks for sweeps.
#[derive(Clone, Debug)]
pub struct Sweeper(mpsc::UnboundedSender<Kind>);

impl Sweeper {
    /// A sender and its receiving end, for [`run`].
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Kind>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Asks for a sweep of a kind soon.
    pub fn ask(&self, kind: Kind) {
        // Nobody listens after shutdown, which is no error.
        let _ = self.0.send(kind);
    }
}

/// Sweeps until `shutdown`.
///
/// # Errors
/// What must end the process.
pub async fn run(
    context: Arc<Context>,
    namespaces: Option<Vec<String>>,
    asked: mpsc::UnboundedReceiver<Kind>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let mut agenda = SweepQueue::new(asked, SWEEP_PERIOD, SWEEP_RETRY);
    loop {
        let due = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            due = agenda.due() => due,
        };
        // Children before parents.
        for kind in Kind::ALL.into_iter().rev() {
            if !due.contains(&kind) {
                continue;
            }
            let sweep = sweep(&context, kind, namespaces.as_deref());
            match sweep.instrument(spans::upkeep("sweep")).await {
                Ok(()) => {}
                Err(error) if error.class() == Class::Fatal => return Err(error),
                Err(error) => {
                    match &error {
                        Error::Db(lost) if lost.is_outage() => {
                            tracing::debug!(%kind, %error, "a sweep waits for the database");
                        }
                        _ => tracing::warn!(%kind, %error, "a sweep did not get through"),
                    }
                    agenda.failed(kind);
                }
            }
        }
    }
}

/// Which kinds are to be swept when. What is asked for, what failed and the period go apart: however
/// often one kind is asked for or fails, all have their turn.
struct SweepQueue {
    asked: mpsc::UnboundedReceiver<Kind>,
    periodic: Interval,
    failed: HashSet<Kind>,
    retry: Duration,
    retry_at: Instant,
}

impl SweepQueue {
    fn new(asked: mpsc::UnboundedReceiver<Kind>, period: Duration, retry: Duration) -> Self {
        let mut periodic = tokio::time::interval_at(Instant::now() + period, period);
        periodic.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            asked,
            periodic,
            failed: HashSet::new(),
            retry,
            retry_at: Instant::now(),
        }
    }

    /// Waits until something is due, and answers what.
    async fn due(&mut self) -> HashSet<Kind> {
        tokio::select! {
            Some(kind) = self.asked.recv() => {
                let mut due = HashSet::from([kind]);
                tokio::time::sleep(SWEEP_DEBOUNCE).await;
                while let Ok(kind) = self.asked.try_recv() {
                    due.insert(kind);
                }
                due
            }
            _ = self.periodic.tick() => Kind::ALL.into(),
            () = tokio::time::sleep_until(self.retry_at), if !self.failed.is_empty() => {
                std::mem::take(&mut self.failed)
            }
        }
    }

    /// A sweep of this kind did not get through, and is tried again.
    fn failed(&mut self, kind: Kind) {
        self.failed.insert(kind);
        self.retry_at = Instant::now() + self.retry;
    }
}

async fn sweep(context: &Context, kind: Kind, namespaces: Option<&[String]>) -> Result<(), Error> {
    let rows = context.db.live_objects(kind, namespaces).await?;
    if !rows.is_empty() {
        sweep_rows(context, kind, namespaces, &rows).await?;
    }
    if kind == Kind::Credential {
        mark_swept(context, &rows).await?;
    }
    Ok(())
}

/// Lets keys leave this very database, once each of its credentials was looked at; after a restore it
/// is another database. Until then the upkeep asks again. What could not be brought into force is switched
/// off with that: what is stored of it may be what was withdrawn since.
async fn mark_swept(context: &Context, rows: &[LiveObject]) -> Result<(), Error> {
    let Some(not_stored) = looked_at(context, rows) else {
        return Ok(());
    };
    let committed = context.db.committed();
    let mark = context.db.write(context.epoch, move |tx| {
        Box::pin(async move {
            let is_news = tx.database_mark_swept(committed).await?;
            let off = match is_news {
                true => tx.credentials_switch_off(&not_stored).await?,
                false => 0,
            };
            Ok((is_news, off))
        })
    });
    let ((is_news, off), _) = mark.await?;
    if is_news {
        tracing::info!("the database agrees with the cluster: keys may be given out of it");
    }
    if off > 0 {
        tracing::warn!(
            credentials = off,
            "credentials that could not be compared with the cluster are switched off until they can be; their statuses say why"
        );
    }
    Ok(())
}

/// Those of these credentials that could not be brought into force, once each was looked at.
fn looked_at(context: &Context, rows: &[LiveObject]) -> Option<Vec<Uuid>> {
    if rows.is_empty() {
        return Some(Vec::new());
    }
    // Before its first list is complete, an object that is declared looks as if it did not decode.
    if !context.lists_complete.load(Ordering::Acquire) {
        return None;
    }
    let index = context.index();
    // What does not decode is never reconciled.
    let is_declared = |row: &&LiveObject| {
        index.uid(&ObjectKey::new(Kind::Credential, &row.namespace, &row.name)) == Some(row.uid)
    };
    let (declared, undecoded): (Vec<&LiveObject>, Vec<_>) = rows.iter().partition(is_declared);
    let declared = || declared.iter().map(|row| row.uid);
    let seen = &context.credentials_seen;
    seen.all(declared()).then(|| {
        let mut not_stored = seen.not_stored(declared());
        not_stored.extend(undecoded.iter().map(|row| row.uid));
        not_stored
    })
}

async fn sweep_rows(
    context: &Context,
    kind: Kind,
    namespaces: Option<&[String]>,
    rows: &[LiveObject],
) -> Result<(), Error> {
    let present = match kind {
        Kind::Provider => present::<LlmProvider>(context, namespaces).await?,
        Kind::Endpoint => present::<LlmEndpoint>(context, namespaces).await?,
        Kind::Credential => present::<LlmCredential>(context, namespaces).await?,
        Kind::Model => present::<LlmModel>(context, namespaces).await?,
        Kind::ModelClass => present::<LlmModelClass>(context, namespaces).await?,
    };
    let gone: Vec<Uuid> = rows
        .iter()
        .map(|row| row.uid)
        .filter(|uid| !present.contains(uid))
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    let users = users(context, kind, &gone).await?;
    // First, for an answer that is lost must not leave their checks running.
    context.forget(&gone);
    let removed = remove(context, kind, &gone).await;
    // Again, for what was under way meanwhile may have planned and kept for them.
    context.forget(&gone);
    context.waker.wake_all(users.into_iter().map(Wake::now));
    let removed = removed?;
    let count = u64::try_from(removed).unwrap_or(u64::MAX);
    context
        .metrics
        .swept
        .get_or_create(&KindLabel::of(kind))
        .inc_by(count);
    tracing::info!(%kind, removed, "removed rows whose objects are gone");
    Ok(())
}

/// Removes rows together, and where that fails one by one, so that none holds up the others. Answers
/// how many went.
async fn remove(context: &Context, kind: Kind, gone: &[Uuid]) -> Result<usize, Error> {
    let together = remove_together(context, kind, gone.to_vec()).await;
    let Err(error) = together else {
        return together;
    };
    if gone.len() == 1 || matches!(&error, Error::Db(lost) if lost.is_outage()) {
        return Err(error);
    }
    let (mut removed, mut failed) = (0, None);
    for uid in gone {
        match remove_together(context, kind, vec![*uid]).await {
            Ok(count) => removed += count,
            Err(error) if error.class() == Class::Fatal => return Err(error),
            Err(error) => {
                tracing::warn!(%kind, %uid, %error, "a row whose object is gone could not be removed");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(removed), Err)
}

async fn remove_together(context: &Context, kind: Kind, uids: Vec<Uuid>) -> Result<usize, Error> {
    let (removed, _) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.soft_delete(kind, &uids).await })
        })
        .await?;
    Ok(removed)
}

/// Who reads the rows of what is to be removed, and must be reconciled without them.
async fn users(context: &Context, kind: Kind, gone: &[Uuid]) -> Result<Vec<ObjectKey>, Error> {
    if kind != Kind::Endpoint {
        return Ok(Vec::new());
    }
    let providers = context.db.providers_of_endpoints(gone).await?;
    let index = context.index();
    Ok(providers
        .iter()
        .flat_map(|provider| {
            let children = [Kind::Credential, Kind::Model]
                .into_iter()
                .flat_map(|kind| index.child_keys(kind, &provider.namespace, &provider.name));
            let own = ObjectKey::new(Kind::Provider, &provider.namespace, &provider.name);
            children.chain([own])
        })
        .collect())
}

/// An object of which nothing but the UID is decoded: its other metadata may be nested as deeply as
/// its spec.
#[derive(Clone, Deserialize)]
struct LiveObjects {
    metadata: LiveObjectMeta,
}

#[derive(Clone, Deserialize)]
struct LiveObjectMeta {
    uid: Option<Uuid>,
}

/// UIDs of all objects of a kind, by metadata alone, so that what does not decode counts too.
async fn present<K>(
    context: &Context,
    namespaces: Option<&[String]>,
) -> Result<HashSet<Uuid>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let paths: Vec<String> = match namespaces {
        None => vec![K::url_path(&(), None)],
        Some(names) => names
            .iter()
            .map(|namespace| K::url_path(&(), Some(namespace)))
            .collect(),
    };
    let mut present = HashSet::new();
    for path in paths {
        let mut params = ListParams::default().limit(LIST_PAGE_SIZE);
        loop {
            let request = Request::new(&path).list_metadata(&params);
            let request = request.map_err(kube::Error::BuildRequest)?;
            let page: ObjectList<LiveObjects> = context.client.request(request).await?;
            let uids = (page.items.iter()).filter_map(|object| object.metadata.uid);
            present.extend(uids);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kind_that_always_fails_and_one_that_is_always_asked_for_keep_none_from_its_turn() {
        let (sweeper, asked) = Sweeper::channel();
        let (period, retry) = (Duration::from_millis(50), Duration::from_millis(10));
        let mut agenda = SweepQueue::new(asked, period, retry);
        let turn_of_all = async {
            for kind in [Kind::Provider, Kind::Endpoint].into_iter().cycle() {
                sweeper.ask(kind);
                let due = agenda.due().await;
                if due.len() == Kind::ALL.len() {
                    return;
                }
                agenda.failed(Kind::Model);
            }
        };
        let deadline = Duration::from_secs(60);
        let turn = tokio::time::timeout(deadline, turn_of_all).await;
        turn.expect("all kinds have their turn");
        agenda.failed(Kind::Model);
        let retried = async { while agenda.due().await != HashSet::from([Kind::Model]) {} };
        let retried = tokio::time::timeout(deadline, retried).await;
        retried.expect("what failed is tried again by itself");
    }
}
