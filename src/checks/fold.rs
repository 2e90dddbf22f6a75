//! What a check found, and how it changes what is stored. Pure.

use jiff::Timestamp;

use crate::{
    crd::reasons::{ConditionStatus, Reason},
    db::{LastPassed, StoredCheck},
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

    /// As a verdict on this generation, found with these inputs; see [`super::inputs`].
    pub fn verdict(&self, generation: i64, inputs: String, now: Timestamp) -> StoredCheck {
        StoredCheck {
            reason: self.reason,
            message: self.message.clone(),
            since: now,
            generation,
            inputs,
            key: None,
            last_passed: None,
            http_status: self.http_status,
            code: self.code.clone(),
            request_id: self.request_id.clone(),
            doubts: u8::from(self.casts_doubt()),
            proves_key: None,
            proved_with: None,
            was_accepted: false,
        }
    }

    /// Whether an answer puts in doubt that the vendor takes the key, and may pass: a refusal that
    /// names no cause, or a list that is not there.
    fn casts_doubt(&self) -> bool {
        match self.http_status {
            Some(400 | 401 | 403 | 406..=499) => self.may_be_the_key(),
            Some(404 | 405 | 501) => self.reason == Reason::Unverifiable,
            _ => false,
        }
    }

    /// Whether an answer that says nothing of the key may be what it is because of the key: not where
    /// the vendor is overloaded, broken, or asks to wait.
    pub fn may_be_the_key(&self) -> bool {
        match (self.reason, self.http_status) {
            (_, None | Some(402 | 407 | 408 | 409 | 425 | 429 | 500..)) => false,
            (Reason::CheckInconclusive, Some(_)) => true,
            (Reason::Unverifiable, Some(status)) => status >= 400,
            _ => false,
        }
    }

    /// Whether the vendor answered the call, whatever that proves.
    pub fn is_answered(&self) -> bool {
        match self.reason {
            Reason::KeyAccepted => true,
            Reason::Unverifiable => matches!(self.http_status, Some(200..=299)),
            _ => false,
        }
    }

    /// What such an answer comes to where the same call was answered with this version of the key.
    pub fn rejected_beside(self, version: i32) -> Self {
        let status = self.http_status.unwrap_or_default();
        Self {
            reason: Reason::KeyRejected,
            message: format!(
                "the vendor refuses the key (HTTP {status}), and answers the same call with version {version} of it; put a valid one in the Secret"
            ),
            ..self
        }
    }
}

/// Doubts after which it stands no more that a key is taken.
const MAX_DOUBTS: u8 = 3;

fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// The verdict that is to stand after this one: a check that proved nothing leaves a verdict that was
/// found with the same inputs as it is, unless there is no key left to ask with, and a reason that
/// stays keeps its time.
pub fn after(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    match stored {
        Some(stored)
            if stored.is_of(&new.inputs)
                && new.reason.is_open()
                && new.reason != Reason::NoValidCredential
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

/// The verdict without one that was found with a key which cannot be used any more.
pub fn with_usable_key<'a>(
    stored: Option<&'a StoredCheck>,
    usable: &[String],
) -> Option<&'a StoredCheck> {
    stored.filter(|stored| stored.key.as_ref().is_none_or(|key| usable.contains(key)))
}

/// The last check that passed, where another takes the place of the stored one; `at` is when it did,
/// where that is known.
pub fn last_passed(stored: Option<&StoredCheck>, at: Option<Timestamp>) -> Option<LastPassed> {
    let stored = stored?;
    match stored.reason.status() {
        ConditionStatus::True => Some(LastPassed {
            at: at.unwrap_or(stored.since),
            inputs: stored.inputs.clone(),
            key: stored.key.clone(),
        }),
        _ => stored.last_passed.clone(),
    }
}

/// The same of a key's version at an endpoint. What is proved of a key there is so whatever else
/// its credential declares, and only what the vendor says of the key itself undoes that it is
/// refused. That it is taken ends with a rejection, with the proof that the answer proves nothing, or
/// after three answers in a row that put it in doubt. While nothing is said of the key, the time of
/// the first such answer stays.
pub fn after_key(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    let stored = stored.filter(|stored| stored.is_of(&new.inputs));
    let after = match stored {
        None => new,
        Some(stored) if settles_key(new.reason) && new.doubts == 0 => StoredCheck {
            since: since(stored, &new),
            ..new
        },
        Some(stored) => after_doubt(stored, new),
    };
    match after.reason {
        // There is no list to be refused.
        Reason::Unverifiable => StoredCheck { doubts: 0, ..after },
        _ => after,
    }
}

/// What stands after an answer that does not settle whether the key is taken.
fn after_doubt(stored: &StoredCheck, new: StoredCheck) -> StoredCheck {
    let doubts = stored.doubts.saturating_add(new.doubts).min(MAX_DOUBTS);
    let accepted = matches!(stored.reason, Reason::KeyAccepted | Reason::KeyRestricted);
    let stands = match stored.reason {
        Reason::KeyRejected => new.reason != Reason::QuotaExhausted,
        // It says nothing of the key, and is over when the key can be opened.
        Reason::KeyringUnavailable => false,
        reason if reason == new.reason => false,
        reason => {
            !reason.is_open() && (new.reason.is_open() || new.doubts > 0) && doubts < MAX_DOUBTS
        }
    };
    if stands {
        return StoredCheck {
            generation: new.generation,
            doubts: if stored.reason == Reason::KeyRejected {
                0
            } else {
                doubts
            },
            ..stored.clone()
        };
    }
    let was_accepted = stored.was_accepted || accepted;
    let refused = new.reason == Reason::CheckInconclusive && new.doubts > 0;
    let message = match was_accepted && refused && doubts == MAX_DOUBTS {
        true => format!(
            "the vendor took this key before and refuses it now: {}",
            new.message
        ),
        false => new.message.clone(),
    };
    StoredCheck {
        since: since(stored, &new),
        message,
        doubts,
        was_accepted,
        ..new
    }
}

fn since(stored: &StoredCheck, new: &StoredCheck) -> Timestamp {
    let as_open = !settles_key(stored.reason) && !settles_key(new.reason);
    match as_open || stored.reason == new.reason {
        true => stored.since,
        false => new.since,
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
        let at = Timestamp::from_second(second).unwrap();
        CheckResult::new(reason, "").verdict(generation, "inputs".to_owned(), at)
    }

    #[test]
    fn a_verdict_that_was_found_with_other_inputs_does_not_stand() {
        let with = |reason, inputs: &str| StoredCheck {
            inputs: inputs.to_owned(),
            ..verdict(reason, 1, 10)
        };
        for inputs in ["other", ""] {
            let stored = with(Reason::KeyAccepted, inputs);
            let open = verdict(Reason::CheckInconclusive, 1, 20);
            assert_eq!(after(Some(&stored), open.clone()), open);
            assert_eq!(after_key(Some(&stored), open.clone()), open);
        }
        let unknown = with(Reason::CheckInconclusive, "");
        let stored = with(Reason::KeyAccepted, "");
        assert_eq!(after(Some(&stored), unknown.clone()), unknown);
    }

    #[test]
    fn a_verdict_whose_key_is_gone_does_not_stand_and_is_remembered() {
        let stored = StoredCheck {
            key: Some("f1".to_owned()),
            ..verdict(Reason::SyncSucceeded, 1, 10)
        };
        let usable = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            with_usable_key(Some(&stored), &keys).is_some()
        };
        assert!(usable(&["f2", "f1"]) && !usable(&["f2"]) && !usable(&[]));
        let keyless = verdict(Reason::SyncSucceeded, 1, 10);
        assert!(with_usable_key(Some(&keyless), &[]).is_some());
        let no_key = verdict(Reason::NoValidCredential, 1, 20);
        assert_eq!(after(Some(&keyless), no_key.clone()), no_key);
        let at = Timestamp::from_second(15).unwrap();
        let passed = last_passed(Some(&stored), Some(at)).unwrap();
        assert_eq!((passed.at, passed.key.as_deref()), (at, Some("f1")));
        let later = StoredCheck {
            last_passed: Some(passed.clone()),
            ..no_key
        };
        assert_eq!(last_passed(Some(&later), None), Some(passed));
    }

    #[test]
    fn the_last_verdict_stands_when_a_check_proves_nothing() {
        let stored = verdict(Reason::KeyAccepted, 1, 10);
        let open = verdict(Reason::CheckInconclusive, 1, 20);
        assert_eq!(after(Some(&stored), open.clone()), stored);
        assert_eq!(after(None, open.clone()), open);
    }

    #[test]
    fn an_edit_that_changes_none_of_the_inputs_leaves_a_verdict_as_it_is() {
        let stored = verdict(Reason::KeyAccepted, 1, 10);
        let open = verdict(Reason::CheckInconclusive, 2, 20);
        assert_eq!(after(Some(&stored), open), stored);
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
            inputs: "other".to_owned(),
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

    /// An answer with this status that names no cause.
    fn unclear(status: u16, second: i64) -> StoredCheck {
        unclear_result(status).verdict(
            1,
            "inputs".to_owned(),
            Timestamp::from_second(second).unwrap(),
        )
    }

    #[test]
    fn an_accepted_key_that_is_refused_three_times_in_a_row_is_accepted_no_more() {
        for status in [400, 401, 403, 422] {
            let mut stored = verdict(Reason::KeyAccepted, 1, 10);
            for second in 20..22 {
                // An outage in between is no acceptance.
                stored = after_key(Some(&stored), unclear(503, second));
                stored = after_key(Some(&stored), unclear(status, second));
                assert_eq!(
                    (stored.reason, stored.since.as_second()),
                    (Reason::KeyAccepted, 10)
                );
            }
            stored = after_key(Some(&stored), unclear(status, 30));
            assert_eq!(
                (stored.reason, stored.since.as_second()),
                (Reason::CheckInconclusive, 30)
            );
            assert!(stored.was_accepted && stored.message.contains("took this key before"));
            let again = after_key(Some(&stored), unclear(status, 40));
            assert_eq!(again, stored, "it is written once");
            let accepted = after_key(Some(&stored), verdict(Reason::KeyAccepted, 1, 50));
            assert_eq!((accepted.reason, accepted.doubts), (Reason::KeyAccepted, 0));
        }
    }

    #[test]
    fn refusals_that_an_acceptance_interrupts_do_not_add_up() {
        let mut stored = verdict(Reason::KeyAccepted, 1, 10);
        for second in 0..9 {
            stored = after_key(Some(&stored), unclear(403, second));
            stored = after_key(Some(&stored), unclear(403, second));
            stored = after_key(Some(&stored), verdict(Reason::KeyAccepted, 1, second));
            assert_eq!(stored.reason, Reason::KeyAccepted);
        }
    }

    #[test]
    fn neither_an_outage_nor_a_limit_says_anything_of_a_key() {
        let mut stored = verdict(Reason::KeyAccepted, 1, 10);
        for status in [408, 429, 500, 503, 529, 429, 502] {
            assert!(!unclear_result(status).may_be_the_key(), "{status}");
            stored = after_key(Some(&stored), unclear(status, 20));
        }
        assert_eq!((stored.reason, stored.doubts), (Reason::KeyAccepted, 0));
        assert!(unclear_result(403).may_be_the_key());
        assert_eq!(
            unclear_result(403).rejected_beside(1).reason,
            Reason::KeyRejected
        );
    }

    fn unclear_result(status: u16) -> CheckResult {
        CheckResult {
            http_status: Some(status),
            ..CheckResult::new(Reason::CheckInconclusive, "unclear")
        }
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
