//! How many checks run at once: in all, and against one host.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Checks that run at once in all.
pub const IN_ALL: usize = 32;
/// Checks that run at once against one host.
pub const BY_HOST: usize = 4;

/// The budget of one process.
#[derive(Debug)]
pub struct Budget {
    in_all: Arc<Semaphore>,
    by_host: usize,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Leave for one check; it ends when this is dropped.
#[derive(Debug)]
pub struct Leave {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(IN_ALL, BY_HOST)
    }
}

impl Budget {
    /// A budget of these sizes.
    pub fn new(in_all: usize, by_host: usize) -> Self {
        Self {
            in_all: Arc::new(Semaphore::new(in_all)),
            by_host,
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place at this host, then for one of all: a slow host's queue thus takes no
    /// place from other hosts. `None` only when the budget is closed.
    pub async fn leave(&self, host: &str) -> Option<Leave> {
        let at_host = self.host(host);
        let host = at_host.acquire_owned().await.ok()?;
        let all = self.in_all.clone().acquire_owned().await.ok()?;
        Some(Leave {
            _host: host,
            _all: all,
        })
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host).and_then(Weak::upgrade) {
            return known;
        }
        hosts.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.by_host));
        hosts.insert(host.to_owned(), Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_host_cannot_take_every_place() {
        let budget = Budget::new(3, 2);
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
    async fn hosts_that_nobody_waits_for_are_forgotten() {
        let budget = Budget::new(3, 2);
        for host in ["a", "b", "c"] {
            drop(budget.leave(host).await);
        }
        drop(budget.leave("d").await);
        assert_eq!(budget.hosts.lock().unwrap().len(), 1);
    }
}
