//! What cannot be written is refused by its field, with the remedy, and nothing changes.

use reqwest::Method;
use serde_json::{Value, json};

use super::Scene;
use crate::support::plane::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_does_not_take_is_told_by_the_bodys_fields() {
    let scene = Scene::new("write-invalid").await;
    let editor = &scene.editor;
    scene.world.provider("p", json!({})).await;
    for (path, body, field) in [
        (
            "/providers",
            json!({ "name": "q", "type": "Nobody" }),
            "type",
        ),
        (
            "/providers",
            json!({ "name": "q", "type": "OpenAI", "display_name": "a\tb" }),
            "display_name",
        ),
        ("/providers", json!({ "name": "q" }), "type"),
        (
            "/providers/p/endpoints",
            json!({ "name": "e", "base_url": "ftp://x" }),
            "base_url",
        ),
        (
            "/providers/p/endpoints",
            json!({ "name": "e", "base_url": "https://x.example", "retry_count": 11 }),
            "retry_count",
        ),
        (
            "/providers/p/endpoints",
            json!({ "name": "e", "base_url": "https://x.example", "timeout_read": "soon" }),
            "timeout_read",
        ),
        (
            "/providers/p/models",
            json!({ "name": "m", "model_id": "m", "input_price": "0.1" }),
            "currency",
        ),
        (
            "/providers/p/models",
            json!({ "name": "m", "model_id": "m", "currency": "USD", "input_price": 0.1 }),
            "input_price",
        ),
        (
            "/providers/p/models",
            json!({ "name": "m", "model_id": "m", "capabilities": [{ "name": "Chat", "score": 6 }] }),
            "capabilities[0].score",
        ),
        (
            "/providers/p/models",
            json!({ "name": "m", "model_id": "m", "context_window": 5, "max_input_tokens": 6 }),
            "max_input_tokens",
        ),
        (
            "/providers/p/credentials",
            json!({ "name": "c", "secret_name": "s", "expires_at": "tomorrow" }),
            "expires_at",
        ),
        (
            "/providers/p/credentials",
            json!({ "name": "c", "secret_name": "s", "quota_limit": 5 }),
            "quota_unit",
        ),
    ] {
        let refused = editor.post(path, body.clone()).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (422, "invalid-object".to_owned()),
            "{body}: {}",
            refused.text
        );
        let errors = refused.json()["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", refused.text))
            .clone();
        assert!(
            errors.iter().any(|error| error["field"] == field),
            "{field}: {errors:?}"
        );
        assert!(
            refused.detail().contains(field.split('[').next().unwrap()),
            "{}",
            refused.detail()
        );
    }
    let immutable = editor
        .put("/providers/p", json!({ "type": "OpenAI" }))
        .await;
    assert_eq!(immutable.status, 422, "{}", immutable.text);
    assert_eq!(immutable.json()["errors"][0]["field"], "type");
    for (kind, name) in [
        ("LlmProvider", "q"),
        ("LlmEndpoint", "e"),
        ("LlmModel", "m"),
        ("LlmCredential", "c"),
    ] {
        assert!(scene.spec(kind, name).await.is_null(), "{kind}");
    }
    // Refusals that are alike are gathered into one row.
    eventually("the refusals are in the audit", async || {
        let told = scene.told().await;
        told.iter().any(|(_, _, result)| result == "Invalid")
    })
    .await;
    for (_, _, result) in scene.told().await {
        assert_eq!(result, "Invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_it_should_be_never_reaches_the_cluster() {
    let scene = Scene::new("write-bad").await;
    let editor = &scene.editor;
    scene.world.provider("p", json!({})).await;
    let large = json!({ "name": "q", "description": "x".repeat(1 << 20) }).to_string();
    for (text, status, kind, words) in [
        ("", 400, "invalid-body", "not valid JSON"),
        ("{", 400, "invalid-body", "not valid JSON"),
        ("[]", 400, "invalid-body", "send a JSON object"),
        (
            r#"{"name": "q", "name": "r", "type": "OpenAI"}"#,
            400,
            "invalid-body",
            "\"name\" is given more than once",
        ),
        (
            r#"{"name": "q", "tpye": "OpenAI"}"#,
            400,
            "invalid-body",
            "did you mean \"type\"?",
        ),
        (
            r#"{"name": "q", "type": "OpenAI", "created_at": "x"}"#,
            400,
            "invalid-body",
            "created_at: it is shown",
        ),
        (
            r#"{"name": "../q", "type": "OpenAI"}"#,
            400,
            "invalid-body",
            "name: expected",
        ),
        (r#"{"type": "OpenAI"}"#, 400, "invalid-body", "name: give"),
        (&"[".repeat(100_000), 400, "invalid-body", "recursion limit"),
        (&large, 413, "body-too-large", "at most 1024 KiB"),
    ] {
        let refused = editor.post_text("/providers", text).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (status, kind.to_owned()),
            "{text:.60}: {}",
            refused.text
        );
        assert!(
            refused.detail().contains(words),
            "{text:.60}: {}",
            refused.detail()
        );
    }
    for (path, status, kind) in [
        ("/providers?namespace=*", 400, "invalid-parameter"),
        ("/providers?dry_run=yes", 400, "invalid-parameter"),
        ("/providers?force=true", 400, "unknown-parameter"),
        ("/providers/nobody/endpoints", 404, "not-found"),
        ("/providers/No%2FBody/endpoints", 404, "not-found"),
    ] {
        let refused = editor
            .post(path, json!({ "name": "q", "display_name": "x" }))
            .await;
        assert_eq!(
            (refused.status, refused.problem()),
            (status, kind.to_owned()),
            "{path}: {}",
            refused.text
        );
    }
    let renamed = editor
        .put(
            "/providers/p",
            json!({ "name": "q", "type": "OpenAICompatible" }),
        )
        .await;
    assert!(
        renamed
            .detail()
            .starts_with("name: it is p and cannot be changed"),
        "{}",
        renamed.text
    );
    for body in [
        json!({}),
        json!({ "is_active": "no" }),
        json!({ "is_active": true, "x": 1 }),
    ] {
        let refused = editor.ask(Method::PATCH, "/providers/p/status", body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (400, "invalid-body".to_owned())
        );
    }
    assert!(scene.told().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_policys_no_is_told_by_the_field_that_it_names() {
    let scene = Scene::new("write-policy").await;
    let editor = &scene.editor;
    scene.world.provider("p", json!({})).await;
    let other = editor
        .post(
            "/providers/p/credentials",
            json!({ "name": "c", "secret_name": "other" }),
        )
        .await;
    assert_eq!(
        (other.status, other.problem()),
        (403, "forbidden".to_owned()),
        "{}",
        other.text
    );
    assert!(
        other
            .detail()
            .starts_with("secret_name: you may not read Secret other"),
        "{}",
        other.detail()
    );
    assert_eq!(other.json()["errors"][0]["field"], "secret_name");
    let body =
        json!({ "name": "m", "model_id": "m", "default_parameters": { "a": "x".repeat(16_500) } });
    let long = editor.post("/providers/p/models", body).await;
    assert_eq!(
        (long.status, long.problem()),
        (400, "invalid-body".to_owned()),
        "{}",
        long.text
    );
    assert!(
        long.detail().starts_with("default_parameters has "),
        "{}",
        long.detail()
    );
    assert!(scene.spec("LlmCredential", "c").await.is_null());
}

/// The namespace is the caller's own, unless the request names another.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_to_the_namespace_that_it_names() {
    let scene = Scene::new("write-namespace").await;
    let body = json!({ "name": "p", "type": "OpenAI" });
    let elsewhere = scene
        .editor
        .post("/providers?namespace=llmplane-system", body.clone())
        .await;
    assert_eq!(
        (elsewhere.status, elsewhere.problem()),
        (403, "forbidden".to_owned()),
        "{}",
        elsewhere.text
    );
    let nowhere = scene
        .editor
        .post("/providers?namespace=No", body.clone())
        .await;
    assert_eq!(
        (nowhere.status, nowhere.problem()),
        (400, "invalid-parameter".to_owned())
    );
    let here = scene
        .editor
        .post(&format!("/providers?namespace={}", scene.ns()), body)
        .await;
    assert_eq!(
        (here.status, &here.json()["namespace"]),
        (201, &Value::from(scene.ns()))
    );
}
