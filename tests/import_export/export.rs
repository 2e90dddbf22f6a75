//! `GET /export`, from rows that a controller would store.

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::manifest::Declaration;
use llmplane::db::DeclaredModel;
use llmplane::lint::documents;
use serde_json::json;
use uuid::Uuid;

use crate::support::api::{TestApi, models};
use crate::support::rows;

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
