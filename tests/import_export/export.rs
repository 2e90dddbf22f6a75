//! `GET /export`, from rows that a controller would store.

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::manifest::Declaration;
use llmplane::db::DeclaredModel;
use llmplane::lint::documents;
use reqwest::{Method, Response};
use serde_json::json;
use uuid::Uuid;

use crate::support::api::{KINDS, TestApi, models};
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::rows;
use crate::support::world::World;

fn declared(api: &TestApi, provider: Uuid, name: &str) -> DeclaredModel {
    let mut model = api.model(provider, name);
    model.declaration = Declaration {
        spec: json!({ "providerRef": { "name": "openai" }, "modelId": model.model_id }),
        ..Declaration::default()
    };
    model
}

async fn provider(api: &TestApi) -> Uuid {
    let mut row = rows::provider("openai");
    row.namespace.clone_from(&api.namespace.name);
    row.declaration.spec = json!({ "type": "OpenAI" });
    let uid = row.uid;
    api.write(move |tx| async move { tx.upsert(&row).await.map(drop) }.boxed())
        .await;
    uid
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_models_come_in_order_behind_their_provider() {
    let api = TestApi::start().await;
    let provider = provider(&api).await;
    let names = (0..3000).map(|number| format!("m-{number:05}"));
    let rows = names.map(|name| declared(&api, provider, &name)).collect();
    api.write(models(rows)).await;
    let answer = api.viewer().await.get("/export").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.ends_with("# 3001 objects.\n"));
    let objects = documents::parse("-", &answer.text).documents;
    assert_eq!(objects[0].kind(), Some("LlmProvider"));
    let names: Vec<_> = objects[1..].iter().filter_map(|o| o.name()).collect();
    assert!(names.len() == 3000 && names.is_sorted());
    assert!(objects.iter().all(|object| object.namespace().is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_model_sync_made_is_left_out_and_told_of() {
    let api = TestApi::start().await;
    let provider = provider(&api).await;
    let (mut made, own) = (
        declared(&api, provider, "made"),
        declared(&api, provider, "own"),
    );
    made.declaration.generated = true;
    api.write(models(vec![made, own])).await;
    let text = api.viewer().await.get("/export").await.text;
    assert!(
        text.starts_with("# 1 models that model sync made are left out"),
        "{text}"
    );
    assert!(text.contains("name: own") && !text.contains("name: made"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_list_a_kind_exports_the_others_alone() {
    let api = TestApi::start().await;
    provider(&api).await;
    let some = ["llmproviders", "llmmodels"];
    let caller = api.account("some", &["list"], &some).await;
    let refused = caller.get("/export").await;
    assert_eq!((refused.status, &*refused.problem()), (403, "forbidden"));
    assert!(refused.detail().contains("list llmendpoints.llmplane.dev"));
    let answer = caller.get("/export?kind=LlmModel&kind=LlmProvider").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.ends_with("# 1 object.\n"), "{}", answer.text);
    for elsewhere in ["*", "kube-system"] {
        let answer = caller
            .get(&format!("/export?kind=LlmModel&namespace={elsewhere}"))
            .await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_same_until_something_changes() {
    let api = TestApi::start().await;
    let uid = provider(&api).await;
    let viewer = api.viewer().await;
    let first = viewer.get("/export").await;
    let tag = first.header("etag").to_owned();
    let again = viewer.get_with("/export", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, &*again.text), (304, ""));
    let other = viewer
        .get_with("/export?format=json", &[("if-none-match", &tag)])
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(other.json()["items"][0]["spec"]["type"], "OpenAI");
    api.delete(Kind::Provider, &[uid]).await;
    let changed = viewer.get_with("/export", &[("if-none-match", &tag)]).await;
    assert_eq!((changed.status, &*changed.text), (200, "# 0 objects.\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_and_not_known_is_left_out_and_named_unless_that_is_much() {
    let api = TestApi::start().await;
    provider(&api).await;
    api.provider("unread").await;
    let viewer = api.viewer().await;
    let yaml = viewer.get("/export").await;
    assert_eq!(yaml.status, 200, "{}", yaml.text);
    let said = format!(
        "cannot read it): LlmProvider {}/unread.\n# 1 object.\n",
        api.namespace.name
    );
    assert!(yaml.text.ends_with(&said), "{}", yaml.text);
    let json = viewer.get("/export?format=json").await.json();
    assert_eq!(
        json["leftOut"],
        json!([format!("LlmProvider {}/unread", api.namespace.name)])
    );
    assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
    for number in 0..50 {
        api.provider(&format!("of-an-earlier-release-{number}"))
            .await;
    }
    let refused = viewer.get("/export").await;
    assert_eq!((refused.status, &*refused.problem()), (503, "not-ready"));
    assert!(
        refused.detail().contains("51 llmproviders"),
        "{}",
        refused.text
    );
    for (query, problem) in [
        ("format=xml", "invalid-parameter"),
        ("kind=Secret", "invalid-parameter"),
        ("kinds=LlmModel", "unknown-parameter"),
        ("namespace=..", "invalid-parameter"),
    ] {
        let answer = viewer.get(&format!("/export?{query}")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, problem),
            "{query}"
        );
    }
}

/// An API process of a namespace with a provider and so many models, each with a parameter of so many bytes.
async fn process_with(world: &World, count: usize, bytes: usize) -> Process {
    let (db, epoch) = world.database.leader().await;
    let mut provider = rows::provider("openai");
    provider.namespace = world.ns().to_owned();
    provider.declaration.spec = json!({ "type": "OpenAI" });
    let uid = provider.uid;
    let names = (0..count).map(|number| format!("m-{number:05}"));
    let long = "x".repeat(bytes);
    let rows = names.map(|name| {
        let mut model = rows::model(uid, &name);
        model.namespace = world.ns().to_owned();
        model.declaration.spec = json!({
            "providerRef": { "name": "openai" }, "modelId": name, "defaultParameters": { "stop": long },
        });
        model
    });
    let rows: Vec<_> = rows.collect();
    db.write(epoch, move |tx| {
        async move { tx.upsert(&provider).await.map(drop) }.boxed()
    })
    .await
    .unwrap();
    for some in rows.chunks(1_000) {
        db.write(epoch, models(some.to_vec())).await.unwrap();
    }
    let api = Process::api(world, &[]);
    api.ready().await;
    api
}

/// Opens an export, and reads as little of it as keeps it open.
async fn open(api: &Process, token: &str) -> (u16, tokio_util::task::AbortOnDropHandle<()>) {
    let answer = api.request(Method::GET, token, "/export").send().await;
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let reading = tokio::spawn(async move { read_slowly(answer).await });
    (status, tokio_util::task::AbortOnDropHandle::new(reading))
}

async fn read_slowly(mut answer: Response) {
    while let Ok(Some(_)) = answer.chunk().await {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_makes_four_exports_at_once_and_two_of_them_for_one_caller() {
    let world = World::new("export-bounds").await;
    // More than the system holds for a reader who takes nothing.
    let api = process_with(&world, 600, 40_000).await;
    let mut tokens = Vec::new();
    for name in ["one", "two", "three"] {
        tokens.push(world.account(name, &["list"], &KINDS, &[]).await);
    }
    let [one, two, three] = &tokens[..] else {
        panic!("three callers");
    };
    let whole = api.get(three, "/export").await;
    assert!(whole.text.ends_with("# 601 objects.\n"));
    let mut under_way = Vec::new();
    for caller in [one, one, two, two] {
        let (status, reading) = open(&api, caller).await;
        assert_eq!(status, 200);
        under_way.push(reading);
    }
    for (caller, status, problem) in [(one, 429, "too-many-requests"), (three, 503, "overloaded")] {
        let refused = api.get(caller, "/export").await;
        assert_eq!((refused.status, &*refused.problem()), (status, problem));
        assert!(!refused.header("retry-after").is_empty());
    }
    // What is at hand already takes no place, and other reads go on.
    let request = api.request(Method::GET, three, "/export");
    let known = request.header("if-none-match", whole.header("etag"));
    assert_eq!(known.send().await.unwrap().status(), 304);
    assert_eq!(api.get(one, "/models?limit=1").await.status, 200);
    drop(under_way);
    eventually("their places are free", async || {
        let (status, _) = open(&api, three).await;
        status == 200
    })
    .await;
}

/// Memory of a process in KiB: what it holds, and the most that it held.
fn memory(process: &Process) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.unwrap().split_whitespace().next().unwrap();
        kib.parse().unwrap()
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_is_made_in_the_memory_of_a_page() {
    let world = World::new("export-large").await;
    let api = process_with(&world, 2_000, 15_000).await;
    let token = world.account("reader", &["list"], &KINDS, &[]).await;
    assert_eq!(
        api.get(&token, "/export?kind=LlmProvider").await.status,
        200
    );
    // From here on the kernel notes anew what it holds at most.
    std::fs::write(format!("/proc/{}/clear_refs", api.pid()), "5").unwrap();
    let (before, _) = memory(&api);
    let answer = api.request(Method::GET, &token, "/export").send().await;
    let mut answer = answer.unwrap();
    let (mut bytes, mut end) = (0, Vec::new());
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes += chunk.len();
        end = chunk.to_vec();
    }
    assert!(bytes > 28 << 20, "{bytes}");
    assert!(end.ends_with(b"# 2001 objects.\n"));
    let (_, most) = memory(&api);
    let grown = most.saturating_sub(before);
    assert!(
        grown < 14 << 10,
        "{grown} KiB for an answer of {bytes} bytes"
    );
}
