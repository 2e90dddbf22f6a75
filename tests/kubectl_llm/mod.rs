//! `kubectl llm`, as kubectl finds and runs it: what does not work is told with its cause and what to do,
//! and the code tells scripts.

mod api;
mod completion;
mod formats;
mod picture;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const KEY: &str = "sk-canary-Zq7planted23456789";
const NEXT: &str = "sk-canary-Yx8rotated98765432";

/// Makes links to our binary under the names that kubectl looks for, and answers a PATH with their folder.
fn plugin_path(parent: &Path) -> String {
    let folder = parent.join("plugins");
    if std::fs::create_dir(&folder).is_ok() {
        for name in ["kubectl-llm", "kubectl_complete-llm"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_llmplane"), folder.join(name)).unwrap();
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", folder.display())
}

/// A program of a user who has the plugin.
fn program(world: &World, name: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(name.into());
    command
        .env("PATH", plugin_path(world.keyring_dir().parent().unwrap()))
        .env("KUBECONFIG", world.plane.kubeconfig())
        .env_remove("LLMPLANE_API_URL")
        .env_remove("NO_COLOR");
    command
}

async fn kubectl_llm(world: &World, args: &[&str], input: &str) -> Output {
    anywhere(world, &[args, &["-n", world.ns()]].concat(), input).await
}

/// The same without a namespace.
async fn anywhere(world: &World, args: &[&str], input: &str) -> Output {
    let mut command = program(world, world.plane.kubectl_program());
    command.arg("llm").args(args);
    finished(command, input).await
}

async fn finished(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

/// Whether kubectl takes what was printed as the names of objects of the namespace; it prints them the same way.
async fn are_names(world: &World, output: &Output) -> bool {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let mut args = vec!["get", "-n", world.ns(), "-o", "name"];
    args.extend(printed.lines());
    let found = world.plane.kubectl(&args).await;
    !printed.is_empty() && String::from_utf8_lossy(&found.stdout) == printed
}

/// Runs it until it ends with this code and says all of this.
async fn tells(world: &World, args: &[&str], code: i32, wanted: &[&str]) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = kubectl_llm(world, args, "").await;
        let text = said(&output);
        let holds = wanted.iter().all(|wanted| text.contains(wanted));
        if holds && output.status.code() == Some(code) {
            return text;
        }
        assert!(
            Instant::now() < deadline,
            "within a minute {args:?} tells {wanted:?}: {:?} {text}",
            output.status.code()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_is_told_with_its_cause_and_what_to_do() {
    let vendor = FakeVendor::start(&[KEY, NEXT], &["gpt-a"]).await;
    let world = World::started("plugin").await;
    tells(
        &world,
        &["status"],
        0,
        &["nothing is declared in namespace"],
    )
    .await;

    world.secret("s", "sk-canary-Wv9refused13579246").await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    let told = tells(
        &world,
        &["status"],
        1,
        &[
            "LlmCredential/c  Ready=False KeyRejected",
            "waiting for it: LlmModel/m",
            "for 1 cause",
        ],
    )
    .await;
    assert!(!told.contains('\u{1b}'), "no terminal, no colours: {told}");
    let items = json_of(&kubectl_llm(&world, &["status", "-o", "json"], "").await);
    assert_eq!(items[0]["reason"], "KeyRejected");
    assert!(items[0]["remedy"].as_str().unwrap().len() > 20, "{items}");
    assert_eq!(items[1]["caused_by"], "LlmCredential/c", "{items}");
    let why = tells(
        &world,
        &["why", "m"],
        1,
        &["it waits for LlmCredential/c (KeyRejected)"],
    )
    .await;
    assert!(
        why.contains("It hangs on") && why.contains("LlmProvider/p"),
        "{why}"
    );
    tells(
        &world,
        &["tree", "m"],
        1,
        &["LlmProvider/p", "├─ LlmEndpoint/e", "└─ LlmModel/m"],
    )
    .await;

    let class = json!({ "models": [{ "name": "m" }] });
    world.apply("LlmModelClass", "smart", class).await;
    tells(
        &world,
        &["tree", "llmmc/smart"],
        1,
        &["LlmModelClass/smart", "└─ LlmModel/m"],
    )
    .await;
    // Nobody has a key that its model can be called with.
    let waits = [
        "it waits for LlmCredential/c (KeyRejected)",
        "It hangs on",
        "LlmModel/m",
    ];
    tells(&world, &["why", "smart"], 1, &waits).await;

    // A key that the vendor takes heals it all; the answer waits for the verdict, and never shows a key.
    let rotated = kubectl_llm(&world, &["rotate", "c"], &format!("{KEY}\n")).await;
    assert_eq!(rotated.status.code(), Some(0), "{}", said(&rotated));
    assert!(said(&rotated).contains("is in use") && !said(&rotated).contains(KEY));
    tells(&world, &["status"], 0, &["all 5 objects in namespace"]).await;
    tells(
        &world,
        &["check", "llmc/c"],
        0,
        &["LlmCredential/c  Ready=True KeyAccepted"],
    )
    .await;

    let refused = kubectl_llm(&world, &["rotate", "c"], "sk-canary-Vu0refused24680135").await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("KeyRejected"), "{}", said(&refused));
    let masked = world.get("LlmCredential", "c").await["status"]["maskedKey"].clone();
    assert!(
        masked.as_str().unwrap().ends_with("6789"),
        "the one before is in use: {masked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_in_use_before_can_be_rotated_back_to() {
    let vendor = FakeVendor::start(&[KEY, NEXT], &["gpt-a"]).await;
    let world = World::started("pluginback").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    let rotated = async |key: &str, code: i32, wanted: &[&str]| {
        let output = kubectl_llm(&world, &["rotate", "c"], key).await;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    };
    rotated(NEXT, 0, &["version 2", "is in use"]).await;
    rotated(KEY, 0, &["version 3", "is in use"]).await;
    rotated(KEY, 0, &["held already", "in use", "version 3"]).await;
    // The same key, with the line break that an editor adds.
    world.secret("s", &format!("{KEY}\n")).await;
    rotated(KEY, 0, &["again holds", "version 3"]).await;
    // A key that is refused, and back to the one that stayed in use.
    let refused = "sk-canary-Vu0refused24680135";
    rotated(refused, 1, &["KeyRejected", "stays so"]).await;
    rotated(KEY, 0, &["again holds", "in use", "version 3"]).await;
    rotated("", 2, &["standard input is empty"]).await;
    // One that the vendor was never asked about, for it did not answer.
    vendor.break_with(503);
    let entry = json!({ "stringData": { "api-key": NEXT } }).to_string();
    let patch = [
        "-n",
        world.ns(),
        "patch",
        "secret",
        "s",
        "-p",
        entry.as_str(),
    ];
    assert!(world.plane.kubectl(&patch).await.status.success());
    eventually("the key waits for the vendor", async || {
        let versions = world.get("LlmCredential", "c").await["status"]["versions"].clone();
        let newest = versions[0]["state"].as_str().map(str::to_owned);
        newest.as_deref() == Some("Pending")
    })
    .await;
    rotated(KEY, 0, &["again holds", "in use", "version 3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_ends_with_two_and_says_why() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("pluginbad").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.endpoint("c", &vendor.url(), json!({})).await;
    for (args, wanted) in [
        (
            &["why", "nobody"][..],
            "there is no object nobody in namespace",
        ),
        (&["why", "pod/x"], "is no kind of llmplane.dev"),
        (&["why", "c"], "say which: llmendpoint/c, llmcredential/c"),
        (&["tree", "nobody"], "there is no object nobody"),
        (&["rotate", "nobody"], "there is no LlmCredential nobody"),
        (&["rotate", "c"], "standard input is empty"),
        (&["rotate", "c", "--field", "secretKey"], "has no secretKey"),
        (&["resolve", "m", "--region", "eu"], "cannot be used with"),
        (
            &["resolve", "m", "--service-account", "nobody"],
            "name another with --service-account",
        ),
        (
            &["resolve", "m", "--api-url", "http://127.0.0.1:1"],
            "does not answer",
        ),
    ] {
        let output = kubectl_llm(&world, args, "").await;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(wanted), "{args:?}: {text}");
    }
    let kept =
        json!({ "metadata": { "labels": { "reconcile.external-secrets.io/managed": "true" } } });
    let kept = kept.to_string();
    let patch = [
        "-n",
        world.ns(),
        "patch",
        "secret",
        "s",
        "--type=merge",
        "-p",
        kept.as_str(),
    ];
    assert!(world.plane.kubectl(&patch).await.status.success());
    let output = kubectl_llm(&world, &["rotate", "c"], KEY).await;
    assert!(said(&output).contains("is written by"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(2));
}
