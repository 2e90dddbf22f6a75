//! Checks that somebody asked for, until each job of the object has run since and the object's row
//! says what was found. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::schedule::JobKey;

/// A request that was met: its row has done what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedRequest {
    /// The object.
    pub uid: Uuid,
    /// The moment up to which whoever asked is answered: a later request of the same object is another
    /// one.
    pub requested_at: Timestamp,
}

#[derive(Debug)]
struct Request {
    /// Whoever asked up to this moment is answered by its runs.
    requested_at: Timestamp,
    /// The newest time that somebody asked, as far as it was told of.
    heard_at: Timestamp,
    /// The jobs that have not run since, and whether such a run has begun; `None` while it is not
    /// known which jobs there are.
    left: Option<HashMap<JobKey, bool>>,
    /// Whether a job has run for it.
    ran: bool,
    /// Whether the object was reconciled since the last of them ended.
    told: bool,
}

impl Request {
    /// Whether none of its jobs has begun to run for it.
    fn is_untouched(&self) -> bool {
        let has_begun = |left: &HashMap<JobKey, bool>| left.values().any(|begun| *begun);
        !self.ran && !self.is_made() && !self.left.as_ref().is_some_and(has_begun)
    }

    /// Whether no job is left to run.
    fn is_made(&self) -> bool {
        self.left.as_ref().is_some_and(HashMap::is_empty)
    }

    /// Whether nothing is left to do: what jobs found is in the object's row too.
    fn is_met(&self) -> bool {
        self.is_made() && (self.told || !self.ran)
    }
}

/// The requests that are known, by object.
#[derive(Debug, Default)]
pub(super) struct Requests(HashMap<Uuid, Request>);

impl Requests {
    /// Notes that somebody asked; answers whether that is news. `jobs` are the object's, where they are
    /// known.
    ///
    /// Where nothing of an earlier request has run yet, its runs are this one's too. Else it is not
    /// touched, and this one is told of again once that was met: whoever asks never makes who asked
    /// before wait for another run.
    pub(super) fn note(
        &mut self,
        uid: Uuid,
        requested_at: Timestamp,
        jobs: Option<Vec<JobKey>>,
    ) -> bool {
        let Some(known) = self.0.get_mut(&uid) else {
            let request = Request {
                requested_at,
                heard_at: requested_at,
                left: jobs.map(to_run),
                ran: false,
                told: false,
            };
            self.0.insert(uid, request);
            return true;
        };
        let is_news = known.heard_at != requested_at;
        known.heard_at = requested_at;
        if known.is_untouched() {
            known.requested_at = requested_at;
        }
        is_news
    }

    /// The object's jobs are these; answers whether a request waited for that.
    pub(super) fn planned(&mut self, uid: Uuid, jobs: &[JobKey]) -> bool {
        let waits = |request: &&mut Request| request.left.is_none();
        let Some(request) = self.0.get_mut(&uid).filter(waits) else {
            return false;
        };
        request.left = Some(to_run(jobs.iter().copied()));
        true
    }

    /// Jobs of the object that are to run for its request, and have not begun to.
    pub(super) fn waiting(&self, uid: Uuid) -> Vec<JobKey> {
        let left = self.0.get(&uid).and_then(|request| request.left.as_ref());
        let waiting = left.into_iter().flatten().filter(|(_, begun)| !**begun);
        waiting.map(|(job, _)| *job).collect()
    }

    /// Whether the job is one of those that are to run for a request.
    pub(super) fn wants(&self, uid: Uuid, job: &JobKey) -> bool {
        let left = self.0.get(&uid).and_then(|request| request.left.as_ref());
        left.is_some_and(|left| left.contains_key(job))
    }

    /// A run of the job has begun.
    pub(super) fn begun(&mut self, uid: Uuid, job: &JobKey) {
        if let Some(begun) = self.left(uid, job) {
            *begun = true;
        }
    }

    /// A run of the job has ended without an answer that is stored: it has to run again.
    pub(super) fn failed(&mut self, uid: Uuid, job: &JobKey) {
        if let Some(begun) = self.left(uid, job) {
            *begun = false;
        }
    }

    /// A run of the job has ended, and what it found is stored. Answers whether it was one that was
    /// asked for.
    pub(super) fn ended(&mut self, uid: Uuid, job: &JobKey) -> bool {
        let Some(request) = self.0.get_mut(&uid) else {
            return false;
        };
        let Some(left) = request.left.as_mut() else {
            return false;
        };
        let asked = left.get(job) == Some(&true);
        if asked {
            left.remove(job);
            request.ran = true;
        }
        asked
    }

    fn left(&mut self, uid: Uuid, job: &JobKey) -> Option<&mut bool> {
        self.0.get_mut(&uid)?.left.as_mut()?.get_mut(job)
    }

    /// The object's request whose jobs have all run, and of which its row may not say so yet.
    pub(super) fn made(&self, uid: Uuid) -> Option<CompletedRequest> {
        let request = self.0.get(&uid)?;
        (request.is_made() && !request.is_met()).then_some(CompletedRequest {
            uid,
            requested_at: request.requested_at,
        })
    }

    /// The object was reconciled since that request was made.
    pub(super) fn told(&mut self, made: &CompletedRequest) {
        if let Some(request) = self.0.get_mut(&made.uid)
            && request.requested_at == made.requested_at
        {
            request.told = true;
        }
    }

    /// The job is planned no more.
    pub(super) fn dropped(&mut self, uid: Uuid, job: &JobKey) {
        if let Some(left) = self.0.get_mut(&uid).and_then(|r| r.left.as_mut()) {
            left.remove(job);
        }
    }

    /// There is nothing to check: the object is gone.
    pub(super) fn gone(&mut self, uid: Uuid) {
        if let Some(request) = self.0.get_mut(&uid) {
            request.left = Some(HashMap::new());
            request.ran = false;
        }
    }

    /// Those that were met and not forgotten yet.
    pub(super) fn met(&self) -> Vec<CompletedRequest> {
        self.0
            .iter()
            .filter(|(_, request)| request.is_met())
            .map(|(uid, request)| CompletedRequest {
                uid: *uid,
                requested_at: request.requested_at,
            })
            .collect()
    }

    /// Forgets those that were met, once nobody will tell of them again.
    pub(super) fn forget(&mut self, met: &[CompletedRequest]) {
        for met in met {
            let same = |request: &Request| request.requested_at == met.requested_at;
            if self.0.get(&met.uid).is_some_and(same) {
                self.0.remove(&met.uid);
            }
        }
    }
}

fn to_run(jobs: impl IntoIterator<Item = JobKey>) -> HashMap<JobKey, bool> {
    jobs.into_iter().map(|job| (job, false)).collect()
}
