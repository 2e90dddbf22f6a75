//! How much of one caller may be under way at once, so that no caller takes what all others need.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::Caller;
use crate::api::problem::{Problem, ProblemType};

/// Requests of one caller that are under way at once: a sixteenth of all.
const UNDER_WAY: usize = 256;
/// Callers that are remembered.
const CALLERS: u64 = 20_000;
/// For how long after they were last looked up: far longer than any request takes.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A count of requests under way; a clone counts the same.
pub(super) type UnderWay = Arc<AtomicUsize>;

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
        let before = caller.under_way.fetch_add(1, Ordering::Relaxed);
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
}

impl Drop for CallerTurn {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
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
}
