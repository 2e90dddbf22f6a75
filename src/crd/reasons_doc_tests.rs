//! `docs/conditions.md` tells of every reason, with its status and what it does to `Ready`.

use super::*;

/// Reason, status and `Ready` of each row whose first cell is a reason.
fn documented() -> Vec<(String, String, String)> {
    let text = include_str!("../../docs/conditions.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let reason = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        (cells.len() == 7).then(|| (reason.to_owned(), cells[3].to_owned(), cells[4].to_owned()))
    };
    text.lines().filter_map(row).collect()
}

fn ready(reason: Reason) -> &'static str {
    match reason.ready() {
        ReadyEffect::True => "True",
        ReadyEffect::False => "False",
        ReadyEffect::UntilVerified(ConditionStatus::False) => "False, then True",
        ReadyEffect::UntilVerified(_) => "Unknown, then True",
        ReadyEffect::AsItWas => "as it was",
    }
}

#[test]
fn every_reason_is_documented_with_its_status_and_its_ready() {
    let mut expected: Vec<_> = (Reason::ALL.iter())
        .map(|reason| {
            let status = reason.status().as_str().to_owned();
            (reason.to_string(), status, ready(*reason).to_owned())
        })
        .collect();
    let mut documented = documented();
    expected.sort();
    documented.sort();
    assert_eq!(documented, expected);
}

#[test]
fn the_events_of_their_own_are_documented() {
    let text = include_str!("../../docs/conditions.md");
    for reason in [STORED_KEY_TAMPERED, CURRENT_MODEL_CHANGED] {
        assert!(text.contains(&format!("| `{reason}` |")), "{reason}");
    }
}
