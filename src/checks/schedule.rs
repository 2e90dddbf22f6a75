//! Which job runs when: single-flight by key, on its period, at once when what it judges has
//! changed. Pure but for the clock that its caller hands in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    next_run,
    requests::{CompletedRequest, Requests},
};
use crate::{
    crd::Kind,
    db::{CheckKind, CredentialRow, StoredCheck},
    telemetry::spans::Cause,
};

/// Within how long a new process tries again what an earlier one left open.
const INCONCLUSIVE_RETRY_AFTER_RESTART: Duration = Duration::from_secs(30);

/// The object whose reconcile planned a job, and which a new verdict wakes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Which of the five.
    pub kind: Kind,
    /// Its UID.
    pub uid: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// A credential, as the owner of its checks.
    pub fn of_credential(credential: &CredentialRow) -> Self {
        Self {
            kind: Kind::Credential,
            uid: credential.uid,
            namespace: credential.namespace.clone(),
            name: credential.name.clone(),
        }
    }
}

/// One job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// What is checked.
    pub kind: CheckKind,
    /// The row that is checked: the endpoint for probes and lists, else the credential or model.
    pub subject: Uuid,
    /// The endpoint at which; nil where the job chooses.
    pub endpoint: Uuid,
}

/// What a reconcile asks of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedJob {
    /// Which job.
    pub key: JobKey,
    /// Time between two runs.
    pub period: Duration,
    /// Time that one run may take.
    pub timeout: Duration,
    /// Changes with whatever makes the stored verdict stale: the job then runs at once.
    pub trigger: u64,
    /// What rows know of the answer to this trigger.
    pub stored: Stored,
    /// Least time between the beginnings of two runs that asked somebody, whatever the trigger, this
    /// process's start or a run that proved nothing: for what may cost the user something. Zero
    /// elsewhere.
    pub apart: Duration,
    /// The stored answer is not final: the job runs again as one does that proved nothing, at most this
    /// long after its last run. `None` where it is.
    pub not_final: Option<Duration>,
    /// It does not run yet: what it needs is about to come, and it is planned again then.
    pub held: bool,
    /// Names of the credentials that are switched on, as they are declared now: their rows, which say whose key may
    /// be used, may be behind that. `None`: any that the rows allow.
    pub credentials: Option<Arc<[String]>>,
}

/// What an earlier run left in the rows for a job's trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// No answer, or one to another trigger: the job runs at once.
    Nothing,
    /// An answer that proved nothing: it is tried again soon.
    Open,
    /// A verdict: the job takes up its period where that run left it.
    StoredCheck,
}

impl Stored {
    /// What this verdict, which was made for the trigger, comes to.
    pub fn of(verdict: &StoredCheck) -> Self {
        match verdict.reason.says_nothing() {
            true => Self::Open,
            false => Self::StoredCheck,
        }
    }

    /// The less of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => Self::Nothing,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::StoredCheck, Self::StoredCheck) => Self::StoredCheck,
        }
    }
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub struct DueJob {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub planned: PlannedJob,
    /// Since when somebody waits for its answer: nobody does where only its period is over.
    pub wanted: Option<Instant>,
    /// The span of the reconcile that waits for it, if one does.
    pub cause: Option<Cause>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobEnd {
    /// It answered its trigger: its period begins anew.
    Judged,
    /// It answered its trigger and proved nothing: it is tried again soon, but not before this has
    /// passed, which the vendor may have asked for; it counts up to the period.
    Open(Duration),
    /// It answered its trigger with what it takes to ask, and is missing. It cost nobody anything,
    /// so that it keeps nothing apart, and is tried again soon.
    Unasked,
    /// It could not be made, so that its trigger is not answered: it is tried again soon.
    Unmade,
    /// It was made, and what it found could not be stored: its trigger is not answered either.
    Unstored,
}

#[derive(Debug)]
struct Job {
    owner: Owner,
    planned: PlannedJob,
    due: Option<Instant>,
    /// The trigger that the last run answered.
    answered: Option<u64>,
    /// It was due while a run was under way: it runs again when that ends.
    again: bool,
    /// Runs in a row that proved nothing, or were not made.
    open_runs: u32,
    /// The last run lacked what it takes to ask.
    unasked: bool,
    /// When the last run that may have asked somebody began, as far as that is known.
    asked_at: Option<Instant>,
    /// Since when its trigger is not answered, or it was asked for.
    wanted: Option<Instant>,
    /// The span of the reconcile that has made it wanted.
    cause: Option<Cause>,
}

impl Job {
    /// `due`, or as late as the last run demands.
    fn not_before(&self, due: Instant) -> Instant {
        match self.asked_at {
            Some(asked_at) => due.max(asked_at + self.planned.apart),
            None => due,
        }
    }
}

/// All jobs of the process.
#[derive(Debug, Default)]
pub struct Schedule {
    jobs: HashMap<JobKey, Job>,
    owned: HashMap<Uuid, HashSet<JobKey>>,
    timeline: BTreeSet<(Instant, JobKey)>,
    /// The runs under way: their triggers, and when they began. By key and not by job: a run outlives a job that is
    /// forgotten, and one that is planned again meanwhile waits for its end.
    running: HashMap<JobKey, (u64, Instant)>,
    requests: Requests,
}

impl Schedule {
    /// Whether anything was planned for this owner.
    pub fn knows(&self, owner: Uuid) -> bool {
        self.owned.contains_key(&owner)
    }

    /// Subjects of those of these jobs that are not planned yet, and for which it matters when they
    /// ran last.
    pub fn with_a_past(&self, jobs: &[PlannedJob]) -> Vec<Uuid> {
        let new = jobs.iter().filter(|job| !self.jobs.contains_key(&job.key));
        let past = |job: &&PlannedJob| job.stored != Stored::Nothing || !job.apart.is_zero();
        new.filter(past).map(|job| job.key.subject).collect()
    }

    /// Replaces an owner's jobs. `since_last` is how long ago a job last ran, where that is known
    /// from before this process: it takes up where the other left.
    pub fn plan(
        &mut self,
        owner: &Owner,
        planned: Vec<PlannedJob>,
        since_last: &HashMap<JobKey, Duration>,
        now: Instant,
    ) {
        let wanted: HashSet<JobKey> = planned.iter().map(|p| p.key).collect();
        let before = self
            .owned
            .insert(owner.uid, wanted.clone())
            .unwrap_or_default();
        for gone in before.difference(&wanted) {
            self.remove_job(gone);
        }
        let keys: Vec<JobKey> = wanted.into_iter().collect();
        for planned in planned {
            self.plan_job(owner, planned, since_last, now);
        }
        if self.requests.planned(owner.uid, &keys) {
            self.hurry(owner.uid, now);
        }
    }

    /// Notes in which span those of an owner's jobs were planned that are wanted since then.
    pub fn planned_in(&mut self, owner: Uuid, cause: &Cause, since: Instant) {
        for key in self.owned.get(&owner).into_iter().flatten() {
            let job = self.jobs.get_mut(key);
            if let Some(job) = job.filter(|job| job.wanted == Some(since)) {
                job.cause = Some(cause.clone());
            }
        }
    }

    /// Forgets an owner that is gone. Runs under way end by themselves and count for nothing.
    pub fn forget(&mut self, owner: Uuid) {
        self.requests.gone(owner);
        for key in self.owned.remove(&owner).unwrap_or_default() {
            self.remove_job(&key);
        }
    }

    fn plan_job(
        &mut self,
        owner: &Owner,
        planned: PlannedJob,
        since_last: &HashMap<JobKey, Duration>,
        now: Instant,
    ) {
        let key = planned.key;
        let answers = self.answers(&key, planned.trigger);
        let Some(job) = self.jobs.get_mut(&key) else {
            let since = since_last.get(&key).copied();
            let owed = since.map_or(Duration::ZERO, |s| planned.apart.saturating_sub(s));
            let wait = first_wait(&planned, since).max(owed);
            let due = (!planned.held).then_some(now + wait);
            let answered = (planned.stored != Stored::Nothing).then_some(planned.trigger);
            self.jobs.insert(
                key,
                Job {
                    owner: owner.clone(),
                    planned,
                    due: None,
                    answered,
                    again: false,
                    open_runs: 0,
                    unasked: false,
                    asked_at: since.and_then(|since| now.checked_sub(since)),
                    wanted: answered.is_none().then_some(now),
                    cause: None,
                },
            );
            self.set_due(key, due);
            return;
        };
        let (old_period, old_trigger) = (job.planned.period, job.planned.trigger);
        let was_final = job.planned.not_final.is_none();
        let released = job.planned.held && !planned.held && job.due.is_none();
        // What it had found is gone, though nothing else changed.
        let is_lost =
            job.planned.stored == Stored::StoredCheck && planned.stored == Stored::Nothing;
        job.owner = owner.clone();
        job.planned = planned;
        let (trigger, period) = (job.planned.trigger, job.planned.period);
        if is_lost {
            job.answered = None;
        }
        if (trigger != old_trigger || released || is_lost) && !answers {
            job.open_runs = 0;
            job.wanted = Some(now);
            let due = (!job.planned.held).then_some(job.not_before(now));
            self.set_due(key, due);
        } else if let Some(longest) = job.planned.not_final.filter(|_| was_final) {
            job.open_runs = 0;
            let again = job.not_before(now + next_run::retry(0, longest, rand::random()));
            let due = job.due.map(|due| due.min(again));
            self.set_due(key, due);
        } else if period < old_period {
            let earliest = job.not_before(now + next_run::around(period, rand::random()));
            let due = job.due.map(|due| due.min(earliest));
            self.set_due(key, due);
        }
    }

    /// Whether the run under way will answer this trigger.
    fn answers(&self, key: &JobKey, trigger: u64) -> bool {
        matches!(self.running.get(key), Some((running, _)) if *running == trigger)
    }

    /// Takes the jobs that are due and not running.
    pub fn take_due(&mut self, now: Instant) -> Vec<DueJob> {
        let mut runs = Vec::new();
        while let Some((at, key)) = self.timeline.first().copied() {
            if at > now {
                break;
            }
            self.timeline.pop_first();
            let Some(job) = self.jobs.get_mut(&key) else {
                continue;
            };
            job.due = None;
            if self.running.contains_key(&key) {
                job.again = true;
                continue;
            }
            job.again = false;
            self.requests.begun(job.owner.uid, &key);
            self.running.insert(key, (job.planned.trigger, now));
            runs.push(DueJob {
                owner: job.owner.clone(),
                planned: job.planned.clone(),
                wanted: job.wanted,
                cause: job.cause.clone(),
            });
        }
        runs
    }

    /// When the next job is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.timeline.first().map(|(at, _)| *at)
    }

    /// Notes how a run ended. Answers whether somebody waits for that: it was the first to answer its
    /// trigger, or it was asked for.
    pub fn finish(&mut self, key: JobKey, ended: JobEnd, now: Instant) -> bool {
        let Some((trigger, begun)) = self.running.remove(&key) else {
            return false;
        };
        let Some(job) = self.jobs.get_mut(&key) else {
            return false;
        };
        let unanswered = matches!(ended, JobEnd::Unmade | JobEnd::Unstored);
        let asked = match unanswered {
            true => {
                self.requests.failed(job.owner.uid, &key);
                false
            }
            false => self.requests.ended(job.owner.uid, &key),
        };
        let first = !unanswered && job.answered != Some(trigger);
        if first {
            job.answered = Some(trigger);
        }
        // Who began to wait while it ran waits for the next.
        if !unanswered && job.wanted.is_some_and(|wanted| wanted <= begun) {
            job.wanted = None;
            job.cause = None;
        }
        if !matches!(ended, JobEnd::Unasked | JobEnd::Unmade) {
            job.asked_at = Some(begun);
        }
        job.unasked = ended == JobEnd::Unasked;
        let failed_before = job.open_runs;
        job.open_runs = match ended {
            JobEnd::Judged if job.planned.not_final.is_none() => 0,
            JobEnd::Judged
            | JobEnd::Open(_)
            | JobEnd::Unasked
            | JobEnd::Unmade
            | JobEnd::Unstored => failed_before.saturating_add(1),
        };
        let period = job.planned.period;
        let again = std::mem::take(&mut job.again);
        let wait = if again || job.planned.trigger != trigger {
            Duration::ZERO
        } else if ended == JobEnd::Judged {
            match job.planned.not_final {
                Some(longest) => {
                    next_run::retry(failed_before, longest.min(period), rand::random())
                }
                None => next_run::around(period, rand::random()),
            }
        } else {
            let least = match ended {
                JobEnd::Open(least) => least.min(period),
                _ => Duration::ZERO,
            };
            next_run::retry(failed_before, period, rand::random()).max(least)
        };
        // What somebody asked for is kept apart from nothing, and a vendor that says when to come again took
        // nothing for this time.
        let is_asked = self.requests.wants(job.owner.uid, &key);
        let is_told_when = matches!(ended, JobEnd::Open(least) if !least.is_zero());
        let due = match is_asked || is_told_when {
            true => now + wait,
            false => job.not_before(now + wait),
        };
        self.set_due(key, Some(due));
        first || asked
    }

    /// Whether every job of this owner has answered its present trigger.
    pub fn settled(&self, owner: Uuid) -> bool {
        self.owned
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|key| self.jobs.get(key))
            .all(|job| job.answered == Some(job.planned.trigger))
    }

    /// Whether each of these jobs is planned as it stands here and has answered.
    pub fn settled_for(&self, jobs: &[PlannedJob]) -> bool {
        jobs.iter().all(|planned| {
            self.jobs
                .get(&planned.key)
                .is_some_and(|job| job.answered == Some(planned.trigger))
        })
    }

    /// Notes that an owner's checks were asked for, and makes those due that have not begun to run for it:
    /// now, or as soon as they are planned. The same request may be told of again: it counts once. One that
    /// comes while an earlier one is under way has to be.
    pub fn request(&mut self, owner: Uuid, requested_at: Timestamp, now: Instant) {
        let jobs = self.owned.get(&owner);
        let jobs = jobs.map(|jobs| jobs.iter().copied().collect());
        if self.requests.note(owner, requested_at, jobs) {
            self.hurry(owner, now);
        }
    }

    /// Notes that of an owner that is gone checks were asked for.
    pub fn request_in_vain(&mut self, owner: Uuid, requested_at: Timestamp) {
        self.requests.note(owner, requested_at, Some(Vec::new()));
    }

    /// The owner's request whose checks have all been made, until it was [told](Self::request_told).
    pub fn request_made(&self, owner: Uuid) -> Option<CompletedRequest> {
        self.requests.made(owner)
    }

    /// Notes that the owner was reconciled since the checks of that request were made.
    pub fn request_told(&mut self, made: &CompletedRequest) {
        self.requests.told(made);
    }

    /// The requests whose checks have been made and told since, and those there is nothing to do for.
    pub fn requests_met(&self) -> Vec<CompletedRequest> {
        self.requests.met()
    }

    /// Forgets requests that were met and that nobody will tell of again.
    pub fn forget_requests(&mut self, met: &[CompletedRequest]) {
        self.requests.forget(met);
    }

    /// Makes those jobs due that an owner's request waits for.
    fn hurry(&mut self, owner: Uuid, now: Instant) {
        for key in self.requests.waiting(owner) {
            if let Some(job) = self.jobs.get_mut(&key) {
                job.wanted = Some(now);
            }
            self.set_due(key, Some(now));
        }
    }

    /// Makes those jobs due whose last run lacked what it takes to ask: it may be there now.
    pub fn retry_unasked(&mut self, now: Instant) {
        let waiting = |job: &&mut Job| job.unasked && job.due.is_some_and(|due| due > now);
        let mut due = Vec::new();
        for job in self.jobs.values_mut().filter(waiting) {
            job.open_runs = 0;
            due.push((job.planned.key, job.not_before(now)));
        }
        for (key, at) in due {
            self.set_due(key, Some(at));
        }
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    fn remove_job(&mut self, key: &JobKey) {
        self.set_due(*key, None);
        if let Some(job) = self.jobs.remove(key) {
            self.requests.dropped(job.owner.uid, key);
        }
    }

    fn set_due(&mut self, key: JobKey, due: Option<Instant>) {
        let Some(job) = self.jobs.get_mut(&key) else {
            return;
        };
        if let Some(old) = job.due.take() {
            self.timeline.remove(&(old, key));
        }
        job.due = due;
        if let Some(at) = due {
            self.timeline.insert((at, key));
        }
    }
}

/// A job without an answer runs at once, and one whose answer proved nothing soon. One that has a
/// verdict takes up its period where it was. Moments that nothing else decides its key does, so that
/// a process that finds much to do does it bit by bit.
fn first_wait(planned: &PlannedJob, since_last: Option<Duration>) -> Duration {
    let spread = next_run::share_of(planned.key);
    match planned.stored {
        Stored::Nothing => return Duration::ZERO,
        Stored::Open => {
            return planned
                .period
                .min(INCONCLUSIVE_RETRY_AFTER_RESTART)
                .mul_f64(spread);
        }
        Stored::StoredCheck => {}
    }
    if let Some(longest) = planned.not_final {
        // What an earlier process waited for is waited for anew.
        return next_run::retry(0, longest.min(planned.period), spread);
    }
    match since_last {
        Some(since) if since < planned.period => planned.period - since,
        // Overdue together, after a long stop: spread over a tenth of the period.
        Some(_) => planned.period.mul_f64(spread / 10.0),
        None => planned.period.mul_f64(spread),
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
