//! Manifests out of the cluster and into it: what is exported is what was declared, and what others'
//! configuration is converted to is applied whole or not at all.

mod export;
mod import;
mod round_trip;
mod route;

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs `llmplane` with this kubeconfig and something on its standard input.
pub async fn llmplane(kubeconfig: &Path, args: &[&str], input: &str) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    run(command, kubeconfig, args, input).await
}

/// The same, which is killed where it computes for longer than these seconds: however busy the machine is.
pub async fn llmplane_within(seconds: u32, args: &[&str], input: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -t {seconds}; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_llmplane"));
    run(command, Path::new("/nowhere"), args, input).await
}

async fn run(mut command: Command, kubeconfig: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read it says so by its exit code.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
