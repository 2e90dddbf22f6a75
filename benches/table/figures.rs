//! Numbers out of many measurements.

use std::time::Duration;

/// The median; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// Times, in order.
#[derive(Clone, Debug)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Of these measurements.
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Of all of these together.
    pub fn of_all<'t>(parts: impl IntoIterator<Item = &'t Self>) -> Self {
        let all = parts.into_iter().flat_map(|part| &part.0);
        Self::new(all.copied().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all does not exceed (0.99: one in a hundred takes longer).
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let index = rank.saturating_sub(1).min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The median and the 99th percentile, in words.
    pub fn words(&self) -> String {
        format!(
            "p50 {}, p99 {}",
            time(self.quantile(0.5)),
            time(self.quantile(0.99))
        )
    }
}

/// A time in the unit that suits it.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.01 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.001 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
