use super::*;

const PERIOD: Duration = Duration::from_secs(60);

fn owner() -> Owner {
    Owner {
        kind: Kind::Endpoint,
        uid: Uuid::from_u128(1),
        namespace: "team".into(),
        name: "e".into(),
    }
}

fn key(n: u128) -> JobKey {
    JobKey {
        kind: CheckKind::Probe,
        subject: Uuid::from_u128(n),
        endpoint: Uuid::nil(),
    }
}

fn planned(n: u128, trigger: u64, stored: Stored) -> PlannedJob {
    PlannedJob {
        key: key(n),
        period: PERIOD,
        timeout: Duration::from_secs(5),
        trigger,
        stored,
        apart: Duration::ZERO,
        not_final: None,
        held: false,
        credentials: None,
    }
}

fn nothing() -> HashMap<JobKey, Duration> {
    HashMap::new()
}

#[test]
fn an_unjudged_job_runs_at_once_and_then_on_its_period() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert!(!schedule.settled(owner().uid));
    assert_eq!(schedule.take_due(now).len(), 1);
    assert!(schedule.take_due(now).is_empty());
    assert!(schedule.finish(key(1), JobEnd::Judged, now));
    assert!(schedule.settled(owner().uid));
    assert!(schedule.take_due(now + PERIOD / 2).is_empty());
    assert_eq!(schedule.take_due(now + PERIOD * 2).len(), 1);
    assert!(!schedule.finish(key(1), JobEnd::Judged, now + PERIOD));
}

#[test]
fn a_restart_takes_up_the_period_where_it_was() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let since = HashMap::from([(key(1), Duration::from_secs(50))]);
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::StoredCheck)],
        &since,
        now,
    );
    assert!(schedule.settled(owner().uid));
    assert_eq!(schedule.next_at(), Some(now + Duration::from_secs(10)));
}

#[test]
fn what_is_planned_anew_takes_up_its_period_whoever_knew_its_owner() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let job = || vec![planned(1, 7, Stored::StoredCheck)];
    schedule.plan(&owner(), job(), &nothing(), now);
    assert!(schedule.with_a_past(&job()).is_empty(), "it is planned");
    // Switched off for long, and on again.
    schedule.plan(&owner(), Vec::new(), &nothing(), now);
    assert_eq!(schedule.with_a_past(&job()), [key(1).subject]);
    let since = HashMap::from([(key(1), PERIOD * 100)]);
    schedule.plan(&owner(), job(), &since, now);
    assert!(schedule.next_at().unwrap() <= now + PERIOD / 10);
    let new = planned(2, 7, Stored::Nothing);
    assert!(schedule.with_a_past(&[new]).is_empty(), "it runs at once");
}

#[test]
fn a_restart_tries_soon_what_was_left_open() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let hours = Duration::from_secs(7200);
    let jobs: Vec<PlannedJob> = (0..1000)
        .map(|n| PlannedJob {
            period: hours,
            ..planned(n, 7, Stored::Open)
        })
        .collect();
    let since = jobs.iter().map(|job| (job.key, hours / 2)).collect();
    schedule.plan(&owner(), jobs, &since, now);
    assert!(schedule.settled(owner().uid), "status tells what is stored");
    let by = |seconds| now + Duration::from_secs(seconds);
    let first = schedule.take_due(by(3)).len();
    assert!((50..200).contains(&first), "{first} in the first tenth");
    assert_eq!(first + schedule.take_due(by(30)).len(), 1000);
}

#[test]
fn a_restart_runs_soon_what_was_to_run_once_more() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let hours = Duration::from_secs(7200);
    let job = PlannedJob {
        period: hours,
        not_final: Some(hours),
        ..planned(1, 7, Stored::StoredCheck)
    };
    let since = [(job.key, hours / 2)].into();
    schedule.plan(&owner(), vec![job], &since, now);
    assert_eq!(schedule.take_due(now + Duration::from_secs(6)).len(), 1);
}

#[test]
fn a_new_trigger_runs_at_once_and_planning_the_same_again_changes_nothing() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::StoredCheck)],
        &nothing(),
        now,
    );
    let due = schedule.next_at();
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::StoredCheck)],
        &nothing(),
        now,
    );
    assert_eq!(schedule.next_at(), due);
    schedule.plan(
        &owner(),
        vec![planned(1, 8, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert!(!schedule.settled(owner().uid));
    assert_eq!(schedule.take_due(now).len(), 1);
}

#[test]
fn what_was_found_and_is_gone_is_looked_for_at_once() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let found = || vec![planned(1, 7, Stored::StoredCheck)];
    let lost = || vec![planned(1, 7, Stored::Nothing)];
    schedule.plan(&owner(), found(), &nothing(), now);
    assert!(schedule.take_due(now).is_empty());
    schedule.plan(&owner(), lost(), &nothing(), now);
    assert!(!schedule.settled(owner().uid));
    assert_eq!(schedule.take_due(now).len(), 1);
    // Told of again before it has ended, it is one run.
    schedule.plan(&owner(), lost(), &nothing(), now);
    assert!(schedule.finish(key(1), JobEnd::Judged, now));
    schedule.plan(&owner(), found(), &nothing(), now);
    assert!(schedule.settled(owner().uid));
    assert!(schedule.take_due(now).is_empty());
}

#[test]
fn a_trigger_that_changes_during_a_run_runs_once_more() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.plan(
        &owner(),
        vec![planned(1, 8, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert!(schedule.take_due(now).is_empty());
    schedule.finish(key(1), JobEnd::Judged, now);
    assert!(!schedule.settled(owner().uid));
    let again = schedule.take_due(now);
    assert_eq!(again[0].planned.trigger, 8);
    schedule.finish(key(1), JobEnd::Judged, now);
    assert!(schedule.settled(owner().uid));
}

#[test]
fn a_run_that_proved_nothing_is_tried_again_soon() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    schedule.take_due(now);
    schedule.finish(key(1), JobEnd::Open(Duration::ZERO), now);
    let next = schedule.next_at().unwrap() - now;
    assert!(next < Duration::from_secs(6), "{next:?}");
}

#[test]
fn a_vendor_that_asks_for_time_gets_it_up_to_the_period() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    for (asked, wait) in [(30, 30), (86_400, PERIOD.as_secs())] {
        schedule.plan(
            &owner(),
            vec![planned(1, asked, Stored::Nothing)],
            &nothing(),
            now,
        );
        schedule.take_due(now);
        schedule.finish(key(1), JobEnd::Open(Duration::from_secs(asked)), now);
        assert_eq!(schedule.next_at(), Some(now + Duration::from_secs(wait)));
    }
}

#[test]
fn jobs_that_are_planned_no_more_are_gone() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let both = vec![
        planned(1, 7, Stored::Nothing),
        planned(2, 7, Stored::Nothing),
    ];
    schedule.plan(&owner(), both, &nothing(), now);
    schedule.plan(
        &owner(),
        vec![planned(2, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert_eq!(schedule.len(), 1);
    schedule.forget(owner().uid);
    assert!(schedule.is_empty() && schedule.next_at().is_none());
    assert!(!schedule.finish(key(2), JobEnd::Judged, now));
}

#[test]
fn what_may_cost_something_keeps_its_distance_whatever_happens() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let second = Duration::from_secs(1);
    let costly = |trigger: u64, stored: Stored| PlannedJob {
        apart: PERIOD,
        ..planned(1, trigger, stored)
    };
    // Another process began the last run twenty seconds ago, of another trigger.
    let since = HashMap::from([(key(1), 20 * second)]);
    schedule.plan(&owner(), vec![costly(7, Stored::Nothing)], &since, now);
    assert_eq!(schedule.next_at(), Some(now + 40 * second));
    let first = now + 40 * second;
    assert_eq!(schedule.take_due(first).len(), 1);
    // It proved nothing, and what it judges changes: neither brings the next one forward.
    schedule.finish(key(1), JobEnd::Open(Duration::ZERO), first + second);
    assert_eq!(schedule.next_at(), Some(first + PERIOD));
    schedule.plan(
        &owner(),
        vec![costly(8, Stored::Nothing)],
        &nothing(),
        first + 2 * second,
    );
    assert_eq!(schedule.next_at(), Some(first + PERIOD));
    // Who asks for it gets it.
    schedule.request(owner().uid, Timestamp::UNIX_EPOCH, first + 3 * second);
    assert_eq!(schedule.take_due(first + 3 * second).len(), 1);
    schedule.finish(key(1), JobEnd::Judged, first + 4 * second);
    assert!(schedule.next_at().unwrap() >= first + 3 * second + PERIOD);
    let asked = PlannedJob {
        apart: Duration::ZERO,
        ..costly(9, Stored::Nothing)
    };
    schedule.plan(&owner(), vec![asked], &nothing(), first + 5 * second);
    assert_eq!(schedule.take_due(first + 5 * second).len(), 1);
}

/// As a deployment that is being made: it is there in five minutes.
#[test]
fn a_vendor_that_says_when_to_come_again_is_asked_then_whatever_it_may_cost() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let costly = PlannedJob {
        apart: PERIOD,
        ..planned(1, 7, Stored::Nothing)
    };
    let soon = PERIOD / 2;
    schedule.plan(&owner(), vec![costly], &nothing(), now);
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.finish(key(1), JobEnd::Open(soon), now);
    assert_eq!(schedule.next_at(), Some(now + soon));
}

#[test]
fn a_run_that_asked_nobody_keeps_nothing_apart() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let costly = |trigger: u64| PlannedJob {
        apart: PERIOD,
        ..planned(1, trigger, Stored::Nothing)
    };
    schedule.plan(&owner(), vec![costly(7)], &nothing(), now);
    schedule.take_due(now);
    assert!(schedule.finish(key(1), JobEnd::Unasked, now), "an answer");
    let retried = schedule.next_at().unwrap();
    assert!(retried - now < Duration::from_secs(6));
    // What was missing is there: the next run is at once, and from then on there is a distance.
    schedule.plan(&owner(), vec![costly(8)], &nothing(), now);
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.finish(key(1), JobEnd::Open(Duration::ZERO), now);
    assert_eq!(schedule.next_at(), Some(now + PERIOD));
    // Nor does one that failed before it asked; one whose answer was lost may have cost something.
    for (ended, apart) in [(JobEnd::Unmade, false), (JobEnd::Unstored, true)] {
        let mut schedule = Schedule::default();
        schedule.plan(&owner(), vec![costly(7)], &nothing(), now);
        schedule.take_due(now);
        assert!(!schedule.finish(key(1), ended, now));
        assert_eq!(schedule.next_at() == Some(now + PERIOD), apart, "{ended:?}");
    }
}

#[test]
fn what_lacked_what_it_takes_to_ask_runs_at_once_when_that_may_be_there() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let jobs = (1..=3).map(|n| planned(n, 7, Stored::Nothing)).collect();
    schedule.plan(&owner(), jobs, &nothing(), now);
    assert_eq!(schedule.take_due(now).len(), 3);
    for (n, ended) in [
        (1, JobEnd::Unasked),
        (2, JobEnd::Judged),
        (3, JobEnd::Open(Duration::ZERO)),
    ] {
        schedule.finish(key(n), ended, now);
    }
    // It has waited longer each time.
    let mut later = now;
    for _ in 0..6 {
        later += PERIOD * 2;
        let due = schedule.take_due(later);
        for job in due {
            let ended = match job.planned.key == key(1) {
                true => JobEnd::Unasked,
                false => JobEnd::Judged,
            };
            schedule.finish(job.planned.key, ended, later);
        }
    }
    assert!(schedule.take_due(later).is_empty());
    schedule.retry_unasked(later);
    let due = schedule.take_due(later);
    let keys: Vec<JobKey> = due.iter().map(|job| job.planned.key).collect();
    assert_eq!(keys, [key(1)]);
    schedule.retry_unasked(later);
    assert!(schedule.take_due(later).is_empty(), "it runs already");
    schedule.finish(key(1), JobEnd::Judged, later);
    schedule.retry_unasked(later);
    assert!(schedule.take_due(later).is_empty(), "it was answered");
}

#[test]
fn what_lacked_a_key_encryption_key_is_tried_soon_after_a_restart() {
    let verdict = |reason| {
        let found = crate::vendors::CheckResult::new(reason, "");
        found.verdict(1, String::new(), Timestamp::UNIX_EPOCH)
    };
    let stored = |reason| Stored::of(&verdict(reason));
    use crate::crd::reasons::Reason;
    assert_eq!(stored(Reason::KeyringUnavailable), Stored::Open);
    assert_eq!(stored(Reason::CheckInconclusive), Stored::Open);
    assert_eq!(stored(Reason::KeyRejected), Stored::StoredCheck);
}

#[test]
fn a_run_that_could_not_be_made_answers_nothing_and_is_tried_again_soon() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    schedule.take_due(now);
    assert!(!schedule.finish(key(1), JobEnd::Unmade, now));
    assert!(!schedule.settled(owner().uid));
    assert!(!schedule.settled_for(&[planned(1, 7, Stored::Nothing)]));
    let next = schedule.next_at().unwrap();
    assert!(next - now < Duration::from_secs(6));
    assert_eq!(schedule.take_due(next).len(), 1);
    assert!(
        schedule.finish(key(1), JobEnd::Judged, next),
        "the first answer"
    );
    assert!(schedule.settled(owner().uid));
}

#[test]
fn a_job_that_is_forgotten_and_planned_again_waits_for_the_run_under_way() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.forget(owner().uid);
    schedule.plan(
        &owner(),
        vec![planned(1, 8, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert!(schedule.take_due(now).is_empty(), "one at a time");
    schedule.finish(key(1), JobEnd::Judged, now);
    assert!(
        !schedule.settled(owner().uid),
        "the old run answers nothing new"
    );
    let again = schedule.take_due(now);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].planned.trigger, 8);
}

#[test]
fn a_request_during_a_run_is_answered_by_another_one() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::Nothing)],
        &nothing(),
        now,
    );
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.request(owner().uid, Timestamp::UNIX_EPOCH, now);
    assert!(schedule.take_due(now).is_empty());
    schedule.finish(key(1), JobEnd::Judged, now);
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.finish(key(1), JobEnd::Judged, now);
    assert!(schedule.take_due(now).is_empty());
}

#[test]
fn a_request_is_met_once_every_job_has_run_since() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let at = Timestamp::UNIX_EPOCH;
    let both = |stored| vec![planned(1, 7, stored), planned(2, 7, stored)];
    schedule.plan(&owner(), both(Stored::Nothing), &nothing(), now);
    assert_eq!(schedule.take_due(now).len(), 2);
    schedule.finish(key(2), JobEnd::Judged, now);
    // One runs meanwhile: it has to run once more.
    schedule.request(owner().uid, at, now);
    assert_eq!(schedule.take_due(now).len(), 1);
    schedule.finish(key(1), JobEnd::Judged, now);
    schedule.finish(key(2), JobEnd::Unasked, now);
    assert_eq!(schedule.requests_met(), []);
    assert_eq!(schedule.take_due(now).len(), 1);
    // It is told of until its row is gone, and counts once.
    schedule.request(owner().uid, at, now);
    assert!(
        schedule.finish(key(1), JobEnd::Judged, now),
        "it was asked for"
    );
    assert_eq!(schedule.requests_met(), [], "its row does not say so yet");
    let made = schedule.request_made(owner().uid).expect("it is made");
    schedule.request_told(&made);
    assert_eq!(schedule.request_made(owner().uid), None);
    let met = schedule.requests_met();
    assert_eq!((met.len(), met[0].requested_at), (1, at));
    schedule.request(owner().uid, at, now);
    assert!(schedule.take_due(now).is_empty());
    // A later one is another one, and is told of again once the first is forgotten.
    schedule.request(owner().uid, Timestamp::MAX, now);
    assert!(schedule.take_due(now).is_empty());
    schedule.forget_requests(&met);
    schedule.request(owner().uid, Timestamp::MAX, now);
    assert_eq!(schedule.take_due(now).len(), 2);
    assert_eq!(schedule.requests_met(), []);
}

/// Asks at this second, as the row tells of it.
fn ask(schedule: &mut Schedule, second: i64, start: Instant) {
    let at = Timestamp::from_second(second).unwrap();
    let now = start + Duration::from_secs(second.unsigned_abs());
    schedule.request(owner().uid, at, now);
}

#[test]
fn who_asks_again_and_again_keeps_nobody_from_an_answer() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let job = vec![planned(1, 7, Stored::StoredCheck)];
    schedule.plan(&owner(), job, &nothing(), now);
    ask(&mut schedule, 0, now);
    assert_eq!(schedule.take_due(now).len(), 1);
    // The run takes ten seconds, and somebody asks every three.
    for second in [3, 6, 9] {
        ask(&mut schedule, second, now);
        let then = now + Duration::from_secs(second.unsigned_abs());
        assert!(schedule.take_due(then).is_empty());
    }
    let ended = now + Duration::from_secs(10);
    assert!(schedule.finish(key(1), JobEnd::Judged, ended));
    let made = schedule.request_made(owner().uid).expect("it is made");
    assert_eq!(made.requested_at, Timestamp::from_second(0).unwrap());
    schedule.request_told(&made);
    let met = schedule.requests_met();
    assert_eq!(met, [made]);
    assert!(schedule.take_due(ended).is_empty(), "nothing runs in vain");
    // One run is for all who came meanwhile.
    schedule.forget_requests(&met);
    ask(&mut schedule, 9, now);
    assert_eq!(schedule.take_due(ended).len(), 1);
    assert!(schedule.finish(key(1), JobEnd::Judged, ended));
    let made = schedule.request_made(owner().uid).expect("it is made");
    assert_eq!(made.requested_at, Timestamp::from_second(9).unwrap());
}

#[test]
fn a_run_is_for_all_who_asked_before_it_began() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    ask(&mut schedule, 0, now);
    ask(&mut schedule, 3, now);
    let job = vec![planned(1, 7, Stored::StoredCheck)];
    schedule.plan(&owner(), job, &nothing(), now);
    assert_eq!(schedule.take_due(now).len(), 1);
    assert!(schedule.finish(key(1), JobEnd::Judged, now));
    let made = schedule.request_made(owner().uid).expect("it is made");
    assert_eq!(made.requested_at, Timestamp::from_second(3).unwrap());
}

#[test]
fn a_request_is_met_by_no_run_whose_answer_is_not_stored() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    // It keeps its runs far apart, but for those that are asked for.
    let job = PlannedJob {
        apart: 100 * PERIOD,
        ..planned(1, 7, Stored::StoredCheck)
    };
    schedule.plan(&owner(), vec![job], &nothing(), now);
    ask(&mut schedule, 0, now);
    let mut at = now;
    for ended in [JobEnd::Unmade, JobEnd::Unstored] {
        assert_eq!(schedule.take_due(at).len(), 1);
        assert!(!schedule.finish(key(1), ended, at));
        assert_eq!(schedule.request_made(owner().uid), None);
        at = schedule.next_at().expect("it runs again");
        assert!(at <= now + PERIOD, "soon");
    }
    // Whoever asks then need not wait so long.
    ask(&mut schedule, 3, now);
    let asked = now + Duration::from_secs(3);
    assert_eq!(schedule.take_due(asked).len(), 1);
    assert!(schedule.finish(key(1), JobEnd::Judged, asked));
    assert!(schedule.request_made(owner().uid).is_some());
}

#[test]
fn a_request_is_met_where_there_is_nothing_to_check() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let at = Timestamp::UNIX_EPOCH;
    schedule.request(owner().uid, at, now);
    assert_eq!(schedule.requests_met(), [], "nothing is known of it yet");
    schedule.plan(&owner(), Vec::new(), &nothing(), now);
    assert_eq!(schedule.requests_met().len(), 1, "nothing is checked of it");
    schedule.request(owner().uid, Timestamp::MAX, now);
    assert_eq!(schedule.requests_met().len(), 1);
    let other = Uuid::from_u128(9);
    schedule.request_in_vain(other, at);
    assert_eq!(schedule.requests_met().len(), 2);
    // Nor of one that goes meanwhile.
    let mut schedule = Schedule::default();
    let job = vec![planned(1, 7, Stored::Nothing)];
    schedule.plan(&owner(), job, &nothing(), now);
    schedule.request(owner().uid, at, now);
    assert_eq!(schedule.requests_met(), []);
    schedule.forget(owner().uid);
    assert_eq!(schedule.requests_met().len(), 1);
}

#[test]
fn a_request_is_told_by_no_reconcile_that_began_before_its_last_check_ended() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let two = vec![
        planned(1, 7, Stored::StoredCheck),
        planned(2, 7, Stored::StoredCheck),
    ];
    schedule.plan(&owner(), two, &nothing(), now);
    schedule.request(owner().uid, Timestamp::UNIX_EPOCH, now);
    assert_eq!(schedule.take_due(now).len(), 2);
    schedule.finish(key(1), JobEnd::Judged, now);
    assert_eq!(schedule.request_made(owner().uid), None, "one runs");
    // A reconcile that began before takes the other away.
    let one = vec![planned(1, 7, Stored::StoredCheck)];
    schedule.plan(&owner(), one, &nothing(), now);
    assert_eq!(schedule.requests_met(), []);
    let made = schedule.request_made(owner().uid).expect("it is made");
    // One of an earlier request says nothing of this.
    let other = CompletedRequest {
        requested_at: Timestamp::MAX,
        ..made
    };
    schedule.request_told(&other);
    assert_eq!(schedule.requests_met(), []);
    schedule.request_told(&made);
    assert_eq!(schedule.requests_met(), [made]);
}

#[test]
fn a_request_for_what_is_not_planned_yet_is_kept() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.request(owner().uid, Timestamp::UNIX_EPOCH, now);
    let since = HashMap::from([(key(1), Duration::from_secs(1))]);
    schedule.plan(
        &owner(),
        vec![planned(1, 7, Stored::StoredCheck)],
        &since,
        now,
    );
    assert_eq!(schedule.take_due(now).len(), 1);
}

#[test]
fn a_job_that_is_held_runs_once_it_is_planned_without() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let plan = |schedule: &mut Schedule, trigger, held| {
        let job = PlannedJob {
            held,
            ..planned(1, trigger, Stored::Nothing)
        };
        schedule.plan(&owner(), vec![job], &nothing(), now);
    };
    plan(&mut schedule, 7, true);
    assert_eq!(schedule.next_at(), None);
    assert!(!schedule.settled(owner().uid), "it has answered nothing");
    plan(&mut schedule, 8, true);
    assert_eq!(schedule.next_at(), None);
    plan(&mut schedule, 8, false);
    assert_eq!(schedule.take_due(now).len(), 1);
    assert!(schedule.finish(key(1), JobEnd::Judged, now));
    plan(&mut schedule, 8, true);
    assert!(schedule.next_at().is_some(), "its period goes on");
}

#[test]
fn a_held_job_runs_when_it_is_asked_for() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let job = PlannedJob {
        held: true,
        credentials: None,
        ..planned(1, 7, Stored::Nothing)
    };
    schedule.plan(&owner(), vec![job], &nothing(), now);
    schedule.request(owner().uid, Timestamp::UNIX_EPOCH, now);
    assert_eq!(schedule.take_due(now).len(), 1);
}
