//! When a processor ran nobody. A virtual machine's processors are its host's to take away, for
//! milliseconds and at any time, and a kernel may keep one to itself: no server answers then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::processors;

/// How often a watch looks whether its processor runs.
const LOOK: Duration = Duration::from_micros(250);
/// What counts as a stall: half of the latency that is allowed.
const LEAST: Duration = Duration::from_micros(500);

/// A piece of time in which a processor ran nobody.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    begin: Instant,
    end: Instant,
}

impl Stall {
    /// Whether it is felt in this time. What is to be done at half of a server's saturation heaps up
    /// meanwhile, and is worked off in as long again.
    fn is_felt_in(&self, begin: Instant, end: Instant) -> bool {
        self.begin < end && begin < self.end + (self.end - self.begin)
    }
}

/// What was seen of the processors.
#[derive(Debug)]
pub struct Stalls {
    stalls: Vec<Stall>,
    /// The share of its time that the worst of them stood still.
    pub share: f64,
}

impl Stalls {
    /// Whether any is felt in this time.
    pub fn are_felt_in(&self, begin: Instant, end: Instant) -> bool {
        self.stalls.iter().any(|stall| stall.is_felt_in(begin, end))
    }
}

/// Watches processors from threads that run before all else, the servers too: what a server
/// does itself never keeps a watch waiting.
pub struct Watch {
    ended: Arc<AtomicBool>,
    begun: Instant,
    watches: Vec<JoinHandle<Result<Option<Vec<Stall>>>>>,
}

impl Watch {
    /// Begins to watch these processors.
    pub fn begin(processors: &[usize]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let watches = processors.iter().map(|&cpu| {
            let ended = ended.clone();
            thread::spawn(move || {
                processors::on(cpu, || {
                    let first = processors::precede_all()?;
                    Ok(first.then(|| watch(&ended)))
                })
            })
        });
        Self {
            watches: watches.collect(),
            begun: Instant::now(),
            ended,
        }
    }

    /// What was seen; nothing where watching is not permitted.
    pub fn end(self) -> Result<Option<Stalls>> {
        self.ended.store(true, Ordering::Relaxed);
        let mut seen = Stalls {
            stalls: Vec::new(),
            share: 0.0,
        };
        for watch in self.watches {
            let Some(stalls) = watch.join().map_err(|_| anyhow!("a watch panicked"))?? else {
                return Ok(None);
            };
            let still: Duration = stalls.iter().map(|stall| stall.end - stall.begin).sum();
            let share = still.div_duration_f64(self.begun.elapsed());
            seen.share = seen.share.max(share);
            seen.stalls.extend(stalls);
        }
        Ok(Some(seen))
    }
}

fn watch(ended: &AtomicBool) -> Vec<Stall> {
    let mut stalls = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let due = Instant::now() + LOOK;
        thread::sleep(LOOK);
        let now = Instant::now();
        if now.saturating_duration_since(due) >= LEAST {
            stalls.push(Stall {
                begin: due,
                end: now,
            });
        }
    }
    stalls
}
