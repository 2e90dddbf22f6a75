//! When the next check is due: spread, so that checks that started together do not stay together.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// A share in 0..1 that is the same for the same thing in every run: it spreads first runs over
/// their period without any state.
pub fn share_of(thing: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A period, shortened or lengthened by at most a tenth; `share` in 0..1.
pub fn around(period: Duration, share: f64) -> Duration {
    period.mul_f64(0.9 + 0.2 * share.clamp(0.0, 1.0))
}

/// The wait before a check that proved nothing is tried again: from five seconds, doubled each
/// time, at most the period.
pub fn retry(attempt: u32, period: Duration, share: f64) -> Duration {
    let wait = Duration::from_secs(5).saturating_mul(1 << attempt.min(16));
    around(wait.min(period), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_stable_and_spread() {
        assert_eq!(share_of("a"), share_of("a"));
        let shares: Vec<f64> = (0..1000).map(|n: i32| share_of(n)).collect();
        let low = shares.iter().filter(|s| **s < 0.5).count();
        assert!(shares.iter().all(|s| (0.0..1.0).contains(s)));
        assert!((400..600).contains(&low), "{low}");
    }

    #[test]
    fn a_period_moves_by_a_tenth_at_most() {
        let minute = Duration::from_secs(60);
        assert_eq!(around(minute, 0.0), Duration::from_secs(54));
        assert_eq!(around(minute, 1.0), Duration::from_secs(66));
    }

    #[test]
    fn a_retry_waits_longer_each_time_and_never_longer_than_the_period() {
        let hour = Duration::from_secs(3600);
        assert_eq!(retry(0, hour, 0.5), Duration::from_secs(5));
        assert_eq!(retry(3, hour, 0.5), Duration::from_secs(40));
        assert_eq!(retry(60, hour, 0.5), hour);
    }
}
