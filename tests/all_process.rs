//! `llmplane all` as a process: what is declared is checked and answered from one process.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::api::free_address;
use crate::support::{
    fake_vendor::FakeVendor,
    plane::{Plane, eventually},
    process::viewer,
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";

fn all(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    command
        .arg("all")
        .env_clear()
        .env("KUBECONFIG", world.plane.kubeconfig())
        .env("DATABASE_URL", &world.database.controller_url)
        .env("LLMPLANE_API_DATABASE_URL", &world.database.api_url)
        .env("LLMPLANE_KEYRING_DIR", world.keyring_dir())
        .env("LLMPLANE_NAMESPACES", world.ns())
        .env("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8")
        .env("LLMPLANE_LISTEN", "127.0.0.1:0")
        .env("LLMPLANE_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LLMPLANE_LEADER_ELECTION", "false")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn stop(mut child: Child) {
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait())
        .await
        .expect("it ends when asked")
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_checks_what_is_declared_and_answers() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("all").await;
    let (listen, admin) = (free_address(), free_address());
    let mut command = all(&world);
    command
        .env("LLMPLANE_LISTEN", listen.to_string())
        .env("LLMPLANE_ADMIN_LISTEN", admin.to_string());
    let child = command.spawn().unwrap();
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmModel", "m").await;

    let token = viewer(&world).await;
    let client = reqwest::Client::new();
    eventually("the model is answered as available", async || {
        let url = format!("http://{listen}/api/v1/models/m");
        let answer = client.get(url).bearer_auth(&token).send().await;
        let Ok(answer) = answer else { return false };
        let row: Value = answer.json().await.unwrap();
        row["availability"]["state"] == "available"
    })
    .await;
    let text = async |path: &str| {
        let answer = client.get(format!("http://{admin}{path}")).send().await;
        answer.unwrap().text().await.unwrap()
    };
    assert_eq!(text("/readyz").await, "ok\n");
    let counted = text("/metrics").await;
    for name in ["llmplane_api_snapshot_revision", "llmplane_leading 1"] {
        assert!(counted.contains(name), "{name} is not in {counted}");
    }
    stop(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_the_schema_before_either_half_needs_it() {
    let plane = Plane::shared().await;
    let world = World::with(plane, plane.empty_database().await, "allempty").await;
    let admin = free_address();
    let mut command = all(&world);
    command
        .arg("--migrate")
        .env("DATABASE_URL", &world.database.owner_url)
        .env("LLMPLANE_ADMIN_LISTEN", admin.to_string());
    let child = command.spawn().unwrap();
    eventually("both halves are ready", async || {
        let answer = reqwest::get(format!("http://{admin}/readyz")).await;
        let Ok(answer) = answer else { return false };
        answer.status() == 200
    })
    .await;
    stop(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_a_role_for_each_half() {
    let world = World::new("allroles").await;
    let mut command = all(&world);
    command.env_remove("LLMPLANE_API_DATABASE_URL");
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1));
    assert!(said.contains("set LLMPLANE_API_DATABASE_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_half_cannot_go_on_the_other_ends_with_it() {
    let world = World::new("allends").await;
    let admin = free_address();
    let mut command = all(&world);
    command.env("LLMPLANE_ADMIN_LISTEN", admin.to_string());
    let child = command.spawn().unwrap();
    eventually("it leads", async || {
        let answer = reqwest::get(format!("http://{admin}/metrics")).await;
        let Ok(answer) = answer else { return false };
        answer.text().await.unwrap().contains("llmplane_leading 1")
    })
    .await;
    // Another controller takes the lead: the fence shuts this one out at its next write.
    world.db().await.lead("another").await.unwrap();
    world.provider("p", json!({})).await;
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output());
    let output = output.await.expect("it ends by itself").unwrap();
    assert_eq!(output.status.code(), Some(1));
}
