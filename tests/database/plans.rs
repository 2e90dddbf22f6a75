//! Statements go by an index, also by plans that were made while their tables were empty: those of
//! prepared statements outlive that moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use llmplane::crd::Kind;
use llmplane::db::{AuditFilter, GivenBounds, table_columns};
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
            let read = sqlx::query_scalar(read).bind(format!("%({column}, seq)%"));
            let read: i64 = read.fetch_one(&mut owner).await.unwrap();
            read > 0
        })
        .await;
    }
}

/// A busy key: few who had its former version, many who have the newest one.
async fn long_audit(database: &TestDatabase, credential: Uuid) {
    let mut owner = database.connect("llmplane_owner").await;
    let filled = "INSERT INTO audit_log (at, seq, action, actor, pod_uid, namespace, object_uid, credential_version,
            fingerprint, result, previous_hash, hash)
        SELECT make_timestamptz(2020, 1, 1, 0, 0, 0, 'UTC') + n * interval '1 minute', n, 'Disclose',
            CASE WHEN n <= 3 THEN 'early' ELSE 'agent' END, 'pod-' || n % 9000, 'team', $1,
            CASE WHEN n <= 3 THEN 1 ELSE 2 END, 'f', CASE n WHEN 20 THEN 'Expired' ELSE 'Disclosed' END, '', ''
        FROM generate_series(1, 12000) n";
    let filled = sqlx::query(filled).bind(credential);
    filled.execute(&mut owner).await.unwrap();
    let head = "UPDATE audit_head SET seq = 12000";
    sqlx::query(head).execute(&mut owner).await.unwrap();
}

#[tokio::test]
async fn a_page_of_the_audit_looks_at_a_bounded_number_of_rows_and_says_where_it_stopped() {
    let database = TestDatabase::migrated().await;
    let credential = Uuid::new_v4();
    long_audit(&database, credential).await;
    let api = database.api().await;
    let expired = AuditFilter {
        result: Some("Expired".to_owned()),
        ..AuditFilter::default()
    };
    for filter in [
        expired.clone(),
        AuditFilter {
            namespace: Some("team".to_owned()),
            ..expired.clone()
        },
        AuditFilter {
            object_uid: Some(credential),
            ..expired
        },
    ] {
        let (mut found, mut pages, mut before) = (Vec::new(), 0, None);
        loop {
            let page = api.audit_page(&filter, before, 100, Duration::ZERO);
            let page = page.await.unwrap();
            found.extend(page.rows.iter().map(|row| row.seq));
            pages += 1;
            match page.next {
                Some(next) => assert!(before.replace(next).is_none_or(|before| next < before)),
                None => break,
            }
        }
        assert_eq!((found, pages), (vec![20], 3), "{filter:?}");
    }
    // A full page ends there, and the next one begins behind its last row.
    let all = AuditFilter::default();
    let page = api.audit_page(&all, Some(12_000), 10, Duration::ZERO);
    let page = page.await.unwrap();
    let seqs: Vec<_> = page.rows.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (11_990..12_000).rev().collect::<Vec<_>>());
    assert_eq!(page.next, Some(11_990));
}

#[tokio::test]
async fn rows_of_a_time_are_found_without_a_look_at_all_that_came_since() {
    let database = TestDatabase::migrated().await;
    long_audit(&database, Uuid::new_v4()).await;
    let api = database.api().await;
    let begin: jiff::Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let at = |row: i64| begin + jiff::SignedDuration::from_mins(row);
    for (since, until, wanted) in [
        (Some(at(10)), Some(at(13)), vec![12, 11, 10]),
        (None, Some(at(3)), vec![2, 1]),
        (Some(at(11_999)), None, vec![12_000, 11_999]),
        (Some(at(20_000)), None, vec![]),
        (None, Some(at(0)), vec![]),
    ] {
        let filter = AuditFilter {
            since,
            until,
            ..AuditFilter::default()
        };
        let page = api.audit_page(&filter, None, 100, Duration::ZERO);
        let page = page.await.unwrap();
        let seqs: Vec<_> = page.rows.iter().map(|row| row.seq).collect();
        assert_eq!((seqs, page.next), (wanted, None), "{since:?} {until:?}");
    }
}

#[tokio::test]
async fn holders_are_found_however_often_others_were_given_the_key_since() {
    let database = TestDatabase::migrated().await;
    let credential = Uuid::new_v4();
    long_audit(&database, credential).await;
    let api = database.api().await;
    let seqs = |holders: &[llmplane::db::CredentialHolder]| -> Vec<i64> {
        holders.iter().map(|holder| holder.seq).collect()
    };
    let former = api.latest_holders(credential, Some(1), 10).await.unwrap();
    assert_eq!(
        (seqs(&former.holders), former.is_partial),
        (vec![3, 2, 1], false)
    );
    assert_eq!(former.holders[0].version, 1);
    let all = api.all_holders(credential, Some(1)).await.unwrap();
    assert_eq!(seqs(&all), [3, 2, 1]);
    // Of more than are looked up, the latest all the same.
    let latest = api.latest_holders(credential, None, 3).await.unwrap();
    assert_eq!(
        (seqs(&latest.holders), latest.is_partial),
        (vec![12_000, 11_999, 11_998], true)
    );
    let all = api.all_holders(credential, None).await.unwrap();
    assert_eq!((all.len(), all[0].seq, all[9002].seq), (9003, 12_000, 1));
    assert!(all.is_sorted_by(|a, b| a.seq > b.seq));
}

#[tokio::test]
async fn to_whom_a_key_was_given_is_read_page_by_page_and_no_further_than_asked() {
    let database = TestDatabase::migrated().await;
    let mut owner = database.connect("llmplane_owner").await;
    let credential = Uuid::new_v4();
    // The first two are of long ago; of all, every second was refused.
    let filled = "INSERT INTO audit_log (at, seq, action, actor, object_uid, result, detail, previous_hash, hash)
        SELECT CASE WHEN n <= 2 THEN now() - interval '100 days' ELSE now() - interval '1 hour' + n * interval '1 ms' END,
            n, 'Disclose', CASE n WHEN 4 THEN 'early' ELSE 'agent' END, $1,
            CASE n % 2 WHEN 0 THEN 'Disclosed' ELSE 'Expired' END,
            jsonb_build_object('endpoint', 'main', 'model', CASE WHEN n <= 6000 THEN 'm' ELSE 'n' END), '', ''
        FROM generate_series(1, 12000) n";
    let filled = sqlx::query(filled).bind(credential);
    filled.execute(&mut owner).await.unwrap();
    let head = "UPDATE audit_head SET seq = 12000";
    sqlx::query(head).execute(&mut owner).await.unwrap();
    let api = database.api().await;
    let given = async |rows, groups| {
        let days = 30;
        let within = GivenBounds { days, rows, groups };
        let given = api.given_keys(credential, within).await.unwrap();
        let groups = given.groups.into_iter().map(|group| {
            assert_eq!(group.endpoint.as_deref(), Some("main"));
            (group.actor, group.model.unwrap_or_default(), group.count)
        });
        let groups: Vec<_> = groups.collect();
        (groups, given.left_out, given.is_cut)
    };
    let group = |actor: &str, model: &str, count| (actor.to_owned(), model.to_owned(), count);
    let (last, first) = (group("agent", "n", 3000), group("agent", "m", 2998));
    let early = group("early", "m", 1);
    let all = vec![last.clone(), first, early];
    assert_eq!(given(50_000, 10).await, (all.clone(), 0, false));
    // As many as there are.
    assert_eq!(given(5999, 10).await, (all, 0, false));
    assert_eq!(given(50_000, 1).await, (vec![last.clone()], 2, false));
    assert_eq!(given(3000, 10).await, (vec![last], 0, true));
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
