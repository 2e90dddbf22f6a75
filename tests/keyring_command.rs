//! `llmplane keyring` against a real database: what is needed stays, what is lost is named, and what is
//! said is so.

use std::path::Path;
use std::process::{Output, Stdio};

use llmplane::encryption::{KekId, kek::folder};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    fake_vendor::FakeVendor, keys::keys, plane::eventually, process::Process, sealed_fleet::under,
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const OTHER: &str = "sk-test-fedcba9876543210";
const SETTLED: (&str, &str) = ("LLMPLANE_REWRAP_SETTLING_SECONDS", "0");

async fn keyring(world: &World, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .arg("keyring")
        .args(args)
        .env_clear()
        .env("DATABASE_URL", &world.database.controller_url)
        .env("LLMPLANE_KEYRING_DIR", world.keyring_dir())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

/// What it prints as JSON, and whether it succeeds.
async fn told(world: &World, args: &[&str]) -> (bool, Value) {
    let output = keyring(world, &[args, &["--output", "json"]].concat()).await;
    let told = serde_json::from_slice(&output.stdout);
    (output.status.success(), told.unwrap_or_default())
}

async fn refused(world: &World, args: &[&str]) -> String {
    let output = keyring(world, args).await;
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn dir(world: &World) -> String {
    world.keyring_dir().to_str().unwrap().to_owned()
}

fn rotate(dir: &Path) -> KekId {
    let kek = folder::add(dir).unwrap();
    folder::activate(dir, &kek).unwrap();
    kek
}

fn active(dir: &Path) -> KekId {
    folder::Keyring::load(dir).unwrap().active()
}

/// Has the active key be the active one since this long ago.
async fn activated(world: &World, ago: &str) {
    sqlx::query("UPDATE rewrap SET active_since = now() - $1::text::interval")
        .bind(ago)
        .execute(&mut world.owner().await)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_followed_to_its_end_and_the_old_key_forgotten_only_then() {
    let world = World::new("keyring-turn").await;
    let fleet = world.fleet(2, 20).await;
    let (old, dir) = (active(&world.keyring_dir()), dir(&world));
    let (_, before) = told(&world, &["status"]).await;
    assert_eq!(before["rewrap"]["state"], "unknown", "{before}");
    let new = rotate(&world.keyring_dir());
    let said = refused(&world, &["forget", &dir, &old.to_string()]).await;
    assert!(
        said.contains("40 stored keys are encrypted under key"),
        "{said}"
    );
    let said = refused(&world, &["forget", &dir, &new.to_string()]).await;
    assert!(said.contains("is the active one"), "{said}");

    let controller = Process::controller(&world, &[SETTLED]);
    eventually("status says that it is done", async || {
        let (_, status) = told(&world, &["status"]).await;
        status["rewrap"]["state"] == "done"
            && status["rewrap"]["rewrapped"] == 40
            && !status["rewrap"]["ended_at"].is_null()
    })
    .await;
    let (_, status) = told(&world, &["status"]).await;
    let key = |id: KekId| {
        let keys = status["keys"].as_array().unwrap();
        keys.iter()
            .find(|key| key["id"] == id.to_string())
            .unwrap()
            .clone()
    };
    assert_eq!(
        (key(old)["versions"].clone(), key(new)["versions"].clone()),
        (json!(0), json!(40))
    );
    assert_eq!(key(new)["active_for_controller"], true);
    // What the controller sealed under the old key before may still be on its way.
    activated(&world, "0 s").await;
    let said = refused(&world, &["forget", &dir, &old.to_string()]).await;
    assert!(said.contains("try again in a minute"), "{said}");
    assert!(world.keyring_dir().join(format!("{old}.key")).exists());
    activated(&world, "2 minutes").await;
    let forgotten = keyring(&world, &["forget", &dir, &old.to_string()]).await;
    assert!(forgotten.status.success(), "{forgotten:?}");
    assert!(!world.keyring_dir().join(format!("{old}.key")).exists());
    let said = refused(&world, &["forget", &dir, &new.to_string()]).await;
    assert!(said.contains("the controller still knows key"), "{said}");
    assert_eq!(
        fleet.opened(&world.db().await, &world.keyring_dir()).await,
        40
    );
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_does_not_open_and_why() {
    let world = World::new("keyring-verify").await;
    let fleet = world.fleet(2, 10).await;
    // The fleet's rows have no fingerprint of their keys.
    let (ok, report) = told(&world, &["verify"]).await;
    assert!(!ok);
    let failed = report["failed"].as_array().unwrap();
    assert!(
        failed
            .iter()
            .all(|it| it["reason"] == "fingerprint-differs")
            && failed.len() == 20
    );

    sqlx::query("UPDATE credential_versions SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1) WHERE credential_uid = $1 AND version = 3")
        .bind(fleet.credentials[0])
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    sqlx::query("UPDATE credential_versions SET kek_id = '00000000000000ff' WHERE credential_uid = $1 AND version = 4")
        .bind(fleet.credentials[1])
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    let (_, report) = told(&world, &["verify"]).await;
    let of = |reason: &str| {
        let failed = report["failed"].as_array().unwrap().iter();
        let of: Vec<_> = failed.filter(|it| it["reason"] == reason).collect();
        of.iter()
            .map(|it| (it["uid"].clone(), it["version"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("not-authentic"),
        [(json!(fleet.credentials[0]), json!(3))]
    );
    assert_eq!(of("kek-missing"), [(json!(fleet.credentials[1]), json!(4))]);
    let text = keyring(&world, &["verify"]).await;
    let said = String::from_utf8(text.stdout).unwrap();
    assert!(
        said.contains("version 3") && !said.contains("sk-"),
        "{said}"
    );
}

/// A file that is cut short says no id: what the database names and the folder lacks is the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_a_broken_file_is_looked_at_all_the_same() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("keyring-broken").await;
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    before.kill().await;
    let (ring, dir) = (world.keyring_dir(), dir(&world));
    let (lost, new) = (active(&ring), rotate(&ring));
    std::fs::rename(ring.join(format!("{lost}.key")), ring.join("old.key")).unwrap();
    std::fs::write(ring.join("old.key"), [7; 31]).unwrap();

    let (ok, status) = told(&world, &["status"]).await;
    assert!(!ok && status["faults"][0].as_str().unwrap().contains("old.key"));
    let keys_of = |status: &Value| {
        let keys = status["keys"].as_array().unwrap().iter();
        let told = keys.map(|key| {
            (
                key["id"].clone(),
                key["in_folder"].clone(),
                key["versions"].clone(),
            )
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by_key(|(_, in_folder, _)| in_folder.as_bool());
        told
    };
    assert_eq!(
        keys_of(&status),
        [
            (json!(lost.to_string()), json!(false), json!(1)),
            (json!(new.to_string()), json!(true), json!(0))
        ]
    );
    let said = String::from_utf8(keyring(&world, &["status"]).await.stdout).unwrap();
    assert!(
        said.contains(&format!("put the file of key {lost} back")),
        "{said}"
    );
    let (ok, report) = told(&world, &["verify"]).await;
    assert!(
        !ok && report["faults"][0].as_str().unwrap().contains("31 bytes"),
        "{report}"
    );
    let failed = &report["failed"][0];
    assert_eq!(
        (&failed["reason"], &failed["kek_id"]),
        (&json!("kek-missing"), &json!(lost.to_string()))
    );
    let (ok, listed) = told(&world, &["list"]).await;
    assert!(
        !ok && listed[1]["file"] == "old.key" && listed[1]["id"].is_null(),
        "{listed}"
    );

    let forget = ["forget", &dir, &lost.to_string(), "--lost", "--dry-run"];
    let (ok, report) = told(&world, &forget).await;
    assert!(ok && report["from_secrets"][0]["name"] == "c", "{report}");
    // Nor does a folder that names no active key keep them from an answer.
    std::fs::remove_file(ring.join("active")).unwrap();
    let (ok, status) = told(&world, &["status"]).await;
    assert!(!ok && keys_of(&status).len() == 2, "{status}");
    let (_, report) = told(&world, &["verify"]).await;
    assert_eq!(report["failed"][0]["reason"], "kek-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_key_wraps_is_sealed_anew_from_its_secrets_and_the_rest_is_named() {
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let world = World::new("keyring-lost").await;
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    let (ok, report) = told(&world, &["verify"]).await;
    assert!(ok && report["opened"] == 1, "{report}");
    // A second version: the first one lives on for its grace.
    world.secret("s", OTHER).await;
    eventually("the second version is in use", async || {
        let status = world.get("LlmCredential", "c").await["status"].clone();
        status["versions"][0]["version"] == 2 && status["versions"][0]["state"] == "Current"
    })
    .await;
    before.kill().await;
    let (ring, dir) = (world.keyring_dir(), dir(&world));
    let lost = active(&ring);
    let new = rotate(&ring);
    let said = refused(&world, &["forget", &dir, &lost.to_string(), "--lost"]).await;
    assert!(said.contains("it is not lost"), "{said}");
    std::fs::remove_file(ring.join(format!("{lost}.key"))).unwrap();

    let controller = Process::controller(&world, &[SETTLED]);
    eventually("the controller counts what it cannot open", async || {
        controller.metric("llmplane_versions_without_kek").await == Some(2.0)
    })
    .await;
    let db = world.db().await;
    assert_eq!(under(&db, lost).await, 2, "nothing is destroyed by itself");
    let forget = ["forget", &dir, &lost.to_string(), "--lost"];
    let (ok, dry) = told(&world, &[&forget[..], &["--dry-run"]].concat()).await;
    assert!(ok && db.lost_keks().await.unwrap().is_empty());
    let (ok, report) = told(&world, &forget).await;
    assert!(ok && report == dry, "{report} {dry}");
    let numbers = |list: &Value| -> Vec<i64> {
        let list = list.as_array().unwrap();
        list.iter()
            .map(|it| it["version"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&report["from_secrets"]), [2]);
    assert_eq!(numbers(&report["lost"]), [1]);
    eventually(
        "what the Secret holds is under the new key, and nothing under the lost one",
        async || under(&db, new).await == 1 && under(&db, lost).await == 0,
    )
    .await;
    assert_eq!(keys(&world, &db).await, json!({ "c": { "2": OTHER } }));
    eventually("the lost key is forgotten", async || {
        db.lost_keks().await.unwrap().is_empty()
    })
    .await;
    assert_eq!(
        controller.metric("llmplane_unreadable_keys_total").await,
        Some(0.0)
    );
    let (ok, _) = told(&world, &["verify"]).await;
    assert!(ok);
}

/// Between the word that a key is lost and its controller's work everything is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_declared_lost_and_comes_back_before_anything_was_done_loses_nothing() {
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let world = World::new("keyring-found").await;
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    world.secret("s", OTHER).await;
    eventually("the second version is in use", async || {
        let status = world.get("LlmCredential", "c").await["status"].clone();
        status["versions"][0]["version"] == 2 && status["versions"][0]["state"] == "Current"
    })
    .await;
    before.kill().await;
    let (ring, dir, db) = (world.keyring_dir(), dir(&world), world.db().await);
    let lost = active(&ring);
    let new = rotate(&ring);
    let file = ring.join(format!("{lost}.key"));
    let away = ring.parent().unwrap().join("away");
    std::fs::rename(&file, &away).unwrap();
    let (ok, report) = told(&world, &["forget", &dir, &lost.to_string(), "--lost"]).await;
    assert!(ok, "{report}");
    assert_eq!(db.lost_keks().await.unwrap(), [lost.to_string()]);
    // In the meantime nothing is destroyed, by whoever looks at it.
    assert_eq!(under(&db, lost).await, 2);
    std::fs::rename(&away, &file).unwrap();

    let controller = Process::controller(&world, &[SETTLED]);
    eventually("it counts as lost no more", async || {
        db.lost_keks().await.unwrap().is_empty()
    })
    .await;
    eventually("all is under the new key", async || {
        (under(&db, lost).await, under(&db, new).await) == (0, 2)
    })
    .await;
    assert_eq!(
        keys(&world, &db).await,
        json!({ "c": { "1": KEY, "2": OTHER } })
    );
    let log = controller.log();
    assert!(log.contains("it counts as lost no more"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_killed_while_it_seals_anew_what_is_lost_goes_on_where_it_was() {
    const CREDENTIALS: usize = 12;
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let world = World::new("keyring-killed").await;
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    let names: Vec<String> = (1..CREDENTIALS).map(|n| format!("c-{n}")).collect();
    for name in &names {
        world.credential(name, "s").await;
    }
    for name in &names {
        world.ready("LlmCredential", name).await;
    }
    before.kill().await;
    let (ring, dir, db) = (world.keyring_dir(), dir(&world), world.db().await);
    let lost = active(&ring);
    let new = rotate(&ring);
    std::fs::remove_file(ring.join(format!("{lost}.key"))).unwrap();
    let (ok, report) = told(&world, &["forget", &dir, &lost.to_string(), "--lost"]).await;
    assert!(ok && report["lost"] == json!([]), "{report}");
    let mut killed = Process::controller(&world, &[SETTLED]);
    eventually("some are sealed anew", async || under(&db, new).await > 0).await;
    killed.kill().await;
    // The Secret changes while nobody is there: what it holds by then is sealed.
    world.secret("s", OTHER).await;
    let _controller = Process::controller(&world, &[SETTLED]);
    eventually("nothing is left under the lost key", async || {
        under(&db, lost).await == 0 && db.lost_keks().await.unwrap().is_empty()
    })
    .await;
    eventually("each has the key that the Secret holds", async || {
        let stored = keys(&world, &db).await;
        let stored = stored.as_object().unwrap();
        let newest = |versions: &Value| {
            let versions = versions.as_object().unwrap();
            versions.values().any(|key| key == OTHER)
        };
        stored.len() == CREDENTIALS && stored.values().all(newest)
    })
    .await;
    let (ok, report) = told(&world, &["verify"]).await;
    assert!(ok, "{report}");
}
