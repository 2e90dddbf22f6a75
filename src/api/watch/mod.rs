//! `GET /watch`: what changes, told as it happens.
//!
//! Every stream reads the snapshot's one log of changes, at its own place: a stream costs little more than
//! its connection, and a change is written out once for all of them. A stream that is too slow for the log
//! ends, and whoever comes back with the id that it heard last goes on behind it.

mod event;
mod resume;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::problem::{Problem, ProblemType};

pub use resume::{Resumed, ResumedChanges, Resumes};
pub use stream::{Beginning, Watcher, stream};

/// The streams of this replica; a clone counts the same.
#[derive(Clone)]
pub struct Watches(Arc<Shared>);

struct Shared {
    limit: usize,
    open: Mutex<OpenStreams>,
    /// What was read of PostgreSQL for those who came back.
    resumed: Resumes,
    /// Cancelled when streams are to end.
    drain: CancellationToken,
    counts: WatchCounts,
}

#[derive(Default)]
struct OpenStreams {
    all: usize,
    by_caller: HashMap<String, usize>,
}

/// What is counted of streams.
#[derive(Clone, Default)]
struct WatchCounts {
    open: Gauge,
    lost: Counter,
}

/// A stream's place among those that may be open, until it is dropped.
pub struct WatchPlace {
    watches: Watches,
    caller: String,
}

impl Watches {
    /// For so many streams at once, of which one caller may have half.
    pub fn new(limit: usize, registry: &mut Registry) -> Self {
        let counts = WatchCounts::default();
        registry.register(
            "llmplane_api_watches",
            "Streams of changes that are open",
            counts.open.clone(),
        );
        registry.register(
            "llmplane_api_watches_lost",
            "Streams of changes that were ended, for they fell behind what is kept",
            counts.lost.clone(),
        );
        Self(Arc::new(Shared {
            limit,
            open: Mutex::default(),
            resumed: Resumes::default(),
            drain: CancellationToken::new(),
            counts,
        }))
    }

    /// A place for another stream of this caller.
    ///
    /// # Errors
    ///
    /// 429 where the caller has as many as it may, 503 where all together have, or the replica is ending.
    pub fn open(&self, caller: &str) -> Result<WatchPlace, Problem> {
        let limit = self.0.limit;
        if self.0.drain.is_cancelled() {
            let detail = "this replica is ending; ask another, or try again";
            return Err(Problem::new(ProblemType::NotReady, detail));
        }
        let mut open = self.0.open.lock();
        let of_caller = open.by_caller.get(caller).copied().unwrap_or_default();
        if of_caller >= limit.div_ceil(2) {
            return Err(Problem::new(
                ProblemType::TooManyRequests,
                format!(
                    "you have {of_caller} streams open here, and may have no more; share one among those who \
                     run as you, or poll with If-None-Match"
                ),
            )
            .after(event::reconnect_after()));
        }
        if open.all >= limit {
            return Err(Problem::new(
                ProblemType::Overloaded,
                format!(
                    "{limit} streams are open here, as many as may be (LLMPLANE_MAX_WATCHES); ask another \
                     replica, or poll with If-None-Match"
                ),
            )
            .after(event::reconnect_after()));
        }
        open.all += 1;
        *open.by_caller.entry(caller.to_owned()).or_default() += 1;
        self.0.counts.open.inc();
        Ok(WatchPlace {
            watches: self.clone(),
            caller: caller.to_owned(),
        })
    }

    /// What was read of PostgreSQL for those who came back.
    pub fn resumed(&self) -> &Resumes {
        &self.0.resumed
    }

    /// Ends every stream, each with a moment of its own at which to come back.
    pub fn drain(&self) {
        self.0.drain.cancel();
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        let shared = &self.watches.0;
        shared.counts.open.dec();
        let mut open = shared.open.lock();
        open.all -= 1;
        if let Some(of_caller) = open.by_caller.get_mut(&self.caller) {
            *of_caller -= 1;
            if *of_caller == 0 {
                open.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_half_of_the_places_and_all_no_more_than_there_are() {
        let watches = Watches::new(4, &mut Registry::default());
        let kind = |caller: &str| watches.open(caller).map(drop).map_err(|p| p.kind);
        let mine = [watches.open("a"), watches.open("a")];
        assert_eq!(kind("a"), Err(ProblemType::TooManyRequests));
        let others = [watches.open("b"), watches.open("c")];
        assert_eq!(kind("d"), Err(ProblemType::Overloaded));
        drop(others);
        assert_eq!(kind("d"), Ok(()));
        assert_eq!(kind("a"), Err(ProblemType::TooManyRequests));
        drop(mine);
        assert_eq!(kind("a"), Ok(()));
        assert!(watches.0.open.lock().by_caller.is_empty());
        watches.drain();
        assert_eq!(kind("a"), Err(ProblemType::NotReady));
    }
}
