//! What each account cannot do.

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

use crate::support::database::TestDatabase;

const TABLES: [&str; 25] = [
    "rewrap",
    "lost_keks",
    "known_keks",
    "keyring_check",
    "feed",
    "changes",
    "providers",
    "endpoints",
    "credentials",
    "credential_versions",
    "models",
    "model_classes",
    "listed_models",
    "health_probes",
    "health_probes_default",
    "check_requests",
    "audit_log",
    "audit_head",
    "audit_outbox",
    "audited_checks",
    "audit_anchors",
    "disclosure_counts",
    "swept_database",
    "resolve_needs",
    "retention",
];

/// A column that may be written without meaning anything.
fn column(table: &str) -> &'static str {
    match table {
        "feed" => "revision",
        "keyring_check" => "fingerprint_key",
        "rewrap" => "rewrapped",
        "lost_keks" | "known_keks" => "kek_id",
        "changes" => "revision",
        "listed_models" => "facts",
        "health_probes" | "health_probes_default" => "reason",
        "check_requests" => "requester",
        "audit_log" => "result",
        "retention" => "keep",
        "audit_head" | "audit_anchors" => "hash",
        "audit_outbox" => "entry",
        "audited_checks" => "until",
        "disclosure_counts" => "used",
        "resolve_needs" => "need",
        "swept_database" => "marker",
        "credential_versions" => "fingerprint",
        _ => "name",
    }
}

async fn is_refused(connection: &mut PgConnection, statement: &str) -> bool {
    match connection
        .execute(AssertSqlSafe(statement.to_owned()))
        .await
    {
        Ok(_) => false,
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
            true
        }
    }
}

fn write(table: &str, verb: &str) -> String {
    match verb {
        "INSERT" => format!("INSERT INTO {table} DEFAULT VALUES"),
        "UPDATE" => format!("UPDATE {table} SET {0} = {0}", column(table)),
        "DELETE" => format!("DELETE FROM {table}"),
        _ => format!("TRUNCATE {table} CASCADE"),
    }
}

#[tokio::test]
async fn the_api_changes_nothing_anywhere() {
    let database = TestDatabase::migrated().await;
    let mut api = database.connect("llmplane_api").await;
    for table in TABLES {
        for verb in ["INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
            let statement = write(table, verb);
            assert!(is_refused(&mut api, &statement).await, "{statement}");
        }
    }
    for hidden in [
        "check_requests",
        "retention",
        "swept_database",
        "audit_outbox",
        "rewrap",
        "lost_keks",
        "known_keks",
        "audited_checks",
    ] {
        let statement = format!("SELECT * FROM {hidden}");
        assert!(is_refused(&mut api, &statement).await, "{statement}");
    }
}

#[tokio::test]
async fn the_controller_changes_no_more_than_it_must() {
    let database = TestDatabase::migrated().await;
    let mut controller = database.connect("llmplane_controller").await;
    let refused = [
        ("feed", &["INSERT", "DELETE"][..]),
        ("changes", &["UPDATE"]),
        ("keyring_check", &["UPDATE", "DELETE"]),
        ("rewrap", &["DELETE"]),
        ("lost_keks", &["UPDATE"]),
        ("known_keks", &["UPDATE", "DELETE"]),
        ("providers", &["DELETE"]),
        ("endpoints", &["DELETE"]),
        ("credentials", &["DELETE"]),
        ("credential_versions", &["DELETE"]),
        ("models", &["DELETE"]),
        ("model_classes", &["DELETE"]),
        ("health_probes", &["UPDATE", "DELETE"]),
        ("health_probes_default", &["INSERT", "UPDATE", "DELETE"]),
        ("check_requests", &["INSERT", "UPDATE"]),
        ("audit_log", &["INSERT", "UPDATE", "DELETE"]),
        ("audit_log_default", &["INSERT", "UPDATE", "DELETE"]),
        ("audit_head", &["INSERT", "UPDATE", "DELETE"]),
        ("audit_anchors", &["UPDATE", "DELETE"]),
        ("audit_outbox", &["UPDATE", "DELETE"]),
        ("audited_checks", &["INSERT", "UPDATE", "DELETE"]),
        ("disclosure_counts", &["INSERT", "UPDATE", "DELETE"]),
        ("swept_database", &["DELETE"]),
        ("resolve_needs", &["INSERT", "UPDATE", "DELETE"]),
        ("retention", &["INSERT", "UPDATE", "DELETE"]),
        ("_sqlx_migrations", &["DELETE"]),
    ];
    for (table, verbs) in refused {
        for verb in verbs {
            let statement = write(table, verb);
            assert!(is_refused(&mut controller, &statement).await, "{statement}");
        }
    }
}

#[tokio::test]
async fn neither_account_alters_the_schema() {
    let database = TestDatabase::migrated().await;
    for role in ["llmplane_controller", "llmplane_api"] {
        let mut connection = database.connect(role).await;
        for table in TABLES {
            for statement in [
                format!("DROP TABLE {table} CASCADE"),
                format!("TRUNCATE {table} CASCADE"),
                format!("ALTER TABLE {table} ADD COLUMN extra text"),
            ] {
                let refused = is_refused(&mut connection, &statement).await;
                assert!(refused, "{role}: {statement}");
            }
        }
        for statement in [
            "CREATE TABLE public.mine (x int)",
            "CREATE TABLE llmplane_fn.mine (x int)",
            "DROP FUNCTION llmplane_fn.request_check",
            "CREATE OR REPLACE FUNCTION llmplane_fn.maintain_partitions() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ] {
            assert!(
                is_refused(&mut connection, statement).await,
                "{role}: {statement}"
            );
        }
    }
}

#[tokio::test]
async fn functions_are_for_whom_they_are_meant() {
    let database = TestDatabase::migrated().await;
    let check = format!("SELECT llmplane_fn.request_check('{}', 'x')", Uuid::nil());
    let partitions = "SELECT llmplane_fn.maintain_partitions()";
    let retention = "SELECT llmplane_fn.apply_retention('audit_log', 'at', now())";
    let make = "SELECT llmplane_fn.make_partition('audit_log', 'at', now())";
    let purge = "SELECT llmplane_fn.purge_deleted(1)";
    let prune = "SELECT llmplane_fn.prune_audit(1)";
    let checks = "SELECT llmplane_fn.audit_checks()";
    let flush = "SELECT llmplane_fn.flush_audit_outbox(1)";
    let append = r#"SELECT llmplane_fn.append_audit('[{"action": "Read", "result": "Done", "actor": "x"}]')"#;
    let disclose = "SELECT * FROM llmplane_fn.record_disclosures('[]')";
    let count = "SELECT llmplane_fn.count_needs('[]')";
    let forget = "SELECT llmplane_fn.forget_needs(1)";
    let inner = [
        "SELECT llmplane_fn.append_audit_row(h, '{}') FROM audit_head h",
        "SELECT llmplane_fn.lock_audit_head()",
        "SELECT llmplane_fn.store_audit_head(h) FROM audit_head h",
    ];

    let mut api = database.connect("llmplane_api").await;
    for statement in [&check, append, disclose, count] {
        assert!(!is_refused(&mut api, statement).await, "{statement}");
    }
    for statement in [
        partitions, retention, make, purge, prune, flush, checks, forget,
    ]
    .into_iter()
    .chain(inner)
    {
        assert!(is_refused(&mut api, statement).await, "{statement}");
    }
    let mut controller = database.connect("llmplane_controller").await;
    for statement in [partitions, purge, prune, flush, checks, append, forget] {
        assert!(!is_refused(&mut controller, statement).await, "{statement}");
    }
    for statement in [disclose, count].into_iter().chain(inner) {
        assert!(is_refused(&mut controller, statement).await, "{statement}");
    }
    for statement in [&check, retention, make] {
        assert!(is_refused(&mut controller, statement).await, "{statement}");
    }
}

#[tokio::test]
async fn every_function_is_kept_from_the_public_and_looks_up_names_where_it_should() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let functions: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT oid::regprocedure::text,
                EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0),
                -- A body that was read when the function was made looks up nothing.
                prosqlbody IS NOT NULL OR coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
         FROM pg_proc WHERE pronamespace = 'llmplane_fn'::regnamespace",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(functions.len() >= 5, "{functions:?}");
    for (function, public, own_path) in functions {
        assert!(!public, "everybody may call {function}");
        assert!(own_path, "{function} looks up names where its caller does");
    }
}

#[tokio::test]
async fn a_callers_own_tables_do_not_deceive_a_function() {
    let database = TestDatabase::migrated().await;
    let mut api = database.connect("llmplane_api").await;
    let uid = Uuid::new_v4();
    api.execute(
        "CREATE TEMPORARY TABLE providers (uid uuid, deleted_at timestamptz);
         CREATE TEMPORARY TABLE check_requests (uid uuid PRIMARY KEY, requester text, requested_at timestamptz);
         SET search_path = pg_temp, public",
    )
    .await
    .unwrap();
    sqlx::query("INSERT INTO pg_temp.providers (uid) VALUES ($1)")
        .bind(uid)
        .execute(&mut api)
        .await
        .unwrap();

    let found: bool = sqlx::query_scalar("SELECT llmplane_fn.request_check($1, 'x')")
        .bind(uid)
        .fetch_one(&mut api)
        .await
        .unwrap();
    assert!(!found, "a temporary table was taken for the real one");
}
