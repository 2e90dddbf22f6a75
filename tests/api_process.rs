//! `llmplane api` as a process: what it refuses, and how it ends.

use std::process::Output;
use std::time::Duration;

use llmplane::local::state::Component;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::support::api::free_address;
use crate::support::plane::{Plane, TestDatabase, eventually};

fn api(plane: &Plane, database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    command
        .arg("api")
        .env_clear()
        .env("DATABASE_URL", database_url)
        .env("KUBECONFIG", plane.kubeconfig_of(Component::Api))
        .env("LLMPLANE_LISTEN", "127.0.0.1:0")
        .env("LLMPLANE_ADMIN_LISTEN", "127.0.0.1:0")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ended(mut command: Command) -> Output {
    tokio::time::timeout(Duration::from_secs(30), command.output())
        .await
        .expect("it ends by itself")
        .unwrap()
}

/// The last line of standard error: what a person reads.
fn says(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("error:"))
        .collect();
    assert_eq!(lines.len(), 1, "one line says it: {text}");
    lines[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_settings_are_refused_in_one_line() {
    let plane = Plane::shared().await;
    let url = "postgres://nobody:hunter2@127.0.0.1:1/none";
    let mut without_database = api(plane, url);
    without_database.env_remove("DATABASE_URL");
    let refused = ended(without_database).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(says(&refused).contains("set DATABASE_URL"));

    let mut unknown = api(plane, url);
    unknown.arg("--listem");
    let refused = ended(unknown).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(says(&refused).contains("--listem"));

    for (variable, value, says_so) in [
        ("KUBECONFIG", "/nowhere/config", "KUBECONFIG"),
        ("LLMPLANE_LISTEN", "0.0.0.0:0", "LLMPLANE_TLS_CERT"),
        (
            "LLMPLANE_ADMIN_LISTEN",
            "192.0.2.1:1",
            "LLMPLANE_ADMIN_LISTEN",
        ),
        ("DATABASE_URL", "mysql://u:hunter2@h/d", "postgres://"),
        ("RUST_LOG", "llmplane=loud", "RUST_LOG"),
    ] {
        let mut command = api(plane, url);
        command.env(variable, value);
        let refused = ended(command).await;
        assert_eq!(refused.status.code(), Some(1), "{variable}");
        let line = says(&refused);
        assert!(
            line.contains(says_so) && !line.contains("hunter2"),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_refused_with_what_to_do() {
    let database = TestDatabase::empty().await;
    let plane = Plane::shared().await;
    let refused = ended(api(plane, &database.api_url)).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(says(&refused).contains("llmplane migrate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_an_absent_database_and_ends_when_asked() {
    let plane = Plane::shared().await;
    let admin = free_address();
    let mut command = api(plane, "postgres://nobody:hunter2@127.0.0.1:1/none");
    command.env("LLMPLANE_ADMIN_LISTEN", admin.to_string());
    let mut child = command.spawn().unwrap();
    let ready = async || match reqwest::get(format!("http://{admin}/readyz")).await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        Err(_) => (0, String::new()),
    };
    eventually("it says what it waits for", async || {
        let (status, text) = ready().await;
        status == 503 && text.contains("PostgreSQL is not available") && !text.contains("hunter2")
    })
    .await;
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait())
        .await
        .expect("it ends within 5 s")
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
