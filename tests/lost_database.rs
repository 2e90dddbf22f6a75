//! PostgreSQL is lost, absent, dropped or restored to an earlier moment, on servers that are really
//! stopped and databases that are really dropped: the controller waits and says so, the read API
//! serves what it has, and everything comes back from the resources.

use std::{
    pin::pin,
    process::Stdio,
    sync::{Arc, Mutex},
};

use futures::{FutureExt, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt, watcher},
};
use llmplane::{
    crd::{LlmCredential, LlmEndpoint, LlmModel, LlmProvider},
    db,
};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::support::{
    events::Events,
    fake_vendor::FakeVendor,
    keys::keys,
    plane::{Plane, TestDatabase, eventually},
    postgres::{PrivatePostgres, tool},
    process::{Process, pause, viewer},
    rows,
    world::{World, find_condition},
};

const KEY: &str = "sk-test-0123456789abcdef";
const ROTATED: &str = "sk-test-fedcba9876543210";

/// A world whose database is on a server of its own.
pub async fn alone(server: &PrivatePostgres, prefix: &str) -> World {
    let superuser_url = server.url("127.0.0.1", "postgres", "?sslmode=disable");
    db::migrate(&superuser_url).await.unwrap();
    let mut admin = PgConnection::connect(&superuser_url).await.unwrap();
    admin
        .execute("ALTER ROLE llmplane_controller LOGIN; ALTER ROLE llmplane_api LOGIN")
        .await
        .unwrap();
    let url = |role| server.url("127.0.0.1", role, "?sslmode=disable");
    let database = TestDatabase {
        name: "postgres".to_owned(),
        owner_url: superuser_url.clone(),
        controller_url: url("llmplane_controller"),
        api_url: url("llmplane_api"),
        superuser_url,
    };
    World::with(Plane::shared().await, database, prefix).await
}

async fn models_of(api: &Process, token: &str) -> Vec<String> {
    let answer = api.get(token, "/models?limit=1000&sort=name").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.names()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_lost_under_load_costs_time_and_nothing_else() {
    let vendor = FakeVendor::start(&[KEY, ROTATED], &["gpt-a"]).await;
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "outage").await;
    let mut controller = Process::controller(&world, &[]);
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    for name in ["kept", "deleted", "quiet"] {
        world.model(name, &format!("gpt-{name}")).await;
    }
    world.provider("q", json!({})).await;
    world.ready("LlmProvider", "q").await;
    world.ready("LlmCredential", "c").await;
    api.ready().await;
    eventually("the API shows three models", async || {
        models_of(&api, &token).await.len() == 3
    })
    .await;
    let version =
        async |kind, name| world.get(kind, name).await["metadata"]["resourceVersion"].clone();
    // Nothing that changes concerns this one.
    let untouched = version("LlmProvider", "q").await;
    let written = controller
        .metric("llmplane_status_writes_total")
        .await
        .unwrap();

    // Models come all the time, through loss and return.
    let enough = CancellationToken::new();
    let load = async {
        let mut made = Vec::new();
        while !enough.is_cancelled() {
            let name = format!("load-{:03}", made.len());
            world.model(&name, &format!("gpt-{name}")).await;
            made.push(name);
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        made
    };
    let outage = async {
        eventually("the load is taken in", async || {
            models_of(&api, &token).await.len() > 5
        })
        .await;
        server.stop();
        world.secret("s", ROTATED).await;
        world.delete("LlmModel", "deleted").await;
        world
            .provider("p", json!({ "displayName": "meanwhile" }))
            .await;
        eventually("the controller says what it waits for", async || {
            let (status, said) = controller.admin("/readyz").await;
            status == 503 && said.contains("database: PostgreSQL is not available")
        })
        .await;
        assert_eq!(controller.metric("llmplane_database_up").await, Some(0.0));
        eventually("the change is said not to be stored", async || {
            let provider = world.get("LlmProvider", "p").await;
            let synced = find_condition(&provider, "Synced").unwrap();
            (&synced["status"], &synced["reason"])
                == (&json!("False"), &json!("DatabaseUnavailable"))
        })
        .await;
        eventually("the API says how old its answer is", async || {
            let answer = api.get(&token, "/models").await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(answer.names().contains(&"kept".to_owned()));
            let age = answer.header("llmplane-snapshot-age").parse::<u64>();
            age.is_ok_and(|age| age >= 8)
        })
        .await;
        assert_eq!(api.admin("/readyz").await.0, 200);
        server.start_again().await;
        eventually("the controller is ready again", async || {
            controller.admin("/readyz").await.0 == 200
        })
        .await;
        enough.cancel();
    };
    let (made, ()) = tokio::join!(load, outage);

    assert_eq!(controller.metric("llmplane_database_up").await, Some(1.0));
    let mut wanted: Vec<String> = made.clone();
    wanted.extend(["kept".to_owned(), "quiet".to_owned()]);
    wanted.sort();
    eventually("the API shows what is declared", async || {
        let mut names = models_of(&api, &token).await;
        names.sort();
        names == wanted
    })
    .await;
    eventually("the change and the rotation are in force", async || {
        let provider = api.get(&token, "/providers/p").await.json();
        let credential = world.get("LlmCredential", "c").await["status"].clone();
        provider["display_name"] == "meanwhile"
            && credential["versions"][0]["state"] == "Current"
            && credential["versions"][0]["version"] == 2
    })
    .await;
    world.ready("LlmProvider", "p").await;
    let fresh = api.get(&token, "/models").await;
    assert_eq!(fresh.header("llmplane-snapshot-age"), "");
    assert_eq!(keys(&world, &world.db().await).await["c"]["2"], ROTATED);

    assert!(controller.runs() && api.runs(), "{}", controller.log());
    assert_eq!(
        version("LlmProvider", "q").await,
        untouched,
        "needless writes"
    );
    let written = controller
        .metric("llmplane_status_writes_total")
        .await
        .unwrap()
        - written;
    let touched = (made.len() + 3) as f64;
    assert!(
        written <= 5.0 * touched,
        "{written} statuses of {touched} objects"
    );
    let log = controller.log();
    let said = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(said("does not answer; waits for it"), 1, "{log}");
    assert_eq!(said("answers again"), 1, "{log}");
    let ours = |line: &&str| line.contains("\"WARN\"") && line.contains("\"target\":\"llmplane");
    assert!(log.lines().filter(ours).count() < 5, "{log}");
}

/// Of a stream, and of who comes back to it meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn streams_stay_open_over_a_restart_and_tell_of_what_came_after_it() {
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "stream-outage").await;
    let (db, epoch) = world.database.leader().await;
    let mut provider = rows::provider("p");
    provider.namespace = world.ns().to_owned();
    let uid = provider.uid;
    let (_, at) = db
        .write(epoch, move |tx| {
            async move { tx.upsert(&provider).await.map(drop) }.boxed()
        })
        .await
        .unwrap();
    let begun = at.unwrap().0;
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    api.ready().await;
    let open = async |last_id: Option<&str>| {
        let request = api.request(reqwest::Method::GET, &token, "/watch");
        Events::open(match last_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        })
        .await
    };
    let mut before = open(None).await;
    before.until_id().await;
    server.stop();
    eventually("the API says how old its answer is", async || {
        let answer = api.get(&token, "/providers").await;
        answer
            .header("llmplane-snapshot-age")
            .parse::<u64>()
            .is_ok()
    })
    .await;
    // Nothing is known to have happened since, and what is at hand is told.
    let mut meanwhile = open(Some(&begun.to_string())).await;
    meanwhile.until_id().await;
    server.start_again().await;
    let mut stored = None;
    let mut row = rows::model(uid, "after");
    row.namespace = world.ns().to_owned();
    eventually("PostgreSQL takes rows again", async || {
        let row = row.clone();
        let write = db.write(epoch, move |tx| {
            async move { tx.upsert(&row).await.map(drop) }.boxed()
        });
        write.await.is_ok()
    })
    .await;
    for events in [&mut before, &mut meanwhile] {
        let told = events.change().await.expect("the stream goes on");
        assert_eq!(
            (&*told.name, &told.data["name"]),
            ("upsert", &json!("after"))
        );
        stored = told.id.clone().or(stored);
    }
    let mut back = open(Some(&begun.to_string())).await;
    let told = back.change().await.expect("the stream goes on");
    assert_eq!(
        (&*told.name, &told.data["name"]),
        ("upsert", &json!("after"))
    );
    assert_eq!(told.id, stored);
    assert!(api.runs(), "{}", api.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls_is_noticed_by_both_and_caught_up_with() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "stalled").await;
    let mut controller = Process::controller(&world, &[]);
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("before", "gpt-a").await;
    world.ready("LlmModel", "before").await;
    api.ready().await;
    eventually("the API shows the model", async || {
        models_of(&api, &token).await == ["before"]
    })
    .await;

    let endpoint = world.get("LlmEndpoint", "e").await;
    let uid = endpoint["metadata"]["uid"].as_str().unwrap();
    let health = format!("/endpoints/{uid}/health");
    assert_eq!(api.get(&token, &health).await.status, 200);

    // Its connections stay open: nobody is told that it is away.
    server.stall();
    eventually("the API says how old its answer is", async || {
        let answer = api.get(&token, "/models").await;
        assert_eq!(answer.names(), ["before"], "{}", answer.text);
        answer
            .header("llmplane-snapshot-age")
            .parse::<u64>()
            .is_ok()
    })
    .await;
    // More requests than there are connections: none is kept by a query that was given up.
    for _ in 0..12 {
        let history = api.get(&token, &health).await;
        assert_eq!(history.status, 503, "{}", history.text);
    }
    assert_eq!(api.admin("/readyz").await.0, 200);
    eventually("the controller says what it waits for", async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains("database: PostgreSQL is not available")
    })
    .await;
    world.model("meanwhile", "gpt-meanwhile").await;
    world.delete("LlmModel", "before").await;
    eventually("the change is said not to be stored", async || {
        let model = world.get("LlmModel", "meanwhile").await;
        find_condition(&model, "Synced")
            .is_some_and(|synced| synced["reason"] == "DatabaseUnavailable")
    })
    .await;

    server.go_on();
    eventually("the API shows what is declared", async || {
        models_of(&api, &token).await == ["meanwhile"]
    })
    .await;
    eventually("the history is answered again", async || {
        let history = api.get(&token, &health).await;
        history.status == 200
    })
    .await;
    let fresh = api.get(&token, "/models").await;
    assert_eq!(fresh.header("llmplane-snapshot-age"), "");
    controller.ready().await;
    assert!(controller.runs() && api.runs(), "{}", controller.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls_does_not_keep_a_process_from_ending() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "stallend").await;
    let mut controller = Process::controller(&world, &[]);
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    controller.ready().await;
    api.ready().await;
    server.stall();
    eventually("the API says how old its answer is", async || {
        let answer = api.get(&token, "/models").await;
        answer
            .header("llmplane-snapshot-age")
            .parse::<u64>()
            .is_ok()
    })
    .await;
    for process in [&mut api, &mut controller] {
        process.signal(Signal::SIGTERM);
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_hears_nothing_any_more_is_replaced() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "deaf").await;
    let db = world.db().await;
    let epoch = db.lead("test").await.unwrap();
    let mut api = Process::api(&world, &[]);
    api.ready().await;
    let listeners = async || -> Vec<i32> {
        sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'llmplane_api' AND query LIKE 'LISTEN%'",
        )
        .fetch_all(&mut world.database.connect("postgres").await)
        .await
        .unwrap()
    };
    eventually("it listens", async || listeners().await.len() == 1).await;
    let [deaf] = listeners().await[..] else {
        panic!("one connection listens");
    };
    pause(Pid::from_raw(deaf));

    eventually("another connection listens", async || {
        let row = rows::provider(&uuid::Uuid::new_v4().to_string());
        db.write(epoch, move |tx| {
            Box::pin(async move { tx.upsert(&row).await.map(drop) })
        })
        .await
        .unwrap();
        listeners().await.iter().any(|pid| *pid != deaf)
    })
    .await;
    assert!(api.runs(), "{}", api.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_absent_at_start_is_waited_for() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "absent").await;
    server.stop();
    let mut controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    eventually("the controller says what it waits for", async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains("database: PostgreSQL is not available")
    })
    .await;
    assert_eq!(controller.metric("llmplane_database_up").await, Some(0.0));
    assert_eq!(controller.metric("llmplane_leading").await, Some(0.0));
    server.start_again().await;
    world.ready("LlmCredential", "c").await;
    controller.ready().await;
    let log = controller.log();
    let said = log.lines().filter(|line| line.contains("does not answer"));
    assert_eq!(said.count(), 1, "{log}");
    assert!(controller.runs());
}

/// The last thing before it leads is to hold the keyring to what stored fingerprints were made with.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_lost_while_the_lead_is_taken_is_waited_for() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = alone(&server, "claim").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    let mut admin = world.database.connect("postgres").await;
    admin
        .execute("BEGIN; LOCK TABLE keyring_check IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut controller = Process::controller(&world, &[]);
    eventually("it waits for the lock", async || {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                 AND usename = 'llmplane_controller' AND query LIKE '%INTO keyring_check%')",
        )
        .fetch_one(&mut world.database.connect("postgres").await)
        .await
        .unwrap()
    })
    .await;
    server.stop();
    eventually("the controller says what it waits for", async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains("database: PostgreSQL is not available")
    })
    .await;
    assert_eq!(controller.metric("llmplane_database_up").await, Some(0.0));
    assert_eq!(controller.metric("llmplane_leading").await, Some(0.0));
    let log = controller.log();
    assert!(log.contains("does not answer; waits for it"), "{log}");
    server.start_again().await;
    world.ready("LlmCredential", "c").await;
    controller.ready().await;
    assert_eq!(controller.metric("llmplane_leading").await, Some(1.0));
    assert!(controller.runs(), "{}", controller.log());
}

async fn recreate(world: &World) {
    let mut admin = world.database.connect("postgres").await;
    let name = &world.database.name;
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER llmplane_owner"),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

/// What an orchestrator does: it starts again what has ended.
async fn restarted(world: &World, mut former: Process) -> Process {
    assert!(!former.ended().await.success());
    Process::controller(world, &[])
}

/// Collects, from a watch, every object of a kind whose `Ready` is not True.
fn lost_ready<K>(world: &World, lost: &Arc<Mutex<Vec<String>>>) -> AbortOnDropHandle<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(world.client.clone(), world.ns());
    let lost = lost.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut objects = pin!(watcher(api, Default::default()).applied_objects());
        while let Some(object) = objects.next().await {
            let Ok(object) = object else { continue };
            let object = serde_json::to_value(object).unwrap();
            let ready = find_condition(&object, "Ready")
                .cloned()
                .unwrap_or_default();
            if ready["status"] != "True" {
                lost.lock().unwrap().push(format!("{object:#}"));
            }
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_is_filled_again_and_its_readers_start_over() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("dropped").await;
    let controller = Process::controller(&world, &[]);
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmModel", "m").await;
    api.ready().await;
    eventually("the API shows the model", async || {
        models_of(&api, &token).await == ["m"]
    })
    .await;
    let before = api.get(&token, "/models").await.revision();
    let epoch = world.db().await.feed_state().await.unwrap().epoch;
    for (kind, name) in [
        ("LlmProvider", "p"),
        ("LlmEndpoint", "e"),
        ("LlmCredential", "c"),
    ] {
        world.ready(kind, name).await;
    }
    let lost = Arc::new(Mutex::new(Vec::new()));
    let watches = [
        lost_ready::<LlmProvider>(&world, &lost),
        lost_ready::<LlmEndpoint>(&world, &lost),
        lost_ready::<LlmCredential>(&world, &lost),
        lost_ready::<LlmModel>(&world, &lost),
    ];

    recreate(&world).await;
    db::migrate(&world.database.owner_url).await.unwrap();
    let mut controller = restarted(&world, controller).await;

    eventually("the API shows everything of the new database", async || {
        let answer = api.get(&token, "/models").await;
        answer.revision() > before && answer.names() == ["m"]
    })
    .await;
    for (path, name) in [
        ("/providers", "p"),
        ("/providers/p/endpoints", "e"),
        ("/providers/p/credentials", "c"),
    ] {
        eventually(path, async || api.get(&token, path).await.names() == [name]).await;
    }
    for kind in [
        ("LlmProvider", "p"),
        ("LlmCredential", "c"),
        ("LlmModel", "m"),
    ] {
        world.ready(kind.0, kind.1).await;
    }
    let db = world.db().await;
    eventually("the key is stored again", async || {
        let keys = keys(&world, &db).await;
        let versions = keys["c"].as_object();
        versions.is_some_and(|versions| versions.values().eq([&json!(KEY)]))
    })
    .await;
    assert!(db.feed_state().await.unwrap().epoch > epoch);
    eventually("all is checked again", async || {
        let checked = async |kind, name, condition| {
            let said = world.said(kind, name, condition).await;
            said.is_some_and(|(status, _)| status == "True")
        };
        checked("LlmEndpoint", "e", "Healthy").await
            && checked("LlmCredential", "c", "Valid").await
            && checked("LlmModel", "m", "Available").await
    })
    .await;
    assert_eq!(*lost.lock().unwrap(), [""; 0], "what was verified stays so");
    assert!(watches.iter().all(|watch| !watch.is_finished()));
    assert!(controller.runs() && api.runs(), "{}", controller.log());
}

/// Runs a program of PostgreSQL's on this world's database.
fn run_tool(name: &str, world: &World, args: &[&str], stdin: Stdio) -> Vec<u8> {
    let output = tool(name, &world.database)
        .args(args)
        .stdin(stdin)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_from_yesterday_catches_up_and_reuses_no_revision() {
    let vendor = FakeVendor::start(&[KEY, ROTATED], &["gpt-a", "gpt-b"]).await;
    let world = World::new("restored").await;
    let controller = Process::controller(&world, &[]);
    let mut api = Process::api(&world, &[]);
    let token = viewer(&world).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("yesterday", "gpt-a").await;
    world.ready("LlmModel", "yesterday").await;
    world.ready("LlmCredential", "c").await;
    api.ready().await;
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    std::fs::write(&backup, run_tool("pg_dump", &world, &[], Stdio::null())).unwrap();
    let db = world.db().await;
    let old = db.feed_state().await.unwrap().revision;

    world.secret("s", ROTATED).await;
    world.delete("LlmModel", "yesterday").await;
    world.model("today", "gpt-b").await;
    world.provider("p", json!({ "displayName": "today" })).await;
    world.ready("LlmModel", "today").await;
    let in_force = async || {
        let status = world.get("LlmCredential", "c").await["status"].clone();
        let provider = api.get(&token, "/providers/p").await.json();
        let current = &status["versions"][0];
        models_of(&api, &token).await == ["today"]
            && current["state"] == "Current"
            && provider["display_name"] == "today"
            && keys(&world, &db).await["c"][current["version"].to_string()] == ROTATED
    };
    eventually("today's configuration is in force", in_force).await;
    let used = db.feed_state().await.unwrap().revision;
    assert!(used > old);

    recreate(&world).await;
    let restore = std::fs::File::open(&backup).unwrap();
    run_tool(
        "psql",
        &world,
        &["--quiet", "--set=ON_ERROR_STOP=1"],
        restore.into(),
    );
    let mut controller = restarted(&world, controller).await;

    eventually("today's configuration is in force again", in_force).await;
    let reused: i64 =
        sqlx::query_scalar("SELECT count(*) FROM changes WHERE revision > $1 AND revision <= $2")
            .bind(old.0)
            .bind(used.0)
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert_eq!(reused, 0, "revisions were used twice");
    eventually(
        "readers are beyond every revision they have seen",
        async || api.get(&token, "/models").await.revision() > used.0,
    )
    .await;
    assert!(controller.runs() && api.runs(), "{}", controller.log());
}

/// The backup is of a time when the key of today was not known and the withdrawn one was in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_withdrawn_stays_so_in_a_database_restored_from_before() {
    let vendor = FakeVendor::start(&[KEY, ROTATED], &[]).await;
    let world = World::new("withdrawn").await;
    let controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    let without_grace = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
        "rotation": { "graceSeconds": 0 },
    });
    world.apply("LlmCredential", "c", without_grace).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let versions = async || {
        let status = world.get("LlmCredential", "c").await["status"].clone();
        let told = status["versions"].as_array().cloned().unwrap_or_default();
        told.iter()
            .map(|told| format!("{} {}", told["version"], told["state"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    std::fs::write(&backup, run_tool("pg_dump", &world, &[], Stdio::null())).unwrap();
    world.secret("s", ROTATED).await;
    eventually("the first key is withdrawn", async || {
        versions().await == ["2 Current", "1 Destroyed"]
    })
    .await;
    assert_eq!(
        controller.metric("llmplane_rolled_back_keys_total").await,
        Some(0.0)
    );

    // Nothing judges the new key.
    vendor.break_with(500);
    recreate(&world).await;
    let restore = std::fs::File::open(&backup).unwrap();
    let args = ["--quiet", "--set=ON_ERROR_STOP=1"];
    run_tool("psql", &world, &args, restore.into());
    let db = world.db().await;
    let brought_back = keys(&world, &db).await;
    assert_eq!(brought_back, json!({ "c": { "1": KEY } }));
    let mut controller = restarted(&world, controller).await;
    eventually(
        "the Secret's key is in use and the other is not",
        async || versions().await == ["3 Current", "1 Destroyed"],
    )
    .await;
    let held = keys(&world, &db).await;
    assert_eq!(held, json!({ "c": { "3": ROTATED } }));
    assert_eq!(
        controller.metric("llmplane_rolled_back_keys_total").await,
        Some(1.0)
    );
    assert!(controller.runs(), "{}", controller.log());
}
