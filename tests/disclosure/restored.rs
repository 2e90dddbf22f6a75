//! Keys of a database that was put back: none leaves before it was compared with the cluster.

use std::process::Command;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use super::scene::{KEY, OTHER, Scene, ask, gets, key};
use crate::support::api::Answer;
use crate::support::plane::eventually;
use crate::support::postgres::{PrivatePostgres, tool};
use crate::support::process::Process;
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn no_key_leaves_a_restored_database_before_it_was_compared_with_the_cluster() {
    let mut scene = Scene::new("restored").await;
    let agent = scene.user("agent").await;
    {
        let world = &scene.world;
        world.secret("t", OTHER).await;
        world.credential("d", "t").await;
        world.ready("LlmCredential", "d").await;
    }
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    let backup = run_tool("pg_dump", &scene.world, b"");
    // Withdrawn since: the key of c for good, by its Secret.
    scene.rotate(&api, &agent).await;
    drop(api);
    drop(scene.controller.take());

    let world = &scene.world;
    let name = &world.database.name;
    let mut admin = world.database.connect("postgres").await;
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER llmplane_owner"),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    run_tool("psql", world, &backup);
    let api = scene.replica(&[]).await;
    for _ in 0..5 {
        let refused = ask(&api, &agent).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (503, "key-unavailable")
        );
    }
    assert!(!scene.audited("NotSweptYet").await.is_empty());
    let controller = Process::controller(world, &[]);
    eventually("keys are given out again", async || {
        let answered = ask(&api, &agent).await;
        let given = (answered.status == 200).then(|| key(&answered)).flatten();
        assert_ne!(given.as_deref(), Some(KEY), "it was withdrawn");
        given.is_some()
    })
    .await;
    drop(controller);
}

/// As a snapshot of a volume, or a copy of the data folder, is put back: under the same server, for which
/// it is the same database.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_leaves_a_volume_that_was_put_back_before_it_was_compared_with_the_cluster() {
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = crate::lost_database::alone(&server, "volume").await;
    let mut scene = Scene::of(world).await;
    let agent = scene.user("agent").await;
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    let (data, copy) = (server.folder().join("data"), server.folder().join("copy"));
    server.stop();
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.unwrap().success());
    server.start_again().await;
    // Withdrawn since, by its Secret.
    scene.rotate(&api, &agent).await;
    drop(scene.controller.take());

    server.stop();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    server.start_again().await;
    let given = |answered: &Answer| {
        let given = (answered.status == 200).then(|| key(answered)).flatten();
        assert_ne!(given.as_deref(), Some(KEY), "it was withdrawn");
        given
    };
    eventually("no key is given out", async || {
        let answered = ask(&api, &agent).await;
        given(&answered).is_none()
            && answered.status == 503
            && answered.problem() == "key-unavailable"
    })
    .await;
    let _controller = Process::controller(&scene.world, &[]);
    eventually("keys are given out again", async || {
        given(&ask(&api, &agent).await).is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_cannot_be_compared_after_a_restore_is_switched_off_and_keeps_no_other() {
    let mut scene = Scene::new("compared").await;
    let agent = scene.user("agent").await;
    {
        let world = &scene.world;
        world.secret("t", OTHER).await;
        let spec = json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 1,
        });
        world.apply("LlmCredential", "d", spec).await;
        world.ready("LlmCredential", "d").await;
    }
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(OTHER)).await;
    drop(scene.controller.take());
    // As after a restore; and whatever is stored of the first choice is refused.
    let mut owner = scene.world.owner().await;
    owner
        .execute(
            "UPDATE swept_database SET marker = 'another';
             CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON credentials FOR EACH ROW
             WHEN (NEW.name = 'd' AND NEW.is_active) EXECUTE FUNCTION public.refuse()",
        )
        .await
        .unwrap();
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "key-unavailable")
    );
    let controller = Process::controller(&scene.world, &[]);
    eventually("the other's key is given out", async || {
        let answered = ask(&api, &agent).await;
        let given = (answered.status == 200).then(|| key(&answered)).flatten();
        assert_ne!(given.as_deref(), Some(OTHER), "nobody has looked at it");
        given.as_deref() == Some(KEY)
    })
    .await;
    let log = controller.log();
    assert!(log.contains("are switched off until they can be"), "{log}");
    owner
        .execute("DROP TRIGGER refuse ON credentials")
        .await
        .unwrap();
    let touched = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 2,
    });
    scene.world.apply("LlmCredential", "d", touched).await;
    gets(&api, &agent, Some(OTHER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_whose_keyring_cannot_be_used_lets_no_key_out_of_a_restored_database() {
    let mut scene = Scene::new("unkeyed").await;
    let agent = scene.user("agent").await;
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    drop(scene.controller.take());
    let restored = "UPDATE swept_database SET marker = 'another'";
    scene.world.owner().await.execute(restored).await.unwrap();
    // With another fingerprint.key nothing can be told of what the Secrets hold.
    let wrong = wrong_keyring(&scene.world);
    let fingerprint_key = wrong.path().join("fingerprint.key");
    let right = scene.world.keyring_dir().join("fingerprint.key");
    let dir = ("LLMPLANE_KEYRING_DIR", wrong.path().to_str().unwrap());
    let controller = Process::controller(&scene.world, &[dir]);
    eventually("it has tried more than often enough", async || {
        let tried = "llmplane_reconciles_total{kind=\"credential\",result=\"retry\"}";
        controller.metric(tried).await >= Some(6.0)
    })
    .await;
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "key-unavailable")
    );
    std::fs::copy(&right, &fingerprint_key).unwrap();
    eventually("keys are given out again", async || {
        key(&ask(&api, &agent).await).as_deref() == Some(KEY)
    })
    .await;
}

/// The controller has another `fingerprint.key`, and the API the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_away_also_where_nothing_can_be_told_of_what_the_secrets_hold() {
    let mut scene = Scene::new("takenaway").await;
    let agent = scene.user("agent").await;
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    drop(scene.controller.take());
    let wrong = wrong_keyring(&scene.world);
    let dir = ("LLMPLANE_KEYRING_DIR", wrong.path().to_str().unwrap());
    let _controller = Process::controller(&scene.world, &[dir]);
    let is_enabled = async |enabled: bool| {
        let spec = json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": "s" }, "enabled": enabled,
        });
        scene.world.apply("LlmCredential", "c", spec).await;
    };
    is_enabled(false).await;
    gets(&api, &agent, None).await;
    scene
        .world
        .says("LlmCredential", "c", "Ready", "True", "Disabled")
        .await;
    // Nobody who sets it right again has lost the key meanwhile.
    let right = scene.world.keyring_dir().join("fingerprint.key");
    std::fs::copy(right, wrong.path().join("fingerprint.key")).unwrap();
    is_enabled(true).await;
    gets(&api, &agent, Some(KEY)).await;

    std::fs::write(wrong.path().join("fingerprint.key"), [7; 32]).unwrap();
    let label = json!({ "metadata": { "labels": { "llmplane.dev/credential": null } } });
    let secrets = scene.world.dynamic("Secret");
    let patch = kube::api::Patch::Merge(label);
    secrets
        .patch("s", &Default::default(), &patch)
        .await
        .unwrap();
    gets(&api, &agent, None).await;
    eventually("what is stored of it is destroyed", async || {
        let status = scene.world.get("LlmCredential", "c").await["status"].take();
        status["versions"][0]["state"] == "Destroyed"
    })
    .await;
}

/// A copy of a world's keyring with another `fingerprint.key`.
fn wrong_keyring(world: &World) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(world.keyring_dir()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let other: Vec<u8> = (0..32).collect();
    std::fs::write(folder.path().join("fingerprint.key"), other).unwrap();
    folder
}

fn run_tool(name: &str, world: &World, input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = tool(name, &world.database);
    if name == "psql" {
        command.args(["--quiet", "--set=ON_ERROR_STOP=1"]);
    }
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writes = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writes.join().unwrap().unwrap();
    assert!(output.status.success(), "{name}");
    output.stdout
}
