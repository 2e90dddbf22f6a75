//! How many checks run at once, in all, for one namespace and against one host, and how fast they
//! follow each other there.
//!
//! Nobody waits for another namespace's slow hosts: a namespace that has nothing under way is
//! always next, one has a bounded share of all, and a call that takes long gives its place in the
//! common share back and goes on at its own namespace's expense.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

/// Checks that run at once in all, but for slow ones and a namespace's only one.
pub const MAX_CALLS: usize = 32;
/// Checks that run at once in all, slow ones included.
pub const MAX_CALLS_WITH_SLOW: usize = 256;
/// Checks of one namespace that run at once, slow ones included.
pub const MAX_CALLS_PER_NAMESPACE: usize = 8;
/// Checks that run at once against one host: of one namespace in all, of all but for slow ones.
pub const MAX_CALLS_PER_HOST: usize = 4;
/// How long a check counts against what all namespaces share.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Time between the beginnings of two checks against one host: at most a hundred in a second,
/// however fast it answers and however many endpoints are new.
pub const MIN_INTERVAL_PER_HOST: Duration = Duration::from_millis(10);

/// The budget of one process.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    interval: Duration,
    slow_after: Duration,
    state: Mutex<State>,
}

/// Who runs and who waits.
#[derive(Debug, Default)]
struct State {
    namespaces: HashMap<String, NamespaceBudget>,
    hosts: HashMap<String, HostBudget>,
    running: usize,
    /// Of those that run, the ones that are not slow.
    quick: usize,
    /// Counts those who came, so that the first to come is known.
    arrivals: u64,
}

#[derive(Debug, Default)]
struct NamespaceBudget {
    running: usize,
    /// Of those that run, how many against each host.
    at_host: HashMap<String, usize>,
    /// Who waits, by host, in the order in which they came.
    waiting: HashMap<String, VecDeque<Waiting>>,
    /// The hosts that are waited for, by the arrival of the first who waits.
    order: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Waiting {
    arrival: u64,
    permit: oneshot::Sender<Running>,
}

#[derive(Debug, Default)]
struct HostBudget {
    /// How many run against it that are not slow.
    quick: usize,
    /// When the next check may begin.
    next: Option<Instant>,
}

/// Leave for one check; it ends when this is dropped.
#[derive(Debug)]
pub struct BudgetPermit {
    _running: Running,
    slow_after: AbortHandle,
}

/// One that counts as running.
#[derive(Debug)]
struct Running {
    budget: Budget,
    namespace: String,
    host: String,
    is_quick: Arc<AtomicBool>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MIN_INTERVAL_PER_HOST, SLOW_AFTER)
    }
}

impl Budget {
    /// A budget with this pace, and with this time until a check is slow.
    pub fn new(interval: Duration, slow_after: Duration) -> Self {
        Self(Arc::new(Shared {
            interval,
            slow_after,
            state: Mutex::default(),
        }))
    }

    /// Waits for a namespace's turn to call a host, and for the host's.
    pub async fn permit(&self, namespace: &str, host: &str) -> BudgetPermit {
        let (permit, permitted) = oneshot::channel();
        self.state().enqueue(namespace, host, permit);
        self.admit();
        let Ok(running) = permitted.await else {
            // Nobody drops who waits but by letting it run.
            return std::future::pending().await;
        };
        let (budget, is_quick) = (self.clone(), running.is_quick.clone());
        let turn = self.turn(host);
        let host = host.to_owned();
        let slow_after = tokio::spawn(async move {
            sleep_until(turn).await;
            sleep(budget.0.slow_after).await;
            budget.state().slow(&host, &is_quick);
            budget.admit();
        });
        let permit = BudgetPermit {
            _running: running,
            slow_after: slow_after.abort_handle(),
        };
        if turn > Instant::now() {
            sleep_until(turn).await;
        }
        permit
    }

    /// When a check may begin at a host; the next one may so much later.
    fn turn(&self, host: &str) -> Instant {
        let now = Instant::now();
        let mut state = self.state();
        let next = &mut state.hosts.entry(host.to_owned()).or_default().next;
        let turn = next.unwrap_or(now).max(now);
        *next = Some(turn + self.0.interval);
        turn
    }

    /// Lets run whoever may.
    fn admit(&self) {
        loop {
            let mut state = self.state();
            let Some((namespace, host, waiting)) = state.next() else {
                return;
            };
            if waiting.permit.is_closed() {
                continue;
            }
            state.start(&namespace, &host);
            drop(state);
            // Where nobody waits for it any more, what comes back ends here.
            let _ = waiting.permit.send(Running {
                budget: self.clone(),
                namespace,
                host,
                is_quick: Arc::new(AtomicBool::new(true)),
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        self.slow_after.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (namespace, host) = (&self.namespace, &self.host);
        self.budget.state().end(namespace, host, &self.is_quick);
        self.budget.admit();
    }
}

impl State {
    fn enqueue(&mut self, namespace: &str, host: &str, permit: oneshot::Sender<Running>) {
        self.arrivals += 1;
        let waiting = Waiting {
            arrival: self.arrivals,
            permit,
        };
        let namespace = self.namespaces.entry(namespace.to_owned()).or_default();
        let at_host = namespace.waiting.entry(host.to_owned()).or_default();
        if at_host.is_empty() {
            namespace.order.insert(self.arrivals, host.to_owned());
        }
        at_host.push_back(waiting);
    }

    /// Takes who is next out of the queue: of the namespace that has the fewest under way, whoever
    /// came first.
    fn next(&mut self) -> Option<(String, String, Waiting)> {
        let candidates = self.namespaces.iter().filter_map(|(name, namespace)| {
            let mut hosts = namespace.order.iter();
            let (arrival, _) = hosts.find(|(_, host)| self.may_run(namespace, host))?;
            Some(((namespace.running, *arrival), name))
        });
        let ((_, arrival), name) = candidates.min_by_key(|(order, _)| *order)?;
        let name = name.clone();
        let namespace = self.namespaces.get_mut(&name)?;
        let host = namespace.order.remove(&arrival)?;
        let queue = namespace.waiting.get_mut(&host)?;
        let next = queue.pop_front()?;
        match queue.front() {
            Some(first) => drop(namespace.order.insert(first.arrival, host.clone())),
            None => drop(namespace.waiting.remove(&host)),
        }
        Some((name, host, next))
    }

    fn may_run(&self, namespace: &NamespaceBudget, host: &str) -> bool {
        let of_all = self.running < MAX_CALLS_WITH_SLOW
            && (self.quick < MAX_CALLS || namespace.running == 0)
            && namespace.running < MAX_CALLS_PER_NAMESPACE;
        if !of_all {
            return false;
        }
        let own = namespace.at_host.get(host).copied().unwrap_or_default();
        let quick = self.hosts.get(host).map_or(0, |host| host.quick);
        own < MAX_CALLS_PER_HOST && (quick < MAX_CALLS_PER_HOST || own == 0)
    }

    fn start(&mut self, namespace: &str, host: &str) {
        self.running += 1;
        self.quick += 1;
        self.hosts.entry(host.to_owned()).or_default().quick += 1;
        let namespace = self.namespaces.entry(namespace.to_owned()).or_default();
        namespace.running += 1;
        *namespace.at_host.entry(host.to_owned()).or_default() += 1;
    }

    /// A call takes long: it counts against its namespace alone.
    fn slow(&mut self, host: &str, is_quick: &AtomicBool) {
        if is_quick.swap(false, Ordering::AcqRel) {
            self.quick -= 1;
            if let Some(host) = self.hosts.get_mut(host) {
                host.quick -= 1;
            }
        }
    }

    fn end(&mut self, name: &str, host: &str, is_quick: &AtomicBool) {
        self.slow(host, is_quick);
        self.running -= 1;
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.running -= 1;
            if let Some(count) = namespace.at_host.get_mut(host) {
                *count -= 1;
                if *count == 0 {
                    namespace.at_host.remove(host);
                }
            }
            if namespace.running == 0 && namespace.waiting.is_empty() {
                self.namespaces.remove(name);
            }
        }
        let now = Instant::now();
        let is_due = |host: &HostBudget| host.next.is_none_or(|next| next <= now);
        self.hosts.retain(|_, host| host.quick > 0 || !is_due(host));
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};

    use super::*;

    fn budget() -> Budget {
        Budget::new(Duration::ZERO, Duration::from_secs(3600))
    }

    /// As many checks as may run now.
    fn fill(budget: &Budget, namespace: &str, host: &str, count: usize) -> Vec<BudgetPermit> {
        let permits = (0..count).map(|_| budget.permit(namespace, host).now_or_never());
        permits.flatten().collect()
    }

    #[tokio::test]
    async fn one_host_cannot_take_a_namespaces_share() {
        let budget = budget();
        let slow = fill(&budget, "team", "slow", 10);
        assert_eq!(slow.len(), MAX_CALLS_PER_HOST);
        let mut all = fill(&budget, "team", "other", 10);
        all.extend(slow);
        assert_eq!(all.len(), MAX_CALLS_PER_NAMESPACE);
        assert!(fill(&budget, "team", "third", 1).is_empty());
        all.pop();
        assert_eq!(fill(&budget, "team", "third", 2).len(), 1);
    }

    #[tokio::test]
    async fn a_namespace_with_nothing_under_way_waits_for_nobody() {
        let budget = budget();
        let mut held = Vec::new();
        for namespace in 0..20 {
            for host in 0..8 {
                let (namespace, host) = (format!("n{namespace}"), format!("h{host}"));
                held.extend(fill(&budget, &namespace, &host, 4));
            }
        }
        assert!(held.len() >= MAX_CALLS, "{}", held.len());
        // At a host of its own, and at one that others fill.
        assert_eq!(fill(&budget, "quiet", "own", 1).len(), 1);
        assert_eq!(fill(&budget, "quiet", "h0", 1).len(), 1);
    }

    #[tokio::test]
    async fn a_slow_check_leaves_the_common_share() {
        let budget = Budget::new(Duration::ZERO, Duration::from_millis(1));
        let slow = fill(&budget, "a", "host", 4);
        assert_eq!(slow.len(), 4);
        // Only once the others have become slow are there as many places again.
        let mut other = Vec::new();
        for _ in 0..4 {
            other.push(budget.permit("b", "host").await);
        }
        while budget.state().quick > 0 {
            tokio::task::yield_now().await;
        }
        // Its own namespace has no more than before.
        assert!(fill(&budget, "a", "host", 1).is_empty());
        drop(slow);
        assert_eq!(fill(&budget, "a", "host", 9).len(), 4);
    }

    #[tokio::test]
    async fn shares_are_fair_where_many_wait() {
        let budget = budget();
        let mut busy = fill(&budget, "busy", "host", 4);
        let order = Mutex::new(Vec::new());
        let wait = async |namespace: &str| {
            let permit = budget.permit(namespace, "host").await;
            order.lock().push(namespace.to_owned());
            drop(permit);
        };
        let queue = async {
            let many = (0..50).map(|_| wait("busy"));
            futures::join!(join_all(many), wait("other"));
        };
        let free = async {
            tokio::task::yield_now().await;
            busy.clear();
        };
        futures::join!(queue, free);
        let order = order.into_inner();
        let place = order.iter().position(|name| name == "other");
        assert!(place < Some(4), "{order:?}");
    }

    #[tokio::test]
    async fn checks_of_one_host_keep_their_distance() {
        let apart = Duration::from_millis(5);
        let (budget, begun) = (Budget::new(apart, SLOW_AFTER), Instant::now());
        let runs = (0..20).map(|_| async { drop(budget.permit("team", "host").await) });
        join_all(runs).await;
        assert!(begun.elapsed() >= apart * 19, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_those_who_are_done_or_gone() {
        let budget = budget();
        let held = fill(&budget, "team", "a", 4);
        for host in ["a", "b", "c"] {
            // Who does not wait any longer takes nobody's place.
            fill(&budget, "team", host, 1000);
            fill(&budget, host, host, 1);
        }
        drop(held);
        let state = budget.state();
        assert_eq!((state.running, state.quick), (0, 0));
        assert!(
            state.namespaces.is_empty() && state.hosts.is_empty(),
            "{state:?}"
        );
    }
}
