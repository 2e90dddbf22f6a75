//! Statements go by an index, also by plans that were made while their tables were empty: those of
//! prepared statements outlive that moment.

use std::collections::BTreeSet;
use std::path::Path;

use llmplane::crd::Kind;
use llmplane::db::{AuditFilter, table_columns};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::plane::eventually;

/// Tables that grow with what users declare.
const GROWING: [&str; 8] = [
    "providers",
    "endpoints",
    "credentials",
    "credential_versions",
    "models",
    "model_classes",
    "listed_models",
    "changes",
];

/// What statements say that mean to read a table whole, or in its order until there is enough.
const WHOLE: [&str; 8] = [
    r#"AS "unknown!""#,
    "WHERE $1 OR deleted_at IS NULL",
    "$1::text[] IS NULL OR namespace = ANY ($1)",
    "WHERE c.deleted_at IS NULL ORDER BY v.credential_uid",
    "WHERE state <> 'Destroyed' GROUP BY kek_id",
    "WHERE v.state <> 'Destroyed' AND (v.credential_uid, v.version) > ($1, $2)",
    "DELETE FROM changes",
    "v.fingerprint, v.field_fingerprints FROM credential_versions v JOIN",
];

/// The statements that are written as such, and how many parameters each has.
fn written() -> Vec<(String, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let read = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let statement: Value = serde_json::from_str(&text).unwrap();
        let parameters = statement["describe"]["parameters"]["Left"].as_array();
        let text = statement["query"].as_str().unwrap().to_owned();
        (text, parameters.map_or(0, Vec::len))
    };
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| read(file.unwrap())).collect()
}

/// Those that are made from the tables' columns as well.
fn statements() -> Vec<(String, usize)> {
    let parameters = |statement: &str| {
        let counted = |number: &usize| statement.contains(&format!("${number}"));
        (1..).take_while(counted).count()
    };
    let made = llmplane::db::made_statements().into_iter();
    let made = made.map(|(_, statement)| (statement.to_owned(), parameters(statement)));
    written().into_iter().chain(made).collect()
}

/// Growing tables that a plan reads without a condition on an index.
fn read_whole(plan: &Value, found: &mut BTreeSet<String>) {
    let scan = plan["Node Type"].as_str().unwrap_or_default();
    let table = plan["Relation Name"].as_str().unwrap_or_default();
    let by_index = !plan["Index Cond"].is_null() || scan == "Bitmap Heap Scan";
    if scan.ends_with("Scan") && GROWING.contains(&table) && !by_index {
        found.insert(table.to_owned());
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        read_whole(child, found);
    }
}

/// The project's statements, and the plans that they have while every table is empty.
async fn plans() -> Vec<(String, Value)> {
    let database = TestDatabase::migrated().await;
    let db = database.controller().await;
    // The settings are those of every session; the rights are the owner's, who may all.
    let settings: Vec<String> = sqlx::query(
        "SELECT format('SET %I = %L', name, setting) FROM pg_settings WHERE name IN ('enable_seqscan', 'jit', 'plan_cache_mode')",
    )
    .fetch_all(db.pool())
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect();
    let mut owner = database.connect("llmplane_owner").await;
    for setting in settings {
        sqlx::raw_sql(AssertSqlSafe(setting))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    let mut plans = Vec::new();
    for (number, (statement, parameters)) in statements().into_iter().enumerate() {
        let verb = statement.split_whitespace().next().unwrap_or_default();
        if !["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&verb) {
            continue;
        }
        let prepare = format!("PREPARE p{number} AS {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut owner)
            .await
            .unwrap();
        let nulls = match parameters {
            0 => String::new(),
            count => format!("({})", vec!["NULL"; count].join(", ")),
        };
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE p{number}{nulls}");
        let row = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_one(&mut owner)
            .await
            .unwrap();
        let mut plan: Value = row.get(0);
        plans.push((statement, plan[0]["Plan"].take()));
    }
    assert!(plans.len() > 50, "{} statements", plans.len());
    plans
}

#[tokio::test]
async fn no_statement_reads_a_table_whole_that_does_not_mean_to() {
    for (statement, plan) in plans().await {
        let mut whole = BTreeSet::new();
        read_whole(&plan, &mut whole);
        let means_to = WHOLE.iter().any(|words| {
            let one_line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            one_line.contains(words)
        });
        assert!(
            means_to || whole.is_empty(),
            "{whole:?} by {statement}\n{plan:#}"
        );
    }
}

#[tokio::test]
async fn deleted_rows_come_in_their_order_from_an_index_of_deleted_rows() {
    let mut pages = 0;
    for (statement, plan) in plans().await {
        let in_order = r#"ORDER BY namespace COLLATE "C", name COLLATE "C", uid LIMIT"#;
        if !statement.contains("WHERE deleted_at IS NOT NULL") || !statement.contains(in_order) {
            continue;
        }
        // Nothing sorts: the limit stops the scan.
        let scan = &plan["Plans"][0];
        let found = (&plan["Node Type"], &scan["Node Type"], &scan["Index Name"]);
        let table = scan["Relation Name"].as_str().unwrap();
        let index = match statement.contains("provider_uid") {
            true => format!("{table}_deleted_of_provider"),
            false => format!("{table}_deleted"),
        };
        assert_eq!(
            found,
            (&"Limit".into(), &"Index Only Scan".into(), &index.into()),
            "{statement}\n{plan:#}"
        );
        assert!(scan["Filter"].is_null(), "{statement}\n{plan:#}");
        pages += 1;
    }
    assert_eq!(pages, 8, "of five kinds, and by provider of three");
}

#[tokio::test]
async fn rows_of_the_audit_are_found_by_the_index_of_what_is_asked_for() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let filled = "INSERT INTO audit_log (at, seq, action, actor, namespace, object_uid, result, previous_hash, hash)
        SELECT now(), n, 'Disclose', 'agent', CASE n % 2000 WHEN 0 THEN 'rare' ELSE 'usual' END,
            CASE n % 2000 WHEN 0 THEN $1 ELSE gen_random_uuid() END, 'Disclosed', '', ''
        FROM generate_series(1, 20000) n";
    let credential = Uuid::new_v4();
    let filled = sqlx::query(filled).bind(credential);
    filled.execute(&mut owner).await.unwrap();
    sqlx::query("ANALYZE audit_log")
        .execute(&mut owner)
        .await
        .unwrap();
    let api = database.api().await;
    let of_namespace = AuditFilter {
        namespace: Some("rare".to_owned()),
        ..AuditFilter::default()
    };
    let of_credential = AuditFilter {
        object_uid: Some(credential),
        ..AuditFilter::default()
    };
    for (filter, column) in [(of_namespace, "namespace"), (of_credential, "object_uid")] {
        let found = api.audit_rows(&filter, None, 100).await.unwrap();
        assert_eq!(found.len(), 10, "{column}");
        // What was read is counted a moment later.
        eventually("rows are read by an index", async || {
            let mut owner = database.connect("llmplane_owner").await;
            let read =
                "SELECT count(*) FROM pg_stat_user_indexes s JOIN pg_indexes i ON i.indexname = s.indexrelname
                WHERE s.relname LIKE 'audit_log_p%' AND s.idx_scan > 0 AND i.indexdef LIKE $1";
            let read = sqlx::query_scalar(read).bind(format!("%({column}, seq DESC)%"));
            let read: i64 = read.fetch_one(&mut owner).await.unwrap();
            read > 0
        })
        .await;
    }
}

#[tokio::test]
async fn every_column_of_an_object_is_known() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let tables = [
        "providers",
        "endpoints",
        "credentials",
        "models",
        "model_classes",
    ];
    for (kind, table) in Kind::ALL.into_iter().zip(tables) {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = $1 ORDER BY 1",
        )
        .bind(table)
        .fetch_all(&mut owner)
        .await
        .unwrap();
        let mut known = table_columns(kind);
        known.sort_unstable();
        assert_eq!(known, columns, "{table}");
    }
}
