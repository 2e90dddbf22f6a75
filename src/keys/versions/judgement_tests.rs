//! What the endpoints that a key is for say of it together.

use super::*;
use crate::db::StoredCheck;

const ENDPOINTS: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

fn verdict(reason: Reason) -> StoredCheck {
    judged(row(1, VersionState::Pending, "f"), reason).verdicts[&Uuid::nil()].clone()
}

fn of(reasons: &[Option<Reason>]) -> VersionVerdict {
    let verdicts: Vec<_> = reasons.iter().map(|reason| reason.map(verdict)).collect();
    judgement(verdicts.iter().map(Option::as_ref))
}

#[test]
fn one_acceptance_is_enough_and_what_was_not_asked_is_waited_for() {
    use Reason::{CheckInconclusive, KeyAccepted, KeyRejected};
    assert_eq!(
        of(&[Some(KeyRejected), Some(KeyAccepted)]),
        VersionVerdict::Accepted
    );
    let not_yet = VersionVerdict::NotYet {
        was_accepted: false,
    };
    assert_eq!(of(&[Some(CheckInconclusive), None]), not_yet);
    let since = |since| {
        VersionVerdict::Open(OpenVerdict {
            since,
            ..OpenVerdict::default()
        })
    };
    assert_eq!(of(&[Some(CheckInconclusive)]), since(Some(at(0))));
    assert_eq!(of(&[]), since(None));
}

#[test]
fn a_key_is_rejected_where_no_endpoint_may_still_take_it() {
    let beside = |other| of(&[Some(Reason::KeyRejected), other]);
    assert_eq!(of(&[Some(Reason::KeyRejected)]), VersionVerdict::Rejected);
    // It may not be sent to the other: waiting does not help.
    for sure in [
        Reason::KeyRejected,
        Reason::AddressRefused,
        Reason::HostNotAllowed,
    ] {
        assert_eq!(beside(Some(sure)), VersionVerdict::Rejected, "{sure}");
    }
    let not_yet = VersionVerdict::NotYet {
        was_accepted: false,
    };
    assert_eq!(beside(None), not_yet);
    assert_eq!(beside(Some(Reason::KeyringUnavailable)), not_yet);
    let refused = |since| {
        VersionVerdict::Open(OpenVerdict {
            since,
            refused: true,
            was_accepted: false,
        })
    };
    for open in [Reason::CheckInconclusive, Reason::QuotaExhausted] {
        assert_eq!(beside(Some(open)), refused(Some(at(0))), "{open}");
    }
    assert_eq!(beside(Some(Reason::Unverifiable)), refused(None));
}

fn at_both(row: &CredentialVersionRow) -> VersionVerdict {
    judgement(ENDPOINTS.iter().map(|uid| row.verdicts.get(uid)))
}

fn said(version: i32, state: VersionState, reasons: [Option<Reason>; 2]) -> CredentialVersionRow {
    let mut row = row(version, state, &format!("f{version}"));
    for (uid, reason) in ENDPOINTS.iter().zip(reasons) {
        row.verdicts
            .extend(reason.map(|reason| (*uid, verdict(reason))));
    }
    row
}

fn rotated(rows: &[CredentialVersionRow], second: i64) -> VersionSteps {
    let hosts = ["a.example".to_owned()];
    let seen = SecretState {
        fingerprint: "f2",
        provider_type: ProviderType::OpenAI,
        hosts: &hosts,
    };
    let view = SecretView::Holds(seen);
    steps(stored(rows), view, &at_both, TERMS, at(second))
}

#[test]
fn a_key_that_one_endpoint_refuses_waits_for_the_other_where_the_one_before_was_accepted() {
    use Reason::{CheckInconclusive, KeyAccepted, KeyRejected, Unverifiable};
    let before = said(
        1,
        VersionState::Current,
        [Some(KeyRejected), Some(KeyAccepted)],
    );
    let pending = |other| said(2, VersionState::Pending, [Some(KeyRejected), other]);
    let years = 100_000_000;
    let not_asked = rotated(&[pending(None), before.clone()], years);
    assert_eq!(not_asked, VersionSteps::default());
    let waits = PendingWait {
        version: 2,
        until: None,
    };
    for open in [CheckInconclusive, Unverifiable] {
        let away = rotated(&[pending(Some(open)), before.clone()], years);
        assert_eq!((moved(&away), away.waits), (vec![], Some(waits)), "{open}");
    }
    let taken = [(1, VersionState::Previous), (2, VersionState::Current)];
    let back = rotated(&[pending(Some(KeyAccepted)), before], 5);
    assert_eq!(moved(&back), taken);
    // The one before is no better: it ends like one that nothing can prove.
    let unproved = said(
        1,
        VersionState::Current,
        [Some(KeyRejected), Some(Unverifiable)],
    );
    let rows = [pending(Some(Unverifiable)), unproved];
    assert_eq!(moved(&rotated(&rows, 899)), []);
    assert_eq!(moved(&rotated(&rows, 900)), taken);
}
