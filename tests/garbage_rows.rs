//! Somebody writes garbage into the rows: each column is written anew from its resource, or goes with
//! the row, and nothing else is held up.

use std::collections::BTreeMap;

use llmplane::db::Db;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, process::Process, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

/// Tables of what is declared, and of what was found of it.
const TABLES: [&str; 7] = [
    "providers",
    "endpoints",
    "credentials",
    "credential_versions",
    "models",
    "model_classes",
    "listed_models",
];

/// Columns whose text is one of some words.
const WORDS: [(&str, &str); 8] = [
    ("providers", "type"),
    ("credentials", "quota_unit"),
    ("credentials", "quota_period"),
    ("credential_versions", "state"),
    ("credential_versions", "provider_type"),
    ("models", "type"),
    ("models", "lifecycle"),
    ("model_classes", "prefer"),
];

const KINDS: [(&str, &str); 5] = [
    ("LlmProvider", "p"),
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "m"),
    ("LlmModelClass", "k"),
];

/// A column, and what it may hold and nobody can read.
#[derive(Clone, Debug)]
struct Spoilable {
    table: &'static str,
    column: String,
    garbage: &'static str,
}

impl Spoilable {
    fn of(table: &'static str, column: String, type_: &str) -> Option<Self> {
        let is_word = WORDS.contains(&(table, column.as_str()));
        let garbage = match type_ {
            "jsonb" => r#"'"garbage"'"#,
            "ARRAY" => "'{NULL}'",
            "timestamp with time zone" => "'infinity'",
            "text" if is_word => "'Garbage'",
            _ => return None,
        };
        Some(Self {
            table,
            column,
            garbage,
        })
    }

    /// Writes the garbage into every row; answers whether the database takes it.
    async fn spoil(&self, owner: &mut PgConnection) -> bool {
        let Self {
            table,
            column,
            garbage,
        } = self;
        let spoil = format!(r#"UPDATE {table} SET "{column}" = {garbage}"#);
        match owner.execute(AssertSqlSafe(spoil)).await {
            Ok(spoilt) => {
                assert!(spoilt.rows_affected() > 0, "{table} is empty");
                true
            }
            Err(refused) => {
                let database = refused.as_database_error();
                let is_check = database.is_some_and(|error| error.is_check_violation());
                assert!(is_check, "{table}.{column}: {refused}");
                false
            }
        }
    }

    async fn is_left(&self, db: &Db) -> bool {
        let Self {
            table,
            column,
            garbage,
        } = self;
        let left = format!(r#"SELECT EXISTS (SELECT FROM {table} WHERE "{column}" = {garbage})"#);
        let left = sqlx::query_scalar(AssertSqlSafe(left));
        left.fetch_one(db.pool()).await.unwrap()
    }
}

/// Every such column, by table and in the order of the table.
async fn spoilable(owner: &mut PgConnection) -> BTreeMap<&'static str, Vec<Spoilable>> {
    let mut found = BTreeMap::new();
    for table in TABLES {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(&mut *owner)
        .await
        .unwrap();
        for (word_table, word) in WORDS {
            let is_there = columns.iter().any(|(name, _)| name == word);
            assert!(word_table != table || is_there, "{table} has no {word}");
        }
        let columns = columns.into_iter();
        let spoilable = columns.filter_map(|(name, type_)| Spoilable::of(table, name, &type_));
        found.insert(table, spoilable.collect());
    }
    found
}

async fn declared(world: &World, vendor: &FakeVendor) {
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    let class = json!({ "models": [{ "name": "m" }] });
    world.apply("LlmModelClass", "k", class).await;
    all_ready(world).await;
}

async fn all_ready(world: &World) {
    for (kind, name) in KINDS {
        world.says(kind, name, "Synced", "True", "Reconciled").await;
        world.ready(kind, name).await;
    }
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmModelClass", "k", "Available", "True", "CandidateFound")
        .await;
}

/// Waits until every row can be read, and none of these columns holds its garbage any more.
async fn are_written_anew(db: &Db, spoilt: &[Spoilable]) {
    for one in spoilt {
        let what = format!("{}.{} is written anew", one.table, one.column);
        eventually(&what, async || !one.is_left(db).await).await;
    }
    eventually("every row can be read", async || {
        db.unreadable_rows().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_written_anew_from_its_resource() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("garbage").await;
    let controller = Process::controller(&world, &[]);
    declared(&world, &vendor).await;
    let (db, mut owner) = (world.db().await, world.owner().await);
    let columns = spoilable(&mut owner).await;
    let most = columns.values().map(Vec::len).max().unwrap();
    let mut taken = Vec::new();
    // One column of each table at a time. Whoever reads a row meets it: here with the next change.
    for turn in 0..most {
        let mut spoilt = Vec::new();
        for column in columns.values().filter_map(|of_table| of_table.get(turn)) {
            if column.spoil(&mut owner).await {
                spoilt.push(column.clone());
            }
        }
        let name = format!("turn {turn}");
        world.provider("p", json!({ "displayName": name })).await;
        world
            .endpoint("e", &vendor.url(), json!({ "displayName": name }))
            .await;
        are_written_anew(&db, &spoilt).await;
        all_ready(&world).await;
        taken.extend(spoilt);
    }
    // Neither is read with its row: the export reads the one, and the lists' readers the other.
    for unread in ["models.declaration", "listed_models.facts"] {
        let is_it = |one: &Spoilable| format!("{}.{}", one.table, one.column) == unread;
        assert!(taken.iter().any(is_it), "{unread} was not tried");
    }
    // All at once, which the next start meets.
    drop(controller);
    for column in &taken {
        assert!(column.spoil(&mut owner).await);
    }
    let _controller = Process::controller(&world, &[]);
    let name = json!({ "displayName": "at last" });
    world.endpoint("e", &vendor.url(), name).await;
    are_written_anew(&db, &taken).await;
    all_ready(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_goes_with_its_object_and_holds_up_no_other() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("spoilt").await;
    declared(&world, &vendor).await;
    world.endpoint("f", &vendor.url(), json!({})).await;
    world.ready("LlmEndpoint", "f").await;
    let (db, mut owner) = (world.db().await, world.owner().await);
    let columns = spoilable(&mut owner).await;
    let mut taken = 0;
    for column in &columns["endpoints"] {
        if !column.spoil(&mut owner).await {
            continue;
        }
        taken += 1;
        world.delete("LlmEndpoint", "e").await;
        eventually("its row is gone", async || {
            let rows = db.endpoint_rows_all(false).await;
            rows.is_ok_and(|rows| rows.iter().map(|row| row.name.as_str()).eq(["f"]))
        })
        .await;
        world.endpoint("e", &vendor.url(), json!({})).await;
        world.ready("LlmEndpoint", "e").await;
    }
    assert!(taken > 0, "the database takes no garbage at all");
}
