//! Somebody writes garbage into the rows: each column is written anew from its resource, or goes with
//! the row, and nothing else is held up.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

/// What a row's column may hold and nobody can read.
const GARBAGE: [(&str, &str, &str); 21] = [
    ("providers", "conditions", r#"'"garbage"'"#),
    ("providers", "model_sync", r#"'"garbage"'"#),
    ("providers", "last_synced_at", "'infinity'"),
    ("endpoints", "conditions", r#"'[1]'"#),
    ("endpoints", "headers", r#"'{"a": 1}'"#),
    ("endpoints", "health_check", r#"'[]'"#),
    ("endpoints", "verdict", r#"'"garbage"'"#),
    ("endpoints", "list_verdict", r#"'"garbage"'"#),
    ("credentials", "conditions", r#"'"garbage"'"#),
    ("credentials", "validation", r#"'"garbage"'"#),
    ("credential_versions", "verdicts", r#"'"garbage"'"#),
    ("credential_versions", "provider_type", "'Nobody'"),
    ("credentials", "endpoint_uids", "'{NULL}'"),
    ("models", "endpoint_uids", "'{NULL}'"),
    ("models", "recommended_for", "'{NULL}'"),
    ("models", "default_parameters", r#"'"garbage"'"#),
    ("models", "conditions", r#"'"garbage"'"#),
    ("models", "capabilities", r#"'"garbage"'"#),
    ("models", "origin", r#"'"garbage"'"#),
    ("models", "availability_test", r#"'"garbage"'"#),
    ("models", "test_verdict", r#"'"garbage"'"#),
];

const KINDS: [(&str, &str); 4] = [
    ("LlmProvider", "p"),
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "m"),
];

async fn declared(world: &World, vendor: &FakeVendor) {
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    for (kind, name) in KINDS {
        world.ready(kind, name).await;
    }
}

async fn spoil(world: &World, table: &str, column: &str, garbage: &str) {
    let spoil = format!("UPDATE {table} SET {column} = {garbage}");
    let spoilt = world.owner().await.execute(AssertSqlSafe(spoil)).await;
    assert!(spoilt.unwrap().rows_affected() > 0, "{table}.{column}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_written_anew_from_its_resource() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::started("garbage").await;
    declared(&world, &vendor).await;
    let db = world.db().await;
    for (table, column, garbage) in GARBAGE {
        spoil(&world, table, column, garbage).await;
        // Whoever reads it meets it: the next start, or the next change.
        if column == "conditions" {
            world.stop().await;
            world.start().await;
        } else {
            let name = format!("{table} {column}");
            world.provider("p", json!({ "displayName": name })).await;
            world
                .endpoint("e", &vendor.url(), json!({ "displayName": name }))
                .await;
        }
        eventually(&format!("{table}.{column} is read again"), async || {
            db.unreadable_rows().await.unwrap().is_empty()
        })
        .await;
        for (kind, name) in KINDS {
            world.says(kind, name, "Synced", "True", "Reconciled").await;
            world.ready(kind, name).await;
        }
        world
            .says("LlmModel", "m", "Available", "True", "ModelListed")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_goes_with_its_object_and_holds_up_no_other() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("spoilt").await;
    declared(&world, &vendor).await;
    world.endpoint("f", &vendor.url(), json!({})).await;
    world.ready("LlmEndpoint", "f").await;
    let db = world.db().await;
    for column in ["verdict", "list_verdict", "headers", "conditions"] {
        spoil(&world, "endpoints", column, r#"'"garbage"'"#).await;
        world.delete("LlmEndpoint", "e").await;
        eventually("its row is gone", async || {
            let rows = db.endpoint_rows_all(false).await;
            rows.is_ok_and(|rows| rows.iter().map(|row| row.name.as_str()).eq(["f"]))
        })
        .await;
        world.endpoint("e", &vendor.url(), json!({})).await;
        world.ready("LlmEndpoint", "e").await;
    }
}
