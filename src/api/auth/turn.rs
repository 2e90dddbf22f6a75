//! How much of one caller may be under way at once, so that no caller takes what all others need.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Caller;
use crate::api::problem::{Problem, ProblemType};

/// Requests of one caller that are under way at once: a sixteenth of all.
const UNDER_WAY: usize = 256;
/// Rights of one caller that the kube-apiserver is asked about, or that wait for it: an eighth of those of
/// all callers.
const LOOK_UPS: usize = 64;
/// How long a right waits for the caller's others.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// Callers that are remembered.
const CALLERS: u64 = 20_000;
/// For how long after they were last looked up: far longer than any request takes.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What takes more than a request that is answered from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heavy {
    /// A change in the cluster.
    Write,
    /// Everything that is declared.
    Export,
}

impl Heavy {
    /// How many of one caller may be under way at once.
    fn most(self) -> usize {
        match self {
            Self::Write => 8,
            Self::Export => 2,
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Write => "writes",
            Self::Export => "exports",
        }
    }
}

/// What of a caller is under way; a clone counts the same.
pub(super) type UnderWay = Arc<Counts>;

/// Requests under way, the heavy ones among them, and the rights that are looked up for them.
#[derive(Debug)]
pub(super) struct Counts {
    requests: AtomicUsize,
    heavy: [AtomicUsize; 2],
    look_ups: Semaphore,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            requests: AtomicUsize::default(),
            heavy: Default::default(),
            look_ups: Semaphore::new(LOOK_UPS),
        }
    }
}

impl Counts {
    /// A place to look up a right of this caller's, once its others leave one.
    ///
    /// # Errors
    ///
    /// 429 where they leave none in time.
    pub(super) async fn look_up(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let place = tokio::time::timeout(LOOK_UP_TIMEOUT, self.look_ups.acquire()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            Problem::new(
                ProblemType::TooManyRequests,
                "too many of your rights are being looked up; ask for less at once",
            )
            .after(Duration::from_secs(1))
        })
    }
}

/// The count of each caller by name, whatever tokens it comes with.
pub(super) struct CallerCounts(Cache<String, UnderWay>);

impl Default for CallerCounts {
    fn default() -> Self {
        let counts = Cache::builder()
            .max_capacity(CALLERS)
            .time_to_idle(REMEMBERED);
        Self(counts.build())
    }
}

impl CallerCounts {
    /// The count of this caller.
    pub(super) fn of(&self, username: &str) -> UnderWay {
        let known = self.0.get(username);
        known.unwrap_or_else(|| self.0.get_with(username.to_owned(), UnderWay::default))
    }
}

/// A caller while a request of it is under way.
pub struct CallerTurn(Arc<Caller>);

impl CallerTurn {
    /// Begins a request of this caller.
    ///
    /// # Errors
    ///
    /// 429 where it has as many under way as it may.
    pub(super) fn begin(caller: Arc<Caller>) -> Result<Self, Problem> {
        let before = caller.under_way.requests.fetch_add(1, Ordering::Relaxed);
        let turn = Self(caller);
        match before >= UNDER_WAY {
            true => Err(Problem::new(
                ProblemType::TooManyRequests,
                format!("you have {UNDER_WAY} requests under way here; wait for their answers"),
            )
            .after(Duration::from_secs(1))),
            false => Ok(turn),
        }
    }

    /// Begins something heavy for this caller.
    ///
    /// # Errors
    ///
    /// 429 where it has as many under way as it may.
    pub fn begin_heavy(&self, what: Heavy) -> Result<HeavyTurn, Problem> {
        let under_way = self.0.under_way.clone();
        let before = under_way.heavy[what as usize].fetch_add(1, Ordering::Relaxed);
        let turn = HeavyTurn { under_way, what };
        match before >= what.most() {
            true => Err(Problem::new(
                ProblemType::TooManyRequests,
                format!(
                    "you have {} {} under way here; wait for their answers",
                    what.most(),
                    what.plural()
                ),
            )
            .after(Duration::from_secs(1))),
            false => Ok(turn),
        }
    }
}

/// Something heavy while it is under way.
pub struct HeavyTurn {
    under_way: UnderWay,
    what: Heavy,
}

impl Drop for HeavyTurn {
    fn drop(&mut self) {
        self.under_way.heavy[self.what as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for CallerTurn {
    fn drop(&mut self) {
        self.0.under_way.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for CallerTurn {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    fn caller(counts: &CallerCounts, token: u8, name: &str) -> Arc<Caller> {
        let user = UserInfo {
            username: Some(name.to_owned()),
            ..UserInfo::default()
        };
        Arc::new(Caller::new([token; 32], user, None).counted(counts.of(name)))
    }

    #[test]
    fn a_caller_waits_for_its_own_requests_alone_whatever_token_it_comes_with() {
        let counts = CallerCounts::default();
        let begin = |token, name| CallerTurn::begin(caller(&counts, token, name));
        let mut turns: Vec<_> = (0..UNDER_WAY).map(|n| begin((n % 7) as u8, "a")).collect();
        assert!(turns.iter().all(Result::is_ok));
        let refused = begin(9, "a").map(drop).map_err(|problem| problem.kind);
        assert_eq!(refused, Err(ProblemType::TooManyRequests));
        assert!(begin(9, "b").is_ok());
        turns.pop();
        assert!(begin(9, "a").is_ok());
    }

    #[tokio::test]
    async fn a_callers_rights_wait_for_its_own_alone_whatever_token_it_comes_with() {
        let counts = CallerCounts::default();
        let callers: Vec<_> = (0..LOOK_UPS)
            .map(|n| caller(&counts, (n % 7) as u8, "a"))
            .collect();
        let mut held = Vec::new();
        for caller in &callers {
            held.push(caller.under_way.look_up().await.unwrap());
        }
        let (same, other) = (caller(&counts, 9, "a"), caller(&counts, 9, "b"));
        let mut waits = Box::pin(same.under_way.look_up());
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(other.under_way.look_up().await.is_ok());
        held.pop();
        assert!(waits.await.is_ok());
    }

    #[test]
    fn a_caller_does_a_few_heavy_things_at_once_whatever_token_it_comes_with() {
        let counts = CallerCounts::default();
        let begin = |token, name| {
            let turn = CallerTurn::begin(caller(&counts, token, name)).unwrap();
            turn.begin_heavy(Heavy::Write)
        };
        let mut writes: Vec<_> = (0..Heavy::Write.most())
            .map(|n| begin((n % 3) as u8, "a"))
            .collect();
        assert!(writes.iter().all(Result::is_ok));
        let refused = begin(9, "a").map(drop).map_err(|problem| problem.kind);
        assert_eq!(refused, Err(ProblemType::TooManyRequests));
        assert!(begin(9, "b").is_ok());
        writes.pop();
        assert!(begin(9, "a").is_ok());
    }
}
