//! PostgreSQL answers and refuses to write: no session may, or one value may not be.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    process::{Process, agent},
    world::{World, find_condition},
};

const KEY: &str = "sk-test-0123456789abcdef";

const CONTROLLER: &str = "llmplane_controller";
const API: &str = "llmplane_api";

/// Sets `default_transaction_read_only` for new sessions of this database, and ends those of a role, as
/// an operator's restart of a pooler would: what it opens next begins with it. Without a role: resets it.
async fn read_only(admin: &mut PgConnection, world: &World, of: Option<&str>) {
    let database = &world.database.name;
    let how = match of {
        Some(_) => "SET default_transaction_read_only = on",
        None => "RESET default_transaction_read_only",
    };
    let alter = format!(r#"ALTER DATABASE "{database}" {how}"#);
    admin.execute(AssertSqlSafe(alter)).await.unwrap();
    if let Some(role) = of {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE usename = $2 AND datname = $1";
        let ended = sqlx::query(ended).bind(database).bind(role);
        ended.execute(&mut *admin).await.unwrap();
    }
}

/// Opened before anything is set: a session keeps what it began with.
async fn admin(world: &World) -> PgConnection {
    world.database.connect("postgres").await
}

async fn says_that_nothing_is_written(controller: &Process) {
    eventually("the controller says that nothing is written", async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains("default_transaction_read_only")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_take_no_writes_are_told_of_and_not_used_again_afterwards() {
    let world = World::new("readonly").await;
    let mut admin = admin(&world).await;
    let mut controller = Process::controller(&world, &[]);
    world.provider("p", json!({})).await;
    world.ready("LlmProvider", "p").await;

    read_only(&mut admin, &world, Some(CONTROLLER)).await;
    world
        .provider("p", json!({ "displayName": "meanwhile" }))
        .await;
    says_that_nothing_is_written(&controller).await;
    eventually("the change is said not to be stored", async || {
        let provider = world.get("LlmProvider", "p").await;
        find_condition(&provider, "Synced")
            .is_some_and(|synced| synced["reason"] == "DatabaseUnavailable")
    })
    .await;

    read_only(&mut admin, &world, None).await;
    controller.ready().await;
    world.ready("LlmProvider", "p").await;
    let rows = world.db().await.provider_rows_all(false).await.unwrap();
    assert_eq!(rows[0].display_name.as_deref(), Some("meanwhile"));
    assert!(controller.runs(), "{}", controller.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_starts_while_nothing_is_written_waits() {
    let world = World::new("readonlystart").await;
    let mut admin = admin(&world).await;
    read_only(&mut admin, &world, Some(CONTROLLER)).await;
    let mut controller = Process::controller(&world, &[]);
    world.provider("p", json!({})).await;
    says_that_nothing_is_written(&controller).await;
    read_only(&mut admin, &world, None).await;
    controller.ready().await;
    world.ready("LlmProvider", "p").await;
    assert!(controller.runs(), "{}", controller.log());
}

/// What is asked for model `m`.
fn asked(with_secret: bool) -> Value {
    json!({ "model": "m", "with_secret": with_secret })
}

async fn gives_the_key(api: &Process, token: &str) {
    api.gives(token, asked(true), Some(KEY)).await;
}

/// Ready, for it serves what it knows; no key leaves without its row.
async fn serves_all_but_keys(api: &Process, token: &str) {
    api.ready().await;
    let plain = api.resolve(token, asked(false)).await;
    assert_eq!(plain.status, 200, "{}", plain.text);
    assert_eq!(plain.json()["targets"][0]["secret"], Value::Null);
    assert_eq!(api.get(token, "/models").await.names(), ["m"]);
    let refused = api.resolve(token, asked(true)).await;
    let said = (refused.status, refused.problem());
    assert_eq!(said, (503, "audit-unavailable".to_owned()));
    assert!(!refused.text.contains(KEY));
    let (status, said) = api.admin("/readyz").await;
    assert_eq!(status, 200, "{said}");
}

/// The API writes too: a row for each key that leaves.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_whose_sessions_take_no_writes_gives_no_key_and_gives_them_again_by_itself() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("readonlyapi").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmModel", "m").await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let mut admin = admin(&world).await;
    let token = agent(&world).await;
    let mut before = Process::api_with_keys(&world, &[]).await;
    gives_the_key(&before, &token).await;

    read_only(&mut admin, &world, Some(API)).await;
    eventually("no key leaves any more", async || {
        before.resolve(&token, asked(true)).await.status == 503
    })
    .await;
    serves_all_but_keys(&before, &token).await;
    // One that starts now reads all the same.
    let mut meanwhile = Process::api_with_keys(&world, &[]).await;
    serves_all_but_keys(&meanwhile, &token).await;

    // Its sessions keep what they began with, and are not used again.
    read_only(&mut admin, &world, None).await;
    gives_the_key(&before, &token).await;
    gives_the_key(&meanwhile, &token).await;
    for api in [&mut before, &mut meanwhile] {
        assert!(api.runs(), "{}", api.log());
    }
}

/// What the schema of the resources lets pass and PostgreSQL refuses, by a rule that only this
/// database has.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_database_refuses_is_the_users_to_fix_and_named() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::new("refused").await;
    let refuses = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.display_name = 'far' THEN
                RAISE EXCEPTION 'value \"far\" is out of range' USING ERRCODE = '22003';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON models FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE models ADD CONSTRAINT models_display_name_check CHECK (display_name <> 'wrong')";
    let mut owner = world.database.connect("llmplane_owner").await;
    owner.execute(refuses).await.unwrap();
    world.start().await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    let model = async |display_name: &str| {
        let spec = json!({
            "providerRef": { "name": "p" }, "modelId": "gpt-a", "displayName": display_name,
        });
        world.apply("LlmModel", "m", spec).await;
    };
    for (name, why) in [
        ("far", "value \"far\" is out of range"),
        ("wrong", "models_display_name_check"),
    ] {
        model(name).await;
        world
            .says("LlmModel", "m", "Synced", "False", "InvalidSpec")
            .await;
        eventually("the value is named", async || {
            world.message("LlmModel", "m", "Synced").await.contains(why)
        })
        .await;
    }
    model("right").await;
    world.ready("LlmModel", "m").await;
}
