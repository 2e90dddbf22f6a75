//! What a candidate knows of the Lease. Pure.
//!
//! A Lease is judged by what this process saw of it and when, by its own monotonic clock: who holds it
//! lives for as long as the Lease goes on changing. The times that are written in it are its holder's
//! and compared for equality alone, for no two machines' clocks need agree. (As client-go's
//! `leaderelection` does, <https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>.)

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

/// A reading that comes later than this after the one before says nothing of the time between: the
/// holder may have been unable to renew the Lease as this process was to read it.
const MAX_READ_GAP: Duration = Duration::from_secs(5);

/// Readings of the Lease, until now.
#[derive(Debug, Default)]
pub(super) struct LeaseObserver(Option<Observation>);

#[derive(Debug)]
struct Observation {
    spec: LeaseSpec,
    /// Since when it is so, in readings without a gap.
    since: Instant,
    /// The last reading.
    at: Instant,
    /// Whether it was seen to change: then its holder lives, or did.
    has_changed: bool,
}

/// What the Lease is to a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// Nobody's: it may be taken.
    Free,
    /// Its holder has not renewed it for as long as it lasts: it may be taken.
    Expired(String),
    /// Somebody holds it.
    Held {
        /// Who.
        holder: String,
        /// Since when it is unchanged.
        silent_for: Duration,
        /// Whether its holder was seen to renew it.
        has_changed: bool,
    },
}

impl LeaseObserver {
    /// Takes in a reading of `now`. `lasts` is how long a Lease lasts that does not say so itself.
    pub(super) fn read(&mut self, spec: LeaseSpec, lasts: Duration, now: Instant) -> LeaseState {
        let seen = match self.0.take() {
            Some(seen) if seen.spec == spec => Observation {
                since: match now.duration_since(seen.at) > MAX_READ_GAP {
                    true => now,
                    false => seen.since,
                },
                at: now,
                ..seen
            },
            before => Observation {
                spec,
                since: now,
                at: now,
                has_changed: before.is_some(),
            },
        };
        let state = seen.state(lasts);
        self.0 = Some(seen);
        state
    }
}

impl Observation {
    fn state(&self, lasts: Duration) -> LeaseState {
        let Some(holder) = holder(&self.spec) else {
            return LeaseState::Free;
        };
        let seconds = self.spec.lease_duration_seconds;
        let lasts = seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(lasts, Duration::from_secs);
        let silent_for = self.at.duration_since(self.since);
        match silent_for >= lasts {
            true => LeaseState::Expired(holder.to_owned()),
            false => LeaseState::Held {
                holder: holder.to_owned(),
                silent_for,
                has_changed: self.has_changed,
            },
        }
    }
}

/// Who holds a Lease; nobody, where the name is empty.
pub(super) fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    const LEASE_DURATION: Duration = Duration::from_secs(12);

    /// A Lease that its holder renewed at this time of its own clock, in seconds from ours.
    fn renewed(at: i64) -> LeaseSpec {
        let ours: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let time = ours + SignedDuration::from_secs(at);
        LeaseSpec {
            holder_identity: Some("other".to_owned()),
            lease_duration_seconds: Some(12),
            renew_time: Some(MicroTime(time)),
            ..LeaseSpec::default()
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_holder_that_renews_keeps_the_lease_whatever_its_clock_says() {
        for skew in [-86_400, -3600, -40, 0, 40, 3600, 86_400] {
            let (mut observer, start) = (LeaseObserver::default(), Instant::now());
            for second in 0..60_i64 {
                let lease = renewed(skew + second / 4 * 4);
                let state = observer.read(
                    lease,
                    LEASE_DURATION,
                    start + seconds(second.unsigned_abs()),
                );
                assert!(matches!(state, LeaseState::Held { .. }), "{skew} {second}");
            }
        }
    }

    #[test]
    fn a_holder_that_fell_silent_loses_the_lease_whatever_its_clock_said() {
        for skew in [-86_400, -40, 0, 40, 86_400] {
            let (mut observer, start) = (LeaseObserver::default(), Instant::now());
            let lease = renewed(skew);
            for second in 0..12 {
                let state = observer.read(lease.clone(), LEASE_DURATION, start + seconds(second));
                let held = LeaseState::Held {
                    holder: "other".to_owned(),
                    silent_for: seconds(second),
                    has_changed: false,
                };
                assert_eq!(state, held, "{skew}");
            }
            let state = observer.read(lease, LEASE_DURATION, start + seconds(12));
            assert_eq!(state, LeaseState::Expired("other".to_owned()), "{skew}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_held_against_its_holder() {
        let (mut observer, start) = (LeaseObserver::default(), Instant::now());
        let lease = renewed(0);
        observer.read(lease.clone(), LEASE_DURATION, start);
        let state = observer.read(lease.clone(), LEASE_DURATION, start + seconds(60));
        assert!(
            matches!(state, LeaseState::Held { silent_for, .. } if silent_for.is_zero()),
            "{state:?}"
        );
        let mut last = state;
        for second in 61..=72 {
            last = observer.read(lease.clone(), LEASE_DURATION, start + seconds(second));
        }
        assert!(matches!(last, LeaseState::Expired(_)), "{last:?}");
    }

    #[test]
    fn a_renewal_is_seen_and_a_lease_that_was_given_back_is_free_at_once() {
        let (mut observer, start) = (LeaseObserver::default(), Instant::now());
        observer.read(renewed(0), LEASE_DURATION, start);
        let state = observer.read(renewed(-99), LEASE_DURATION, start + seconds(4));
        assert!(
            matches!(state, LeaseState::Held { has_changed: true, silent_for, .. } if silent_for.is_zero()),
            "{state:?}"
        );
        for nobody in [None, Some(String::new())] {
            let free = LeaseSpec {
                holder_identity: nobody,
                ..renewed(1)
            };
            let state = observer.read(free, LEASE_DURATION, start + seconds(5));
            assert_eq!(state, LeaseState::Free);
        }
    }

    #[test]
    fn a_lease_that_says_its_own_length_is_held_so_long() {
        for (said, lasts) in [(Some(30), 30), (None, 12), (Some(-1), 12)] {
            let (mut observer, start) = (LeaseObserver::default(), Instant::now());
            let lease = LeaseSpec {
                lease_duration_seconds: said,
                ..renewed(0)
            };
            let mut expired = 0;
            for second in 0..60 {
                let state = observer.read(lease.clone(), LEASE_DURATION, start + seconds(second));
                if matches!(state, LeaseState::Held { .. }) {
                    expired = second + 1;
                }
            }
            assert_eq!(expired, lasts, "{said:?}");
        }
    }
}
