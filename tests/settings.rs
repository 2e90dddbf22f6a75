//! Settings as a process takes them from its environment: what holds a password is never repeated,
//! and what is meant for other programs has no say.

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{process::Process, world::World};

const PASSWORD: &str = "hunter2";

fn controller(settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .arg("controller")
        .env_clear()
        .env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/llmplane")
        .env("LLMPLANE_KEYRING_DIR", "/nowhere")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_malformed_proxy_is_refused_by_name_and_its_password_not_repeated() {
    for url in [
        "user:hunter2@proxy.example:3128",
        "socks5://u:hunter2@proxy.example",
        "http://u:hunter2@:x",
    ] {
        let output = controller(&[("LLMPLANE_HTTPS_PROXY", url)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(2), 1),
            "{said}"
        );
        assert!(said.contains("LLMPLANE_HTTPS_PROXY"), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let said = |name| {
        let output = controller(&[(name, "")]);
        String::from_utf8(output.stderr).unwrap()
    };
    // What is wrong next: the settings themselves are taken.
    assert!(said("LLMPLANE_HTTPS_PROXY").contains("/nowhere"));
    assert!(said("LLMPLANE_ADMIN_LISTEN").contains("/nowhere"));
    assert!(said("DATABASE_URL").contains("set DATABASE_URL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_reached_directly_whatever_proxy_the_environment_names() {
    let world = World::new("proxied").await;
    for proxy in ["http://u:hunter2@127.0.0.1:1", "u:hunter2@127.0.0.1:1/%"] {
        let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"];
        let settings = proxies.map(|name| (name, proxy));
        for mut process in [
            Process::controller(&world, &settings),
            Process::api(&world, &settings),
        ] {
            process.ready().await;
            process.signal(Signal::SIGTERM);
            let ended = tokio::time::timeout(Duration::from_secs(30), process.ended());
            assert!(ended.await.unwrap().success());
            assert!(!process.log().contains(PASSWORD));
        }
    }
}
