//! How often one caller may ask for keys: so often on average, and ten times as much at once. (The
//! generic cell rate algorithm: one moment is kept for each caller, up to which its turns are used.)

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use parking_lot::Mutex;

/// Turns that a caller may save up, in seconds of its rate.
const SAVED: Duration = Duration::from_secs(10);
/// Callers that are remembered.
const CALLERS: u64 = 20_000;

/// Turns by caller.
pub(super) struct CallerRate {
    /// Time that a turn takes.
    turn: Duration,
    used_until: Cache<String, Arc<Mutex<Instant>>>,
}

impl CallerRate {
    /// So many turns a second for each caller.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            turn: Duration::from_secs(1) / per_second.get(),
            used_until: Cache::builder()
                .max_capacity(CALLERS)
                .time_to_idle(2 * SAVED)
                .build(),
        }
    }

    /// Takes turns of a caller, all or none.
    ///
    /// # Errors
    ///
    /// How long the caller has to wait.
    pub(super) fn take(&self, caller: &str, turns: u32) -> Result<(), Duration> {
        self.take_at(caller, turns, Instant::now())
    }

    fn take_at(&self, caller: &str, turns: u32, now: Instant) -> Result<(), Duration> {
        let known = self.used_until.get(caller);
        let used_until = known.unwrap_or_else(|| {
            let new = || Arc::new(Mutex::new(now));
            self.used_until.get_with(caller.to_owned(), new)
        });
        let mut used_until = used_until.lock();
        // More than a full purse in one request waits for a full one.
        let cost = (self.turn * turns).min(SAVED);
        let next = (*used_until).max(now) + cost;
        match next.saturating_duration_since(now).checked_sub(SAVED) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *used_until = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32) -> CallerRate {
        CallerRate::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_caller_saves_ten_seconds_of_turns_and_waits_for_its_own_alone() {
        let (rate, now) = (rate(2), Instant::now());
        for _ in 0..20 {
            assert_eq!(rate.take_at("a", 1, now), Ok(()));
        }
        let half_a_second = Duration::from_millis(500);
        assert_eq!(rate.take_at("a", 1, now), Err(half_a_second));
        assert_eq!(rate.take_at("b", 1, now), Ok(()));
        assert_eq!(rate.take_at("a", 1, now + half_a_second), Ok(()));
        assert!(rate.take_at("a", 1, now + half_a_second).is_err());
        assert_eq!(rate.take_at("a", 20, now + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn a_request_for_more_than_can_be_saved_is_served_from_a_full_purse() {
        let (rate, now) = (rate(1), Instant::now());
        assert_eq!(rate.take_at("a", 1000, now), Ok(()));
        assert_eq!(rate.take_at("a", 1, now), Err(Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn within_any_span_a_caller_has_its_rate_and_what_it_saved_and_no_more(
            per_second in 1u32..200,
            steps in prop::collection::vec((0u64..2_000, 1u32..4), 1..200),
        ) {
            let (rate, begun) = (rate(per_second), Instant::now());
            let (mut at, mut taken) = (Duration::ZERO, 0u64);
            for (pause, turns) in steps {
                at += Duration::from_millis(pause);
                let possible = at.as_secs_f64() * f64::from(per_second) + 10.0 * f64::from(per_second);
                match rate.take_at("a", turns, begun + at) {
                    Ok(()) => taken += u64::from(turns),
                    Err(wait) => {
                        prop_assert!(wait <= SAVED);
                        let later = begun + at + wait + Duration::from_millis(1);
                        let (used, _) = (rate.used_until.get("a").unwrap(), ());
                        let before = *used.lock();
                        prop_assert_eq!(rate.take_at("a", turns, later), Ok(()));
                        *used.lock() = before;
                    }
                }
                // Turns that are rounded down to nanoseconds are a little shorter.
                prop_assert!(taken as f64 <= possible * 1.000_001 + 1e-6);
            }
        }
    }
}
