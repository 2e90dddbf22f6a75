//! PostgreSQL answers and refuses to write: no session may, or one value may not be.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    process::Process,
    world::{World, find_condition},
};

const KEY: &str = "sk-test-0123456789abcdef";

/// Sets or resets `default_transaction_read_only` for new sessions of this database, and ends the
/// controller's, as an operator's restart of a pooler would: what they open next begins with it.
async fn read_only(admin: &mut PgConnection, world: &World, set: bool) {
    let database = &world.database.name;
    let how = match set {
        true => "SET default_transaction_read_only = on",
        false => "RESET default_transaction_read_only",
    };
    let alter = format!(r#"ALTER DATABASE "{database}" {how}"#);
    admin.execute(AssertSqlSafe(alter)).await.unwrap();
    if set {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE usename = 'llmplane_controller' AND datname = $1";
        let ended = sqlx::query(ended).bind(database);
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

    read_only(&mut admin, &world, true).await;
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

    read_only(&mut admin, &world, false).await;
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
    read_only(&mut admin, &world, true).await;
    let mut controller = Process::controller(&world, &[]);
    world.provider("p", json!({})).await;
    says_that_nothing_is_written(&controller).await;
    read_only(&mut admin, &world, false).await;
    controller.ready().await;
    world.ready("LlmProvider", "p").await;
    assert!(controller.runs(), "{}", controller.log());
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
