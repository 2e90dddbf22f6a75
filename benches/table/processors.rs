//! Processors of their own, for servers and for who asks them.
//!
//! Where a server shares one with the generator, or one thread of it with another, the scheduler
//! lets each run for milliseconds while the other waits, and that is what a latency of well under a
//! millisecond would show.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Starts a server on the first processor alone: its threads are as many as it sees processors.
pub fn on_first<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|usable| usable.first().copied())?;
    start()
}

/// Generates load on the last processor, which is not the first where there are two.
pub fn on_last<T>(generate: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|usable| usable.last().copied())?;
    generate()
}

/// The share of its time that the last processor stands still, in pieces longer than `least`, while
/// nothing is asked: a virtual machine's processor is its host's to take. A latency beyond such a
/// piece is the machine's for as many requests.
pub fn stalled(time: Duration, least: Duration) -> Result<f64> {
    on_last(|| {
        let start = Instant::now();
        let (mut last, mut still) = (start, Duration::ZERO);
        while last - start < time {
            let now = Instant::now();
            if now - last > least {
                still += now - last;
            }
            last = now;
        }
        Ok(still.div_duration_f64(last - start))
    })
}

/// Keeps the calling thread, and what it starts, to a processor.
struct Held {
    before: CpuSet,
}

impl Held {
    fn on(which: impl FnOnce(&[usize]) -> Option<usize>) -> Result<Self> {
        let before = sched_getaffinity(SELF)?;
        let is_usable = |cpu: &usize| before.is_set(*cpu).unwrap_or(false);
        let usable: Vec<usize> = (0..CpuSet::count()).filter(is_usable).collect();
        if let Some(cpu) = which(&usable) {
            let mut one = CpuSet::new();
            one.set(cpu)?;
            sched_setaffinity(SELF, &one)?;
        }
        Ok(Self { before })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = sched_setaffinity(SELF, &self.before);
    }
}
