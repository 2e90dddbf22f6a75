use jiff::Timestamp;

use super::*;
use crate::vendors::CheckResult;

fn verdict(reason: Reason) -> StoredCheck {
    CheckResult::new(reason, format!("{reason}.")).verdict(
        1,
        "inputs".to_owned(),
        Timestamp::UNIX_EPOCH,
    )
}

fn combined(reasons: &[Option<Reason>], not_at: &[&str]) -> ConditionInput {
    let verdicts: Vec<(String, Option<StoredCheck>)> = reasons
        .iter()
        .enumerate()
        .map(|(i, reason)| (format!("e{i}"), reason.map(verdict)))
        .collect();
    let borrowed: Vec<(&str, Option<&StoredCheck>)> = verdicts
        .iter()
        .map(|(name, verdict)| (name.as_str(), verdict.as_ref()))
        .collect();
    combine(&borrowed, not_at)
}

#[test]
fn a_key_that_works_somewhere_is_valid_and_the_rest_is_named() {
    let finding = combined(
        &[Some(Reason::KeyRejected), Some(Reason::KeyAccepted)],
        &["gw"],
    );
    assert_eq!(finding.reason, Reason::KeyAccepted);
    assert!(finding.message.contains("e0 (KeyRejected)"));
    assert!(finding.message.contains("gw (HostNotAllowed)"));
}

#[test]
fn a_key_is_rejected_when_it_is_rejected_everywhere() {
    let all = combined(&[Some(Reason::KeyRejected), Some(Reason::KeyRejected)], &[]);
    assert_eq!(all.reason, Reason::KeyRejected);
    let one_open = combined(&[Some(Reason::KeyRejected), None], &[]);
    assert_eq!(one_open.reason, Reason::NotCheckedYet);
}

#[test]
fn what_one_endpoint_cannot_prove_another_may() {
    let reason =
        |others: Option<Reason>| combined(&[Some(Reason::Unverifiable), others], &[]).reason;
    assert_eq!(reason(Some(Reason::KeyAccepted)), Reason::KeyAccepted);
    assert_eq!(reason(None), Reason::NotCheckedYet);
    for settled in [Reason::CheckInconclusive, Reason::KeyRejected] {
        assert_eq!(reason(Some(settled)), Reason::Unverifiable);
    }
}

#[test]
fn one_endpoint_speaks_for_itself() {
    assert_eq!(
        combined(&[Some(Reason::QuotaExhausted)], &[]).message,
        "QuotaExhausted."
    );
}
