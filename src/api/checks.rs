//! Checks that callers ask for, and the wait for what they find.
//!
//! Whoever waits does so with all others of this replica: one task asks the controller for the checks of
//! all of them, and looks now and then, while somebody waits, which were met. What it costs PostgreSQL does
//! not grow with the callers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::problem::{Problem, ProblemType};
use crate::db::{AskedCheck, Db, Revision};

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
    /// Checks that PostgreSQL is to be told of, by object.
    new: HashMap<Uuid, NewCheck>,
    /// Checks that it was told of. Of one object there are several where somebody asked while the check of
    /// an earlier one was under way.
    asked: HashMap<Uuid, Vec<OpenCheck>>,
    ended: bool,
}

struct NewCheck {
    requester: String,
    progress: watch::Sender<Progress>,
}

struct OpenCheck {
    /// By PostgreSQL's clock.
    requested_at: Timestamp,
    /// Until when others share it.
    shared_until: Instant,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Debug)]
enum Progress {
    New,
    Asked,
    Ended(Result<CheckAnswer, Problem>),
}

impl CheckRequests {
    /// Asks for a check of an object and waits for it, at most until this moment. One that was asked for less
    /// than two seconds ago and is under way is shared; behind one that was asked for earlier comes another.
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
        let now = Instant::now();
        let asked = waiting.asked.get(&object).into_iter().flatten();
        if let Some(shared) = asked.into_iter().find(|check| now < check.shared_until) {
            return Ok(shared.progress.subscribe());
        }
        let new = waiting.new.entry(object).or_insert_with(|| NewCheck {
            requester,
            progress: watch::Sender::new(Progress::New),
        });
        self.0.news.notify_one();
        Ok(new.progress.subscribe())
    }

    /// Asks for what is waited for, and looks after it, until the token is cancelled: whoever waits then is
    /// told that it is pending.
    pub async fn run(self, db: Db, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_idle = self.0.waiting.lock().asked.is_empty();
            // In this order: no number of new ones keeps it from ending, or from looking.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = look.tick(), if !is_idle => self.look(&db).await,
                () = self.0.news.notified() => self.tell(&db).await,
            }
        }
        let mut waiting = self.0.waiting.lock();
        waiting.ended = true;
        waiting.new.clear();
        waiting.asked.clear();
    }

    /// Tells the controller of checks that it was not told of: of so many as one statement takes.
    async fn tell(&self, db: &Db) {
        let new = self.0.waiting.lock().take_new();
        if new.is_empty() {
            return;
        }
        let uids: Vec<Uuid> = new.keys().copied().collect();
        let requesters: Vec<String> = new.values().map(|new| new.requester.clone()).collect();
        let told_at = Instant::now();
        let told = db.check_requests_make(&uids, &requesters).await;
        let mut waiting = self.0.waiting.lock();
        match told {
            Ok(asked) => waiting.asked(new, &asked, told_at),
            // Nobody else's: what was asked for before goes on.
            Err(error) => {
                tracing::debug!(%error, "checks cannot be asked for");
                for new in new.into_values() {
                    end(&new.progress, Err(unavailable()));
                }
            }
        }
        if !waiting.new.is_empty() {
            self.0.news.notify_one();
        }
    }

    /// Looks which of them were met, and forgets those that nobody waits for any more.
    async fn look(&self, db: &Db) {
        let asked: Vec<Uuid> = {
            let mut waiting = self.0.waiting.lock();
            waiting.retain(|_, check| !check.progress.is_closed());
            waiting.asked.keys().copied().collect()
        };
        for asked in asked.chunks(AT_ONCE) {
            let (revision, left) = match db.check_requests_left(asked).await {
                Ok(moment) => moment,
                // They were asked for: whoever waits goes on waiting.
                Err(error) => return tracing::debug!(%error, "cannot look after checks"),
            };
            self.0.waiting.lock().retain(|uid, check| {
                let is_open = |met_at: &Timestamp| *met_at < check.requested_at;
                let is_met = asked.contains(uid) && !left.get(uid).is_some_and(is_open);
                if is_met {
                    end(&check.progress, Ok(CheckAnswer::Made(revision)));
                }
                !is_met
            });
        }
    }
}

impl Waiting {
    /// Takes checks that PostgreSQL is to be told of, as many as one statement takes.
    fn take_new(&mut self) -> HashMap<Uuid, NewCheck> {
        let uids: Vec<Uuid> = self.new.keys().copied().take(AT_ONCE).collect();
        let taken = uids.iter().map(|uid| self.new.remove_entry(uid));
        taken.flatten().collect()
    }

    /// PostgreSQL was told of these, and answered which objects there are.
    fn asked(&mut self, mut new: HashMap<Uuid, NewCheck>, asked: &[AskedCheck], told_at: Instant) {
        for check in asked {
            let Some(NewCheck { progress, .. }) = new.remove(&check.uid) else {
                continue;
            };
            progress.send_replace(Progress::Asked);
            self.asked.entry(check.uid).or_default().push(OpenCheck {
                requested_at: check.requested_at,
                shared_until: told_at + SHARED_FOR.saturating_sub(check.age),
                progress,
            });
        }
        for absent in new.into_values() {
            end(&absent.progress, Ok(CheckAnswer::Absent));
        }
    }

    /// Keeps such checks of those that PostgreSQL was told of.
    fn retain(&mut self, mut is_such: impl FnMut(&Uuid, &OpenCheck) -> bool) {
        self.asked.retain(|uid, checks| {
            checks.retain(|check| is_such(uid, check));
            !checks.is_empty()
        });
    }
}

fn end(progress: &watch::Sender<Progress>, answer: Result<CheckAnswer, Problem>) {
    progress.send_replace(Progress::Ended(answer));
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
