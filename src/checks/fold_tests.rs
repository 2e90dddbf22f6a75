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
fn a_key_that_could_not_be_opened_keeps_what_was_said_of_it() {
    let unopened = verdict(Reason::KeyringUnavailable, 1, 20);
    for said in [
        Reason::KeyAccepted,
        Reason::KeyRestricted,
        Reason::KeyRejected,
        Reason::QuotaExhausted,
        Reason::Unverifiable,
    ] {
        let stored = verdict(said, 1, 10);
        assert_eq!(after_key(Some(&stored), unopened.clone()), stored);
    }
    // Nothing was proved: it does not wait to be taken unasked.
    let open = verdict(Reason::CheckInconclusive, 1, 10);
    let stored = after_key(Some(&open), unopened.clone());
    assert_eq!(stored.reason, Reason::KeyringUnavailable);
    let accepted = verdict(Reason::KeyAccepted, 1, 30);
    assert_eq!(after_key(Some(&stored), accepted.clone()), accepted);
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
    for status in [200, 302, 400, 401, 403, 422] {
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
}

/// An answer of this status that names no cause.
fn unclear_result(status: u16) -> CheckResult {
    CheckResult {
        http_status: Some(status),
        refused: !matches!(status, 408 | 429 | 500..),
        ..CheckResult::new(Reason::CheckInconclusive, "unclear")
    }
}

#[test]
fn a_key_whose_call_fails_beside_an_answer_to_another_is_refused_or_in_doubt() {
    let redirected = CheckResult {
        refused: true,
        ..CheckResult::new(Reason::CheckInconclusive, "the host redirects elsewhere")
    };
    for (failed, how) in [
        (
            unclear_result(403),
            "refuses the key (HTTP 403), and answers",
        ),
        (unclear_result(200), "refuses the key, and answers"),
        (redirected, "refuses the key, and answers"),
    ] {
        let said = failed.beside_answered(1);
        assert_eq!(said.reason, Reason::KeyRejected);
        assert!(said.message.contains(how), "{}", said.message);
    }
    for status in [408, 429, 500, 503] {
        let said = unclear_result(status).beside_answered(1);
        let verdict = said.verdict(1, String::new(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            (verdict.reason, verdict.doubts),
            (Reason::CheckInconclusive, 1)
        );
        assert!(verdict.message.contains("version 1"), "{}", verdict.message);
    }
}

#[test]
fn an_error_in_the_place_of_the_list_puts_an_accepted_key_in_doubt() {
    let mut stored = verdict(Reason::KeyAccepted, 1, 10);
    for second in 20..23 {
        assert_eq!(stored.reason, Reason::KeyAccepted);
        stored = after_key(Some(&stored), unclear(200, second));
    }
    assert_eq!(stored.reason, Reason::CheckInconclusive);
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
