use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use uuid::Uuid;

use super::*;
use crate::{crd::reasons::Reason, vendors::CheckResult};

#[path = "judgement_tests.rs"]
mod judgement_tests;

const GRACE: Duration = Duration::from_secs(3600);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn row(version: i32, state: VersionState, fingerprint: &str) -> CredentialVersionRow {
    CredentialVersionRow {
        credential_uid: Uuid::nil(),
        version,
        state,
        fingerprint: fingerprint.into(),
        masked_key: "********".into(),
        provider_type: ProviderType::OpenAI,
        allowed_hosts: vec!["a.example".into()],
        kek_id: "0".into(),
        verdicts: Default::default(),
        since: at(0),
        grace_until: None,
        exchanged_with: None,
        created_at: at(0),
    }
}

fn judged(mut row: CredentialVersionRow, reason: Reason) -> CredentialVersionRow {
    row.verdicts.insert(
        Uuid::nil(),
        CheckResult::new(reason, "").verdict(1, "inputs".to_owned(), at(0)),
    );
    row
}

/// As if the key were for the one endpoint of [`judged`].
fn at_one_endpoint(row: &CredentialVersionRow) -> VersionVerdict {
    judgement([row.verdicts.get(&Uuid::nil())].into_iter())
}

const TERMS: VersionRules = VersionRules {
    grace: GRACE,
    validated: true,
    on: true,
};

/// What is known where the status tells of nothing else and every key authenticates.
fn stored(rows: &[CredentialVersionRow]) -> KnownVersions<'_> {
    KnownVersions {
        rows,
        told: &[],
        unreadable: &[],
        unknown_kek: &[],
    }
}

fn after(
    rows: &[CredentialVersionRow],
    fingerprint: &str,
    hosts: &[&str],
    second: i64,
) -> VersionSteps {
    knowing(stored(rows), fingerprint, hosts, second)
}

fn knowing(
    known: KnownVersions<'_>,
    fingerprint: &str,
    hosts: &[&str],
    second: i64,
) -> VersionSteps {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let seen = SecretState {
        fingerprint,
        provider_type: ProviderType::OpenAI,
        hosts: &hosts,
    };
    steps(
        known,
        SecretView::Holds(seen),
        &at_one_endpoint,
        TERMS,
        at(second),
    )
}

fn told(version: i32, state: VersionState, fingerprint: &str) -> KeyVersion {
    KeyVersion {
        version,
        fingerprint: fingerprint.into(),
        state,
        since: Time(at(0)),
    }
}

fn inserted(steps: &VersionSteps) -> Option<(i32, VersionState)> {
    steps.insert.map(|insert| (insert.version, insert.state))
}

fn moved(steps: &VersionSteps) -> Vec<(i32, VersionState)> {
    steps.moves.iter().map(|m| (m.version, m.state)).collect()
}

#[test]
fn the_first_version_is_in_use_at_once() {
    let steps = after(&[], "f1", &["a.example"], 0);
    assert_eq!(
        steps.insert,
        Some(VersionInsert {
            version: 1,
            state: VersionState::Current
        })
    );
}

#[test]
fn the_same_key_makes_no_step() {
    let rows = [row(1, VersionState::Current, "f1")];
    assert_eq!(
        after(&rows, "f1", &["a.example"], 5),
        VersionSteps::default()
    );
}

#[test]
fn a_changed_secret_makes_a_pending_version_and_keeps_the_old() {
    let rows = [row(1, VersionState::Current, "f1")];
    let steps = after(&rows, "f2", &["a.example"], 5);
    assert_eq!(moved(&steps), []);
    assert_eq!(
        steps.insert,
        Some(VersionInsert {
            version: 2,
            state: VersionState::Pending
        })
    );
}

#[test]
fn an_accepted_version_takes_over_and_the_old_one_has_its_grace() {
    let rows = [
        judged(row(2, VersionState::Pending, "f2"), Reason::KeyAccepted),
        row(1, VersionState::Current, "f1"),
    ];
    let steps = after(&rows, "f2", &["a.example"], 10);
    assert_eq!(
        moved(&steps),
        [(1, VersionState::Previous), (2, VersionState::Current)]
    );
    assert_eq!(steps.moves[0].grace_until, Some(at(10) + GRACE));
    assert_eq!(steps.again_at, Some(at(10) + GRACE));
}

#[test]
fn a_rejected_version_leaves_the_old_one_in_use_for_ever() {
    let rows = [
        judged(row(2, VersionState::Pending, "f2"), Reason::KeyRejected),
        row(1, VersionState::Current, "f1"),
    ];
    assert_eq!(
        after(&rows, "f2", &["a.example"], 1_000_000),
        VersionSteps::default()
    );
}

#[test]
fn a_version_that_nothing_could_judge_takes_over_after_fifteen_minutes() {
    let rows = [
        judged(
            row(2, VersionState::Pending, "f2"),
            Reason::CheckInconclusive,
        ),
        row(1, VersionState::Current, "f1"),
    ];
    let early = after(&rows, "f2", &["a.example"], 899);
    assert_eq!((moved(&early), early.again_at), (vec![], Some(at(900))));
    let late = after(&rows, "f2", &["a.example"], 900);
    assert_eq!(
        moved(&late),
        [(1, VersionState::Previous), (2, VersionState::Current)]
    );
}

#[test]
fn a_version_that_nothing_can_prove_takes_over_at_once() {
    let rows = [
        judged(row(2, VersionState::Pending, "f2"), Reason::Unverifiable),
        row(1, VersionState::Current, "f1"),
    ];
    let steps = after(&rows, "f2", &["a.example"], 5);
    assert_eq!(
        moved(&steps),
        [(1, VersionState::Previous), (2, VersionState::Current)]
    );
}

#[test]
fn a_third_key_replaces_one_that_was_never_in_use() {
    let rows = [
        row(2, VersionState::Pending, "f2"),
        row(1, VersionState::Current, "f1"),
    ];
    let steps = after(&rows, "f3", &["a.example"], 5);
    assert_eq!(moved(&steps), [(2, VersionState::Destroyed)]);
    assert_eq!(
        steps.insert,
        Some(VersionInsert {
            version: 3,
            state: VersionState::Pending
        })
    );
}

#[test]
fn going_back_to_the_key_in_use_drops_the_new_one() {
    let rows = [
        row(2, VersionState::Pending, "f2"),
        row(1, VersionState::Current, "f1"),
    ];
    let steps = after(&rows, "f1", &["a.example"], 5);
    assert_eq!(moved(&steps), [(2, VersionState::Destroyed)]);
    assert_eq!(steps.insert, None);
}

#[test]
fn changed_hosts_make_a_new_version_without_grace() {
    let mut previous = row(1, VersionState::Previous, "f0");
    previous.grace_until = Some(at(1000));
    let rows = [row(2, VersionState::Current, "f1"), previous];
    let steps = after(&rows, "f1", &["b.example"], 5);
    assert_eq!(
        moved(&steps),
        [(2, VersionState::Destroyed), (1, VersionState::Destroyed)]
    );
    assert_eq!(
        steps.insert,
        Some(VersionInsert {
            version: 3,
            state: VersionState::Current
        })
    );
}

#[test]
fn grace_ends_also_while_the_secret_is_away() {
    let mut previous = row(1, VersionState::Previous, "f1");
    previous.grace_until = Some(at(100));
    let rows = [row(2, VersionState::Current, "f2"), previous];
    let without = |second| {
        steps(
            stored(&rows),
            SecretView::Unknown,
            &at_one_endpoint,
            TERMS,
            at(second),
        )
    };
    let early = without(99);
    assert_eq!((moved(&early), early.again_at), (vec![], Some(at(100))));
    assert_eq!(moved(&without(100)), [(1, VersionState::Destroyed)]);
}

#[test]
fn destroyed_versions_are_counted_and_never_come_back() {
    let rows = [row(4, VersionState::Destroyed, "f1")];
    assert_eq!(
        after(&rows, "f1", &["a.example"], 5).insert,
        Some(VersionInsert {
            version: 5,
            state: VersionState::Current
        })
    );
}

#[test]
fn the_wait_of_a_version_begins_when_it_is_asked_where_its_endpoint_is_now() {
    let rows = [
        row(2, VersionState::Pending, "f2"),
        row(1, VersionState::Current, "f1"),
    ];
    assert_eq!(
        after(&rows, "f2", &["a.example"], 1_000_000),
        VersionSteps::default(),
        "nobody has been asked yet"
    );
    let mut asked = judged(rows[0].clone(), Reason::CheckInconclusive);
    asked.verdicts.get_mut(&Uuid::nil()).unwrap().since = at(5000);
    let rows = [asked, rows[1].clone()];
    let early = after(&rows, "f2", &["a.example"], 5899);
    assert_eq!((moved(&early), early.again_at), (vec![], Some(at(5900))));
    assert_eq!(after(&rows, "f2", &["a.example"], 5900).moves.len(), 2);
}

const HOSTS: &[&str] = &["a.example"];

#[test]
fn what_a_restored_database_brings_back_is_destroyed_again_and_the_secrets_key_is_in_use() {
    let rows = [row(1, VersionState::Current, "f1")];
    let status = [
        told(2, VersionState::Current, "f2"),
        told(1, VersionState::Destroyed, "f1"),
    ];
    let known = KnownVersions {
        told: &status,
        ..stored(&rows)
    };
    let steps_with = knowing(known, "f2", HOSTS, 5);
    assert_eq!(moved(&steps_with), [(1, VersionState::Destroyed)]);
    assert_eq!(inserted(&steps_with), Some((3, VersionState::Current)));
    assert!(steps_with.rolled_back);
    // The Secret went back to the key of that version, which is a new one all the same.
    let back = knowing(known, "f1", HOSTS, 5);
    assert_eq!(moved(&back), [(1, VersionState::Destroyed)]);
    assert_eq!(inserted(&back), Some((3, VersionState::Current)));
    let without = steps(known, SecretView::Unknown, &at_one_endpoint, TERMS, at(5));
    assert_eq!(moved(&without), [(1, VersionState::Destroyed)]);
}

#[test]
fn a_version_older_than_all_that_the_status_tells_of_is_withdrawn_where_another_is_in_use() {
    let rows = [row(1, VersionState::Current, "f1")];
    let of = |state| {
        [
            told(12, state, "f12"),
            told(3, VersionState::Destroyed, "f3"),
        ]
    };
    let with = |status: &[KeyVersion]| {
        let known = KnownVersions {
            told: status,
            ..stored(&rows)
        };
        knowing(known, "f1", HOSTS, 5)
    };
    let replaced = with(&of(VersionState::Current));
    assert_eq!(moved(&replaced), [(1, VersionState::Destroyed)]);
    assert_eq!(inserted(&replaced), Some((13, VersionState::Current)));
    // Those after it were refused one by one, and it has been in use all the time.
    assert_eq!(with(&of(VersionState::Destroyed)), VersionSteps::default());
}

#[test]
fn after_a_restore_a_key_that_was_replaced_has_what_is_left_of_its_grace() {
    let rows = [row(1, VersionState::Current, "f1")];
    let status = [
        told(2, VersionState::Current, "f2"),
        told(1, VersionState::Previous, "f1"),
    ];
    let known = KnownVersions {
        told: &status,
        ..stored(&rows)
    };
    let early = knowing(known, "f2", HOSTS, 600);
    assert_eq!(moved(&early), [(1, VersionState::Previous)]);
    assert_eq!(early.moves[0].grace_until, Some(at(0) + GRACE));
    assert_eq!(inserted(&early), Some((3, VersionState::Current)));
    let late = knowing(known, "f2", HOSTS, 3600);
    assert_eq!(moved(&late), [(1, VersionState::Destroyed)]);
    assert!(early.rolled_back && late.rolled_back);
    // The new one, which is stored as waiting, was in use already.
    let rows = [
        row(2, VersionState::Pending, "f2"),
        row(1, VersionState::Current, "f1"),
    ];
    let known = KnownVersions {
        rows: &rows,
        ..known
    };
    let finished = knowing(known, "f2", HOSTS, 600);
    assert_eq!(
        moved(&finished),
        [(1, VersionState::Previous), (2, VersionState::Current)]
    );
}

#[test]
fn what_the_status_and_the_rows_agree_on_is_no_restore() {
    let mut previous = row(1, VersionState::Previous, "f1");
    previous.grace_until = Some(at(1000));
    let rows = [row(2, VersionState::Current, "f2"), previous];
    let status = [
        told(2, VersionState::Current, "f2"),
        told(1, VersionState::Previous, "f1"),
    ];
    let known = KnownVersions {
        told: &status,
        ..stored(&rows)
    };
    let kept = knowing(known, "f2", HOSTS, 5);
    assert_eq!((moved(&kept), kept.rolled_back), (vec![], false));
    let rotated = knowing(known, "f3", HOSTS, 5);
    assert_eq!(inserted(&rotated), Some((3, VersionState::Pending)));
    assert!(!rotated.rolled_back);
}

#[test]
fn a_status_that_is_older_than_the_rows_is_no_restore() {
    let rows = [
        row(3, VersionState::Pending, "f1"),
        row(2, VersionState::Current, "f2"),
        row(1, VersionState::Destroyed, "f1"),
    ];
    let status = [
        told(2, VersionState::Pending, "f2"),
        told(1, VersionState::Current, "f1"),
    ];
    let known = |rows| KnownVersions {
        told: &status,
        ..stored(rows)
    };
    let waits = knowing(known(&rows), "f1", HOSTS, 5);
    assert_eq!((moved(&waits), waits.rolled_back), (vec![], false));
    let new = knowing(known(&rows[1..]), "f1", HOSTS, 5);
    assert_eq!(inserted(&new), Some((3, VersionState::Pending)));
}

#[test]
fn a_key_that_does_not_authenticate_is_sealed_anew_where_the_secret_holds_it() {
    for state in [VersionState::Current, VersionState::Pending] {
        let rows = [row(2, state, "f2"), row(1, VersionState::Destroyed, "f1")];
        let known = KnownVersions {
            unreadable: &[2],
            ..stored(&rows)
        };
        let same = knowing(known, "f2", HOSTS, 5);
        assert_eq!((same.reseal, inserted(&same)), (Some(2), None));
        let other = knowing(known, "f3", HOSTS, 5);
        assert_eq!(moved(&other), [(2, VersionState::Destroyed)]);
        assert_eq!(inserted(&other), Some((3, VersionState::Current)));
        assert_eq!(other.reseal, None);
        // Without the Secret there is nothing to make it good with.
        let without = steps(known, SecretView::Unknown, &at_one_endpoint, TERMS, at(5));
        assert!(!without.destroys(2));
    }
}

#[test]
fn a_key_under_an_unknown_key_encryption_key_is_sealed_anew_from_the_secret_and_never_destroyed() {
    let rows = [
        row(2, VersionState::Current, "f2"),
        CredentialVersionRow {
            grace_until: Some(at(3600)),
            ..row(1, VersionState::Previous, "f1")
        },
    ];
    let known = KnownVersions {
        unknown_kek: &[2, 1],
        ..stored(&rows)
    };
    let same = knowing(known, "f2", HOSTS, 5);
    assert_eq!((same.reseal, moved(&same)), (Some(2), vec![]));
    let other = knowing(known, "f3", HOSTS, 5);
    assert_eq!((other.reseal, moved(&other)), (None, vec![]));
    assert_eq!(inserted(&other), Some((3, VersionState::Pending)));
    for secret in [
        SecretView::Unknown,
        SecretView::Exchanged(rows[0].provider_type, None),
    ] {
        let without = steps(known, secret, &at_one_endpoint, TERMS, at(5));
        assert!(!without.destroys(2) && !without.destroys(1));
    }
}

#[test]
fn where_the_key_in_use_does_not_authenticate_the_one_that_waits_takes_over() {
    let rows = [
        judged(row(2, VersionState::Pending, "f2"), Reason::KeyRejected),
        row(1, VersionState::Current, "f1"),
    ];
    let known = KnownVersions {
        unreadable: &[1],
        ..stored(&rows)
    };
    assert_eq!(
        moved(&knowing(known, "f2", HOSTS, 5)),
        [(1, VersionState::Destroyed), (2, VersionState::Current)]
    );
}

/// A verdict of a refusal that names no cause, or of another kind.
fn open(
    reason: Reason,
    doubts: u8,
    was_accepted: bool,
) -> impl Fn(i32, VersionState) -> CredentialVersionRow {
    move |version, state| {
        let mut row = judged(row(version, state, &format!("f{version}")), reason);
        let verdict = row.verdicts.get_mut(&Uuid::nil()).unwrap();
        (verdict.doubts, verdict.was_accepted) = (doubts, was_accepted);
        row
    }
}

#[test]
fn a_version_that_was_only_refused_never_displaces_one_that_was_accepted() {
    use Reason::{CheckInconclusive as Open, KeyAccepted, KeyRejected, QuotaExhausted};
    let years = 100_000_000;
    let refused = open(Open, 1, false)(2, VersionState::Pending);
    let exhausted = open(QuotaExhausted, 0, false)(2, VersionState::Pending);
    for pending in [refused, exhausted] {
        for (current, stays) in [
            (open(KeyAccepted, 0, false), true),
            // It is refused meanwhile itself: who knows whether the vendor means the keys.
            (open(Open, 3, true), true),
            (open(QuotaExhausted, 0, true), true),
            (open(Reason::KeyringUnavailable, 0, true), true),
            // It was never accepted, or is rejected.
            (open(Open, 3, false), false),
            (open(KeyRejected, 0, false), false),
        ] {
            let current = current(1, VersionState::Current);
            let seen = current.verdicts[&Uuid::nil()].clone();
            let steps = after(&[pending.clone(), current], "f2", HOSTS, years);
            let waits = PendingWait {
                version: 2,
                until: None,
            };
            assert_eq!(steps.moves.is_empty(), stays, "{seen:?}");
            assert_eq!(steps.waits, stays.then_some(waits), "{seen:?}");
            assert_eq!(
                steps.again_at.is_some(),
                !stays,
                "only the grace ends by time"
            );
        }
    }
}

#[test]
fn a_version_that_an_outage_kept_from_being_judged_says_until_when_it_waits() {
    let rows = [
        open(Reason::CheckInconclusive, 0, false)(2, VersionState::Pending),
        open(Reason::KeyAccepted, 0, false)(1, VersionState::Current),
    ];
    let steps = after(&rows, "f2", HOSTS, 10);
    let until = Some(at(0) + INCONCLUSIVE_WAIT);
    assert_eq!(steps.waits, Some(PendingWait { version: 2, until }));
    assert_eq!(after(&rows, "f2", HOSTS, 900).waits, None);
    assert_eq!(after(&rows, "f2", HOSTS, 900).moves.len(), 2);
}

fn losing(rows: &[CredentialVersionRow], loss: KeyLoss, on: bool, second: i64) -> VersionSteps {
    let terms = VersionRules { on, ..TERMS };
    let view = SecretView::Lacks(loss);
    steps(stored(rows), view, &at_one_endpoint, terms, at(second))
}

#[test]
fn a_key_that_its_secret_holds_no_more_has_the_time_that_the_loss_leaves_it() {
    let until = |mut row: CredentialVersionRow, second| {
        row.grace_until = Some(at(second));
        row
    };
    let rows = [
        row(3, VersionState::Pending, "f3"),
        row(2, VersionState::Current, "f2"),
        until(row(1, VersionState::Previous, "f1"), 5000),
    ];
    let destroyed = |versions: &[i32]| -> Vec<_> {
        versions
            .iter()
            .map(|version| (*version, VersionState::Destroyed))
            .collect()
    };
    let withdrawn = losing(&rows, KeyLoss::Withdrawn, true, 10);
    assert_eq!(moved(&withdrawn), destroyed(&[3, 2, 1]));
    let gone = losing(&rows, KeyLoss::SecretGone, true, 10);
    let left: Vec<_> = gone
        .moves
        .iter()
        .map(|m| (m.version, m.grace_until))
        .collect();
    assert_eq!(left, [(3, None), (2, Some(at(70))), (1, Some(at(70)))]);
    assert_eq!(gone.again_at, Some(at(70)));
    let empty = losing(&rows, KeyLoss::EntryGone, true, 10);
    let left: Vec<_> = empty
        .moves
        .iter()
        .map(|m| (m.version, m.grace_until))
        .collect();
    assert_eq!(left, [(3, None), (2, Some(at(10) + GRACE))]);
    for loss in [KeyLoss::Withdrawn, KeyLoss::SecretGone, KeyLoss::EntryGone] {
        assert_eq!(
            moved(&losing(&rows, loss, false, 10)),
            destroyed(&[3, 2, 1])
        );
    }
}

#[test]
fn the_time_of_a_lost_key_runs_from_its_loss_and_ends_when_the_secret_holds_one_again() {
    let mut ending = row(1, VersionState::Current, "f1");
    ending.grace_until = Some(at(70));
    let rows = [ending];
    let later = losing(&rows, KeyLoss::SecretGone, true, 30);
    assert_eq!((moved(&later), later.again_at), (vec![], Some(at(70))));
    let over = losing(&rows, KeyLoss::SecretGone, true, 70);
    assert_eq!(moved(&over), [(1, VersionState::Destroyed)]);
    for fingerprint in ["f1", "f2"] {
        let back = after(&rows, fingerprint, &["a.example"], 30);
        let kept: Vec<_> = back
            .moves
            .iter()
            .map(|m| (m.state, m.grace_until))
            .collect();
        assert_eq!(kept, [(VersionState::Current, None)]);
    }
}

#[test]
fn a_key_that_nobody_checks_takes_over_at_once_whatever_was_said_of_it() {
    let unchecked = |rows: &[CredentialVersionRow], fingerprint, on| {
        let terms = VersionRules {
            validated: false,
            on,
            ..TERMS
        };
        let hosts = ["a.example".to_owned()];
        let seen = SecretState {
            fingerprint,
            provider_type: ProviderType::OpenAI,
            hosts: &hosts,
        };
        let view = SecretView::Holds(seen);
        steps(stored(rows), view, &at_one_endpoint, terms, at(10))
    };
    use VersionState::{Current, Destroyed, Previous};
    let rows = [row(1, Current, "f1")];
    for (on, old) in [(true, Previous), (false, Destroyed)] {
        let rotated = unchecked(&rows, "f2", on);
        assert_eq!(moved(&rotated), [(1, old)]);
        assert_eq!(inserted(&rotated), Some((2, Current)));
        let refused = judged(row(2, VersionState::Pending, "f2"), Reason::KeyRejected);
        let taken = unchecked(&[refused, row(1, Current, "f1")], "f2", on);
        assert_eq!(moved(&taken), [(1, old), (2, Current)]);
    }
}

/// A vendor's token that ends at this second.
fn token(version: i32, state: VersionState, end: i64) -> CredentialVersionRow {
    CredentialVersionRow {
        grace_until: Some(at(end)),
        exchanged_with: Some("declared".into()),
        ..row(version, state, &format!("t{version}"))
    }
}

fn exchanged(rows: &[CredentialVersionRow], hosts: &[&str], second: i64) -> VersionSteps {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let view = SecretView::Exchanged(ProviderType::OpenAI, Some(&hosts));
    steps(stored(rows), view, &at_one_endpoint, TERMS, at(second))
}

#[test]
fn a_token_ends_by_itself_whatever_state_it_is_in_and_time_is_looked_at_then() {
    use VersionState::{Current, Destroyed, Pending, Previous};
    let rows = [token(2, Current, 100), token(1, Previous, 50)];
    assert!(moved(&exchanged(&rows, &["a.example"], 49)).is_empty());
    assert_eq!(exchanged(&rows, &["a.example"], 49).again_at, Some(at(50)));
    assert_eq!(
        moved(&exchanged(&rows, &["a.example"], 50)),
        [(1, Destroyed)]
    );
    let both = exchanged(&rows, &["a.example"], 100);
    assert_eq!(moved(&both), [(1, Destroyed), (2, Destroyed)]);
    let waiting = [
        judged(token(2, Pending, 60), Reason::KeyRejected),
        token(1, Current, 100),
    ];
    assert_eq!(
        moved(&exchanged(&waiting, &["a.example"], 60)),
        [(2, Destroyed)]
    );
}

#[test]
fn a_token_for_other_hosts_than_its_accounts_owner_names_is_destroyed_at_once() {
    let rows = [token(1, VersionState::Current, 100)];
    assert_eq!(
        moved(&exchanged(&rows, &["b.example"], 10)),
        [(1, VersionState::Destroyed)]
    );
    let unknown = SecretView::Exchanged(ProviderType::OpenAI, None);
    let kept = steps(stored(&rows), unknown, &at_one_endpoint, TERMS, at(10));
    assert!(moved(&kept).is_empty());
}

#[test]
fn a_token_that_takes_over_keeps_its_end_and_so_does_the_one_before() {
    let rows = [
        judged(token(2, VersionState::Pending, 200), Reason::KeyAccepted),
        token(1, VersionState::Current, 100),
    ];
    let steps = exchanged(&rows, &["a.example"], 10);
    let ends: Vec<_> = steps
        .moves
        .iter()
        .map(|m| (m.version, m.state, m.grace_until))
        .collect();
    assert_eq!(
        ends,
        [
            (1, VersionState::Previous, Some(at(100))),
            (2, VersionState::Current, Some(at(200))),
        ]
    );
}

#[test]
fn a_secret_in_place_of_an_exchange_leaves_the_token_its_end() {
    let rows = [token(1, VersionState::Current, 100)];
    let steps = after(&rows, "k", &["a.example"], 10);
    assert_eq!(inserted(&steps), Some((2, VersionState::Pending)));
    assert!(moved(&steps).is_empty());
    assert_eq!(steps.again_at, Some(at(100)));
}

#[test]
fn an_exchange_in_place_of_a_secret_leaves_its_key_the_grace_that_a_rotation_has() {
    let rows = [row(1, VersionState::Current, "k")];
    let first = exchanged(&rows, &["a.example"], 10);
    let until = at(10) + TERMS.grace;
    assert_eq!(
        (first.moves[0].version, first.moves[0].grace_until),
        (1, Some(until))
    );
    assert_eq!(first.again_at, Some(until));
    let ending = CredentialVersionRow {
        grace_until: Some(until),
        ..row(1, VersionState::Current, "k")
    };
    let end = 10 + i64::try_from(TERMS.grace.as_secs()).unwrap();
    assert!(
        moved(&exchanged(
            std::slice::from_ref(&ending),
            &["a.example"],
            end - 1
        ))
        .is_empty()
    );
    assert_eq!(
        moved(&exchanged(&[ending], &["a.example"], end)),
        [(1, VersionState::Destroyed)]
    );
}
