//! Checks that callers ask for, and the wait for what they find.
//!
//! Whoever waits does so with all others of this replica: one task asks the controller for the checks of
//! all of them, and looks now and then, while somebody waits, which were met. What it costs PostgreSQL does
//! not grow with the callers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::problem::{Problem, ProblemType};
use crate::db::{Db, Revision};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For how long a check that was asked for is shared with those who ask later, as PostgreSQL has it.
const SHARED_FOR: Duration = Duration::from_secs(2);
/// Checks that are asked for, or looked after, in one statement.
const AT_ONCE: usize = 500;

/// What became of a check that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckAnswer {
    /// It was made; the row says what it found from this revision on.
    Made(Revision),
    /// It was asked for, and nobody has made it yet.
    Pending,
    /// There is no such object any more.
    Absent,
}

/// The checks that callers of this replica wait for; a clone shares them.
#[derive(Clone, Default)]
pub struct CheckRequests(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    checks: HashMap<Uuid, WaitingCheck>,
    ended: bool,
}

/// A check that somebody waits for.
struct WaitingCheck {
    requester: String,
    /// When PostgreSQL was last told of it; none: it is to be told.
    asked_at: Option<Instant>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Debug)]
enum Progress {
    New,
    Asked,
    Ended(Result<CheckAnswer, Problem>),
}

impl CheckRequests {
    /// Asks for a check of an object and waits for it, at most until this moment. Whoever asks while one is
    /// under way that was asked for less than two seconds ago shares it.
    ///
    /// # Errors
    ///
    /// 503 where it cannot be asked for.
    pub async fn ask(
        &self,
        object: Uuid,
        requester: String,
        until: Instant,
    ) -> Result<CheckAnswer, Problem> {
        let mut progress = self.wait_with_others(object, requester)?;
        let asked = after(&mut progress, |is| !matches!(is, Progress::New)).await;
        asked.ok_or_else(ending)?;
        let ended = after(&mut progress, |is| matches!(is, Progress::Ended(_)));
        match tokio::time::timeout_at(until, ended).await {
            Ok(Some(Progress::Ended(answer))) => answer,
            _ => Ok(CheckAnswer::Pending),
        }
    }

    fn wait_with_others(
        &self,
        object: Uuid,
        requester: String,
    ) -> Result<watch::Receiver<Progress>, Problem> {
        let mut waiting = self.0.waiting.lock();
        if waiting.ended {
            return Err(ending());
        }
        let check = waiting
            .checks
            .entry(object)
            .or_insert_with(|| WaitingCheck {
                requester,
                asked_at: None,
                progress: watch::Sender::new(Progress::New),
            });
        if (check.asked_at).is_some_and(|asked| asked.elapsed() >= SHARED_FOR) {
            check.asked_at = None;
            check.progress.send_replace(Progress::New);
        }
        self.0.news.notify_one();
        Ok(check.progress.subscribe())
    }

    /// Asks for what is waited for, and looks after it, until the token is cancelled: whoever waits then is
    /// told that it is pending.
    pub async fn run(self, db: Db, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_idle = self.0.waiting.lock().checks.is_empty();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.0.news.notified() => self.tell(&db).await,
                _ = look.tick(), if !is_idle => self.look(&db).await,
            }
        }
        let mut waiting = self.0.waiting.lock();
        waiting.ended = true;
        waiting.checks.clear();
    }

    /// Tells the controller of checks that it was not told of.
    async fn tell(&self, db: &Db) {
        loop {
            let (uids, requesters): (Vec<_>, Vec<_>) = {
                let waiting = self.0.waiting.lock();
                let new = waiting.checks.iter().filter(|(_, c)| c.asked_at.is_none());
                new.map(|(uid, check)| (*uid, check.requester.clone()))
                    .take(AT_ONCE)
                    .unzip()
            };
            if uids.is_empty() {
                return;
            }
            let told = db.check_requests_make(&uids, &requesters).await;
            let failed = told.as_ref().err().map(std::string::ToString::to_string);
            if let Some(error) = failed {
                tracing::debug!(error, "checks cannot be asked for");
            }
            let mut waiting = self.0.waiting.lock();
            for uid in &uids {
                match &told {
                    Ok(found) if found.contains(uid) => waiting.asked(*uid),
                    Ok(_) => waiting.end(*uid, Ok(CheckAnswer::Absent)),
                    Err(_) => waiting.end(*uid, Err(unavailable())),
                }
            }
        }
    }

    /// Looks which of them were met, and forgets those that nobody waits for any more.
    async fn look(&self, db: &Db) {
        let asked: Vec<Uuid> = {
            let mut waiting = self.0.waiting.lock();
            waiting
                .checks
                .retain(|_, check| !check.progress.is_closed());
            let asked = waiting.checks.iter().filter(|(_, c)| c.asked_at.is_some());
            asked.map(|(uid, _)| *uid).collect()
        };
        for asked in asked.chunks(AT_ONCE) {
            let (revision, left) = match db.check_requests_left(asked).await {
                Ok(moment) => moment,
                // They were asked for: whoever waits goes on waiting.
                Err(error) => return tracing::debug!(%error, "cannot look after checks"),
            };
            let mut waiting = self.0.waiting.lock();
            for uid in asked.iter().filter(|uid| !left.contains(uid)) {
                // Asked for anew meanwhile, it is another one.
                let same = |check: &WaitingCheck| check.asked_at.is_some();
                if waiting.checks.get(uid).is_some_and(same) {
                    waiting.end(*uid, Ok(CheckAnswer::Made(revision)));
                }
            }
        }
    }
}

impl Waiting {
    fn asked(&mut self, uid: Uuid) {
        if let Some(check) = self.checks.get_mut(&uid) {
            check.asked_at = Some(Instant::now());
            check.progress.send_replace(Progress::Asked);
        }
    }

    fn end(&mut self, uid: Uuid, answer: Result<CheckAnswer, Problem>) {
        if let Some(check) = self.checks.remove(&uid) {
            check.progress.send_replace(Progress::Ended(answer));
        }
    }
}

/// The progress once it is such; none where nobody goes on.
async fn after(
    progress: &mut watch::Receiver<Progress>,
    is_such: impl FnMut(&Progress) -> bool,
) -> Option<Progress> {
    let reached = progress.wait_for(is_such).await;
    reached.ok().map(|is| is.clone())
}

fn unavailable() -> Problem {
    Problem::new(
        ProblemType::DatabaseUnavailable,
        "checks are asked for by PostgreSQL, which does not answer; try again",
    )
}

fn ending() -> Problem {
    Problem::new(
        ProblemType::NotReady,
        "this replica is ending; ask another, or try again",
    )
}
