//! Writes while something is away, while others write, and while the process is killed.

use std::sync::Arc;

use llmplane::local::state::Component;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{EVERYTHING, KINDS, Scene, Writer, outcome, url};
use crate::support::api::answer;
use crate::support::gate::{ApiserverProxy, Gate, Side};
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::world::World;

/// An API behind a gate in front of the kube-apiserver.
pub async fn gated(world: &World, gate: &Arc<Gate>) -> (ApiserverProxy, Process) {
    let kubeconfig = world.plane.kubeconfig_of(Component::Api);
    let proxy = ApiserverProxy::start(gate.clone(), &kubeconfig).await;
    let path = proxy.kubeconfig().to_str().unwrap().to_owned();
    let api = gate.watch(|| Process::api(world, &[("KUBECONFIG", &path)]));
    api.ready().await;
    (proxy, api)
}

/// A provider as an import takes it.
fn manifest(name: &str) -> Value {
    json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider",
        "metadata": { "name": name }, "spec": { "type": "OpenAI" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_kube_apiserver_nothing_is_written_and_the_caller_is_told() {
    let scene = Scene::new("write-away").await;
    scene.world.provider("p", json!({})).await;
    let (proxy, api) = gated(&scene.world, &Gate::new(None)).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let editor = Writer::new(token, url(&api));
    assert_eq!(
        editor
            .ask(Method::GET, "/providers/p", Value::Null)
            .await
            .status,
        200
    );
    proxy.sever();
    let body = json!({ "name": "q", "type": "OpenAI" });
    for (method, path, body) in [
        (Method::POST, "/providers", body.clone()),
        (
            Method::PUT,
            "/providers/p",
            json!({ "type": "OpenAICompatible" }),
        ),
        (Method::DELETE, "/providers/p", Value::Null),
    ] {
        let refused = editor.ask(method, path, body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (503, "apiserver-unavailable".to_owned()),
            "{}",
            refused.text
        );
        assert!(!refused.header("retry-after").is_empty());
    }
    let refused = editor.post("/import", manifest("q")).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (503, "apiserver-unavailable".to_owned()),
        "{}",
        refused.text
    );
    proxy.mend();
    assert!(scene.spec("LlmProvider", "q").await.is_null());
    assert!(scene.told().await.is_empty(), "none came to a write");
    assert!(scene.imports().await.is_empty());
    let made = editor.post("/providers", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_audit_takes_no_row_nothing_is_changed() {
    let scene = Scene::new("write-unaudited").await;
    scene
        .world
        .provider("p", json!({ "displayName": "old" }))
        .await;
    let mut owner = scene.world.owner().await;
    let mut held = owner.begin().await.unwrap();
    held.execute("LOCK TABLE audit_head IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for (method, path, body) in [
        (
            Method::POST,
            "/providers",
            json!({ "name": "q", "type": "OpenAI" }),
        ),
        (
            Method::PUT,
            "/providers/p",
            json!({ "type": "OpenAICompatible", "display_name": "new" }),
        ),
        (
            Method::PATCH,
            "/providers/p/status",
            json!({ "is_active": false }),
        ),
        (Method::DELETE, "/providers/p", Value::Null),
    ] {
        let refused = scene.editor.ask(method, path, body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (503, "audit-unavailable".to_owned()),
            "{}",
            refused.text
        );
    }
    let refused = scene.editor.post("/import", manifest("q")).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (503, "audit-unavailable".to_owned()),
        "{}",
        refused.text
    );
    held.rollback().await.unwrap();
    assert!(scene.spec("LlmProvider", "q").await.is_null());
    assert!(scene.imports().await.is_empty());
    let spec = scene.spec("LlmProvider", "p").await;
    assert_eq!(
        (&spec["displayName"], &spec["enabled"]),
        (&json!("old"), &json!(true))
    );
    assert!(scene.told().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_nothing_is_changed() {
    let scene = Scene::new("write-no-db").await;
    let database = &scene.world.database;
    let mut admin = PgConnection::connect(&database.superuser_url)
        .await
        .unwrap();
    let name = &database.name;
    let close = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    admin.execute(AssertSqlSafe(close)).await.unwrap();
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.execute(AssertSqlSafe(end)).await.unwrap();
    for (path, body) in [
        ("/providers", json!({ "name": "q", "type": "OpenAI" })),
        ("/import", manifest("q")),
    ] {
        let refused = scene.editor.post(path, body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (503, "audit-unavailable".to_owned()),
            "{}",
            refused.text
        );
    }
    assert!(scene.spec("LlmProvider", "q").await.is_null());
    let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
    admin.execute(AssertSqlSafe(open)).await.unwrap();
    eventually("writes go on", async || {
        let made = scene
            .editor
            .post("/providers", json!({ "name": "q", "type": "OpenAI" }))
            .await;
        [201, 202, 409].contains(&made.status)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_at_once_each_replace_the_whole() {
    let scene = Scene::new("write-race").await;
    scene.world.provider("p", json!({})).await;
    let editor = &scene.editor;
    let body = |word: &str| json!({ "type": "OpenAICompatible", "display_name": word, "description": word });
    let writers = (0..6).map(|number| {
        let body = body(&format!("w{number}"));
        async move { editor.put("/providers/p", body).await }
    });
    let answers = futures::future::join_all(writers).await;
    let mut done = 0;
    for answer in answers {
        match answer.status {
            200 | 202 => done += 1,
            409 => assert_eq!(answer.problem(), "conflict"),
            // A slow machine: nothing was changed.
            503 => assert_eq!(answer.problem(), "audit-unavailable"),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(done >= 1);
    let spec = scene.spec("LlmProvider", "p").await;
    assert_eq!(
        spec["displayName"], spec["description"],
        "one writer's, whole"
    );
    let told = scene.told().await;
    let of = |word: &str| told.iter().filter(|(_, _, result)| result == word).count();
    assert_eq!(of("Done"), done);
    assert!(of("Requested") >= done);

    let create =
        (0..6).map(|_| editor.post("/providers", json!({ "name": "q", "type": "OpenAI" })));
    let answers = futures::future::join_all(create).await;
    let made = answers
        .iter()
        .filter(|answer| [201, 202].contains(&answer.status))
        .count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!(made, 1, "{answers:?}");
    assert!(refused >= 1, "{answers:?}");
}

/// Somebody else changes one of the fields, to what is asked for, between the attempt and the write.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_which_fields_were_changed_in_the_end() {
    let scene = Scene::new("write-fields").await;
    scene.world.provider("p", json!({})).await;
    let gate = Gate::new(None);
    let (_proxy, api) = gated(&scene.world, &gate).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let editor = Writer::new(token, url(&api));
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmproviders/p",
        scene.ns()
    );
    gate.pause_at(
        ["PUT(dry-run)", Box::leak(path.into_boxed_str())],
        Side::After,
    );
    let asked = tokio::spawn(async move {
        let body =
            json!({ "type": "OpenAICompatible", "display_name": "new", "description": "same" });
        editor.put("/providers/p", body).await
    });
    gate.paused().await;
    let change = json!({ "spec": { "description": "same" } });
    let patch = kube::api::Patch::Merge(change);
    let params = kube::api::PatchParams::default();
    let providers = scene.world.dynamic("LlmProvider");
    providers.patch("p", &params, &patch).await.unwrap();
    gate.resume();
    let changed = asked.await.unwrap();
    assert!([200, 202].contains(&changed.status), "{}", changed.text);
    let rows = scene.audit().await;
    let fields = |row: usize| {
        let detail: Value = serde_json::from_str(&rows[row].detail).unwrap();
        detail["fields"].clone()
    };
    assert_eq!(fields(0), json!(["display_name", "description"]));
    assert_eq!(fields(1), json!(["display_name"]));

    // What is so already is no change.
    let off = json!({ "is_active": false });
    for fields in [json!(["is_active"]), json!([])] {
        let path = "/providers/p/status";
        let switched = scene.editor.ask(Method::PATCH, path, off.clone()).await;
        assert!([200, 202].contains(&switched.status), "{}", switched.text);
        let last = scene.audit().await.pop().unwrap();
        let detail: Value = serde_json::from_str(&last.detail).unwrap();
        assert_eq!((&*last.result, &detail["fields"]), ("Done", &fields));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_behind_the_write_leaves_the_row_that_it_was_asked() {
    let scene = Scene::new("write-killed").await;
    let gate = Gate::new(None);
    let (_proxy, mut api) = gated(&scene.world, &gate).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let editor = Writer::new(token, url(&api));
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmproviders",
        scene.ns()
    );
    gate.pause_at(["POST", Box::leak(path.into_boxed_str())], Side::After);
    let asked = tokio::spawn(async move {
        let url = format!("{}/api/v1/providers", editor.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&editor.token);
        request
            .json(&json!({ "name": "q", "type": "OpenAI" }))
            .send()
            .await
            .map(|answer| answer.status())
    });
    gate.paused().await;
    api.kill().await;
    assert!(asked.await.unwrap().is_err(), "nobody was answered");
    assert!(
        !scene.spec("LlmProvider", "q").await.is_null(),
        "it was written"
    );
    let told = [("Create".to_owned(), "q".to_owned(), "Requested".to_owned())];
    assert_eq!(scene.told().await, told);
}

/// The kube-apiserver goes away while the objects of an import are applied.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_broken_off_tells_what_is_applied_and_goes_on_when_it_is_sent_again() {
    let scene = Scene::new("import-cut").await;
    let gate = Gate::new(None);
    let (proxy, api) = gated(&scene.world, &gate).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let editor = Writer::new(token, url(&api));
    // Objects are applied eight at once, in their order: the ninth is of the second round.
    let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let text: String = names
        .iter()
        .map(|name| format!("---\n{}\n", manifest(name)))
        .collect();
    let import = async |editor: &Writer| {
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1/import", editor.url))
            .bearer_auth(&editor.token)
            .header("content-type", "application/yaml");
        answer(request.body(text.clone())).await
    };
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmproviders/p8",
        scene.ns()
    );
    gate.pause_at(["PATCH", Box::leak(path.into_boxed_str())], Side::Before);
    let (stopped, ()) = tokio::join!(import(&editor), async {
        gate.paused().await;
        proxy.sever();
        gate.resume();
    });
    assert_eq!(
        (stopped.status, stopped.problem()),
        (503, "apiserver-unavailable".to_owned()),
        "{}",
        stopped.text
    );
    assert!(
        stopped.detail().contains("import again to apply the rest"),
        "{}",
        stopped.text
    );
    let applied = stopped.json()["applied"].as_array().unwrap().clone();
    assert!((8..10).contains(&applied.len()), "{}", stopped.text);
    proxy.mend();
    for object in &applied {
        let name = object["name"].as_str().unwrap();
        assert!(!scene.spec("LlmProvider", name).await.is_null(), "{name}");
    }
    let again = import(&editor).await;
    assert_eq!(again.status, 200, "{}", again.text);
    for name in &names {
        assert!(!scene.spec("LlmProvider", name).await.is_null(), "{name}");
    }
    let rows = scene.imports().await;
    let words: Vec<&str> = rows.iter().map(|row| row.result.as_str()).collect();
    assert_eq!(words, ["Requested", "Unknown", "Requested", "Done"]);
    let detail: Value = serde_json::from_str(&rows[1].detail).unwrap();
    assert_eq!(detail["applied"], applied.len());
}

/// A caller who hangs up stops nothing half-way.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_is_gone_is_ended_and_told() {
    let scene = Scene::new("write-gone").await;
    let gate = Gate::new(None);
    let (_proxy, api) = gated(&scene.world, &gate).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let address = url(&api);
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmproviders",
        scene.ns()
    );
    gate.pause_at(["POST", Box::leak(path.into_boxed_str())], Side::Before);
    let asked = tokio::spawn(async move {
        let request = reqwest::Client::new().post(format!("{address}/api/v1/providers"));
        let request = request
            .bearer_auth(token)
            .json(&json!({ "name": "q", "type": "OpenAI" }));
        request.send().await.map(|answer| answer.status())
    });
    gate.paused().await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    gate.resume();
    eventually("the outcome is told", async || {
        scene.told().await == outcome("Create", "q", "Done")
    })
    .await;
    assert!(!scene.spec("LlmProvider", "q").await.is_null());
}

/// A Secret that is refused when the credential is made already: a webhook, a quota, a name that was
/// taken in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_made_takes_its_credential_with_it() {
    let scene = Scene::new("write-undone").await;
    scene.world.provider("p", json!({})).await;
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"] },
    ]);
    scene.writer_with("keeper", rules).await;
    let gate = Gate::new(None);
    let (_proxy, api) = gated(&scene.world, &gate).await;
    let token = scene.token("keeper", &["llmplane", super::APISERVER]).await;
    let keeper = Writer::new(token, url(&api));
    let path = format!("/api/v1/namespaces/{}/secrets", scene.ns());
    // The dry run passes; somebody takes the name before the write.
    gate.pause_at(
        ["POST(dry-run)", Box::leak(path.into_boxed_str())],
        Side::After,
    );
    let asked = tokio::spawn(async move {
        keeper
            .post(
                "/providers/p/credentials",
                json!({ "name": "c", "api_key": "sk-test-0123456789abcdef" }),
            )
            .await
    });
    gate.paused().await;
    scene.world.secret("c", "sk-another-0123456789abcdef").await;
    gate.resume();
    let refused = asked.await.unwrap();
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "already-exists".to_owned()),
        "{}",
        refused.text
    );
    assert!(
        refused.detail().contains("was put back as it was"),
        "{}",
        refused.detail()
    );
    assert!(scene.spec("LlmCredential", "c").await.is_null());
    let secret = scene.world.get("Secret", "c").await;
    assert!(secret["metadata"]["ownerReferences"].is_null());
    assert_eq!(scene.told().await, outcome("Create", "c", "AlreadyExists"));
    let rows = scene.audit().await;
    let detail: Value = serde_json::from_str(&rows[1].detail).unwrap();
    assert_eq!(detail["undone"], true);
}

/// Longer than requests are waited for at the end of the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_ends_its_writes_first() {
    let scene = Scene::new("write-sigterm").await;
    let gate = Gate::new(None);
    let (_proxy, mut api) = gated(&scene.world, &gate).await;
    let token = scene.token("editor", &["llmplane", super::APISERVER]).await;
    let editor = Writer::new(token, url(&api));
    let path = format!(
        "/apis/llmplane.dev/v1alpha1/namespaces/{}/llmproviders",
        scene.ns()
    );
    gate.pause_at(["POST", Box::leak(path.into_boxed_str())], Side::Before);
    let asked = tokio::spawn(async move {
        let url = format!("{}/api/v1/providers", editor.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&editor.token);
        request
            .json(&json!({ "name": "q", "type": "OpenAI" }))
            .send()
            .await
            .map(|answer| answer.status())
    });
    gate.paused().await;
    // The write alone is held.
    api.signal(Signal::SIGCONT);
    api.signal(Signal::SIGTERM);
    assert!(asked.await.unwrap().is_err(), "the caller was cut off");
    assert!(api.runs());
    gate.resume();
    assert!(api.ended().await.success());
    assert_eq!(scene.told().await, outcome("Create", "q", "Done"));
    assert!(!scene.spec("LlmProvider", "q").await.is_null());
}
