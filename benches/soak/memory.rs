//! Resident memory over time. A process that is killed begins anew, so that processes are compared at the same age.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::figures::{mebibytes, median};
use crate::parts::{NAMES, Parts};
use crate::report::{Figure, Report};

const EVERY: Duration = Duration::from_secs(5);
/// Before that age a process still fills its memory.
const GROWN: Duration = Duration::from_secs(60);
/// How much more processes may hold in the last third of the run than in the first.
const BAR: f64 = 1.2;

/// A sample: when, the process's age, bytes.
type Sample = (Instant, Duration, u64);

/// All samples, by process.
#[derive(Default)]
pub struct Memory([Mutex<Vec<Sample>>; 4]);

/// Takes samples until it is told to stop.
pub async fn sample(memory: Arc<Memory>, parts: Arc<Parts>, stop: CancellationToken) -> Result<()> {
    let mut pace = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = pace.tick() => {}
        }
        for (number, samples) in memory.0.iter().enumerate() {
            if let Some((since, bytes)) = parts.resident(number).await {
                let now = Instant::now();
                samples.lock().push((now, now - since, bytes));
            }
        }
    }
}

impl Memory {
    pub fn tell(&self, report: &mut Report) {
        for (role, numbers) in [("controller", [0, 1]), ("read API", [2, 3])] {
            let all = numbers.map(|number| self.0[number].lock().clone()).concat();
            let peak = all.iter().map(|sample| sample.2).max().unwrap_or_default();
            let grown: Vec<Sample> = all.into_iter().filter(|sample| sample.1 >= GROWN).collect();
            let thirds = thirds(&grown);
            let change = thirds.map(|[first, last]| last / first);
            report.add(Figure {
                what: format!(
                    "resident memory of a {role}, grown: last third of the run against the first"
                ),
                bar: format!("at most {BAR} times"),
                measured: match (change, thirds) {
                    (Some(change), Some([first, last])) => format!(
                        "{change:.2} times ({} against {}); slope {:+.2} MiB an hour; {} at most",
                        mebibytes(last as u64),
                        mebibytes(first as u64),
                        slope(&grown),
                        mebibytes(peak)
                    ),
                    _ => format!(
                        "no process of {} lived for a minute; {} at most",
                        names(numbers),
                        mebibytes(peak)
                    ),
                },
                kept: change.map(|change| change <= BAR),
            });
        }
    }
}

fn names(numbers: [usize; 2]) -> String {
    numbers.map(|number| NAMES[number]).join(" and ")
}

/// The medians of the first and of the last third of the time.
fn thirds(samples: &[Sample]) -> Option<[f64; 2]> {
    let begun = samples.iter().map(|sample| sample.0).min()?;
    let ended = samples.iter().map(|sample| sample.0).max()?;
    let third = (ended - begun) / 3;
    let of = |is_in: &dyn Fn(Instant) -> bool| {
        let bytes = samples.iter().filter(|sample| is_in(sample.0));
        median(&bytes.map(|sample| sample.2 as f64).collect::<Vec<_>>())
    };
    let medians = [of(&|at| at <= begun + third), of(&|at| at >= ended - third)];
    medians.iter().all(|bytes| *bytes > 0.0).then_some(medians)
}

/// MiB an hour, by least squares over all samples.
fn slope(samples: &[Sample]) -> f64 {
    let Some(begun) = samples.iter().map(|sample| sample.0).min() else {
        return 0.0;
    };
    let points = samples.iter().map(|(at, _, bytes)| {
        let hours = (*at - begun).as_secs_f64() / 3600.0;
        (hours, *bytes as f64 / f64::from(1 << 20))
    });
    let points: Vec<(f64, f64)> = points.collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let under: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}
