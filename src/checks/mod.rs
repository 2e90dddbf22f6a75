//! Observed state: probes, key validation, model lists and model tests, made against the vendors.
//!
//! Reconciles plan jobs; this module runs them, each by itself at most once at a time, spread and
//! within a budget, stores what they found and reports it. It reads what to check from the
//! database when it checks, so that it judges what is stored, and it asks the kube-apiserver for nothing
//! but tokens to be exchanged. A slow vendor delays other checks of that vendor and nothing else.

pub mod budget;
mod exchange;
pub mod fold;
pub mod inputs;
mod listings;
mod metrics;
mod minter;
mod model_test;
pub mod next_run;
mod open_server;
pub mod requests;
mod run;
pub mod schedule;
mod target;
pub mod threshold;
mod validation;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

pub use exchange::hosts_in;
pub use listings::{ListReads, ModelsById, models_of};
pub use metrics::CheckMetrics;
pub use minter::{MintError, MintedToken, TokenMinter};
pub use schedule::{JobKey, Owner, PlannedJob, Stored};
pub use target::LIST_READ;

use crate::{
    crd::{reasons::Reason, token_services::TokenServices},
    db::{CheckKind, CheckRequest, Db, DbError, EndpointRow, Epoch, LastCheck},
    encryption::KeyringHandle,
    telemetry::spans,
    vendors::HttpClients,
};
use requests::CompletedRequest;
use schedule::{DueJob, Schedule};

/// A check's result, as far as reconciles must know of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose reconcile planned it.
    pub owner: Owner,
    /// Which job of its owner's; `None` where another's found something out: that a key does not
    /// authenticate, or what proves it.
    pub key: Option<JobKey>,
    /// Whether a model list now holds something else than before, or cannot be read any more.
    pub listing_changed: bool,
    /// Whether a row that the check needs cannot be read.
    pub unreadable: bool,
    /// Whether the stored answer was not final: what waited for another one has it.
    pub once_more: bool,
}

/// What checks work with.
pub struct CheckDeps {
    /// PostgreSQL.
    pub db: Db,
    /// This term of leadership.
    pub epoch: Epoch,
    /// The keys that open keys.
    pub keyring: KeyringHandle,
    /// The way to the vendors.
    pub clients: Arc<HttpClients>,
    /// Where tokens of ServiceAccounts come from.
    pub minter: Arc<dyn TokenMinter>,
    /// Where vendors exchange them.
    pub token_services: TokenServices,
    /// Counters.
    pub metrics: CheckMetrics,
}

/// A handle to the checks; cheap to clone.
#[derive(Clone)]
pub struct Checks(Arc<Shared>);

struct Shared {
    runner: run::Runner,
    schedule: Mutex<Schedule>,
    changed: Notify,
    told: Notify,
    reports: mpsc::UnboundedSender<Report>,
}

impl Checks {
    /// Checks with nothing planned yet, and where their results are reported.
    pub fn new(means: CheckDeps) -> (Self, mpsc::UnboundedReceiver<Report>) {
        let (reports, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            runner: run::Runner::new(means, reports.clone()),
            schedule: Mutex::default(),
            changed: Notify::new(),
            told: Notify::new(),
            reports,
        };
        (Self(Arc::new(shared)), receiver)
    }

    /// Metrics that this registry encodes.
    pub fn metrics(registry: &mut Registry) -> CheckMetrics {
        CheckMetrics::register(registry)
    }

    /// Replaces an owner's jobs. A job whose verdict is stored takes up its period where
    /// an earlier process left it.
    ///
    /// # Errors
    /// When the last checks cannot be read; nothing is planned then.
    pub async fn plan(&self, owner: &Owner, jobs: Vec<PlannedJob>) -> Result<(), DbError> {
        let mut since_last = HashMap::new();
        let subjects: Vec<Uuid> = {
            let schedule = self.schedule();
            schedule.with_a_past(&jobs)
        };
        if !subjects.is_empty() {
            let last = self.0.runner.db().last_checks(&subjects).await?;
            since_last = ages(&last, Timestamp::now());
        }
        let now = Instant::now();
        let mut schedule = self.schedule();
        schedule.plan(owner, jobs, &since_last, now);
        if let Some(cause) = spans::Cause::current() {
            schedule.planned_in(owner.uid, &cause, now);
        }
        drop(schedule);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Whether every job of this owner has answered its present trigger; where none is planned too.
    pub fn settled(&self, owner: Uuid) -> bool {
        self.schedule().settled(owner)
    }

    /// Whether each of these jobs has answered its trigger already.
    pub fn settled_for(&self, jobs: &[PlannedJob]) -> bool {
        self.schedule().settled_for(jobs)
    }

    /// Makes an owner's checks due now, for they were asked for. The same request may be told of
    /// again.
    pub fn request(&self, request: &CheckRequest) {
        let (uid, requested_at) = (request.uid, request.requested_at);
        if request.is_live {
            self.schedule().request(uid, requested_at, Instant::now());
        } else {
            self.schedule().request_in_vain(uid, requested_at);
        }
        self.0.changed.notify_one();
    }

    /// Makes those checks now that lacked what it takes to ask, and tells these owners: the keyring has
    /// another key than before.
    pub fn keyring_changed(&self, waiting: impl IntoIterator<Item = Owner>) {
        self.schedule().retry_unasked(Instant::now());
        self.0.changed.notify_one();
        for owner in waiting {
            self.0.runner.tell_credential(owner);
        }
    }

    /// The object's request whose checks have all been made, and of which its row may not say so yet.
    pub fn request_made(&self, owner: Uuid) -> Option<CompletedRequest> {
        self.schedule().request_made(owner)
    }

    /// Notes that the object was reconciled since the checks of that request were made: whoever asked
    /// may look.
    pub fn request_told(&self, made: &CompletedRequest) {
        self.schedule().request_told(made);
        self.0.told.notify_one();
    }

    /// Waits until a request was told. One waits at a time.
    pub async fn request_is_told(&self) {
        self.0.told.notified().await;
    }

    /// The requests whose checks have been made and told since, and those there is nothing to do for.
    pub fn requests_met(&self) -> Vec<CompletedRequest> {
        self.schedule().requests_met()
    }

    /// Forgets requests that were met and that nobody will tell of again.
    pub fn forget_requests(&self, met: &[CompletedRequest]) {
        self.schedule().forget_requests(met);
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: Uuid) {
        self.schedule().forget(owner);
        self.0.runner.forget(owner);
    }

    /// What the vendor's last complete list at an endpoint said, if it was read with what the endpoint
    /// is called with now; else nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn listing(&self, endpoint: &EndpointRow) -> Result<Arc<ModelsById>, DbError> {
        if endpoint.list_read_here().is_none() {
            return Ok(Arc::default());
        }
        let listings = self.0.runner.listings();
        listings.get(endpoint.uid, &endpoint.base_url).await
    }

    /// When this process read an endpoint's list at this URL.
    pub fn list_reads(&self, endpoint: Uuid, url: &str) -> ListReads {
        self.0.runner.listings().reads(endpoint, url)
    }

    /// Runs what is due until `shutdown`; runs under way are dropped, for a check can be repeated.
    ///
    /// # Errors
    /// [`DbError::Fenced`], when this process may write no more.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), DbError> {
        let mut running: JoinSet<Result<(), DbError>> = JoinSet::new();
        loop {
            let due = self.schedule().take_due(Instant::now());
            for run in due {
                let checks = self.clone();
                running.spawn(async move { checks.run_one(run).await });
            }
            let next = self.schedule().next_at();
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.0.changed.notified() => {}
                () = sleep => {}
                Some(ended) = running.join_next() => {
                    ended.map_err(|error| DbError::Other(format!("a check ended: {error}")))??;
                }
            }
        }
    }

    async fn run_one(&self, run: DueJob) -> Result<(), DbError> {
        let key = run.planned.key;
        let mut unreadable = false;
        let span = spans::check(key.kind.as_str(), key.subject, run.cause.clone());
        let ran = self.0.runner.run(&run).instrument(span.clone()).await;
        if let Err(error) = &ran {
            spans::failed(&span, error.into());
        }
        let done = match ran {
            Ok(done) => done,
            Err(error @ DbError::Fenced) => return Err(error),
            Err(error) => {
                unreadable = matches!(error, DbError::Unreadable(_));
                self.0.runner.note_failed(key, &error);
                run::JobResult::unmade()
            }
        };
        // What was forgotten while this ran must not be kept in memory for what it found.
        if !self.schedule().knows(key.subject) {
            self.0.runner.forget(key.subject);
        }
        let awaited = self.schedule().finish(key, done.ended, Instant::now());
        let once_more = run.planned.not_final.is_some();
        if done.changed || done.listing_changed || awaited || unreadable || once_more {
            // Nobody listens after shutdown, which is no error.
            let _ = self.0.reports.send(Report {
                owner: run.owner,
                key: Some(key),
                listing_changed: done.listing_changed,
                unreadable,
                once_more,
            });
        }
        Ok(())
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.0.schedule.lock()
    }
}

/// How long ago each job last asked somebody.
fn ages(last: &[LastCheck], now: Timestamp) -> HashMap<JobKey, Duration> {
    let mut ages: HashMap<JobKey, Duration> = HashMap::new();
    let unasked = [
        Reason::NoValidCredential,
        Reason::NoEndpoint,
        Reason::KeyringUnavailable,
    ]
    .map(Reason::as_str);
    for check in last {
        if unasked.contains(&check.reason.as_str()) {
            continue;
        }
        let key = JobKey {
            kind: check.kind,
            subject: check.subject,
            // A test chooses its endpoint each time: it is one job, wherever it ran.
            endpoint: match check.kind {
                CheckKind::ModelTest => check.subject,
                _ => check.endpoint_uid.unwrap_or(check.subject),
            },
        };
        let age = Duration::try_from(now.duration_since(check.checked_at)).unwrap_or_default();
        let known = ages.entry(key).or_insert(age);
        *known = (*known).min(age);
    }
    ages
}
