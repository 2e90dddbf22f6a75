//! `kubectl llm`, as kubectl finds and runs it: what does not work is told with its cause and what to do,
//! and the code tells scripts.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{fake_vendor::FakeVendor, plane::eventually, process::Process, world::World};

const KEY: &str = "sk-canary-Zq7planted23456789";
const NEXT: &str = "sk-canary-Yx8rotated98765432";

/// A folder on the PATH with our binary under the plugin's name.
fn plugin_folder(world: &World) -> PathBuf {
    let folder = world.keyring_dir().with_file_name("plugins");
    if std::fs::create_dir(&folder).is_ok() {
        let plugin = folder.join("kubectl-llm");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_llmplane"), plugin).unwrap();
    }
    folder
}

async fn kubectl_llm(world: &World, args: &[&str], input: &str) -> Output {
    let folder = plugin_folder(world);
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(world.plane.kubectl_program())
        .arg("llm")
        .args(args)
        .args(["-n", world.ns()])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("KUBECONFIG", world.plane.kubeconfig())
        .env_remove("LLMPLANE_API_URL")
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
    assert!(
        !told.contains('\u{1b}'),
        "no colours where there is no terminal: {told}"
    );
    let items = json_of(&kubectl_llm(&world, &["status", "-o", "json"], "").await);
    assert_eq!(items[0]["reason"], "KeyRejected");
    assert!(items[0]["remedy"].as_str().unwrap().len() > 20, "{items}");
    assert_eq!(items[1]["caused_by"], "LlmCredential/c", "{items}");
    let names = kubectl_llm(&world, &["status", "-o", "name"], "").await;
    assert_eq!(said(&names), "llmcredential.llmplane.dev/c\n");

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
    // Its model can be answered, though nobody has a key for it.
    tells(&world, &["why", "smart"], 0, &["It hangs on", "LlmModel/m"]).await;

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

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_asked_as_an_agent_would_ask_it() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("pluginapi").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmModel", "m").await;
    let class = json!({ "models": [{ "name": "m" }] });
    world.apply("LlmModelClass", "smart", class).await;
    world.ready("LlmModelClass", "smart").await;
    let api = Process::api(&world, &[]);
    api.ready().await;
    let url = format!("http://{}", api.listen());
    for (name, role) in [
        ("viewer", "llmplane-viewer"),
        ("auditor", "llmplane-auditor"),
    ] {
        let account = ["-n", world.ns(), "create", "serviceaccount", name];
        assert!(world.plane.kubectl(&account).await.status.success());
        let subject = format!("--serviceaccount={}:{name}", world.ns());
        let role = format!("--clusterrole={role}");
        let binding = [
            "-n",
            world.ns(),
            "create",
            "rolebinding",
            name,
            &role,
            &subject,
        ];
        assert!(world.plane.kubectl(&binding).await.status.success());
    }
    let asked = |account: &'static str, args: &[&str]| {
        let mut all: Vec<String> = args.iter().map(ToString::to_string).collect();
        all.extend([
            "--api-url".into(),
            url.clone(),
            "--service-account".into(),
            account.into(),
        ]);
        all
    };
    let run = async |args: Vec<String>, code: i32, wanted: &[&str]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        tells(&world, &args, code, wanted).await
    };
    run(
        asked("viewer", &["resolve", "m"]),
        0,
        &["gpt-a in", "1. e  healthy", "key c (sk-"],
    )
    .await;
    run(
        asked("viewer", &["resolve", "--class", "smart"]),
        0,
        &["gpt-a in", "by the class smart", "1. e  healthy"],
    )
    .await;
    run(
        asked("viewer", &["resolve", "--min-context-window", "900000000"]),
        1,
        &[
            "No model is what was asked for",
            "passed over",
            "m  ContextWindow",
        ],
    )
    .await;
    run(
        asked("viewer", &["resolve", "--prefer", "vibes"]),
        2,
        &["the API answers", "prefer"],
    )
    .await;
    run(
        asked("auditor", &["holders", "c"]),
        0,
        &["nobody was given a key"],
    )
    .await;
    run(asked("viewer", &["holders", "c"]), 2, &["the API answers"]).await;
    let completion = kubectl_llm(&world, &["completion", "bash"], "").await;
    assert!(
        said(&completion).contains("rotate"),
        "{}",
        said(&completion)
    );
}
