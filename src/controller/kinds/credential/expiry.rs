//! What a credential says before it expires, and when that changes. Pure.

use jiff::{SignedDuration, Timestamp};

/// What a warning begins with.
const WARNING: &str = "it expires at ";
/// How long before the end a warning begins, the last first.
const WARNED: [(SignedDuration, &str); 2] = [
    (SignedDuration::from_hours(24), "1 day"),
    (SignedDuration::from_hours(7 * 24), "7 days"),
];

/// The warning that stands now; the same for as long as it stands.
pub fn warning(expires: Timestamp, now: Timestamp) -> Option<String> {
    let (_, left) = WARNED
        .iter()
        .find(|(before, _)| expires > now && begins(expires, *before) <= now)?;
    Some(format!("{WARNING}{expires}, in less than {left}"))
}

/// The warning that a message begins with.
pub fn warning_in(message: &str) -> Option<&str> {
    let warning = message.split(';').next()?;
    warning.starts_with(WARNING).then_some(warning)
}

/// When a warning begins next, or the end comes.
pub fn next(expires: Timestamp, now: Timestamp) -> Option<Timestamp> {
    WARNED
        .iter()
        .map(|(before, _)| begins(expires, *before))
        .chain([expires])
        .filter(|at| *at > now)
        .min()
}

fn begins(expires: Timestamp, before: SignedDuration) -> Timestamp {
    expires.checked_sub(before).unwrap_or(Timestamp::MIN)
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
            let warning = warning(expires, at(now));
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
        while let Some(next) = next(expires, now) {
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
                let _ = warning(expires, now);
                assert!(next(expires, now).is_none_or(|next| next > now));
            }
        }
    }

    #[test]
    fn a_message_is_told_apart_by_its_warning_alone() {
        let warning = warning(at("2027-01-31T00:00:00Z"), at("2027-01-30T12:00:00Z")).unwrap();
        let one = format!("{warning}; accepted at e");
        let other = format!("{warning}; accepted at f");
        assert_eq!(warning_in(&one), Some(warning.as_str()));
        assert_eq!(warning_in(&one), warning_in(&other));
        assert_eq!(warning_in("accepted; it expires at some time"), None);
    }
}
