//! Where nothing can be recorded no key leaves, everybody has an answer, and it heals by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use llmplane::db;
use llmplane::keys::disclose::Refusal;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use url::Url;
use uuid::Uuid;

use super::{RECORD, Replica, Vault};
use crate::support::database::TestDatabase;
use crate::support::plane::eventually;
use crate::support::postgres::{PrivatePostgres, SmallDisk};

const KEY: &str = "sk-canary-0123456789abcdef";

/// Ten callers at once get no key.
async fn nobody_gets_a_key(replica: &Replica, credential: (Uuid, &str)) {
    let asks = (0..10).map(|_| replica.ask("refused", credential));
    for answer in join_all(asks).await {
        assert_eq!(answer, Err(Refusal::AuditUnavailable));
    }
}

/// Keys are given out again, without anybody's doing.
async fn it_heals(replica: &Replica, credential: (Uuid, &str)) {
    eventually("keys are given out again", async || {
        replica.ask("later", credential).await == Ok(KEY.to_owned())
    })
    .await;
}

/// No caller who was refused has a row that says that it got the key.
async fn nobody_was_said_to_have_one(vault: &Vault) {
    let rows = vault.audited("Disclosed").await;
    assert!(rows.iter().all(|row| row.actor != "refused"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_was_revoked_stops_keys_until_it_is_granted_again() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    it_heals(&replica, credential).await;
    vault
        .edit(&format!("REVOKE EXECUTE ON {RECORD} FROM llmplane_api"))
        .await;
    nobody_gets_a_key(&replica, credential).await;
    vault
        .edit(&format!("GRANT EXECUTE ON {RECORD} TO llmplane_api"))
        .await;
    it_heals(&replica, credential).await;
    nobody_was_said_to_have_one(&vault).await;
    replica.end().await;
    let told = vault.audited("AuditUnavailable").await;
    let told: i32 = told.iter().map(|row| row.count).sum();
    assert_eq!(
        told, 10,
        "the refusals are told of when the audit takes rows again"
    );
}

/// What a full disk, a raising trigger and one bad row look like to the API.
async fn refuse_rows(vault: &Vault, condition: &str, code: &str) {
    vault
        .edit(&format!(
            "CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW WHEN ({condition})
             EXECUTE FUNCTION public.refuse()"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_refused_stop_keys_until_they_are_taken_again() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    // raise_exception, disk_full, insufficient_privilege, lock_not_available, a defect of a function.
    for code in ["P0001", "53100", "42501", "55P03", "XX000"] {
        refuse_rows(&vault, "NEW.result = 'Disclosed'", code).await;
        nobody_gets_a_key(&replica, credential).await;
        vault.edit("DROP TRIGGER refuse ON audit_log").await;
        it_heals(&replica, credential).await;
    }
    nobody_was_said_to_have_one(&vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_is_refused_keeps_nobody_else_from_a_key() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    for code in ["P0001", "22003", "23514"] {
        refuse_rows(&vault, "NEW.actor = 'refused'", code).await;
        let good = (0..100).map(|_| replica.ask("good", credential));
        let bad = (0..3).map(|_| replica.ask("refused", credential));
        let (good, bad) = tokio::join!(join_all(good), join_all(bad));
        assert!(good.iter().all(|answer| *answer == Ok(KEY.to_owned())));
        assert!(
            bad.iter()
                .all(|answer| *answer == Err(Refusal::AuditUnavailable))
        );
        vault.edit("DROP TRIGGER refuse ON audit_log").await;
    }
    let rows = vault.audited("Disclosed").await;
    assert_eq!(rows.len(), 300, "as many rows as keys");
    nobody_was_said_to_have_one(&vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_gives_out_no_keys() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    it_heals(&replica, credential).await;
    let name = &vault.database.name;
    let sessions = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'llmplane_api'"
    );
    let mut admin = vault.database.connect("postgres").await;
    let mut run = async |statement: String| {
        admin.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    };
    run(format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ))
    .await;
    run(sessions.clone()).await;
    nobody_gets_a_key(&replica, credential).await;
    run(format!(
        "ALTER DATABASE {name} RESET default_transaction_read_only"
    ))
    .await;
    it_heals(&replica, credential).await;
    nobody_was_said_to_have_one(&vault).await;
}

async fn alone(server: &PrivatePostgres) -> Vault {
    let superuser_url = server.url("127.0.0.1", "postgres", "?sslmode=disable");
    db::migrate(&superuser_url).await.unwrap();
    let mut admin = PgConnection::connect(&superuser_url).await.unwrap();
    admin
        .execute("ALTER ROLE llmplane_controller LOGIN; ALTER ROLE llmplane_api LOGIN")
        .await
        .unwrap();
    let url = |role| server.url("127.0.0.1", role, "?sslmode=disable");
    Vault::in_database(TestDatabase {
        name: "postgres".to_owned(),
        owner_url: superuser_url.clone(),
        controller_url: url("llmplane_controller"),
        api_url: url("llmplane_api"),
        superuser_url,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_or_stalls_gives_out_no_keys_until_it_is_back() {
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let vault = alone(&server).await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    it_heals(&replica, credential).await;

    server.stop();
    nobody_gets_a_key(&replica, credential).await;
    server.start_again().await;
    // It may be another volume that it was started on: the controller looks first.
    eventually("the database answers again", async || {
        replica.ask("refused", credential).await == Err(Refusal::NotSweptYet)
    })
    .await;
    vault.mark_swept().await;
    it_heals(&replica, credential).await;
    nobody_was_said_to_have_one(&vault).await;

    server.stall();
    nobody_gets_a_key(&replica, credential).await;
    server.go_on();
    it_heals(&replica, credential).await;
}

/// As PostgreSQL itself says it, on a disk that is really full.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_keys_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount(24) else {
        eprintln!("skipped: a small file system takes the right to mount one (root)");
        return;
    };
    let server = PrivatePostgres::start(&[], &[]).await;
    let vault = alone(&server).await;
    let credential = (vault.credential("c", KEY).await, "c");
    let mut admin = vault.database.connect("postgres").await;
    let place = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    admin.execute(sqlx::AssertSqlSafe(place)).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    for table in tables {
        let moved = format!("ALTER TABLE {table} SET TABLESPACE small");
        admin.execute(sqlx::AssertSqlSafe(moved)).await.unwrap();
    }
    let replica = vault.replica();
    it_heals(&replica, credential).await;
    admin
        .execute("CREATE TABLE filler (text text) TABLESPACE small; ALTER TABLE filler ALTER text SET STORAGE PLAIN")
        .await
        .unwrap();
    // By ever smaller pieces, for a statement that finds no room gives back what it had.
    for rows in [1000, 100, 10, 1] {
        let fill =
            format!("INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, {rows})");
        let full = loop {
            match admin.execute(sqlx::AssertSqlSafe(fill.clone())).await {
                Ok(_) => {}
                Err(full) => break full,
            }
        };
        let code = full.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("53100"), "{full}");
    }
    // What is left of its last page serves a few more.
    let mut given = 0;
    let refused = loop {
        match replica.ask("last", credential).await {
            Ok(_) => given += 1,
            Err(refused) => break refused,
        }
        assert!(given < 10_000, "the disk has no end");
    };
    assert_eq!(refused, Refusal::AuditUnavailable);
    nobody_gets_a_key(&replica, credential).await;
    admin.execute("DROP TABLE filler").await.unwrap();
    it_heals(&replica, credential).await;
    nobody_was_said_to_have_one(&vault).await;
    let rows = vault.audited("Disclosed").await;
    let of_the_last = rows.iter().filter(|row| row.actor == "last").count();
    assert_eq!(of_the_last, given, "as many rows as keys");
}

/// A network between a replica and PostgreSQL that can swallow everything, new connections too.
struct Network {
    url: String,
    swallows: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Network {
    async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let upstream = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let swallows = Arc::new(AtomicBool::new(false));
        let hole = swallows.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&upstream).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, hole.clone()));
                tokio::spawn(carry(from_server, to_client, hole.clone()));
            }
        });
        Self {
            url: url.to_string(),
            swallows,
            task,
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes on what comes. What comes while everything is swallowed is gone, and both ends still
/// believe in their connection.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: Arc<AtomicBool>) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if swallows.load(Ordering::Relaxed) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_stops_one_replica_alone() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let network = Network::to(&vault.database.api_url).await;
    let (cut, other) = (vault.replica_by(&network.url), vault.replica());
    it_heals(&cut, credential).await;
    network.swallows.store(true, Ordering::Relaxed);
    let ((), others) = tokio::join!(
        nobody_gets_a_key(&cut, credential),
        join_all((0..20).map(|_| other.ask("other", credential))),
    );
    assert!(others.iter().all(|answer| *answer == Ok(KEY.to_owned())));
    network.swallows.store(false, Ordering::Relaxed);
    it_heals(&cut, credential).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_holds_the_audit_does_not_hold_its_callers() {
    let vault = Vault::new().await;
    let credential = (vault.credential("c", KEY).await, "c");
    let replica = vault.replica();
    it_heals(&replica, credential).await;
    let mut holder = vault.database.connect("llmplane_owner").await;
    holder
        .execute("BEGIN; SELECT * FROM audit_head FOR UPDATE")
        .await
        .unwrap();
    nobody_gets_a_key(&replica, credential).await;
    holder.execute("ROLLBACK").await.unwrap();
    it_heals(&replica, credential).await;
    nobody_was_said_to_have_one(&vault).await;
}
