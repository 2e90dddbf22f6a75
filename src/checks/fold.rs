//! What a check found, and how it changes what is stored. Pure.

use jiff::Timestamp;

use crate::{
    crd::reasons::{ConditionStatus, Reason},
    db::StoredCheck,
    vendors::CheckResult,
};

impl CheckResult {
    /// What this finding about an endpoint comes to for what was to be asked there: nothing.
    pub fn of_endpoint(&self) -> Self {
        Self::new(
            Reason::CheckInconclusive,
            format!("the endpoint cannot be called: {}", self.message),
        )
    }

    /// Whether it passed; `None` where it proved nothing.
    pub fn success(&self) -> Option<bool> {
        match self.reason.status() {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        }
    }

    /// The same without NUL characters, which a vendor may send and PostgreSQL cannot hold.
    pub fn storable(self) -> Self {
        Self {
            message: without_nul(self.message),
            code: self.code.map(without_nul),
            request_id: self.request_id.map(without_nul),
            ..self
        }
    }

    /// As a verdict on this generation.
    pub fn verdict(&self, generation: i64, now: Timestamp) -> StoredCheck {
        StoredCheck {
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

fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// The verdict that is to stand after this one: a check that proved nothing leaves a verdict on
/// the same generation and URL as it is, and a reason that stays keeps its time.
pub fn after(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    match stored {
        Some(stored)
            if stored.generation == new.generation
                && stored.url == new.url
                && new.reason.is_open()
                && !stored.reason.is_open() =>
        {
            stored.clone()
        }
        Some(stored) if stored.reason == new.reason => StoredCheck {
            since: stored.since,
            ..new
        },
        _ => new,
    }
}

/// The same of a key's version at an endpoint. What is proved of a key at a URL is so whatever else
/// its credential declares, and only what the vendor says of the key itself undoes that it is
/// refused. While nothing is said of the key, the time of the first such answer stays.
pub fn after_key(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    let Some(stored) = stored.filter(|stored| stored.url == new.url) else {
        return new;
    };
    let stands = match stored.reason {
        Reason::KeyRejected => !settles_key(new.reason) && new.reason != Reason::QuotaExhausted,
        // It says nothing of the key, and is over when the key can be opened.
        Reason::KeyringUnavailable => false,
        reason => !reason.is_open() && new.reason.is_open(),
    };
    if stands {
        return StoredCheck {
            generation: new.generation,
            ..stored.clone()
        };
    }
    let as_open = !settles_key(stored.reason) && !settles_key(new.reason);
    match as_open || stored.reason == new.reason {
        true => StoredCheck {
            since: stored.since,
            ..new
        },
        false => new,
    }
}

/// Whether a verdict of this reason says whether the vendor takes the key, or that nothing can.
fn settles_key(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::KeyAccepted | Reason::KeyRestricted | Reason::KeyRejected | Reason::Unverifiable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reason: Reason, generation: i64, second: i64) -> StoredCheck {
        CheckResult::new(reason, "").verdict(generation, Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_verdict_of_another_url_does_not_stand() {
        let at = |reason, url: &str| StoredCheck {
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
    fn what_is_proved_of_a_key_outlives_a_change_of_its_credential() {
        let open = verdict(Reason::CheckInconclusive, 2, 20);
        for proved in [Reason::KeyRejected, Reason::KeyAccepted] {
            let stored = verdict(proved, 1, 10);
            let kept = after_key(Some(&stored), open.clone());
            assert_eq!((kept.reason, kept.since), (proved, stored.since));
            assert_eq!(kept.generation, 2);
        }
        let rejected = verdict(Reason::KeyRejected, 1, 10);
        let refused = verdict(Reason::AddressRefused, 1, 20);
        let kept = after_key(Some(&rejected), refused);
        assert_eq!(kept.reason, Reason::KeyRejected);
        let accepted = verdict(Reason::KeyAccepted, 1, 20);
        assert_eq!(after_key(Some(&rejected), accepted.clone()), accepted);
        let elsewhere = StoredCheck {
            url: Some("https://b.example".to_owned()),
            ..open
        };
        assert_eq!(after_key(Some(&rejected), elsewhere.clone()), elsewhere);
    }

    #[test]
    fn a_key_that_nothing_can_prove_is_no_open_question() {
        let unverifiable = verdict(Reason::Unverifiable, 1, 20);
        for stored in [
            Reason::KeyAccepted,
            Reason::KeyRejected,
            Reason::CheckInconclusive,
        ] {
            let stored = verdict(stored, 1, 10);
            assert_eq!(after_key(Some(&stored), unverifiable.clone()), unverifiable);
        }
        let open = verdict(Reason::CheckInconclusive, 1, 30);
        assert_eq!(after_key(Some(&unverifiable), open.clone()), unverifiable);
        assert_eq!(after(Some(&unverifiable), open), unverifiable);
    }

    #[test]
    fn a_key_that_nothing_is_said_of_waits_from_the_first_such_answer() {
        let stored = verdict(Reason::CheckInconclusive, 1, 10);
        let other = verdict(Reason::QuotaExhausted, 1, 20);
        assert_eq!(after_key(Some(&stored), other).since, stored.since);
    }

    #[test]
    fn an_endpoint_that_cannot_be_called_says_nothing_of_keys_and_lists() {
        let endpoint = CheckResult::new(Reason::ProbeFailed, "spec.caBundle is no certificate");
        assert_eq!(endpoint.of_endpoint().success(), None);
        assert!(endpoint.of_endpoint().message.contains("spec.caBundle"));
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
