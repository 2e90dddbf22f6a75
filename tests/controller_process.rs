//! `llmplane controller` as a process: what it refuses, and what it survives.

use std::{path::Path, process::Stdio, time::Duration};

use llmplane::{db::DbError, local::state::Component};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::{
    fake_vendor::FakeVendor,
    gate::{ApiserverProxy, Gate, PostgresProxy, Side},
    outcome::outcome,
    plane::eventually,
    process::Process,
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const KINDS: [(&str, &str); 4] = [
    ("LlmProvider", "p"),
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "m"),
];

fn command(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    command
        .arg("controller")
        .env_clear()
        .env(
            "KUBECONFIG",
            world.plane.kubeconfig_of(Component::Controller),
        )
        .env("DATABASE_URL", &world.database.controller_url)
        .env("LLMPLANE_KEYRING_DIR", world.keyring_dir())
        .env("LLMPLANE_NAMESPACES", world.ns())
        .env("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8")
        .env("LLMPLANE_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LLMPLANE_LEADER_ELECTION", "false")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn start(world: &World, log: &Path) -> Child {
    command(world)
        .stderr(std::fs::File::create(log).unwrap())
        .spawn()
        .unwrap()
}

async fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = tokio::time::timeout(Duration::from_secs(30), command.output())
        .await
        .expect("it ends by itself")
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_start_with_is_said_in_one_line() {
    let world = World::new("refused").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|a| (a, taken)).unwrap();
    for (variable, value, names) in [
        ("KUBECONFIG", "/nowhere/config".to_owned(), "KUBECONFIG"),
        (
            "LLMPLANE_ADMIN_LISTEN",
            taken.0.to_string(),
            "LLMPLANE_ADMIN_LISTEN",
        ),
    ] {
        let mut command = command(&world);
        command.env(variable, &value);
        let (code, said) = refused(command).await;
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("error:"))
            .collect();
        assert_eq!((code, errors.len()), (Some(1), 1), "{variable}: {said}");
        assert!(errors[0].contains(names), "{variable}: {said}");
    }
    let mut without = command(&world);
    without.env_remove("DATABASE_URL");
    let (code, said) = refused(without).await;
    assert_eq!(code, Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("set DATABASE_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_cannot_be_used_yet_is_waited_for() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("late-ring").await;
    let ring = world.keyring_dir();
    let active = std::fs::read(ring.join("active")).unwrap();
    let file = format!("{}.key", String::from_utf8_lossy(&active).trim());
    let file = ring.join(file);
    let key = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();

    let mut controller = Process::controller(&world, &[]);
    declare(&world, &vendor.url()).await;
    let waits_for = async |what: &str| {
        eventually(what, async || {
            let (status, said) = controller.admin("/readyz").await;
            status == 503 && said.contains("keyring: ") && said.contains(what)
        })
        .await;
    };
    waits_for("llmplane keyring new").await;
    std::fs::write(&file, &key[..31]).unwrap();
    waits_for("31 bytes").await;
    std::fs::write(&file, &key).unwrap();
    std::fs::write(ring.join("active"), "00112233445566ff").unwrap();
    waits_for("names key 00112233445566ff").await;
    assert!(controller.runs(), "{}", controller.log());
    let said = controller.log();
    let said = said.lines().filter(|line| line.contains("waits for it"));
    assert!(said.count() >= 3, "{}", controller.log());

    std::fs::write(ring.join("active"), &active).unwrap();
    settled(&world).await;
    assert!(controller.runs(), "{}", controller.log());
}

/// All that a user sees of an object, without what differs from run to run.
async fn seen(world: &World) -> Vec<Value> {
    let mut seen = Vec::new();
    for (kind, name) in KINDS {
        let mut status = world.get(kind, name).await["status"].clone();
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition
                .as_object_mut()
                .unwrap()
                .remove("lastTransitionTime");
        }
        status.as_object_mut().unwrap().remove("fingerprint");
        for version in status["versions"].as_array_mut().into_iter().flatten() {
            let version = version.as_object_mut().unwrap();
            version.remove("since");
            version.remove("fingerprint");
        }
        seen.push(status);
    }
    seen
}

async fn declare(world: &World, url: &str) {
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    world.endpoint("e", url, json!({})).await;
    world.credential("c", "s").await;
    world.model("m", "gpt-a").await;
}

async fn settled(world: &World) {
    for (kind, name) in KINDS {
        world.ready(kind, name).await;
    }
    eventually("the provider's summary is complete", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        (
            &status["models"]["available"],
            &status["credentials"]["valid"],
            &status["endpoints"]["healthy"],
        ) == (&json!(1), &json!(1), &json!(1))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_ends_where_an_undisturbed_one_does() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");

    let undisturbed = World::new("undisturbed").await;
    let _controller = start(&undisturbed, &log);
    declare(&undisturbed, &vendor.url()).await;
    settled(&undisturbed).await;

    // Each life is a little longer than the one before, so that each write is cut off by some.
    let disturbed = World::new("disturbed").await;
    declare(&disturbed, &vendor.url()).await;
    for life in 0..14_u64 {
        let mut controller = start(&disturbed, &log);
        let _ =
            tokio::time::timeout(Duration::from_millis(150 + 70 * life), controller.wait()).await;
        controller.kill().await.unwrap();
    }
    let _controller = start(&disturbed, &log);
    settled(&disturbed).await;

    let tell = |seen: Vec<Value>, world: &World| {
        serde_json::to_string_pretty(&seen)
            .unwrap()
            .replace(world.ns(), "NAMESPACE")
    };
    assert_eq!(
        tell(seen(&disturbed).await, &disturbed),
        tell(seen(&undisturbed).await, &undisturbed)
    );
    let db = disturbed.db().await;
    assert_eq!(
        db.credential_rows_all(false).await.unwrap()[0].version,
        Some(1),
        "no life made a second version"
    );
}

/// A leader sleeps on one side of a commit, while another takes over.
async fn a_leader_sleeps(side: Side) {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("paused").await;
    let kubeconfig = world.plane.kubeconfig_of(Component::Controller);
    let gate = Gate::new(None);
    let apiserver = ApiserverProxy::start(gate.clone(), &kubeconfig).await;
    let postgres = PostgresProxy::start(gate.clone(), &world.database.controller_url).await;
    let mut former = gate.watch(|| {
        let through = [
            ("KUBECONFIG", apiserver.kubeconfig().to_str().unwrap()),
            ("DATABASE_URL", postgres.url()),
        ];
        Process::controller(&world, &through)
    });
    declare(&world, &vendor.url()).await;
    settled(&world).await;

    gate.pause_at(["COMMIT", "providers"], side);
    let named = |name: &str| json!({ "displayName": name });
    world.provider("p", named("in the middle")).await;
    let paused = tokio::time::timeout(Duration::from_secs(60), gate.paused());
    paused.await.expect("the change is stored within a minute");
    let mut leader = Process::controller(&world, &[]);
    world.ready("LlmProvider", "p").await;
    world.provider("p", named("while it slept")).await;
    settled(&world).await;
    let db = world.db().await;
    let stored = async || outcome(&world, &db).await;
    let (feed, told) = (db.feed_state().await.unwrap(), stored().await);
    let versions = world.resource_versions(&KINDS).await;
    let (tried, taken) = (gate.writes().len(), apiserver.taken());

    gate.resume();
    assert!(!former.ended().await.success());
    let log = former.log();
    assert!(log.contains(&DbError::Fenced.to_string()), "{log}");
    assert_eq!(world.resource_versions(&KINDS).await, versions);
    assert_eq!(apiserver.taken(), taken, "a write of its was taken");
    let now = db.feed_state().await.unwrap();
    assert_eq!((now.epoch, now.revision), (feed.epoch, feed.revision));
    assert_eq!(stored().await, told);
    let tried = &gate.writes()[tried..];
    let commits = tried.iter().any(|write| write.starts_with("COMMIT"));
    assert!(!commits, "{tried:?}");
    // Its transaction was ended, and did not hold up who took over. Whoever sleeps behind a commit may
    // learn that it is over before it tries to tell of it, or by trying.
    if side == Side::Before {
        let log = leader.log();
        assert!(log.contains("\"ended_sessions\":1"), "{log}");
    }
    assert!(leader.runs(), "{}", leader.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_that_wakes_before_its_commit_writes_nothing_and_ends() {
    a_leader_sleeps(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_that_wakes_between_commit_and_status_writes_nothing_and_ends() {
    a_leader_sleeps(Side::After).await;
}
