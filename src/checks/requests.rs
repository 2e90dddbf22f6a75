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
    /// When it was asked for: a later request of the same object is another one.
    pub requested_at: Timestamp,
}

#[derive(Debug)]
struct Request {
    requested_at: Timestamp,
    /// The jobs that have not run since, and whether such a run has begun; `None` while it is not
    /// known which jobs there are.
    left: Option<HashMap<JobKey, bool>>,
    /// Whether a job has run for it.
    ran: bool,
    /// Whether the object was reconciled since the last of them ended.
    told: bool,
}

impl Request {
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
    /// Notes a request; answers whether it was news. `jobs` are the object's, where they are known.
    pub(super) fn note(
        &mut self,
        uid: Uuid,
        requested_at: Timestamp,
        jobs: Option<Vec<JobKey>>,
    ) -> bool {
        let known = self.0.get(&uid);
        if known.is_some_and(|known| known.requested_at == requested_at) {
            return false;
        }
        let request = Request {
            requested_at,
            left: jobs.map(to_run),
            ran: false,
            told: false,
        };
        self.0.insert(uid, request);
        true
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

    /// A run of the job has begun.
    pub(super) fn begun(&mut self, uid: Uuid, job: &JobKey) {
        let left = self.0.get_mut(&uid).and_then(|r| r.left.as_mut());
        if let Some(begun) = left.and_then(|left| left.get_mut(job)) {
            *begun = true;
        }
    }

    /// A run of the job has ended, however it did: what could not be made says so elsewhere. Answers
    /// whether it was one that was asked for.
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
