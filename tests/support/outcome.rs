//! What a world has come to: everything that lasts, without what differs from run to run (times,
//! UIDs, revisions, fingerprints), so that two worlds can be compared.

use std::collections::{BTreeSet, HashMap};

use llmplane::db::{Changes, Db, Revision};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use super::{keys::keys, world::World};

const KINDS: [(&str, &str); 5] = [
    ("LlmProvider", "providers"),
    ("LlmEndpoint", "endpoints"),
    ("LlmCredential", "credentials"),
    ("LlmModel", "models"),
    ("LlmModelClass", "model_classes"),
];

/// What differs from run to run.
const PASSING: [&str; 25] = [
    "checkedAt",
    "checked_at",
    "created_at",
    "field_fingerprints",
    "fingerprint",
    "key",
    "proves_key",
    "grace_until",
    "http_status",
    "kek_id",
    "lastSyncedAt",
    "lastTransitionTime",
    "last_synced_at",
    "payload",
    "requestId",
    "request_id",
    "revision",
    "secret_resource_version",
    "secret_uid",
    "since",
    "updated_at",
    "verdicts",
    "verified_with",
    "wrapped_key",
    "latency_ms",
];

/// All statuses, all rows, all keys, and the Secrets.
pub async fn outcome(world: &World, db: &Db) -> Value {
    let mut uids = HashMap::new();
    let (mut statuses, mut rows) = (json!({}), json!({}));
    for (kind, table) in KINDS {
        for object in world.all(kind).await {
            let name = object["metadata"]["name"].as_str().unwrap();
            statuses[kind][name] = object["status"].clone();
        }
        let mut of_kind = json_rows(db, table).await;
        for row in &mut of_kind {
            let name = format!("{kind} {}", row["name"].as_str().unwrap());
            uids.insert(row["uid"].as_str().unwrap().to_owned(), name);
            row["deleted_at"] = (!row["deleted_at"].is_null()).into();
        }
        rows[table] = of_kind.into();
    }
    for table in ["credential_versions", "listed_models", "check_requests"] {
        rows[table] = json_rows(db, table).await.into();
    }
    let mut whole = json!({
        "statuses": statuses,
        "rows": rows,
        "keys": keys(world, db).await,
    });
    strip(&mut whole);
    let mut text = whole.to_string().replace(world.ns(), "NAMESPACE");
    for (uid, name) in uids {
        text = text.replace(&uid, &name);
    }
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    sort(&mut whole["rows"]);
    whole
}

/// The feed leads a reader from its oldest change to what is stored, and every row's revision is
/// one that the feed tells of.
pub async fn assert_feed_tells_everything(db: &Db) {
    // Whoever writes between the two readings makes them differ.
    let rows = loop {
        let all = db.read_all().await.unwrap();
        let Changes::Rows { rows, to } = db.read_changes(Revision(0)).await.unwrap() else {
            panic!("the feed holds its first revision");
        };
        assert!(to >= all.revision, "{to} is behind {}", all.revision);
        if to == all.revision {
            break rows;
        }
    };
    let told: BTreeSet<_> = (rows.providers.iter().map(|row| row.uid))
        .chain(rows.endpoints.iter().map(|row| row.uid))
        .chain(rows.credentials.iter().map(|row| row.uid))
        .chain(rows.models.iter().map(|row| row.uid))
        .chain(rows.model_classes.iter().map(|row| row.uid))
        .collect();
    for (_, table) in KINDS {
        for row in json_rows(db, table).await {
            let uid = row["uid"].as_str().unwrap().parse().unwrap();
            assert!(told.contains(&uid), "the feed leaves out {row}");
        }
        let untold: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM {table} t WHERE NOT EXISTS (
                 SELECT FROM changes c WHERE c.uid = t.uid AND c.revision = t.revision)"
        )))
        .fetch_one(db.pool())
        .await
        .unwrap();
        assert_eq!(untold, 0, "rows of {table} with a revision of their own");
    }
}

async fn json_rows(db: &Db, table: &str) -> Vec<Value> {
    let select = AssertSqlSafe(format!("SELECT to_jsonb(t)::text FROM {table} t"));
    let rows = sqlx::query(select).fetch_all(db.pool()).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .collect()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn sort(tables: &mut Value) {
    for rows in tables.as_object_mut().unwrap().values_mut() {
        let rows = rows.as_array_mut().unwrap();
        rows.sort_by_cached_key(ToString::to_string);
    }
}
