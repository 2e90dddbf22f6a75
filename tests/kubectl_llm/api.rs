//! What asks the API: `resolve` and `holders`.

use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use super::{KEY, are_names, finished, kubectl_llm, plugin_path, program, said, tells};
use crate::support::{
    api::{answer, token},
    fake_vendor::FakeVendor,
    plane::eventually,
    process::Process,
    world::World,
};

/// A model that a class names, and the accounts `viewer`, who may use keys too, and `auditor`.
struct Scene {
    world: World,
    api: Process,
    url: String,
    _vendor: FakeVendor,
}

impl Scene {
    async fn new(prefix: &str) -> Self {
        let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
        let world = World::started(prefix).await;
        world.secret("s", KEY).await;
        world.apply_basics(&vendor.url()).await;
        world.model("m", "gpt-a").await;
        world.ready("LlmModel", "m").await;
        let class = json!({ "models": [{ "name": "m" }] });
        world.apply("LlmModelClass", "smart", class).await;
        world.ready("LlmModelClass", "smart").await;
        for (name, roles) in [
            (
                "viewer",
                &["llmplane-viewer", "llmplane-credential-user"][..],
            ),
            ("auditor", &["llmplane-auditor"]),
        ] {
            let account = ["-n", world.ns(), "create", "serviceaccount", name];
            assert!(world.plane.kubectl(&account).await.status.success());
            let subject = format!("--serviceaccount={}:{name}", world.ns());
            for role in roles {
                let (binding, role) = (format!("{name}-{role}"), format!("--clusterrole={role}"));
                let binding = [
                    "-n",
                    world.ns(),
                    "create",
                    "rolebinding",
                    &binding,
                    &role,
                    &subject,
                ];
                assert!(world.plane.kubectl(&binding).await.status.success());
            }
        }
        let api = Process::api_with_keys(&world, &[]).await;
        Self {
            url: format!("http://{}", api.listen()),
            world,
            api,
            _vendor: vendor,
        }
    }

    /// What asks the API as this account.
    fn asked<'a>(&'a self, account: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        let as_whom = ["--api-url", &self.url, "--service-account", account];
        [args, &as_whom].concat()
    }

    async fn tells(&self, account: &str, args: &[&str], code: i32, wanted: &[&str]) {
        tells(&self.world, &self.asked(account, args), code, wanted).await;
    }

    async fn answer(&self, account: &str, args: &[&str]) -> Output {
        kubectl_llm(&self.world, &self.asked(account, args), "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_asked_as_an_agent_would_ask_it() {
    let scene = Scene::new("pluginapi").await;
    for (args, code, wanted) in [
        (
            &["resolve", "m"][..],
            0,
            &["gpt-a in", "1. e  healthy", "key c (sk-"][..],
        ),
        (
            &["resolve", "--class", "smart"],
            0,
            &["gpt-a in", "by the class smart", "1. e  healthy"],
        ),
        (
            &["resolve", "--min-context-window", "900000000"],
            1,
            &[
                "No model is what was asked for",
                "passed over",
                "m  ContextWindow",
            ],
        ),
        (
            &["resolve", "--prefer", "vibes"],
            2,
            &["the API answers", "prefer"],
        ),
        (&["holders", "c"], 2, &["the API answers"]),
    ] {
        scene.tells("viewer", args, code, wanted).await;
    }
    let nobody = ["nobody was given a key"];
    scene.tells("auditor", &["holders", "c"], 0, &nobody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_the_api_answers_are_those_that_kubectl_takes() {
    let scene = Scene::new("pluginnames").await;
    let world = &scene.world;
    for asked in [&["resolve", "m"][..], &["resolve", "--class", "smart"]] {
        let name = scene
            .answer("viewer", &[asked, &["-o", "name"]].concat())
            .await;
        assert_eq!(said(&name), "llmmodel.llmplane.dev/m\n");
        assert!(are_names(world, &name).await);
    }
    let token = token(&world.client, world.ns(), "viewer", "llmplane").await;
    let body = json!({ "model": "m", "with_secret": true, "purpose": "a test" });
    eventually("a key is given out", async || {
        let request = scene.api.request(Method::POST, &token, "/resolve");
        answer(request.json(&body)).await.json()["targets"][0]["secret"].is_object()
    })
    .await;
    let name = scene
        .answer("auditor", &["holders", "c", "-o", "name"])
        .await;
    assert_eq!(said(&name), "serviceaccount/viewer\n");
    assert!(are_names(world, &name).await);
    let yaml = scene
        .answer("auditor", &["holders", "c", "-o", "yaml"])
        .await;
    let yaml: Value = serde_saphyr::from_str(&said(&yaml)).unwrap();
    assert_eq!(yaml["items"][0]["version"], 1, "{yaml}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_variable_counts_as_not_set() {
    let scene = Scene::new("pluginempty").await;
    let mut command = program(&scene.world, scene.world.plane.kubectl_program());
    command
        .args(["llm", "-n", scene.world.ns()])
        .args(scene.asked("viewer", &["resolve", "m"]))
        .envs(["LLMPLANE_API_URL", "LLMPLANE_API_CA", "LLMPLANE_AUDIENCE"].map(|it| (it, "")));
    let output = finished(command, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn an_empty_variable_keeps_no_command_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = plugin_path(folder.path());
    let ran = std::process::Command::new(folder.path().join("plugins/kubectl-llm"))
        .args(["resolve", "m"])
        .env("PATH", path)
        .env("KUBECONFIG", folder.path().join("none"))
        .env("LLMPLANE_API_URL", "")
        .output()
        .unwrap();
    // What is wrong next.
    let said = said(&ran);
    assert!(said.contains("no cluster is configured"), "{said}");
    assert_eq!(ran.status.code(), Some(2));
}
