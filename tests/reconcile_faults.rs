//! Steady state, deletions while away, lost leadership, a killed process.

use std::process::Stdio;

use llmplane::db::DbError;
use serde_json::json;

use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const KEY: &str = "sk-test-0123456789abcdef";
const KINDS: [(&str, &str); 4] = [
    ("LlmProvider", "p"),
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "m"),
];

async fn four_ready(world: &World, vendor: &FakeVendor) {
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    let often = json!({ "healthCheck": { "periodSeconds": 5 } });
    world.endpoint("e", &vendor.url(), often).await;
    world.credential("c", "s").await;
    world.model("m", "gpt-a").await;
    for (kind, name) in KINDS {
        world.ready(kind, name).await;
    }
    eventually("the provider's summary is complete", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        status["models"]["available"] == 1 && status["credentials"]["valid"] == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_state_writes_nothing_but_probes() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::started("steady").await;
    four_ready(&world, &vendor).await;
    let db = world.db().await;
    let endpoint = db.endpoint_rows_all(false).await.unwrap()[0].uid;
    let probes = async || db.health_history(endpoint, None, 100).await.unwrap().len();
    let before = (
        db.feed_state().await.unwrap().revision,
        world.resource_versions(&KINDS).await,
    );
    let seen = probes().await;
    eventually("three more probes", async || probes().await >= seen + 3).await;
    let after = (
        db.feed_state().await.unwrap().revision,
        world.resource_versions(&KINDS).await,
    );
    assert_eq!(before, after);

    // A restart finds everything as it is: only taking the lead raises the revision.
    world.stop().await;
    world.start().await;
    let seen = probes().await;
    eventually("two more probes", async || probes().await >= seen + 2).await;
    assert_eq!(world.resource_versions(&KINDS).await, before.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_the_controller_was_away_is_swept_with_its_key() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::started("away").await;
    four_ready(&world, &vendor).await;
    let db = world.db().await;
    let old = db.credential_rows_all(false).await.unwrap()[0].uid;
    world.stop().await;
    world.delete("LlmCredential", "c").await;
    world.delete("LlmModel", "m").await;
    world.credential("c", "s").await;
    world.start().await;
    eventually("the model's row is gone", async || {
        db.model_rows_all(false).await.unwrap().is_empty()
    })
    .await;
    world.ready("LlmCredential", "c").await;
    let live = db.credential_rows_all(false).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_ne!(live[0].uid, old, "a name used again is another row");
    assert!(db.sealed_version(old, 1).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_swapped_their_ids_while_the_controller_was_away_are_both_in_force() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b"]).await;
    let mut world = World::started("swap").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    let models = [("m", "gpt-a"), ("n", "gpt-b")];
    for (name, id) in models {
        world.model(name, id).await;
        world.ready("LlmModel", name).await;
    }
    world.stop().await;
    let swapped = [("m", "gpt-b"), ("n", "gpt-a")];
    for (name, id) in swapped {
        world.model(name, id).await;
    }
    world.start().await;
    let db = world.db().await;
    eventually("both are stored under their new ids", async || {
        let rows = db.model_rows_all(false).await.unwrap();
        swapped.iter().all(|(name, id)| {
            let row = rows.iter().find(|row| row.name == *name).unwrap();
            row.is_active && row.model_id == *id
        })
    })
    .await;
    for (name, _) in swapped {
        world.ready("LlmModel", name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_nested_without_end_are_refused_and_stop_nobody() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b"]).await;
    let mut world = World::started("deep").await;
    four_ready(&world, &vendor).await;
    let parameters = (0..200).fold(json!({}), |inner, _| json!({ "a": inner }));
    let object = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel", "metadata": { "name": "deep" },
        "spec": { "providerRef": { "name": "p" }, "modelId": "gpt-b", "defaultParameters": parameters },
    });
    // By kubectl, for the test's own client cannot read it either.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep.json");
    std::fs::write(&file, object.to_string()).unwrap();
    let apply = ["-n", world.ns(), "apply", "--server-side", "-f"];
    let apply = [&apply[..], &[file.to_str().unwrap()]].concat();
    let applied = world.plane.kubectl(&apply).await;
    assert!(applied.status.success(), "{applied:?}");
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
    let get = ["-n", world.ns(), "get", "llmmodel", "deep", "-o", ready];
    eventually("the field that is nested too deeply is named", async || {
        let got = world.plane.kubectl(&get).await;
        String::from_utf8_lossy(&got.stdout).starts_with("spec.defaultParameters is nested")
    })
    .await;

    // Lists of it are read by the next start, and by the sweep.
    world.stop().await;
    world.delete("LlmModel", "m").await;
    world.start().await;
    let db = world.db().await;
    eventually("the deleted model's row is gone", async || {
        db.model_rows_all(false).await.unwrap().is_empty()
    })
    .await;
    world.model("later", "gpt-a").await;
    world.ready("LlmModel", "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_replaced_ends_and_writes_nothing_more() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let mut world = World::started("fenced").await;
    four_ready(&world, &vendor).await;
    let db = world.db().await;
    db.lead("another").await.unwrap();
    let revision = db.feed_state().await.unwrap().revision;
    world
        .provider("p", json!({ "displayName": "changed" }))
        .await;
    let error = world.ended().await.expect_err("it ends with an error");
    let fenced = DbError::Fenced.to_string();
    assert!(error.to_string().contains(&fenced), "{error}");
    assert_eq!(db.feed_state().await.unwrap().revision, revision);
    let row = db.provider_rows_all(false).await.unwrap().remove(0);
    assert_eq!(row.display_name, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_is_refused() {
    let mut world = World::new("cluster").await;
    let db = world.db().await;
    db.cluster_claim("another-cluster", false).await.unwrap();
    world.start().await;
    let error = world.ended().await.expect_err("it does not start");
    assert!(error.to_string().contains("--adopt-cluster"), "{error}");
    let mut settings = world.settings();
    settings.adopt_cluster = true;
    world.start_with(settings).await;
    world.provider("p", json!({})).await;
    world.ready("LlmProvider", "p").await;
}

/// A controller in a process of its own, with its log.
async fn process(world: &World, log: &std::path::Path) -> tokio::process::Child {
    let kubeconfig = world
        .plane
        .kubeconfig_of(llmplane::local::state::Component::Controller);
    tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .arg("controller")
        .env("KUBECONFIG", kubeconfig)
        .env("DATABASE_URL", &world.database.controller_url)
        .env("LLMPLANE_KEYRING_DIR", world.keyring_dir())
        .env("LLMPLANE_NAMESPACES", world.ns())
        .env("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8")
        .env("LLMPLANE_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LLMPLANE_LEASE_NAMESPACE", world.ns())
        .env("LLMPLANE_LEADER_ELECTION", "false")
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_goes_on_where_it_was_and_logs_no_key() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("killed").await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    let mut controller = process(&world, &first).await;
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world.ready("LlmEndpoint", "e").await;
    world.credential("c", "s").await;
    controller.kill().await.unwrap();
    world.model("m", "gpt-a").await;
    let mut controller = process(&world, &second).await;
    for (kind, name) in KINDS {
        world.ready(kind, name).await;
    }
    let pid = nix::unistd::Pid::from_raw(controller.id().unwrap().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), controller.wait()).await;
    assert!(ended.expect("it ends within 5 s").unwrap().success());
    let log = [first, second].map(|file| std::fs::read_to_string(file).unwrap());
    assert!(log.iter().all(|log| !log.is_empty() && !log.contains(KEY)));
}
