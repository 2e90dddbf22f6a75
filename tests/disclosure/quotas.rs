//! Quotas of disclosures, as the database keeps them.

use std::sync::Arc;

use futures::future::join_all;
use jiff::{ToSpan, Zoned, tz::TimeZone};
use llmplane::crd::credential::{QuotaPeriod, QuotaUnit};
use llmplane::db::{AuditActor, Db, DeclaredCredential, DisclosureRequest, RequestedKey, Verdict};
use llmplane::keys::disclose::Refusal;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use uuid::Uuid;

use super::{Vault, request};

fn limited(limit: i64, period: QuotaPeriod) -> impl FnOnce(&mut DeclaredCredential) {
    move |row| {
        row.quota_limit = Some(limit);
        row.quota_unit = Some(QuotaUnit::Disclosures);
        row.quota_period = Some(period);
    }
}

/// The first moment of next month, where quotas of a month begin anew.
fn next_month() -> Zoned {
    let now = Zoned::now().with_time_zone(TimeZone::UTC);
    let first = now.first_of_month().expect("a date");
    let first = first.start_of_day().expect("a time");
    first.checked_add(1.month()).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_another_period_says_when_that_one_ends() {
    let vault = Vault::new().await;
    let minute = limited(1, QuotaPeriod::Minute);
    let uid = vault.credential_with("c", "k", minute).await;
    let replica = vault.replica();
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok("k".to_owned()));
    // What was given out in the minute counts in the month, which began before.
    vault
        .edit("UPDATE credentials SET quota_period = 'Month'")
        .await;
    let ends = next_month();
    let refused = replica.discloser.disclose(request("b", (uid, "c"))).await;
    let left = Zoned::now().duration_until(&ends).as_secs();
    if ends != next_month() {
        return; // The month ended meanwhile.
    }
    let Err(Refusal::QuotaExhausted { retry_after }) = refused else {
        panic!("{refused:?}");
    };
    let told = i64::try_from(retry_after.as_secs()).unwrap();
    assert!((left - 5..=left + 30).contains(&told), "{told} of {left}");
}

/// What becomes of quotas, a step after the other.
#[derive(Clone, Debug)]
enum Step {
    /// Requests for these credentials: each list is a batch, and all come at once.
    Ask(Vec<Vec<usize>>),
    /// The credential's period ends.
    NextPeriod(usize),
    /// The credential's quota is another from now on; none: it has none.
    Limit(usize, Option<i64>),
}

const CREDENTIALS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let batch = || prop::collection::vec(0..CREDENTIALS, 1..8);
    prop_oneof![
        6 => prop::collection::vec(batch(), 1..4).prop_map(Step::Ask),
        1 => (0..CREDENTIALS).prop_map(Step::NextPeriod),
        2 => (0..CREDENTIALS, prop::option::weighted(0.8, 0..8i64))
            .prop_map(|(number, limit)| Step::Limit(number, limit)),
    ]
}

struct Asked {
    uid: Uuid,
    key: Arc<RequestedKey>,
    limit: Option<i64>,
    used: i64,
}

impl Asked {
    async fn new(vault: &Vault, name: &str) -> Self {
        let uid = vault.credential(name, name).await;
        let versions = vault.db.credential_version_rows(&[uid]).await.unwrap();
        Self {
            uid,
            key: Arc::new(RequestedKey {
                credential_uid: uid,
                namespace: "team".to_owned(),
                name: name.to_owned(),
                credential_version: 1,
                fingerprint: versions[0].fingerprint.clone(),
                detail: json!({}),
            }),
            limit: None,
            used: 0,
        }
    }

    fn request(&self) -> DisclosureRequest {
        DisclosureRequest {
            actor: Arc::new(AuditActor {
                actor: "a".to_owned(),
                ..AuditActor::default()
            }),
            key: self.key.clone(),
            purpose: None,
        }
    }
}

/// The verdicts of batches that come at once, by credential.
async fn verdicts(api: &Db, asked: &[Asked], batches: &[Vec<usize>]) -> Vec<Vec<Verdict>> {
    let answers = join_all(batches.iter().map(|batch| async move {
        let requests: Vec<_> = batch
            .iter()
            .map(|number| asked[*number].request())
            .collect();
        api.record_disclosures(&requests).await.unwrap()
    }))
    .await;
    let mut of = vec![Vec::new(); asked.len()];
    for (batch, answers) in batches.iter().zip(answers) {
        assert_eq!(batch.len(), answers.len());
        for (number, answer) in batch.iter().zip(answers) {
            let waits = answer.retry_after_seconds.is_some();
            assert_eq!(waits, answer.verdict == Verdict::QuotaExhausted);
            of[*number].push(answer.verdict);
        }
    }
    of
}

/// Exactly as many are given out as the quota leaves, in whatever batches and order they are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_exact_whatever_is_asked_in_which_batches() {
    let vault = Vault::new().await;
    let api = vault.database.api().await;
    let mut runner = TestRunner::default();
    for case in 0..40 {
        let steps = prop::collection::vec(step(), 1..12);
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let month = next_month();
        let mut asked = Vec::new();
        for number in 0..CREDENTIALS {
            asked.push(Asked::new(&vault, &format!("c-{case}-{number}")).await);
        }
        for step in &steps {
            match step {
                Step::NextPeriod(number) => {
                    let one = &mut asked[*number];
                    one.used = 0;
                    vault
                        .edit(&format!(
                            "UPDATE disclosure_counts SET period_start = period_start - interval '2 months'
                             WHERE credential_uid = '{}'",
                            one.uid
                        ))
                        .await;
                }
                Step::Limit(number, limit) => {
                    let one = &mut asked[*number];
                    one.limit = *limit;
                    let quota = match limit {
                        Some(limit) => format!(
                            "quota_limit = {limit}, quota_unit = 'Disclosures', quota_period = 'Month'"
                        ),
                        None => {
                            "quota_limit = NULL, quota_unit = NULL, quota_period = NULL".to_owned()
                        }
                    };
                    vault
                        .edit(&format!(
                            "UPDATE credentials SET {quota} WHERE uid = '{}'",
                            one.uid
                        ))
                        .await;
                }
                Step::Ask(batches) => {
                    let told = verdicts(&api, &asked, batches).await;
                    if month != next_month() {
                        break; // The month ended meanwhile.
                    }
                    for (one, told) in asked.iter_mut().zip(told) {
                        let wanted = i64::try_from(told.len()).unwrap();
                        // What has no quota is not counted.
                        let given = match one.limit {
                            Some(limit) => wanted.min((limit - one.used).max(0)),
                            None => wanted,
                        };
                        one.used += one.limit.map_or(0, |_| given);
                        let disclosed = told.iter().filter(|v| **v == Verdict::Disclosed).count();
                        let exhausted = told
                            .iter()
                            .filter(|v| **v == Verdict::QuotaExhausted)
                            .count();
                        assert_eq!(
                            (disclosed, exhausted),
                            (
                                usize::try_from(given).unwrap(),
                                told.len() - usize::try_from(given).unwrap()
                            ),
                            "{steps:?}"
                        );
                    }
                }
            }
        }
    }
}
