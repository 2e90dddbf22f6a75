//! The schema: both ways, and known by whoever uses it.

use jiff::{SignedDuration, Timestamp};
use llmplane::db::{self, DbError};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::support::{database::TestDatabase, plane::eventually};

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

fn refusal(outcome: Result<(), DbError>) -> String {
    match outcome {
        Err(DbError::SchemaUnknown(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn migrations_go_both_ways() {
    let database = TestDatabase::empty().await;
    let url = database.owner_url.clone();
    db::migrate(&url).await.unwrap();
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
             INSERT INTO audit_log (at, seq, action, actor, result) VALUES (now() - interval '31 days', 1, 'test', 'test', 'test')",
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
