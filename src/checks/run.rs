//! One check: read what to check, call the vendor, store what was found.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    CheckDeps, Report,
    budget::Budget,
    fold, inputs,
    listings::{self, ModelLists},
    metrics::{CheckLabels, word},
    open_server::{self, OpenServers},
    schedule::{DueJob, JobEnd, JobKey, Owner, PlannedJob},
    target::{CheckCall, ChosenKey, NoTarget, TargetResult},
    threshold::{self, ProbeStreak},
};
use crate::{
    crd::reasons::Reason,
    db::{CheckKind, Db, DbError, EndpointRow, NewProbe, StoredCheck},
    vendors::CheckResult,
};

/// Readings of a model list that are looked at for the last one that passed.
const LISTS_LOOKED_AT: i64 = 20;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobResult {
    /// Whether it answered its trigger.
    pub ended: JobEnd,
    /// A stored verdict changed.
    pub changed: bool,
    /// A model list changed, or can be read no more.
    pub listing_changed: bool,
}

impl JobResult {
    /// There was nothing or nobody to ask.
    pub(super) fn unmade() -> Self {
        Self {
            ended: JobEnd::Unmade,
            changed: false,
            listing_changed: false,
        }
    }

    /// Somebody was asked, and the answer could not be stored.
    pub(super) fn unstored() -> Self {
        Self {
            ended: JobEnd::Unstored,
            ..Self::unmade()
        }
    }

    /// Both together: as good as the worse of the two.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            ended: self.ended.max(other.ended),
            changed: self.changed || other.changed,
            listing_changed: self.listing_changed || other.listing_changed,
        }
    }

    /// A check that was made and stored.
    pub(super) fn made(called: &TargetResult, changed: bool) -> Self {
        let ended = match called.found.reason.is_open() {
            _ if called.unasked => JobEnd::Unasked,
            false => JobEnd::Judged,
            true => JobEnd::Open(called.wait),
        };
        Self {
            ended,
            changed,
            listing_changed: false,
        }
    }
}

/// Makes checks.
pub(super) struct Runner {
    pub(super) means: CheckDeps,
    pub(super) budget: Budget,
    listings: ModelLists,
    pub(super) open_servers: OpenServers,
    streaks: Mutex<HashMap<Uuid, ProbeStreak>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Runner {
    pub(super) fn new(means: CheckDeps, reports: mpsc::UnboundedSender<Report>) -> Self {
        Self {
            reports,
            listings: ModelLists::new(means.db.clone()),
            means,
            budget: Budget::default(),
            open_servers: OpenServers::default(),
            streaks: Mutex::default(),
        }
    }

    pub(super) fn db(&self) -> &Db {
        &self.means.db
    }

    pub(super) fn listings(&self) -> &ModelLists {
        &self.listings
    }

    pub(super) fn forget(&self, owner: Uuid) {
        self.listings.forget(owner);
        self.open_servers.forget(owner);
        self.streaks().remove(&owner);
    }

    fn streaks(&self) -> MutexGuard<'_, HashMap<Uuid, ProbeStreak>> {
        self.streaks.lock()
    }

    pub(super) async fn run(&self, job: &DueJob) -> Result<JobResult, DbError> {
        let DueJob {
            planned, wanted, ..
        } = job;
        let key = planned.key;
        match key.kind {
            CheckKind::Probe => self.probe(key.subject, planned.timeout).await,
            CheckKind::Validation => {
                let (credential, endpoint) = (key.subject, key.endpoint);
                self.validation(credential, endpoint, *wanted, planned.timeout)
                    .await
            }
            CheckKind::ModelList => self.model_list(planned).await,
            CheckKind::ModelTest => self.model_test(planned).await,
            CheckKind::Exchange => self.exchange(key.subject, planned.timeout).await,
        }
    }

    async fn probe(&self, endpoint: Uuid, timeout: Duration) -> Result<JobResult, DbError> {
        let (endpoint, called, key) = match self.target(endpoint).await? {
            Err(NoTarget::Off) => return Ok(JobResult::unmade()),
            Err(NoTarget::Unusable(endpoint, found)) => {
                (*endpoint, TargetResult::not(*found), None)
            }
            Ok(target) => {
                let key = self.probe_key(&target).await?;
                let bound = key.as_ref().map(|key| &key.bound);
                let (called, _) = self.ask(&target, bound, timeout, CheckCall::Probe).await;
                (target.endpoint, called, key)
            }
        };
        let verdict = self.judge_probe(&endpoint, &called.found).await?;
        let probe = probe_row(
            CheckKind::Probe,
            endpoint.uid,
            None,
            key.map(|key| key.fingerprint),
            &called,
        );
        self.count(CheckKind::Probe, &called);
        let uid = endpoint.uid;
        let changed = self
            .means
            .db
            .write_unversioned(self.means.epoch, move |tx| {
                Box::pin(async move {
                    tx.health_probe_insert(&probe).await?;
                    match verdict {
                        Some(verdict) => tx.endpoint_verdict_set(uid, &verdict).await,
                        None => Ok(false),
                    }
                })
            })
            .await?;
        Ok(JobResult::made(&called, changed))
    }

    /// The verdict that a probe makes, by the thresholds; `None` while it stays as it is.
    async fn judge_probe(
        &self,
        endpoint: &EndpointRow,
        found: &CheckResult,
    ) -> Result<Option<StoredCheck>, DbError> {
        let now = Timestamp::now();
        let stored = endpoint.found.verdict.as_ref();
        let used = endpoint.health_check.credential_ref.as_ref();
        let inputs = inputs::of_probe(&endpoint.check_inputs, used.map(|r| r.name.as_str()));
        let new = found.verdict(endpoint.generation, inputs, now);
        let Some(passed) = found.success() else {
            return Ok(Some(fold::after(stored, new)));
        };
        let check = &endpoint.health_check;
        let to_fail = u32::try_from(check.failure_threshold).unwrap_or(1);
        let to_pass = u32::try_from(check.success_threshold).unwrap_or(1);
        let known = self.streaks().get(&endpoint.uid).copied();
        let mut streak = match known {
            Some(streak) => streak,
            None => {
                self.earlier_streak(endpoint.uid, to_fail.max(to_pass))
                    .await?
            }
        };
        streak.note(passed);
        self.streaks().insert(endpoint.uid, streak);
        let was = stored
            .filter(|v| v.is_of(&new.inputs) && !v.reason.is_open())
            .map(|v| v.reason == Reason::ProbeSucceeded);
        // A refused address is no outage that could pass: it counts at once.
        let is = match found.reason {
            Reason::AddressRefused => false,
            _ => threshold::state(was, streak, to_fail, to_pass),
        };
        Ok((is == passed).then(|| fold::after(stored, new)))
    }

    async fn earlier_streak(&self, endpoint: Uuid, longest: u32) -> Result<ProbeStreak, DbError> {
        let history = self
            .means
            .db
            .health_history(endpoint, None, i64::from(longest))
            .await?;
        Ok(ProbeStreak::from_history(
            history.iter().map(|row| row.success),
        ))
    }

    async fn model_list(&self, planned: &PlannedJob) -> Result<JobResult, DbError> {
        let (endpoint, timeout) = (planned.key.subject, planned.timeout);
        let declared = planned.credentials.as_deref();
        let (endpoint, provider, called, keys, listing) = match self.target(endpoint).await? {
            Err(NoTarget::Off) => return Ok(JobResult::unmade()),
            Err(NoTarget::Unusable(endpoint, found)) => (
                *endpoint,
                None,
                TargetResult::not(found.of_endpoint()),
                ChosenKey::default(),
                None,
            ),
            Ok(target) => {
                let keys = self.list_key(&target, declared, &[]).await?;
                let asked = self.ask_with_key(&target, &keys, timeout, CheckCall::List);
                let (called, listing) = asked.await;
                let called = TargetResult {
                    found: open_server::listless(called.found),
                    ..called
                };
                (
                    target.endpoint,
                    Some(target.provider),
                    called,
                    keys,
                    listing,
                )
            }
        };
        self.count(CheckKind::ModelList, &called);
        let now = Timestamp::now();
        let stored = endpoint.found.list_verdict.as_ref();
        let inputs = endpoint.check_inputs.clone();
        let (key, fingerprint) = keys.key.map(|key| (key.identity, key.fingerprint)).unzip();
        let new = StoredCheck {
            key,
            last_passed: match called.found.success() {
                Some(true) => None,
                _ => fold::last_passed(stored, self.last_read(&endpoint).await?),
            },
            ..called.found.verdict(endpoint.generation, inputs, now)
        };
        // Of an endpoint that cannot be called, which key would be used is not looked at.
        let stored = match provider {
            Some(_) => fold::with_usable_key(stored, &keys.usable),
            None => stored,
        };
        let verdict = fold::after(stored, new);
        let probe = probe_row(
            CheckKind::ModelList,
            endpoint.uid,
            None,
            fingerprint,
            &called,
        );
        let uid = endpoint.uid;
        let url = endpoint.base_url.as_str().to_owned();
        let listing = match listing {
            // What was listed for other inputs says nothing of these.
            Some(read) if endpoint.list_read_here().is_none() => Some((read, BTreeSet::new())),
            Some(read) => Some(self.listings.after(uid, &url, read).await?),
            None => None,
        };
        let models = listing
            .as_ref()
            .map(|(listing, _)| listings::stored(listing));
        let (changed, differs) = self
            .means
            .db
            .write_unversioned(self.means.epoch, move |tx| {
                Box::pin(async move {
                    tx.health_probe_insert(&probe).await?;
                    let differs = match models {
                        Some(models) => tx.listed_models_replace(uid, &url, &models).await?,
                        None => false,
                    };
                    let changed = tx.endpoint_list_verdict_set(uid, &verdict).await?;
                    Ok((changed, differs))
                })
            })
            .await?;
        // Unlike a probe, whose period is short, a list that was not read is tried again soon.
        let ended = match JobResult::made(&called, changed).ended {
            JobEnd::Judged if listing.is_none() => JobEnd::Open(called.wait),
            // So is one that lacks what was in it before.
            JobEnd::Judged
                if listing
                    .as_ref()
                    .is_some_and(|(_, missed)| !missed.is_empty()) =>
            {
                JobEnd::Open(Duration::ZERO)
            }
            ended => ended,
        };
        if let Some(listing) = listing {
            self.listings
                .put(uid, endpoint.base_url.as_str().to_owned(), listing);
        }
        if differs && let Some(provider) = provider.filter(|p| p.model_sync.enabled) {
            self.note_synced(provider.uid, now).await?;
        }
        Ok(JobResult {
            ended,
            changed,
            listing_changed: changed || differs,
        })
    }

    /// When its model list was read whole last, where the one that is stored was; a look at the
    /// history, for the time of each reading is kept nowhere else.
    async fn last_read(&self, endpoint: &EndpointRow) -> Result<Option<Timestamp>, DbError> {
        let stored = endpoint.found.list_verdict.as_ref();
        if stored.is_none_or(|stored| stored.reason != Reason::SyncSucceeded) {
            return Ok(None);
        }
        let db = &self.means.db;
        let history = db.check_history(endpoint.uid, CheckKind::ModelList, None, LISTS_LOOKED_AT);
        let passed = history
            .await?
            .into_iter()
            .find(|row| row.success == Some(true));
        Ok(passed.map(|row| row.checked_at))
    }

    async fn note_synced(&self, provider: Uuid, now: Timestamp) -> Result<(), DbError> {
        self.means
            .db
            .write(self.means.epoch, move |tx| {
                Box::pin(async move { tx.provider_synced(provider, now).await })
            })
            .await?;
        Ok(())
    }

    /// Wakes the reconcile of a credential of whose key something was found out: one that does not
    /// authenticate is sealed anew.
    pub(super) fn tell_credential(&self, owner: Owner) {
        // Nobody listens after shutdown, which is no error.
        let _ = self.reports.send(Report {
            owner,
            key: None,
            listing_changed: false,
            unreadable: false,
            once_more: false,
        });
    }

    /// Tells the operator of a check that came to nothing for the database's sake.
    pub(super) fn note_failed(&self, key: JobKey, error: &DbError) {
        if error.is_outage() {
            tracing::debug!(kind = ?key.kind, subject = %key.subject, %error, "a check waits for the database");
        } else {
            tracing::warn!(kind = ?key.kind, subject = %key.subject, %error, "a check could not be made or stored");
        }
        self.means.metrics.unmade.inc();
    }

    pub(super) fn count(&self, kind: CheckKind, called: &TargetResult) {
        let labels = CheckLabels {
            kind: word(kind),
            reason: called.found.reason.as_str(),
        };
        self.means.metrics.made.get_or_create(&labels).inc();
        self.means
            .metrics
            .seconds
            .observe(called.took.as_secs_f64());
    }
}

pub(super) fn probe_row(
    kind: CheckKind,
    subject: Uuid,
    endpoint_uid: Option<Uuid>,
    fingerprint: Option<String>,
    called: &TargetResult,
) -> NewProbe {
    NewProbe {
        checked_at: Timestamp::now(),
        subject,
        kind,
        endpoint_uid,
        fingerprint,
        reason: called.found.reason.as_str().to_owned(),
        success: called.found.success(),
        message: called.found.message.clone(),
        latency_ms: i32::try_from(called.took.as_millis()).unwrap_or(i32::MAX),
        http_status: called.found.http_status.map(i32::from),
        request_id: called.found.request_id.clone(),
    }
}
