//! The audit as auditors meet it: the API's answers, the commands, and what a controller adds.

use std::process::Output;
use std::sync::Arc;

use futures::FutureExt;
use llmplane::crd::credential::VersionState;
use llmplane::db::{
    AuditAction, AuditActor, AuditEntry, AuditObject, Db, DisclosureRequest, RequestedKey, Verdict,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use uuid::Uuid;

use crate::support::{
    api::TestApi, fake_vendor::FakeVendor, plane::eventually, rows, world::World,
};

const KEY: &str = "sk-audit-0123456789abcdef";
const NEXT: &str = "sk-audit-fedcba9876543210";

fn pod_of(name: &str) -> AuditActor {
    AuditActor {
        actor: "system:serviceaccount:team:agent".to_owned(),
        pod: Some(name.to_owned()),
        pod_uid: Some(format!("uid-of-{name}")),
        ..AuditActor::default()
    }
}

fn entry(namespace: &str, action: AuditAction) -> AuditEntry {
    AuditEntry {
        action,
        result: "Done".to_owned(),
        actor: pod_of("agent-0"),
        object: AuditObject {
            namespace: Some(namespace.to_owned()),
            ..AuditObject::default()
        },
        purpose: None,
        count: 1,
        detail: json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_read_the_audit_of_their_namespace_a_page_at_a_time() {
    let api = TestApi::start().await;
    let (ours, db) = (api.namespace.name.clone(), api.database.api().await);
    for number in 0..7 {
        let action = if number == 3 {
            AuditAction::Rotate
        } else {
            AuditAction::Read
        };
        db.audit_append(&[entry(&ours, action), entry("elsewhere", action)])
            .await
            .unwrap();
    }
    let auditor = api.auditor().await;

    let whole = auditor.get("/audit").await;
    assert_eq!(whole.status, 200);
    let seqs = |items: &[Value]| {
        items
            .iter()
            .map(|row| row["seq"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(&whole.items()), [13, 11, 9, 7, 5, 3, 1]);
    let first = &whole.items()[0];
    assert_eq!(first["pod"], "agent-0");
    assert_eq!(first["namespace"], *ours);
    assert_eq!(first["hash"].as_str().unwrap().len(), 64);

    let mut paged = Vec::new();
    let mut path = "/audit?limit=3".to_owned();
    loop {
        let page = auditor.get(&path).await;
        paged.extend(seqs(&page.items()));
        match page.next_cursor() {
            Some(cursor) => path = format!("/audit?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, seqs(&whole.items()));
    let rotated = auditor.get("/audit?action=Rotate").await;
    assert_eq!(seqs(&rotated.items()), [7]);
    let nobody = auditor.get("/audit?actor=nobody").await;
    assert!(nobody.items().is_empty());

    for (path, status) in [
        ("/audit?namespace=elsewhere", 403),
        ("/audit?namespace=*", 403),
        ("/audit?action=Dance", 400),
        ("/audit?since=yesterday", 400),
        ("/audit?object_id=x", 400),
        ("/audit?actor=%00", 400),
        ("/audit?cursor=x", 400),
        ("/audit?limit=0", 400),
    ] {
        assert_eq!(auditor.get(path).await.status, status, "{path}");
    }
    let viewer = api.viewer().await;
    assert_eq!(viewer.get("/audit").await.status, 403);
}

/// Gives a credential's key out, as an API replica would.
async fn give(db: &Db, uid: Uuid, version: i32, to: AuditActor) {
    let rows = db.credential_version_rows(&[uid]).await.unwrap();
    let row = rows.iter().find(|row| row.version == version).unwrap();
    let request = DisclosureRequest {
        actor: Arc::new(to),
        key: Arc::new(RequestedKey {
            credential_uid: uid,
            namespace: "team".to_owned(),
            name: "c".to_owned(),
            credential_version: version,
            fingerprint: row.fingerprint.clone(),
            detail: json!({}),
        }),
        purpose: Some("nightly run".to_owned()),
    };
    let answers = db.record_disclosures(&[request]).await.unwrap();
    assert_eq!(answers[0].verdict, Verdict::Disclosed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_holders_are_told_with_the_version_that_each_was_given_last() {
    let api = TestApi::start().await;
    let provider = api.provider("p").await;
    let mut row = rows::credential(provider, "c");
    row.namespace.clone_from(&api.namespace.name);
    (row.quota_limit, row.quota_unit, row.quota_period) = (None, None, None);
    let uid = row.uid;
    let first = rows::key_version(uid, 1, VersionState::Current);
    api.write(move |tx| {
        async move {
            tx.upsert(&row).await?;
            tx.credential_version_insert(&first).await?;
            tx.database_mark_swept(llmplane::db::Revision(0))
                .await
                .map(drop)
        }
        .boxed()
    })
    .await;
    let db = api.database.api().await;
    for pod in ["a", "b", "a"] {
        give(&db, uid, 1, pod_of(pod)).await;
    }
    let second = rows::key_version(uid, 2, VersionState::Current);
    let grace = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    api.write(move |tx| {
        async move {
            tx.credential_version_state_set(uid, 1, VersionState::Previous, Some(grace))
                .await?;
            tx.credential_version_insert(&second).await
        }
        .boxed()
    })
    .await;
    give(&db, uid, 2, pod_of("b")).await;

    let auditor = api.auditor().await;
    let answer = auditor.get("/credentials/c/holders").await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let held: Vec<_> = answer
        .items()
        .iter()
        .map(|row| {
            (
                row["pod"].as_str().unwrap().to_owned(),
                row["version"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(held, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    assert_eq!(answer.json()["versions"][1]["state"], "Previous");
    let partial = auditor.get("/credentials/c/holders?limit=1").await;
    assert_eq!(partial.json()["is_partial"], true);
    let viewer = api.viewer().await;
    assert_eq!(viewer.get("/credentials/c/holders").await.status, 403);
    assert_eq!(auditor.get("/credentials/absent/holders").await.status, 404);

    // Whoever holds the key of a credential that was deleted holds it all the same.
    api.delete(llmplane::crd::Kind::Credential, &[uid]).await;
    for id in ["c".to_owned(), uid.to_string()] {
        let path = format!("/credentials/{id}/holders");
        let deleted = auditor.get(&path).await;
        assert_eq!((deleted.status, deleted.items().len()), (200, 2), "{id}");
        assert_eq!(viewer.get(&path).await.status, 404, "{id}");
    }
}

/// A command of ours against this world's database and keyring.
async fn llmplane(world: &World, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(args)
        .env("DATABASE_URL", &world.database.api_url)
        .env("LLMPLANE_KEYRING_DIR", world.keyring_dir())
        .env("KUBECONFIG", world.plane.kubeconfig())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

async fn rows_of(db: &Db, action: AuditAction) -> Vec<llmplane::db::AuditRow> {
    let filter = llmplane::db::AuditFilter {
        action: Some(action.as_str().to_owned()),
        ..llmplane::db::AuditFilter::default()
    };
    db.audit_rows(&filter, None, 100).await.unwrap()
}

async fn with_a_key(prefix: &str) -> (FakeVendor, World, Uuid) {
    let vendor = FakeVendor::start(&[KEY, NEXT], &[]).await;
    let world = World::started(prefix).await;
    world.apply_basics(&vendor.url()).await;
    world.secret("s", KEY).await;
    world.credential("c", "s").await;
    world.ready("LlmCredential", "c").await;
    let uid = world.get("LlmCredential", "c").await["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap().parse().unwrap();
    (vendor, world, uid)
}

async fn current_version(db: &Db, uid: Uuid) -> i32 {
    let rows = db.credential_version_rows(&[uid]).await.unwrap();
    let current = rows.iter().find(|row| row.state == VersionState::Current);
    current.map_or(0, |row| row.version)
}

/// A pipeline applies the Secret and waits: the controller may not have seen it by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_not_over_before_the_controller_has_the_secrets_key() {
    let (_vendor, mut world, uid) = with_a_key("rotation-early").await;
    let namespace = world.ns().to_owned();
    let wait = [
        "rotation",
        "wait",
        "c",
        "-n",
        &namespace,
        "--timeout-seconds",
        "0",
    ];
    let is_over = async || llmplane(&world, &wait, "").await.status.code() == Some(0);
    eventually("there is nothing to wait for", is_over).await;
    world.stop().await;
    world.secret("s", NEXT).await;
    let output = llmplane(&world, &wait, "").await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("has not taken the key that Secret s holds now"),
        "{}",
        said(&output)
    );
    world.start().await;
    eventually(
        "the new key is current and nobody has the old one",
        async || llmplane(&world, &wait, "").await.status.code() == Some(0),
    )
    .await;
    assert_eq!(current_version(&world.db().await, uid).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_followed_to_its_end_and_its_steps_are_audited() {
    let (_vendor, world, uid) = with_a_key("rotation").await;
    let (db, api) = (world.db().await, world.database.api().await);
    eventually("keys may leave", async || {
        let request = DisclosureRequest {
            actor: Arc::new(pod_of("a")),
            key: Arc::new(RequestedKey {
                credential_uid: uid,
                namespace: world.ns().to_owned(),
                name: "c".to_owned(),
                credential_version: 1,
                fingerprint: db.credential_version_rows(&[uid]).await.unwrap()[0]
                    .fingerprint
                    .clone(),
                detail: json!({}),
            }),
            purpose: None,
        };
        let answers = api.record_disclosures(&[request]).await.unwrap();
        answers[0].verdict == Verdict::Disclosed
    })
    .await;
    world.secret("s", NEXT).await;
    eventually("the new key is current", async || {
        current_version(&db, uid).await == 2
    })
    .await;
    eventually("the rotation is in the chain", async || {
        rows_of(&db, AuditAction::Rotate).await.len() == 1
    })
    .await;
    let row = &rows_of(&db, AuditAction::Rotate).await[0];
    assert_eq!(
        (row.object_uid, row.credential_version),
        (Some(uid), Some(2))
    );
    assert_eq!(row.namespace.as_deref(), Some(world.ns()));

    let wait = [
        "rotation",
        "wait",
        "c",
        "-n",
        world.ns(),
        "--timeout-seconds",
        "0",
    ];
    let alone = [&wait[..], &["--without-cluster"]].concat();
    let output = llmplane(&world, &alone, "").await;
    assert!(
        said(&output).contains("--new-version"),
        "it cannot tell whether there is a newer key: {}",
        said(&output)
    );
    let counted = [&alone[..], &["--new-version", "2"]].concat();
    let output = llmplane(&world, &counted, "").await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("version 1 is held by pod a"),
        "{}",
        said(&output)
    );
    // The cluster knows no such pod: it is gone, and what it held with it.
    let output = llmplane(&world, &wait, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    give(&api, uid, 2, pod_of("a")).await;
    let output = llmplane(&world, &counted, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let next = [&alone[..], &["--new-version", "3"]].concat();
    let output = llmplane(&world, &next, "").await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("version 3 is not current yet"),
        "{}",
        said(&output)
    );
    let status = [
        "rotation",
        "status",
        "c",
        "-n",
        world.ns(),
        "--without-cluster",
    ];
    let output = llmplane(&world, &status, "").await;
    assert!(
        said(&output).contains("the old key can be revoked"),
        "{}",
        said(&output)
    );

    let output = llmplane(&world, &["audit", "whose-key"], &format!("{KEY}\n")).await;
    let told = said(&output);
    assert!(
        told.contains(&format!("{}/c: version 1", world.ns())),
        "{told}"
    );
    assert!(told.contains("in pod a") && !told.contains(KEY), "{told}");
    let output = llmplane(&world, &["audit", "whose-key"], "sk-of-somebody-else-0123").await;
    assert!(
        said(&output).contains("none of the 2 key versions"),
        "{}",
        said(&output)
    );
    assert_eq!(rows_of(&db, AuditAction::WhoseKey).await.len(), 2);

    world.delete("LlmCredential", "c").await;
    eventually("the destruction of both keys is in the chain", async || {
        rows_of(&db, AuditAction::Revoke).await.len() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_waits_for_its_reader_without_a_transaction() {
    let world = World::new("export").await;
    let fill = "INSERT INTO audit_log (at, seq, action, actor, result, previous_hash, hash)
        SELECT now(), n, 'Read', repeat('a', 400), 'Done', '', '' FROM generate_series(1, 5000) n;
        UPDATE audit_head SET seq = 5000";
    let mut owner = world.owner().await;
    sqlx::raw_sql(fill).execute(&mut owner).await.unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(["audit", "export", "--after", "10"])
        .env("DATABASE_URL", &world.database.api_url)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(export.stdout.take().unwrap()).lines();
    // More than a pipe holds waits behind the first line.
    let first = lines.next_line().await.unwrap().unwrap();
    let mut admin = world.database.connect("postgres").await;
    let states = "SELECT state FROM pg_stat_activity
        WHERE application_name = 'llmplane-cli' AND datname = $1";
    let states: Vec<String> = sqlx::query_scalar(states)
        .bind(&world.database.name)
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert!(
        !states.is_empty() && states.iter().all(|state| state == "idle"),
        "{states:?}"
    );
    let mut seqs = vec![first];
    while let Some(line) = lines.next_line().await.unwrap() {
        seqs.push(line);
    }
    let seqs = seqs.iter().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["event"]["sequence"].as_i64().unwrap()
    });
    assert_eq!(seqs.collect::<Vec<_>>(), (11..=5001).collect::<Vec<_>>());
    assert!(export.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_was_changed_and_an_anchor_shows_what_was_cut_off() {
    let (_vendor, world, _) = with_a_key("verify").await;
    let db = world.db().await;
    for _ in 0..5 {
        db.audit_append(&[entry("team", AuditAction::Read)])
            .await
            .unwrap();
    }
    eventually("the head is anchored", async || {
        db.audit_anchor_newest().await.unwrap().is_some()
    })
    .await;
    let row = db.audit_anchor_newest().await.unwrap().unwrap();
    let anchored = row.seq;
    let anchor = llmplane::audit::Anchor::from(row).to_string();
    let output = llmplane(&world, &["audit", "verify"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("the chain is whole"),
        "{}",
        said(&output)
    );

    let lines = llmplane(&world, &["audit", "export"], "").await;
    let lines = String::from_utf8(lines.stdout).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"]["dataset"], "llmplane.audit");
    assert_eq!(last["event"]["action"], "Read");

    let mut owner = world.owner().await;
    let mut edit = async |statement: &str| {
        owner
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap();
    };
    edit("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2").await;
    let output = llmplane(&world, &["audit", "verify"], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("row 2 was edited"),
        "{}",
        said(&output)
    );
    edit("UPDATE audit_log SET actor = 'system:serviceaccount:team:agent' WHERE seq = 2").await;

    // Whoever owns the database can cut off its end, and all that tells of it there.
    let before = anchored - 1;
    edit("DELETE FROM audit_anchors").await;
    edit(&format!("DELETE FROM audit_log WHERE seq > {before}")).await;
    edit(&format!(
        "UPDATE audit_head SET seq = {before}, hash = coalesce(
             (SELECT hash FROM audit_log WHERE seq = {before}), decode(repeat('00', 32), 'hex'))"
    ))
    .await;
    let output = llmplane(&world, &["audit", "verify"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = llmplane(&world, &["audit", "verify", "--anchor", &anchor], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("the newest rows were removed"),
        "{}",
        said(&output)
    );
}
