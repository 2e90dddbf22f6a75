//! What checks leave behind.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use llmplane::crd::reasons::Reason;
use llmplane::db::{CheckKind, CheckListener, Db, Epoch, NewProbe, StoredCheck, Woken};
use serde_json::json;
use sqlx::Executor;
use uuid::Uuid;

use crate::support::database::{TestDatabase, soon};
use crate::support::rows;

const URL: &str = "https://a.example/v1";

fn probe(subject: Uuid, checked_at: Timestamp) -> NewProbe {
    NewProbe {
        checked_at,
        subject,
        kind: CheckKind::Probe,
        endpoint_uid: None,
        fingerprint: None,
        reason: "ProbeSucceeded".to_owned(),
        success: Some(true),
        message: String::new(),
        latency_ms: 12,
        http_status: Some(200),
        request_id: None,
    }
}

async fn record(db: &Db, epoch: Epoch, probes: Vec<NewProbe>) {
    db.write_unversioned(epoch, |tx| {
        async move {
            for probe in &probes {
                tx.health_probe_insert(probe).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
}

/// Database times are whole microseconds.
fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap()
}

#[tokio::test]
async fn history_is_paged_newest_first_without_losing_ties() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let before = db.feed_state().await.unwrap();
    let (endpoint, now) = (Uuid::new_v4(), now());
    let probes = (0..10)
        .map(|n| probe(endpoint, now - SignedDuration::from_secs(n / 4)))
        .chain([probe(Uuid::new_v4(), now)])
        .collect();
    record(&db, epoch, probes).await;

    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = db.health_history(endpoint, cursor, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.cursor());
        seen.extend(page);
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.is_sorted_by(|a, b| (a.checked_at, a.id) > (b.checked_at, b.id)));
    assert_eq!(db.feed_state().await.unwrap(), before, "no revision");
}

#[tokio::test]
async fn the_newest_check_of_every_target_is_known() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let (credential, other, here, there) = (
        Uuid::new_v4(),
        Uuid::new_v4(),
        Uuid::new_v4(),
        Uuid::new_v4(),
    );
    let now = now();
    let validation = |endpoint, fingerprint: &str, ago, reason: &str| NewProbe {
        kind: CheckKind::Validation,
        endpoint_uid: Some(endpoint),
        fingerprint: Some(fingerprint.to_owned()),
        reason: reason.to_owned(),
        ..probe(credential, now - SignedDuration::from_hours(ago))
    };
    let probes = vec![
        validation(here, "f1", 3, "KeyAccepted"),
        validation(here, "f1", 1, "KeyRejected"),
        validation(here, "f2", 2, "KeyAccepted"),
        validation(there, "f1", 300, "CheckInconclusive"),
        probe(credential, now),
        probe(other, now),
    ];
    record(&db, epoch, probes).await;

    let mut last: Vec<_> = db
        .last_checks(&[credential])
        .await
        .unwrap()
        .into_iter()
        .map(|check| {
            (
                check.kind,
                check.endpoint_uid,
                check.fingerprint,
                check.reason,
            )
        })
        .collect();
    last.sort();
    let told = |endpoint, fingerprint: &str, reason: &str| {
        (
            CheckKind::Validation,
            Some(endpoint),
            Some(fingerprint.to_owned()),
            reason.to_owned(),
        )
    };
    let mut expected = vec![
        (CheckKind::Probe, None, None, "ProbeSucceeded".to_owned()),
        told(here, "f1", "KeyRejected"),
        told(here, "f2", "KeyAccepted"),
        told(there, "f1", "CheckInconclusive"),
    ];
    expected.sort();
    assert_eq!(last, expected);
}

#[tokio::test]
async fn a_verdict_is_written_again_only_when_it_says_something_else() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("p");
    let endpoint = rows::endpoint(provider.uid, "e");
    let model = rows::model(provider.uid, "m");
    let (e, m) = (endpoint.uid, model.uid);
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&endpoint).await?;
            tx.upsert(&model).await
        }
        .boxed()
    })
    .await
    .unwrap();
    let before = db.feed_state().await.unwrap();
    let set = |verdict: StoredCheck| {
        db.write_unversioned(epoch, move |tx| {
            async move {
                Ok([
                    tx.endpoint_verdict_set(e, &verdict).await?,
                    tx.endpoint_list_verdict_set(e, &verdict).await?,
                    tx.model_test_verdict_set(m, &verdict).await?,
                ])
            }
            .boxed()
        })
    };
    let first = rows::verdict(Reason::ProbeFailed, "no answer");
    let mut same = first.clone();
    same.since = Timestamp::now();
    same.http_status = None;
    let mut other = first.clone();
    other.generation = 2;

    assert_eq!(set(first.clone()).await.unwrap(), [true; 3]);
    assert_eq!(set(same).await.unwrap(), [false; 3]);
    let stored = db.endpoint_row(e).await.unwrap().unwrap();
    assert_eq!(stored.found.verdict, Some(first.clone()));
    assert_eq!(stored.found.list_verdict, Some(first));
    assert_eq!(set(other).await.unwrap(), [true; 3]);
    assert_eq!(db.feed_state().await.unwrap(), before, "no revision");
}

#[tokio::test]
async fn a_complete_list_replaces_what_was_listed() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("p");
    let endpoint = rows::endpoint(provider.uid, "e");
    let uid = endpoint.uid;
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&endpoint).await
        }
        .boxed()
    })
    .await
    .unwrap();
    let replace = |models: &BTreeMap<String, serde_json::Value>| {
        let models = models.clone();
        db.write_unversioned(epoch, move |tx| {
            async move { tx.listed_models_replace(uid, URL, &models).await }.boxed()
        })
    };
    let first = [("a".to_owned(), json!({})), ("b".to_owned(), json!({}))].into();
    let second = [("b".to_owned(), json!({ "context": 1 }))].into();

    assert!(replace(&first).await.unwrap());
    assert!(!replace(&first).await.unwrap());
    assert!(replace(&second).await.unwrap());
    assert_eq!(db.listed_models(uid, URL).await.unwrap(), second);
    let elsewhere = db.listed_models(uid, "https://b.example/v1").await.unwrap();
    assert_eq!(elsewhere, BTreeMap::new(), "it says nothing of another URL");
    assert!(replace(&BTreeMap::new()).await.unwrap());
    assert_eq!(db.listed_models(uid, URL).await.unwrap(), BTreeMap::new());
}

#[tokio::test]
async fn a_check_that_the_api_asks_for_reaches_the_controller_and_stays_until_it_is_met() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let api = database.api().await;
    let provider = rows::provider("p");
    let uid = provider.uid;
    db.write(epoch, |tx| {
        async move { tx.upsert(&provider).await }.boxed()
    })
    .await
    .unwrap();
    let mut listener = CheckListener::new(&db);
    assert_eq!(soon(listener.next()).await, Woken::Connected);

    assert!(!api.check_request(Uuid::new_v4(), "nobody").await.unwrap());
    assert!(api.check_request(uid, "first").await.unwrap());
    assert!(api.check_request(uid, "second").await.unwrap());
    assert_eq!(soon(listener.next()).await, Woken::Told(uid));

    let asked = db.check_requests().await.unwrap();
    assert_eq!(asked.len(), 1, "who asks at once shares a check");
    assert_eq!((asked[0].uid, asked[0].requester.as_str()), (uid, "first"));
    assert!(asked[0].is_live);
    let (before, left) = api.check_requests_left(&[uid, Uuid::nil()]).await.unwrap();
    assert_eq!((before, left.len()), (db.committed(), 1));
    let met_at = left[&uid];
    assert!(met_at < asked[0].requested_at, "nobody has had it yet");
    // A later request that comes while an earlier one is under way stays, and the earlier one is met.
    let older = "UPDATE check_requests SET requested_at = requested_at - interval '3 seconds',
                 met_at = met_at - interval '3 seconds'";
    let mut owner = database.connect("llmplane_owner").await;
    owner.execute(older).await.unwrap();
    let first = db.check_requests().await.unwrap()[0].requested_at;
    let ask = async |requester: &str| {
        let requester = [requester.to_owned()];
        api.check_requests_make(&[uid], &requester).await.unwrap()[0]
    };
    let third = ask("third").await;
    assert!(first < third.requested_at && third.age < Duration::from_secs(1));
    let fourth = ask("fourth").await;
    assert_eq!(fourth.requested_at, third.requested_at, "it is shared");
    let meet = |at| db.write_unversioned(epoch, move |tx| tx.check_request_met(uid, at).boxed());
    meet(first).await.unwrap();
    let left = db.check_requests().await.unwrap();
    assert_eq!(left[0].requester, "third");
    let (_, open) = api.check_requests_left(&[uid]).await.unwrap();
    assert_eq!(open[&uid], first);
    // One that ended late takes nothing back.
    meet(first - SignedDuration::from_secs(1)).await.unwrap();
    let (_, open) = api.check_requests_left(&[uid]).await.unwrap();
    assert_eq!(open[&uid], first);
    meet(third.requested_at).await.unwrap();
    assert_eq!(db.check_requests().await.unwrap(), []);
    let (_, left) = api.check_requests_left(&[uid]).await.unwrap();
    assert!(left.is_empty());
    // Whoever waits for an earlier one and has not looked meanwhile is not taken for who asks now.
    let anew = ask("fifth").await;
    let (_, open) = api.check_requests_left(&[uid]).await.unwrap();
    assert!(third.requested_at <= open[&uid] && open[&uid] < anew.requested_at);
}
