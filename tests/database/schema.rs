//! The schema: both ways, and known by whoever uses it.

use std::collections::BTreeMap;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use llmplane::crd::{ProviderType, credential::VersionState};
use llmplane::db::{self, DbError};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::support::{database::TestDatabase, plane::eventually, rows};

/// Everything that the migrations make, in words.
async fn catalog(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query(
        "SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
           FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'
         UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes
           WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
         UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace AND conrelid <> 'public._sqlx_migrations'::regclass
         UNION ALL SELECT format('function %s %s %s', oid::regprocedure, proconfig, proacl) FROM pg_proc
           WHERE pronamespace = to_regnamespace('llmplane_fn')
         UNION ALL SELECT format('rights %s %s', oid::regclass, relacl) FROM pg_class
           WHERE relnamespace = 'public'::regnamespace
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect()
}

/// Words of a CHECK and of the type that they stand for are the same.
#[tokio::test]
async fn every_provider_type_can_be_stored() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let check: String = sqlx::query_scalar(
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
          WHERE c.conrelid = 'providers'::regclass AND c.contype = 'c' AND a.attname = 'type'",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let mut stored: Vec<&str> = check.split('\'').skip(1).step_by(2).collect();
    let mut known: Vec<&str> = ProviderType::ALL
        .iter()
        .map(|type_| type_.as_str())
        .collect();
    stored.sort_unstable();
    known.sort_unstable();
    assert_eq!(stored, known, "{check}");
}

fn refusal(outcome: Result<(), DbError>) -> String {
    match outcome {
        Err(DbError::SchemaUnknown(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The tables' rows as JSON, in order, by the table's name.
type Tables = BTreeMap<String, Vec<Value>>;

/// All rows, but for those of the migrations themselves.
async fn contents(connection: &mut PgConnection) -> Tables {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
             AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut contents = Tables::new();
    for table in tables {
        let select = format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(select))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let rows = rows.iter().map(|row| serde_json::from_str(row).unwrap());
        contents.insert(table, rows.collect());
    }
    contents
}

/// A row in every table.
async fn fill(database: &TestDatabase) {
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("p");
    let endpoint = rows::endpoint(provider.uid, "e");
    let credential = rows::credential(provider.uid, "c");
    let version = rows::key_version(credential.uid, 1, VersionState::Current);
    let model = rows::model(provider.uid, "m");
    let class = rows::class("smart", &["m"]);
    let listed = BTreeMap::from([("m".to_owned(), json!({ "context_window": 8192 }))]);
    let subject = endpoint.uid;
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&endpoint).await?;
            tx.upsert(&credential).await?;
            tx.credential_version_insert(&version).await?;
            tx.upsert(&model).await?;
            tx.upsert(&class).await?;
            tx.listed_models_replace(endpoint.uid, &endpoint.base_url, &listed)
                .await?;
            tx.keyring_check(b"own").await
        }
        .boxed()
    })
    .await
    .unwrap();
    db.close().await;
    let rest = format!(
        "SELECT llmplane_fn.request_check('{subject}', 'test');
         INSERT INTO health_probes (checked_at, subject, kind, reason, message, latency_ms)
             VALUES (now(), '{subject}', 'Probe', 'ProbeFailed', '', 1);
         SELECT llmplane_fn.append_audit('[{{\"action\": \"Read\", \"result\": \"Done\", \"actor\": \"test\"}}]');
         INSERT INTO audit_outbox (entry) VALUES ('{{\"action\": \"Read\", \"result\": \"Done\", \"actor\": \"test\"}}');
         INSERT INTO audit_anchors (seq, hash, mac) SELECT seq, hash, hash FROM audit_head;
         INSERT INTO disclosure_counts SELECT uid, now(), 1 FROM credentials;
         INSERT INTO swept_database (marker) VALUES ('here');
         SELECT llmplane_fn.count_needs('[{{\"namespaces\": [[\"team\"]], \"need\": {{\"model\": \"m\"}}, \"count\": 2}}]');
         INSERT INTO rewrap (active_kek) VALUES ('0011223344556677');
         INSERT INTO lost_keks (kek_id) VALUES ('8899aabbccddeeff');
         UPDATE retention SET keep = '45 days'",
    );
    let mut owner = database.connect("llmplane_owner").await;
    owner.execute(AssertSqlSafe(rest)).await.unwrap();
}

/// Of `rows`, what two schemas can hold, whose rows are `older` and `newer`, in order.
fn as_known(rows: &Tables, older: &Tables, newer: &Tables) -> Tables {
    let mut known = Tables::new();
    for (table, like) in older {
        if like.is_empty() && newer[table].is_empty() {
            continue;
        }
        let columns = |rows: &[Value]| match rows.first().and_then(Value::as_object) {
            Some(row) => row.clone(),
            None => panic!("the rows of {table} are lost"),
        };
        let (columns, newer) = (columns(like), columns(&newer[table]));
        let mut rows = rows[table].clone();
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            row.retain(|column, _| columns.contains_key(column) && newer.contains_key(column));
        }
        // An older schema takes no such rows: it keeps what was deleted for good, knows no classes, and counts
        // no needs.
        let of_deleted = |row: &Value| row["table_name"] == "deleted_objects";
        let of_class = |row: &Value| row["kind"] == "modelclass";
        let of_needs = |row: &Value| row["table_name"] == "resolve_needs";
        for of_newer in [of_deleted as fn(&Value) -> bool, of_class, of_needs] {
            if !like.iter().any(of_newer) {
                rows.retain(|row| !of_newer(row));
            }
        }
        rows.sort_by_cached_key(Value::to_string);
        known.insert(table.clone(), rows);
    }
    known
}

#[tokio::test]
async fn migrations_go_both_ways() {
    let database = TestDatabase::empty().await;
    let url = database.owner_url.clone();
    db::migrate(&url).await.unwrap();
    fill(&database).await;
    let mut owner = database.connect("llmplane_owner").await;
    let first = catalog(&mut owner).await;
    assert!(first.len() > 100, "{first:#?}");

    db::revert(&url, 0).await.unwrap();
    let left: Vec<String> = catalog(&mut owner)
        .await
        .into_iter()
        .filter(|line| !line.contains("_sqlx_migrations"))
        .collect();
    assert_eq!(left, [] as [String; 0]);

    db::migrate(&url).await.unwrap();
    assert_eq!(catalog(&mut owner).await, first);
    db::migrate(&url).await.unwrap();
    assert_eq!(catalog(&mut owner).await, first, "a second time is a no-op");
}

#[tokio::test]
async fn what_both_schemas_know_outlives_the_way_down_and_up() {
    let database = TestDatabase::migrated().await;
    let url = database.owner_url.clone();
    fill(&database).await;
    let mut owner = database.connect("llmplane_owner").await;
    let (schema, full) = (catalog(&mut owner).await, contents(&mut owner).await);
    for (table, rows) in &full {
        assert!(!rows.is_empty(), "no row of {table} to look after");
    }
    // The way down does this too: an older schema has no place where rows of the audit wait.
    owner
        .execute("SELECT llmplane_fn.flush_audit_outbox(100)")
        .await
        .unwrap();
    let full = contents(&mut owner).await;
    let newest_first: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version DESC")
            .fetch_all(&mut owner)
            .await
            .unwrap();

    let mut down = full.clone();
    for older in &newest_first[1..] {
        db::revert(&url, *older).await.unwrap();
        down = contents(&mut owner).await;
        let known = |rows| as_known(rows, &down, &full);
        assert_eq!(known(&down), known(&full), "{older}");
    }
    db::migrate(&url).await.unwrap();
    assert_eq!(catalog(&mut owner).await, schema);
    let up = contents(&mut owner).await;
    let known = |rows| as_known(rows, &down, &full);
    assert_eq!(known(&up), known(&full));
    let read = database.controller().await.read_all().await.unwrap().rows;
    let read = [
        read.providers.len(),
        read.endpoints.len(),
        read.credentials.len(),
        read.models.len(),
    ];
    assert_eq!(read, [1; 4]);
}

#[tokio::test]
async fn a_schema_that_is_not_there_or_older_is_refused() {
    let database = TestDatabase::empty().await;
    let message = refusal(database.controller().await.check_schema().await);
    assert!(message.contains("llmplane migrate"), "{message}");

    let url = database.owner_url.clone();
    db::migrate(&url).await.unwrap();
    database.controller().await.check_schema().await.unwrap();
    database.api().await.check_schema().await.unwrap();
    db::revert(&url, 0).await.unwrap();
    let owner = db::Db::connect(&url, &db::DbOptions::new("test")).await;
    let message = refusal(owner.unwrap().check_schema().await);
    assert!(message.contains("older than this binary"), "{message}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_use_and_by_migration() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    owner
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99990101000000, 'from the future', true, '', 0)",
        )
        .await
        .unwrap();

    let used = refusal(database.controller().await.check_schema().await);
    let migrated = refusal(db::migrate(&database.owner_url).await);
    for message in [used, migrated] {
        assert!(message.contains("run a newer llmplane"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[tokio::test]
async fn an_altered_migration_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    owner
        .execute("UPDATE _sqlx_migrations SET checksum = 'other'")
        .await
        .unwrap();
    let message = refusal(database.controller().await.check_schema().await);
    assert!(message.contains("another build"), "{message}");
}

#[tokio::test]
async fn an_unreachable_database_is_told_without_its_password() {
    let url = "postgres://llmplane_api:hunter2@127.0.0.1:1/llmplane";
    let error = db::migrate(url).await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn partitions_are_made_ahead_and_no_row_is_refused_for_want_of_one() {
    let database = TestDatabase::migrated().await;
    let controller = database.controller().await;
    assert_eq!(controller.maintain_partitions().await.unwrap(), 0);
    let mut owner = database.connect("llmplane_owner").await;
    let ahead = Timestamp::now() + SignedDuration::from_hours(24 * 62);
    let insert =
        "INSERT INTO health_probes (checked_at, subject, kind, reason, message, latency_ms)
                  VALUES ($1::text::timestamptz, gen_random_uuid(), 'Probe', 'ProbeFailed', '', 1)";
    let partition = "SELECT tableoid::regclass::text FROM health_probes";

    let month: String =
        sqlx::query_scalar("SELECT to_char($1::text::timestamptz AT TIME ZONE 'UTC', 'YYYYMM')")
            .bind(ahead.to_string())
            .fetch_one(&mut owner)
            .await
            .unwrap();
    let drop = format!("DROP TABLE health_probes_p{month}");
    owner.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    sqlx::query(insert)
        .bind(ahead.to_string())
        .execute(&mut owner)
        .await
        .unwrap();
    let caught: String = sqlx::query_scalar(partition)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(caught, "health_probes_default");

    assert_eq!(controller.maintain_partitions().await.unwrap(), 1);
    let moved: String = sqlx::query_scalar(partition)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(moved, format!("health_probes_p{month}"));
}

#[tokio::test]
async fn a_partition_is_made_while_others_write_into_its_month() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let partition: String = sqlx::query_scalar(
        "SELECT to_char(date_trunc('month', now()) + interval '2 months', '\"health_probes_p\"YYYYMM')",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let drop = format!("DROP TABLE {partition}");
    owner.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    let mut writer = database.connect("llmplane_controller").await;
    let mut probe = writer.begin().await.unwrap();
    probe
        .execute(
            "INSERT INTO health_probes (checked_at, subject, kind, reason, message, latency_ms)
             VALUES (date_trunc('month', now()) + interval '2 months 3 days', gen_random_uuid(), 'Probe', 'ProbeFailed', '', 1)",
        )
        .await
        .unwrap();

    let (controller, observer) = (database.controller().await, database.controller().await);
    let made = tokio::spawn(async move { controller.maintain_partitions().await });
    eventually("the maintenance waits for the writer", async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'health_probes_default'::regclass)")
            .fetch_one(observer.pool())
            .await
            .unwrap()
    })
    .await;
    probe.commit().await.unwrap();

    assert_eq!(made.await.unwrap().unwrap(), 1);
    let holds: String = sqlx::query_scalar("SELECT tableoid::regclass::text FROM health_probes")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(holds, partition);
}

#[tokio::test]
async fn retention_removes_what_is_too_old_and_nothing_else() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    owner
        .execute(
            "CREATE TABLE health_probes_p200001 PARTITION OF health_probes FOR VALUES FROM ('2000-01-01Z') TO ('2000-02-01Z');
             INSERT INTO health_probes (checked_at, subject, kind, reason, message, latency_ms)
             SELECT at, gen_random_uuid(), 'Probe', 'ProbeFailed', '', 1
             FROM unnest(ARRAY['2000-01-02Z'::timestamptz, now() - interval '31 days', now() - interval '29 days', now()]) AS at;
             SELECT llmplane_fn.append_audit('[{\"action\": \"Read\", \"result\": \"Done\", \"actor\": \"test\"}]')",
        )
        .await
        .unwrap();

    database
        .controller()
        .await
        .maintain_partitions()
        .await
        .unwrap();

    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM health_probes), (SELECT count(*) FROM audit_log),
                to_regclass('health_probes_p200001') IS NULL",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (2, 1));
    assert!(row.get::<bool, _>(2), "the old partition is dropped whole");
}
