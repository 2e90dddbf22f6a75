//! Who may write what: the cluster decides, and what may not be seen looks like what is not there.

use reqwest::Method;
use serde_json::{Value, json};

use super::{APISERVER, EVERYTHING, KINDS, Scene, Writer, url};
use crate::support::api::Answer;
use crate::support::plane::eventually;

/// Each write of what is there; of what is not, where the names go on with something.
fn writes(more: &str) -> Vec<(Method, String, Value)> {
    let of = |method, path: &str, body| (method, path.replace('~', more), body);
    let url = "http://127.0.0.1:9/v1";
    vec![
        of(
            Method::PUT,
            "/providers/p~",
            json!({ "type": "OpenAICompatible" }),
        ),
        of(
            Method::PATCH,
            "/providers/p~/status",
            json!({ "is_active": true }),
        ),
        of(Method::DELETE, "/providers/p~?cascade=true", Value::Null),
        of(
            Method::POST,
            "/providers/p~/endpoints",
            json!({ "name": "e2", "base_url": url }),
        ),
        of(Method::PUT, "/endpoints/e~", json!({ "base_url": url })),
        of(Method::DELETE, "/endpoints/e~", Value::Null),
        of(
            Method::POST,
            "/providers/p~/credentials",
            json!({ "name": "c2", "secret_name": "s" }),
        ),
        of(Method::PUT, "/credentials/c~", json!({ "alias": "a" })),
        of(Method::DELETE, "/credentials/c~", Value::Null),
        of(
            Method::POST,
            "/providers/p~/models",
            json!({ "name": "m2", "model_id": "m2" }),
        ),
        of(Method::PUT, "/models/m~", json!({ "model_id": "m" })),
        of(Method::DELETE, "/models/m~", Value::Null),
    ]
}

async fn asked(writer: &Writer, (method, path, body): &(Method, String, Value)) -> Answer {
    writer.ask(method.clone(), path, body.clone()).await
}

async fn declared(scene: &Scene) {
    scene.world.secret("s", "sk-test-0123456789abcdef").await;
    scene.world.apply_basics("http://127.0.0.1:9/v1").await;
    scene.world.model("m", "m").await;
    eventually("the API shows what is declared", async || {
        let read = scene
            .editor
            .ask(Method::GET, "/models/m", Value::Null)
            .await;
        read.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_and_not_write_is_told_which_right_is_missing() {
    let scene = Scene::new("write-reader").await;
    declared(&scene).await;
    let reader = scene.writer("reader", &["get", "list"], &KINDS).await;
    for write in writes("") {
        let refused = asked(&reader, &write).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (403, "forbidden".to_owned()),
            "{write:?}: {}",
            refused.text
        );
        assert!(
            refused.detail().contains("cannot"),
            "{write:?}: {}",
            refused.detail()
        );
    }
    let create = reader
        .post("/providers", json!({ "name": "q", "type": "OpenAI" }))
        .await;
    assert_eq!(
        (create.status, create.problem()),
        (403, "forbidden".to_owned())
    );
    let specs = [
        scene.spec("LlmProvider", "q").await,
        scene.spec("LlmModel", "m2").await,
    ];
    assert_eq!(specs, [Value::Null, Value::Null]);
    for (action, _, result) in scene.told().await {
        assert!(
            ["Requested", "Forbidden"].contains(&result.as_str()),
            "{action}: {result}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_looks_like_what_is_not_there() {
    let scene = Scene::new("write-hidden").await;
    declared(&scene).await;
    let blind = scene
        .writer(
            "blind",
            &["create", "update", "patch", "delete", "list"],
            &KINDS,
        )
        .await;
    for (write, absent) in writes("").into_iter().zip(writes("-absent")) {
        let hidden = asked(&blind, &write).await;
        assert_eq!(
            (hidden.status, hidden.problem()),
            (404, "not-found".to_owned()),
            "{write:?}: {}",
            hidden.text
        );
        assert_eq!(asked(&blind, &absent).await.text, hidden.text, "{write:?}");
    }
    let uid = scene.world.get("LlmModel", "m").await["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap();
    let hidden = blind.delete(&format!("/models/{uid}")).await;
    let absent = blind
        .delete(&format!("/models/{}", uuid::Uuid::new_v4()))
        .await;
    assert_eq!((hidden.status, hidden.text), (404, absent.text));
    assert!(scene.told().await.is_empty());
    assert!(!scene.spec("LlmModel", "m").await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_this_api_alone_is_worth_nothing_at_the_kube_apiserver() {
    let scene = Scene::new("write-audience").await;
    declared(&scene).await;
    let token = scene.token("editor", &["llmplane"]).await;
    let reader = Writer::new(token, url(&scene.api));
    assert_eq!(
        reader
            .ask(Method::GET, "/models/m", Value::Null)
            .await
            .status,
        200
    );
    for write in writes("") {
        let refused = asked(&reader, &write).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (403, "token-not-for-apiserver".to_owned()),
            "{write:?}"
        );
        let detail = refused.detail();
        assert!(
            detail.contains("kubectl create token NAME --audience=llmplane --audience="),
            "{detail}"
        );
    }
    let token = scene.token("editor", &[APISERVER]).await;
    let refused = asked(&Writer::new(token, url(&scene.api)), &writes("")[0]).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (401, "invalid-token".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_some_objects_is_a_right_to_these() {
    let scene = Scene::new("write-named").await;
    declared(&scene).await;
    scene.world.model("other", "other").await;
    let rules = json!([{
        "apiGroups": ["llmplane.dev"], "resources": KINDS, "resourceNames": ["m"],
        "verbs": EVERYTHING,
    }]);
    let narrow = scene.writer_with("narrow", rules).await;
    let mine = narrow
        .put("/models/m", json!({ "model_id": "m", "display_name": "M" }))
        .await;
    assert_eq!(mine.status, 200, "{}", mine.text);
    let other = narrow
        .put("/models/other", json!({ "model_id": "other" }))
        .await;
    assert_eq!(other.status, 404, "{}", other.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_editor_may_do_all_of_it_but_keys() {
    let scene = Scene::new("write-role").await;
    declared(&scene).await;
    let role: Vec<Value> =
        serde_saphyr::from_multiple(include_str!("../../manifests/base/roles.yaml")).unwrap();
    let role = role
        .into_iter()
        .find(|role| role["metadata"]["name"] == "llmplane-editor")
        .unwrap();
    let secret = json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["get"] });
    let rules = [role["rules"].as_array().unwrap().clone(), vec![secret]].concat();
    let shipped = scene.writer_with("shipped", rules.into()).await;
    let made = shipped
        .post("/providers", json!({ "name": "q", "type": "OpenAI" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut all = writes("");
    // What the others need goes last.
    all.sort_by_key(|(method, path, _)| {
        (*method == Method::DELETE, path.starts_with("/providers"))
    });
    for write in all {
        let answer = asked(&shipped, &write).await;
        assert!(
            [200, 201, 202].contains(&answer.status),
            "{write:?}: {}",
            answer.text
        );
    }
    let body = json!({ "name": "k", "api_key": "sk-test-0123456789abcdef" });
    let with_key = shipped.post("/providers/q/credentials", body).await;
    assert_eq!(
        (with_key.status, with_key.problem()),
        (403, "forbidden".to_owned())
    );
    assert_eq!(scene.spec("LlmCredential", "k").await, Value::Null);
}
