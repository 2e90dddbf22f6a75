//! From single probes to a state: thresholds both ways. Pure.

/// Results in a row, newest last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeStreak {
    passed: u32,
    failed: u32,
}

impl ProbeStreak {
    /// The streak that a history ends with; results newest first, `None` proved nothing.
    pub fn from_history(newest_first: impl IntoIterator<Item = Option<bool>>) -> Self {
        let mut streak = Self::default();
        for passed in newest_first.into_iter().flatten() {
            if passed && streak.failed == 0 {
                streak.passed += 1;
            } else if !passed && streak.passed == 0 {
                streak.failed += 1;
            } else {
                break;
            }
        }
        streak
    }

    /// Adds a result.
    pub fn note(&mut self, passed: bool) {
        *self = if passed {
            Self {
                passed: self.passed.saturating_add(1),
                failed: 0,
            }
        } else {
            Self {
                passed: 0,
                failed: self.failed.saturating_add(1),
            }
        };
    }

    /// How many failed in a row.
    pub fn failed(self) -> u32 {
        self.failed
    }
}

/// The state after the streak's last result. `was` is the state before, `None` where this
/// generation has none yet: then the first result decides, so that a typo shows within seconds.
pub fn state(was: Option<bool>, streak: ProbeStreak, to_fail: u32, to_pass: u32) -> bool {
    match was {
        None => streak.passed > 0,
        Some(true) => streak.failed < to_fail.max(1),
        Some(false) => streak.passed >= to_pass.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(was: Option<bool>, results: &[bool], to_fail: u32, to_pass: u32) -> Vec<bool> {
        let (mut was, mut streak) = (was, ProbeStreak::default());
        results
            .iter()
            .map(|passed| {
                streak.note(*passed);
                let now = state(was, streak, to_fail, to_pass);
                was = Some(now);
                now
            })
            .collect()
    }

    #[test]
    fn it_fails_after_as_many_failures_in_a_row_and_not_before() {
        assert_eq!(
            run(Some(true), &[false, false, true, false, false, false], 3, 1),
            [true, true, true, true, true, false]
        );
    }

    #[test]
    fn it_recovers_after_as_many_successes_in_a_row() {
        assert_eq!(
            run(Some(false), &[true, false, true, true], 3, 2),
            [false, false, false, true]
        );
    }

    #[test]
    fn the_first_result_of_a_generation_decides() {
        assert_eq!(run(None, &[false], 3, 1), [false]);
        assert_eq!(run(None, &[true, false], 3, 5), [true, true]);
    }

    #[test]
    fn a_streak_is_taken_up_from_the_history() {
        let history = [Some(false), None, Some(false), Some(true), Some(false)];
        assert_eq!(
            ProbeStreak::from_history(history),
            ProbeStreak {
                passed: 0,
                failed: 2
            }
        );
        assert_eq!(ProbeStreak::from_history([]), ProbeStreak::default());
    }
}
