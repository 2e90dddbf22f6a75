//! The queue of those who ask for keys, and the workers that answer them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::record::{Batcher, Job, Ledger};
use super::{
    DisclosedKey, DisclosureMetrics, KeyRequest, LateKeyring, Refusal, RefusalDraft, RefusalLog,
};
use crate::db::{Db, DbError, DbOptions};
use crate::encryption::KeyringHandle;

/// Keys that share a commit of the audit at most.
const MAX_BATCH: usize = 128;
/// Requests that wait for their batch; whoever comes then is told so at once.
const MAX_WAITING: usize = 4096;
/// Batches under way at once. Each takes a connection.
pub(super) const WORKERS: usize = 2;
/// How long a batch waits, and gathers, while another is under way. One that takes longer, for its keys
/// cannot be opened soon, does not hold up all others.
const GATHERED_WITHIN: Duration = Duration::from_millis(50);
/// Within what time everybody has an answer.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1850);

/// PostgreSQL gives up what waits for a lock, or takes too long, before its caller does, so that it
/// is known what became of it.
const SESSION: [(&str, &str); 2] = [("lock_timeout", "500ms"), ("statement_timeout", "1500ms")];
/// How long a call may take in all.
const CALL_TIMEOUT: Duration = Duration::from_millis(1700);

/// A ledger in this database, with a pool of its own: neither readers nor keys wait for each other.
///
/// # Errors
///
/// An unusable URL.
pub fn ledger(url: &str) -> Result<Db, DbError> {
    let options = DbOptions {
        max_connections: WORKERS as u32,
        acquire_timeout: CALL_TIMEOUT,
        call_timeout: CALL_TIMEOUT,
        session: &SESSION,
        ..DbOptions::new("llmplane-keys")
    };
    Db::lazy(url, &options)
}

/// Gives keys out; a clone shares the queue.
#[derive(Clone)]
pub struct Discloser {
    jobs: mpsc::Sender<Job>,
    keyring: LateKeyring,
    refusals: RefusalLog,
    metrics: DisclosureMetrics,
}

/// What works off the queue of a [`Discloser`].
pub struct Workers<L> {
    jobs: Mutex<mpsc::Receiver<Job>>,
    /// Whose batch is under way: one commit at a time is what the audit's chain allows.
    turn: Semaphore,
    batcher: Batcher<L>,
}

impl Discloser {
    /// A queue and its workers, which [`Workers::run`] starts.
    pub fn new<L: Ledger>(
        ledger: L,
        keyring: LateKeyring,
        refusals: RefusalLog,
        metrics: DisclosureMetrics,
    ) -> (Self, Workers<L>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let discloser = Self {
            jobs: sender,
            keyring: keyring.clone(),
            refusals: refusals.clone(),
            metrics: metrics.clone(),
        };
        let workers = Workers {
            jobs: Mutex::new(receiver),
            turn: Semaphore::new(1),
            batcher: Batcher::new(ledger, keyring, refusals, metrics),
        };
        (discloser, workers)
    }

    /// The keyring, once it could be opened.
    pub fn keyring(&self) -> Option<&KeyringHandle> {
        self.keyring.get()
    }

    /// The key, once it is recorded that this caller got it. An answer comes within two seconds.
    ///
    /// # Errors
    ///
    /// Why the key stays. It may have been recorded as given out where that is
    /// [`Refusal::AuditUnavailable`]: what became of the commit is not always known.
    pub async fn disclose(&self, request: KeyRequest) -> Result<DisclosedKey, Refusal> {
        let (answer, answered) = oneshot::channel();
        let request = Arc::new(request);
        let job = Job {
            request: request.clone(),
            answer,
            span: Span::current(),
            superseded: false,
        };
        let refusal = match self.jobs.try_send(job) {
            Err(mpsc::error::TrySendError::Full(_)) => Refusal::Overloaded,
            Err(mpsc::error::TrySendError::Closed(_)) => Refusal::AuditUnavailable,
            Ok(()) => match tokio::time::timeout(ANSWERED_WITHIN, answered).await {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(_)) | Err(_) => Refusal::AuditUnavailable,
            },
        };
        let result = refusal.word();
        self.metrics.ended(result);
        self.refusals.note(RefusalDraft::of(&request, result));
        Err(refusal)
    }
}

impl<L: Ledger> Workers<L> {
    /// Answers until the token is cancelled, or nobody can ask any more.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let this = this.clone();
            workers.spawn(async move { this.work().await });
        }
        // The first that ends, by a panic too, ends all: whoever runs this must not believe that
        // somebody still answers.
        tokio::select! {
            () = stop.cancelled() => {}
            _ = workers.join_next() => {}
        }
    }

    async fn work(&self) {
        let mut again = Vec::new();
        loop {
            let mut batch = std::mem::take(&mut again);
            let turn = match batch.is_empty() {
                true => self.gather(&mut batch).await,
                false => None,
            };
            if batch.is_empty() {
                return;
            }
            let span = batch
                .first()
                .map_or_else(Span::none, |job| job.span.clone());
            again = self.batcher.run(batch).instrument(span).await;
            drop(turn);
        }
    }

    /// Waits for requests, and for a turn, and takes what has come by then.
    async fn gather(&self, batch: &mut Vec<Job>) -> Option<SemaphorePermit<'_>> {
        let mut jobs = self.jobs.lock().await;
        if jobs.recv_many(batch, MAX_BATCH).await == 0 {
            return None;
        }
        let turn = tokio::time::timeout(GATHERED_WITHIN, self.turn.acquire()).await;
        while batch.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        turn.ok()?.ok()
    }
}
