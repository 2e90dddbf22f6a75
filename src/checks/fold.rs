//! What a check found, and how it changes what is stored. Pure.

use jiff::Timestamp;

use crate::{
    crd::reasons::{ConditionStatus, Reason},
    db::Verdict,
};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub reason: Reason,
    /// In our words.
    pub message: String,
    /// HTTP status of the answer, if there was one.
    pub http_status: Option<u16>,
    /// The vendor's error code.
    pub code: Option<String>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
}

impl Found {
    /// A finding without an answer behind it.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            http_status: None,
            code: None,
            request_id: None,
        }
    }

    /// Whether it passed; `None` where it proved nothing.
    pub fn success(&self) -> Option<bool> {
        match self.reason.status() {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        }
    }

    /// As a verdict on this generation.
    pub fn verdict(&self, generation: i64, now: Timestamp) -> Verdict {
        Verdict {
            reason: self.reason,
            message: self.message.clone(),
            since: now,
            generation,
            url: None,
            http_status: self.http_status,
            code: self.code.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

/// The verdict that is to stand after this one: a check that proved nothing leaves a verdict on
/// the same generation and URL as it is, and a reason that stays keeps its time.
pub fn after(stored: Option<&Verdict>, new: Verdict) -> Verdict {
    match stored {
        Some(stored)
            if stored.generation == new.generation
                && stored.url == new.url
                && proves_nothing(new.reason)
                && !proves_nothing(stored.reason) =>
        {
            stored.clone()
        }
        Some(stored) if stored.reason == new.reason => Verdict {
            since: stored.since,
            ..new
        },
        _ => new,
    }
}

/// Whether a verdict of this reason leaves the question open.
pub fn proves_nothing(reason: Reason) -> bool {
    reason.status() == ConditionStatus::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reason: Reason, generation: i64, second: i64) -> Verdict {
        Found::new(reason, "").verdict(generation, Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_verdict_of_another_url_does_not_stand() {
        let at = |reason, url: &str| Verdict {
            url: Some(url.to_owned()),
            ..verdict(reason, 1, 10)
        };
        let stored = at(Reason::KeyAccepted, "https://a.example/v1");
        let open = at(Reason::CheckInconclusive, "https://b.example/v1");
        assert_eq!(after(Some(&stored), open.clone()), open);
    }

    #[test]
    fn the_last_verdict_stands_when_a_check_proves_nothing() {
        let stored = verdict(Reason::KeyAccepted, 1, 10);
        let open = verdict(Reason::CheckInconclusive, 1, 20);
        assert_eq!(after(Some(&stored), open.clone()), stored);
        assert_eq!(after(None, open.clone()), open);
    }

    #[test]
    fn a_verdict_on_an_older_generation_does_not_stand() {
        let stored = verdict(Reason::KeyAccepted, 1, 10);
        let open = verdict(Reason::CheckInconclusive, 2, 20);
        assert_eq!(after(Some(&stored), open.clone()), open);
    }

    #[test]
    fn the_same_reason_keeps_its_time() {
        let stored = verdict(Reason::ProbeFailed, 1, 10);
        let again = after(Some(&stored), verdict(Reason::ProbeFailed, 2, 20));
        assert_eq!((again.since, again.generation), (stored.since, 2));
        let other = verdict(Reason::ProbeSucceeded, 1, 20);
        assert_eq!(after(Some(&stored), other.clone()), other);
    }
}
