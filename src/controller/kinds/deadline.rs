//! What is said before something ends, and when that changes. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::crd::reasons::Reason;

/// An end that is warned of.
pub struct Deadline {
    /// What a warning begins with.
    begins_with: &'static str,
    /// How long before the end a warning begins, the last first.
    warned: &'static [(SignedDuration, &'static str)],
    /// Why a condition warns, and an Event.
    pub reason: Reason,
}

const DAY: (SignedDuration, &str) = (SignedDuration::from_hours(24), "1 day");
const WEEK: (SignedDuration, &str) = (SignedDuration::from_hours(7 * 24), "7 days");
const MONTH: (SignedDuration, &str) = (SignedDuration::from_hours(30 * 24), "30 days");

/// The end of a credential.
pub const EXPIRY: Deadline = Deadline {
    begins_with: "it expires at ",
    warned: &[DAY, WEEK],
    reason: Reason::ExpiresSoon,
};

/// The end of a model.
pub const RETIREMENT: Deadline = Deadline {
    begins_with: "it retires at ",
    warned: &[DAY, WEEK, MONTH],
    reason: Reason::RetiresSoon,
};

/// All of them.
pub const ALL: [Deadline; 2] = [EXPIRY, RETIREMENT];

impl Deadline {
    /// The warning that stands now; the same for as long as it stands.
    pub fn warning(&self, end: Timestamp, now: Timestamp) -> Option<String> {
        let stands = |before: SignedDuration| end > now && begins(end, before) <= now;
        let (_, left) = self.warned.iter().find(|(before, _)| stands(*before))?;
        Some(format!("{}{end}, in less than {left}", self.begins_with))
    }

    /// The warning that a message begins with.
    pub fn warning_in<'m>(&self, message: &'m str) -> Option<&'m str> {
        let warning = message.split(';').next()?;
        warning.starts_with(self.begins_with).then_some(warning)
    }

    /// When a warning begins next, or the end comes.
    pub fn next(&self, end: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let begin = self.warned.iter().map(|(before, _)| begins(end, *before));
        begin.chain([end]).filter(|at| *at > now).min()
    }
}

fn begins(end: Timestamp, before: SignedDuration) -> Timestamp {
    end.checked_sub(before).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_warned_of_at_seven_days_and_at_one_and_no_more_once_it_is_over() {
        let expires = at("2027-01-31T00:00:00Z");
        let left = |now: &str| {
            let warning = EXPIRY.warning(expires, at(now));
            warning.map(|w| w.rsplit("less than ").next().unwrap_or_default().to_owned())
        };
        assert_eq!(left("2027-01-23T23:59:59Z"), None);
        assert_eq!(left("2027-01-24T00:00:00Z"), Some("7 days".into()));
        assert_eq!(left("2027-01-29T23:59:59Z"), Some("7 days".into()));
        assert_eq!(left("2027-01-30T00:00:00Z"), Some("1 day".into()));
        assert_eq!(left("2027-01-31T00:00:00Z"), None);
    }

    #[test]
    fn time_is_looked_at_when_a_warning_begins_and_at_the_end() {
        let expires = at("2027-01-31T00:00:00Z");
        let mut now = at("2026-06-01T00:00:00Z");
        let mut moments = Vec::new();
        while let Some(next) = EXPIRY.next(expires, now) {
            assert!(next > now);
            moments.push(next);
            now = next;
        }
        assert_eq!(
            moments,
            [
                at("2027-01-24T00:00:00Z"),
                at("2027-01-30T00:00:00Z"),
                expires
            ]
        );
    }

    #[test]
    fn the_ends_of_time_are_times_like_others() {
        for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            for expires in [Timestamp::MIN, at("0001-01-01T00:00:00Z"), Timestamp::MAX] {
                for deadline in ALL {
                    let _ = deadline.warning(expires, now);
                    assert!(deadline.next(expires, now).is_none_or(|next| next > now));
                }
            }
        }
    }

    #[test]
    fn a_message_is_told_apart_by_its_warning_alone() {
        let (end, now) = (at("2027-01-31T00:00:00Z"), at("2027-01-30T12:00:00Z"));
        let warning = EXPIRY.warning(end, now).unwrap();
        let one = format!("{warning}; accepted at e");
        let other = format!("{warning}; accepted at f");
        assert_eq!(EXPIRY.warning_in(&one), Some(warning.as_str()));
        assert_eq!(EXPIRY.warning_in(&one), EXPIRY.warning_in(&other));
        assert_eq!(EXPIRY.warning_in("accepted; it expires at some time"), None);
        assert_eq!(RETIREMENT.warning_in(&one), None);
    }

    #[test]
    fn a_models_end_is_warned_of_at_thirty_days_seven_and_one() {
        let end = at("2027-01-31T00:00:00Z");
        let left = |now: &str| {
            let warning = RETIREMENT.warning(end, at(now));
            warning.map(|w| w.rsplit("less than ").next().unwrap_or_default().to_owned())
        };
        assert_eq!(left("2026-12-31T23:59:59Z"), None);
        assert_eq!(left("2027-01-01T00:00:00Z"), Some("30 days".into()));
        assert_eq!(left("2027-01-24T00:00:00Z"), Some("7 days".into()));
        assert_eq!(left("2027-01-30T00:00:00Z"), Some("1 day".into()));
        assert_eq!(left("2027-01-31T00:00:00Z"), None);
    }
}
