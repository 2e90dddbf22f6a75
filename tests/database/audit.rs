//! The audit's rows, and what is decided when a key is asked for.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use llmplane::audit::{Finding, Verifier, row_hash};
use llmplane::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
use llmplane::db::{
    AuditAction, AuditActor, AuditEntry, AuditFilter, AuditObject, Db, DbError, DeclaredCredential,
    DisclosureRequest, Epoch, RequestedKey, Verdict,
};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::database::TestDatabase;
use crate::support::rows;

fn actor(name: &str) -> AuditActor {
    AuditActor {
        actor: format!("system:serviceaccount:team:{name}"),
        actor_uid: Some("u-1".to_owned()),
        actor_groups: vec!["system:authenticated".to_owned(), "grüppe".to_owned()],
        pod: Some("agent-0".to_owned()),
        ..AuditActor::default()
    }
}

fn entry(name: &str) -> AuditEntry {
    AuditEntry {
        action: AuditAction::Read,
        result: "Done".to_owned(),
        actor: actor(name),
        object: AuditObject::default(),
        purpose: Some("a \"quoted\" one, with : and ü".to_owned()),
        count: 1,
        detail: serde_json::json!({ "b": 1.50, "a": ["x", null] }),
    }
}

async fn whole(db: &Db) -> Vec<Finding> {
    let mut reader = db.audit_reader().await.unwrap();
    let head = reader.head().await.unwrap();
    let mut verifier = Verifier::new([], [], &head);
    let mut after = 0;
    loop {
        let rows = reader.rows(after, 3).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = last.seq;
        rows.iter().for_each(|row| verifier.row(row));
    }
    verifier.end().findings
}

#[tokio::test]
async fn rows_are_chained_in_the_order_of_their_commits_whoever_writes() {
    let database = TestDatabase::migrated().await;
    let (api, controller) = (database.api().await, database.controller().await);
    let writes = (0..20).map(|n| {
        let db = if n % 2 == 0 { &api } else { &controller };
        async move {
            db.audit_append(&[entry(&format!("a{n}")), entry("b")])
                .await
        }
    });
    // As many at once as open connections in time on a machine that has other work.
    let written: Vec<_> = futures::stream::iter(writes)
        .buffer_unordered(6)
        .collect()
        .await;
    let mut ends: Vec<i64> = written.into_iter().map(Result::unwrap).collect();
    ends.sort_unstable();
    assert_eq!(ends, (1..=20).map(|n| n * 2).collect::<Vec<i64>>());

    assert!(whole(&api).await.is_empty());
    let rows = api
        .audit_rows(&AuditFilter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(rows.len(), 40);
    assert!(
        rows.iter().all(|row| row_hash(row)[..] == row.hash[..]),
        "both hash alike"
    );
    let one = AuditFilter {
        actor: Some("system:serviceaccount:team:a3".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(api.audit_rows(&one, None, 100).await.unwrap().len(), 1);
    assert_eq!(api.audit_rows(&one, Some(1), 100).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_all_others_are_read() {
    let database = TestDatabase::migrated().await;
    let api = database.api().await;
    for _ in 0..6 {
        api.audit_append(&[entry("a")]).await.unwrap();
    }
    let mut owner = database.connect("llmplane_owner").await;
    let keep = "CREATE TEMP TABLE kept AS SELECT * FROM audit_log WHERE seq = 3";
    owner.execute(keep).await.unwrap();
    for (column, values) in [
        (
            "actor_groups",
            &["'{NULL}'", "'{{a,b},{c,d}}'", "'[5:6]={a,b}'"][..],
        ),
        ("at", &["'infinity'", "'-infinity'", "'200000-01-01'"]),
    ] {
        for value in values {
            let edit = format!("UPDATE audit_log SET {column} = {value} WHERE seq = 3");
            owner.execute(AssertSqlSafe(edit)).await.unwrap();
            assert_eq!(whole(&api).await, [Finding::Edited { seq: 3 }], "{value}");
            let rows = api.audit_rows(&AuditFilter::default(), None, 100).await;
            let told: Vec<_> = (rows.unwrap().into_iter())
                .map(|row| (row.seq, row.unreadable))
                .collect();
            let wanted = [6, 5, 4, 3, 2, 1].map(|seq| match seq {
                3 => (seq, vec![column]),
                seq => (seq, vec![]),
            });
            assert_eq!(told, wanted, "{value}");
            for undo in [
                "DELETE FROM audit_log WHERE seq = 3",
                "INSERT INTO audit_log SELECT * FROM kept",
            ] {
                owner.execute(undo).await.unwrap();
            }
            assert!(whole(&api).await.is_empty(), "{value}");
        }
    }
}

#[tokio::test]
async fn what_the_owner_changes_shows() {
    let database = TestDatabase::migrated().await;
    let api = database.api().await;
    for _ in 0..6 {
        api.audit_append(&[entry("a")]).await.unwrap();
    }
    let mut owner = database.connect("llmplane_owner").await;
    for (statement, undo, finding) in [
        (
            "UPDATE audit_log SET actor = 'x' WHERE seq = 3",
            "UPDATE audit_log SET actor = 'system:serviceaccount:team:a' WHERE seq = 3",
            Finding::Edited { seq: 3 },
        ),
        (
            "INSERT INTO audit_log (at, seq, action, actor, result, previous_hash, hash)
                 SELECT at, 1000, action, actor, result, previous_hash, hash FROM audit_log WHERE seq = 6",
            "DELETE FROM audit_log WHERE seq = 1000",
            Finding::Inserted {
                seq: 1000,
                is_second: false,
            },
        ),
        (
            "DELETE FROM audit_log WHERE seq = 6",
            "SELECT 1",
            Finding::Truncated {
                last: 5,
                expected: 6,
            },
        ),
    ] {
        owner.execute(AssertSqlSafe(statement)).await.unwrap();
        let mut found = whole(&api).await;
        // The inserted row's hash is another's, which is said too.
        found.retain(|found| *found != Finding::Edited { seq: 1000 });
        assert_eq!(found, [finding], "{statement}");
        owner.execute(AssertSqlSafe(undo)).await.unwrap();
    }
}

#[tokio::test]
async fn old_rows_go_from_the_beginning_alone_and_the_chain_says_so() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    for _ in 0..9 {
        db.audit_append(&[entry("a")]).await.unwrap();
    }
    let prune = async || {
        db.write_unversioned(epoch, |tx| async move { tx.audit_prune(2).await }.boxed())
            .await
            .unwrap()
    };
    assert!(!prune().await, "all are young");
    let mut owner = database.connect("llmplane_owner").await;
    // The hashes do not fit any more: only what is kept is looked at below.
    owner
        .execute("UPDATE audit_log SET at = at - interval '500 days' WHERE seq <= 5")
        .await
        .unwrap();
    assert!(prune().await);
    assert!(prune().await);
    assert!(!prune().await);
    assert!(!prune().await, "there is no more to say");
    let rows = db
        .audit_rows(&AuditFilter::default(), None, 100)
        .await
        .unwrap();
    let kept: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!(kept, [12, 11, 10, 9, 8, 7, 6]);
    assert!(whole(&db).await.is_empty());
}

struct Stored {
    database: TestDatabase,
    db: Db,
    epoch: Epoch,
    api: Db,
    credential: DeclaredCredential,
}

async fn stored(change: impl FnOnce(&mut DeclaredCredential)) -> Stored {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let api = database.api().await;
    let provider = rows::provider("p");
    let mut credential = rows::credential(provider.uid, "c");
    credential.expires_at = None;
    credential.quota_limit = None;
    credential.quota_unit = None;
    credential.quota_period = None;
    change(&mut credential);
    let version = rows::key_version(credential.uid, 1, VersionState::Current);
    let row = credential.clone();
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&row).await?;
            tx.credential_version_insert(&version).await?;
            tx.database_mark_swept(llmplane::db::Revision(0))
                .await
                .map(drop)
        }
        .boxed()
    })
    .await
    .unwrap();
    Stored {
        database,
        db,
        epoch,
        api,
        credential,
    }
}

impl Stored {
    fn request(&self) -> DisclosureRequest {
        let version = rows::key_version(self.credential.uid, 1, VersionState::Current);
        DisclosureRequest {
            actor: Arc::new(actor("agent")),
            key: Arc::new(RequestedKey {
                credential_uid: self.credential.uid,
                namespace: self.credential.namespace.clone(),
                name: self.credential.name.clone(),
                credential_version: 1,
                fingerprint: version.fingerprint,
                detail: serde_json::json!({}),
            }),
            purpose: None,
        }
    }

    async fn ask(&self) -> Verdict {
        let answers = self
            .api
            .record_disclosures(&[self.request()])
            .await
            .unwrap();
        answers[0].verdict
    }

    async fn owner(&self, statement: &str) {
        let mut owner = self.database.connect("llmplane_owner").await;
        owner
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn each_reason_against_a_disclosure_is_found_by_the_database_itself() {
    let stored = stored(|_| {}).await;
    assert_eq!(stored.ask().await, Verdict::Disclosed);
    for (statement, undo, verdict) in [
        (
            "UPDATE credentials SET deleted_at = now()",
            "UPDATE credentials SET deleted_at = NULL",
            Verdict::Gone,
        ),
        (
            "UPDATE credentials SET is_active = false",
            "UPDATE credentials SET is_active = true",
            Verdict::Disabled,
        ),
        (
            "UPDATE credentials SET expires_at = now()",
            "UPDATE credentials SET expires_at = now() + interval '1 h'",
            Verdict::Expired,
        ),
        (
            "UPDATE credential_versions SET state = 'Pending'",
            "UPDATE credential_versions SET state = 'Current'",
            Verdict::Superseded,
        ),
        (
            "UPDATE credential_versions SET state = 'Previous', grace_until = now()",
            "UPDATE credential_versions SET state = 'Current', grace_until = NULL",
            Verdict::Superseded,
        ),
        (
            "UPDATE credential_versions SET fingerprint = fingerprint || 'x'",
            "UPDATE credential_versions SET fingerprint = rtrim(fingerprint, 'x')",
            Verdict::Superseded,
        ),
        (
            r#"UPDATE credentials SET conditions = '[{"type": "Valid", "status": "False", "reason": "KeyRejected"}]'"#,
            "UPDATE credentials SET conditions = '[]'",
            Verdict::Invalid,
        ),
        (
            "UPDATE swept_database SET marker = 'another'",
            "UPDATE swept_database SET marker = llmplane_fn.database_marker()",
            Verdict::NotSweptYet,
        ),
    ] {
        stored.owner(statement).await;
        assert_eq!(stored.ask().await, verdict, "{statement}");
        stored.owner(undo).await;
        assert_eq!(stored.ask().await, Verdict::Disclosed, "{undo}");
    }
    // The key of a Secret that lost its entry stays in use until its grace ends.
    stored
        .owner(
            r#"UPDATE credentials SET conditions = '[{"type": "Valid", "status": "False", "reason": "SecretFieldMissing"}]'"#,
        )
        .await;
    stored
        .owner("UPDATE credential_versions SET grace_until = now() + interval '1 h'")
        .await;
    assert_eq!(stored.ask().await, Verdict::Disclosed);
    stored
        .owner("UPDATE credential_versions SET grace_until = now()")
        .await;
    assert_eq!(stored.ask().await, Verdict::Superseded);
    let rows = stored
        .api
        .audit_rows(&AuditFilter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(rows.len(), 19, "each answer has its row");
    assert!(rows.iter().all(
        |row| row.kind.as_deref() == Some("LlmCredential") && row.name.as_deref() == Some("c")
    ));
    assert!(whole(&stored.api).await.is_empty());
}

#[tokio::test]
async fn what_the_vendor_did_not_say_of_a_key_refuses_it_to_nobody() {
    let stored = stored(|_| {}).await;
    for reason in [
        "SecretFieldMissing",
        "KeyMalformed",
        "ExchangeRefused",
        "KeyringUnavailable",
    ] {
        let condition =
            format!(r#"[{{"type": "Valid", "status": "False", "reason": "{reason}"}}]"#);
        stored
            .owner(&format!(
                "UPDATE credentials SET conditions = '{condition}'"
            ))
            .await;
        assert_eq!(stored.ask().await, Verdict::Disclosed, "{reason}");
    }
}

#[tokio::test]
async fn what_had_ended_stays_so_when_the_clock_is_set_back() {
    let stored = stored(|_| {}).await;
    // As after a day that the clock has taken back.
    stored
        .owner("UPDATE audit_head SET at = now() + interval '1 day'")
        .await;
    for (ended, undo, verdict) in [
        (
            "UPDATE credentials SET expires_at = now() + interval '23 hours'",
            "UPDATE credentials SET expires_at = NULL",
            Verdict::Expired,
        ),
        (
            "UPDATE credential_versions SET state = 'Previous', grace_until = now() + interval '23 hours'",
            "UPDATE credential_versions SET state = 'Current', grace_until = NULL",
            Verdict::Superseded,
        ),
    ] {
        stored.owner(ended).await;
        assert_eq!(stored.ask().await, verdict, "{ended}");
        stored.owner(undo).await;
        assert_eq!(stored.ask().await, Verdict::Disclosed, "{undo}");
    }
    assert!(whole(&stored.api).await.is_empty());
}

#[tokio::test]
async fn a_former_version_is_given_until_its_grace_ends_and_no_longer_than_the_credential_lives() {
    let stored = stored(|_| {}).await;
    let until = |answer: Option<Timestamp>| answer.unwrap().duration_since(Timestamp::now());
    stored
        .owner("UPDATE credential_versions SET state = 'Previous', grace_until = now() + interval '30 min'")
        .await;
    let answers = stored
        .api
        .record_disclosures(&[stored.request()])
        .await
        .unwrap();
    assert_eq!(answers[0].verdict, Verdict::Disclosed);
    assert!(until(answers[0].valid_until) < SignedDuration::from_mins(31));
    stored
        .owner("UPDATE credentials SET expires_at = now() + interval '5 min'")
        .await;
    let answers = stored
        .api
        .record_disclosures(&[stored.request()])
        .await
        .unwrap();
    assert!(until(answers[0].valid_until) < SignedDuration::from_mins(6));
}

#[tokio::test]
async fn a_quota_of_disclosures_is_exact_among_replicas_that_ask_at_once() {
    let stored = stored(|credential| {
        credential.quota_limit = Some(25);
        credential.quota_unit = Some(QuotaUnit::Disclosures);
        credential.quota_period = Some(QuotaPeriod::Month);
    })
    .await;
    let other = stored.database.api().await;
    // As many as find a connection each.
    let asked: Vec<_> = stream::iter((0..20).map(|n| {
        let (db, requests) = (
            if n % 2 == 0 { &stored.api } else { &other },
            vec![stored.request(); 3],
        );
        async move { db.record_disclosures(&requests).await.unwrap() }
    }))
    .buffer_unordered(10)
    .collect()
    .await;
    let answers: Vec<_> = asked.into_iter().flatten().collect();
    let given = answers
        .iter()
        .filter(|a| a.verdict == Verdict::Disclosed)
        .count();
    assert_eq!(given, 25);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.verdict != Verdict::Disclosed)
            .all(|answer| answer.verdict == Verdict::QuotaExhausted
                && answer.retry_after_seconds > Some(0))
    );
    // The next period begins anew; a clock that goes back does not.
    stored
        .owner("UPDATE disclosure_counts SET period_start = period_start - interval '1 month'")
        .await;
    assert_eq!(stored.ask().await, Verdict::Disclosed);
    stored
        .owner("UPDATE disclosure_counts SET used = 25, period_start = period_start + interval '1 month'")
        .await;
    assert_eq!(stored.ask().await, Verdict::QuotaExhausted);
}

#[tokio::test]
async fn requests_of_one_batch_share_their_credentials_quota_and_nothing_else() {
    let stored = stored(|credential| {
        credential.quota_limit = Some(3);
        credential.quota_unit = Some(QuotaUnit::Disclosures);
        credential.quota_period = Some(QuotaPeriod::Day);
    })
    .await;
    let request = |name: &str, change: &dyn Fn(&mut RequestedKey)| {
        let request = stored.request();
        let mut key = RequestedKey::clone(&request.key);
        change(&mut key);
        DisclosureRequest {
            actor: Arc::new(AuditActor {
                actor_groups: vec![format!("group of {name}"), "gr\u{fc}ppe".to_owned()],
                ..actor(name)
            }),
            key: Arc::new(key),
            purpose: Some(format!("of {name}")),
        }
    };
    let of = |endpoint: &'static str| {
        move |key: &mut RequestedKey| key.detail = serde_json::json!({ "endpoint": endpoint })
    };
    let shared = request("a", &of("e"));
    let batch = [
        shared.clone(),
        request("b", &|key| key.credential_version = 2),
        request("c", &of("f")),
        request("d", &|key| key.credential_uid = uuid::Uuid::new_v4()),
        shared.clone(),
        request("e", &of("f")),
        shared,
    ];
    let answers = stored.api.record_disclosures(&batch).await.unwrap();
    use Verdict::{Disclosed, Gone, QuotaExhausted, Superseded};
    let verdicts: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
    let wanted = [
        Disclosed,
        Superseded,
        Disclosed,
        Gone,
        Disclosed,
        QuotaExhausted,
        QuotaExhausted,
    ];
    assert_eq!(verdicts, wanted);
    let waits = answers
        .iter()
        .map(|answer| answer.retry_after_seconds > Some(0));
    let waits: Vec<_> = waits.collect();
    assert_eq!(waits, wanted.map(|verdict| verdict == QuotaExhausted));
    // Each row tells of its own request, in the order in which they came.
    let rows = (stored.api.audit_rows(&AuditFilter::default(), None, 100)).await;
    let mut rows = rows.unwrap();
    rows.reverse();
    assert_eq!(rows.len(), batch.len());
    for ((row, request), verdict) in rows.iter().zip(&batch).zip(wanted) {
        assert_eq!(row.result, verdict.as_str());
        assert_eq!(row.actor, request.actor.actor);
        assert_eq!(row.actor_groups, request.actor.actor_groups);
        assert_eq!(
            (&row.purpose, row.object_uid),
            (&request.purpose, Some(request.key.credential_uid))
        );
        assert_eq!(row.credential_version, Some(request.key.credential_version));
        let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap();
        assert_eq!(detail, request.key.detail);
        assert_eq!(row_hash(row)[..], row.hash[..]);
    }
    assert!(whole(&stored.api).await.is_empty());
}

#[tokio::test]
async fn a_replica_of_the_release_before_records_by_the_same_rules() {
    let stored = stored(|credential| {
        credential.quota_limit = Some(2);
        credential.quota_unit = Some(QuotaUnit::Disclosures);
        credential.quota_period = Some(QuotaPeriod::Day);
    })
    .await;
    let request = stored.request();
    let mut sent = serde_json::to_value(&*request.key).unwrap();
    let more = serde_json::to_value(&*request.actor).unwrap();
    let sent_whole = sent.as_object_mut().unwrap();
    sent_whole.extend(more.as_object().unwrap().clone());
    let batch = serde_json::json!([sent, sent, sent]);
    let mut api = stored.database.connect("llmplane_api").await;
    let answers: Vec<(i32, String)> =
        sqlx::query_as("SELECT item, verdict FROM llmplane_fn.record_disclosures($1)")
            .bind(batch)
            .fetch_all(&mut api)
            .await
            .unwrap();
    let wanted = ["Disclosed", "Disclosed", "QuotaExhausted"];
    let wanted = (0..).zip(wanted.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(answers, wanted);
    assert!(whole(&stored.api).await.is_empty());
    let rows = (stored.api.audit_rows(&AuditFilter::default(), None, 100)).await;
    let actors = &rows.unwrap()[0].actor_groups;
    assert_eq!(*actors, request.actor.actor_groups);
}

#[tokio::test]
async fn one_value_that_cannot_be_stored_leaves_no_row_of_its_batch() {
    let stored = stored(|_| {}).await;
    let mut bad = stored.request();
    bad.purpose = Some("a\0b".to_owned());
    let refused = stored
        .api
        .record_disclosures(&[stored.request(), bad])
        .await;
    assert!(
        matches!(refused, Err(DbError::Unstorable(_))),
        "{refused:?}"
    );
    let rows = stored
        .api
        .audit_rows(&AuditFilter::default(), None, 10)
        .await
        .unwrap();
    assert!(rows.is_empty());
    let forged = AuditEntry {
        action: AuditAction::Disclose,
        result: "Disclosed".to_owned(),
        ..entry("a")
    };
    assert!(stored.api.audit_append(&[forged]).await.is_err());
}

#[tokio::test]
async fn what_checks_used_a_key_for_is_told_once_for_each_day_that_has_ended() {
    let stored = stored(|_| {}).await;
    let fingerprint = stored.request().key.fingerprint.clone();
    let probes = |age: &str, kind: &str, number: i32| {
        format!(
            "INSERT INTO health_probes (checked_at, subject, kind, fingerprint, reason, message, latency_ms)
             SELECT date_trunc('day', now(), 'UTC') - interval '{age}', gen_random_uuid(), '{kind}', '{fingerprint}', 'KeyAccepted', '', 1
             FROM generate_series(1, {number})"
        )
    };
    stored.owner(&probes("1 h", "Validation", 3)).await;
    stored.owner(&probes("2 h", "Probe", 2)).await;
    stored.owner(&probes("-1 s", "Probe", 5)).await;
    let checks = async || {
        stored
            .db
            .write_unversioned(stored.epoch, |tx| {
                async move { tx.audit_checks().await }.boxed()
            })
            .await
            .unwrap()
    };
    assert_eq!(checks().await, 0, "this day has not ended");
    stored
        .owner("UPDATE audited_checks SET until = until - interval '1 day'")
        .await;
    assert_eq!((checks().await, checks().await), (1, 0));
    assert_eq!(stored.db.audit_flush(100).await.unwrap(), 1);
    let rows = stored
        .db
        .audit_rows(&AuditFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!((rows[0].action.as_str(), rows[0].count), ("Check", 5));
    assert!(
        rows[0].detail.contains(r#""Validation": 3"#),
        "{}",
        rows[0].detail
    );
}

#[tokio::test]
async fn checks_of_a_key_that_came_back_are_told_of_as_the_version_that_they_used() {
    let stored = stored(|_| {}).await;
    let fingerprint = stored.request().key.fingerprint.clone();
    let midnight = "date_trunc('day', now(), 'UTC')";
    stored
        .owner(&format!(
            "UPDATE credential_versions SET state = 'Destroyed', payload = NULL, wrapped_key = NULL,
                 created_at = {midnight} - interval '20 h';
             INSERT INTO credential_versions (credential_uid, version, state, fingerprint, masked_key, provider_type,
                 allowed_hosts, kek_id, wrapped_key, payload, created_at)
             SELECT credential_uid, 3, 'Current', fingerprint, masked_key, provider_type, allowed_hosts, kek_id,
                 '\\x00', '\\x00', {midnight} - interval '90 min' FROM credential_versions;
             INSERT INTO health_probes (checked_at, subject, kind, fingerprint, reason, message, latency_ms)
             SELECT {midnight} - age, gen_random_uuid(), 'Validation', '{fingerprint}', 'KeyAccepted', '', 1
             FROM unnest(ARRAY['2 h', '3 h', '22 h', '30 min', '89 min']::interval[]) AS p (age);
             UPDATE audited_checks SET until = until - interval '1 day'"
        ))
        .await;
    let told = stored.db.write_unversioned(stored.epoch, |tx| {
        async move { tx.audit_checks().await }.boxed()
    });
    assert_eq!(told.await.unwrap(), 2);
    stored.db.audit_flush(100).await.unwrap();
    let checks = AuditFilter {
        action: Some("Check".to_owned()),
        ..AuditFilter::default()
    };
    let rows = stored.db.audit_rows(&checks, None, 10).await.unwrap();
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| (row.credential_version, row.count))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(Some(1), 3), (Some(3), 2)]);
}
