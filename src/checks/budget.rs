//! How many checks run at once, in all and against one host, and how fast they follow each other
//! there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// Checks that run at once in all.
pub const MAX_CALLS: usize = 32;
/// Checks that run at once against one host.
pub const MAX_CALLS_PER_HOST: usize = 4;
/// Time between the beginnings of two checks against one host: at most a hundred in a second,
/// however fast it answers and however many endpoints are new.
pub const MIN_INTERVAL_PER_HOST: Duration = Duration::from_millis(10);

/// The budget of one process.
#[derive(Debug)]
pub struct Budget {
    in_all: Arc<Semaphore>,
    by_host: usize,
    apart: Duration,
    hosts: Mutex<HashMap<String, Arc<HostBudget>>>,
}

#[derive(Debug)]
struct HostBudget {
    places: Arc<Semaphore>,
    /// When the next check may begin.
    next: Mutex<Instant>,
}

/// Leave for one check; it ends when this is dropped.
#[derive(Debug)]
pub struct BudgetPermit {
    _place: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    /// Keeps the host known while somebody calls it.
    _host: Arc<HostBudget>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MAX_CALLS, MAX_CALLS_PER_HOST, MIN_INTERVAL_PER_HOST)
    }
}

impl Budget {
    /// A budget of these sizes and this pace.
    pub fn new(in_all: usize, by_host: usize, apart: Duration) -> Self {
        Self {
            in_all: Arc::new(Semaphore::new(in_all)),
            by_host,
            apart,
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place at this host and for its turn there, then for a place of all: a slow
    /// host's queue thus takes no place from other hosts. `None` only when the budget is closed.
    pub async fn leave(&self, host: &str) -> Option<BudgetPermit> {
        let host = self.host(host);
        let place = host.places.clone().acquire_owned().await.ok()?;
        let turn = host.turn(self.apart);
        if turn > Instant::now() {
            sleep_until(turn).await;
        }
        let all = self.in_all.clone().acquire_owned().await.ok()?;
        Some(BudgetPermit {
            _place: place,
            _all: all,
            _host: host,
        })
    }

    fn host(&self, host: &str) -> Arc<HostBudget> {
        let mut hosts = self.hosts.lock();
        if let Some(known) = hosts.get(host) {
            return known.clone();
        }
        hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.is_ahead());
        let known = Arc::new(HostBudget {
            places: Arc::new(Semaphore::new(self.by_host)),
            next: Mutex::new(Instant::now()),
        });
        hosts.insert(host.to_owned(), known.clone());
        known
    }
}

impl HostBudget {
    /// Whether its next check has to wait.
    fn is_ahead(&self) -> bool {
        *self.next.lock() > Instant::now()
    }

    /// When this check may begin; the next one may so much later.
    fn turn(&self, apart: Duration) -> Instant {
        let mut next = self.next.lock();
        let turn = (*next).max(Instant::now());
        *next = turn + apart;
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_host_cannot_take_every_place() {
        let budget = Budget::new(3, 2, Duration::ZERO);
        let first = budget.leave("slow").now_or_never().flatten();
        let second = budget.leave("slow").now_or_never().flatten();
        assert!(first.is_some() && second.is_some());
        assert!(budget.leave("slow").now_or_never().is_none());
        let other = budget.leave("other").now_or_never().flatten();
        assert!(other.is_some());
        assert!(budget.leave("third").now_or_never().is_none());
        drop(first);
        assert!(budget.leave("slow").now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn checks_of_one_host_keep_their_distance() {
        let apart = Duration::from_millis(5);
        let (budget, begun) = (Budget::new(32, 4, apart), Instant::now());
        let runs = (0..20).map(|_| async { drop(budget.leave("host").await) });
        futures::future::join_all(runs).await;
        assert!(begun.elapsed() >= apart * 19, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn hosts_that_nobody_waits_for_are_forgotten() {
        let budget = Budget::new(3, 2, Duration::ZERO);
        for host in ["a", "b", "c"] {
            drop(budget.leave(host).await);
        }
        drop(budget.leave("d").await);
        assert_eq!(budget.hosts.lock().len(), 1);
    }
}
