//! `POST /import`, as the caller.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, answer};
use crate::support::plane::eventually;
use crate::writes::{EVERYTHING, KINDS, Scene, Writer};

const LITELLM: &str = include_str!("fixtures/litellm.yaml");

/// Sends a text of this media type.
async fn import(scene: &Scene, token: &str, query: &str, media: &str, text: &str) -> Answer {
    let url = format!("{}/api/v1/import{query}", scene.url());
    let request = reqwest::Client::new().request(Method::POST, url);
    let request = request.bearer_auth(token).header("content-type", media);
    answer(request.body(text.to_owned())).await
}

async fn yaml(scene: &Scene, query: &str, text: &str) -> Answer {
    import(scene, scene.editor.token(), query, "application/yaml", text).await
}

/// Somebody who may write all kinds, and read the Secrets that credentials name.
async fn importer(scene: &Scene) -> Writer {
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] },
    ]);
    scene.writer_with("importer", rules).await
}

fn outcomes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let objects = json["objects"].as_array().unwrap().iter();
    objects
        .map(|it| it["outcome"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_is_applied_once_and_told_to_the_audit() {
    let scene = Scene::new("import-api").await;
    let importer = importer(&scene).await;
    let yaml = async |query: &str, text: &str| {
        import(&scene, importer.token(), query, "application/yaml", text).await
    };
    let dry = yaml("?dry_run=true", LITELLM).await;
    assert_eq!(dry.status, 200, "{}", dry.text);
    assert_eq!(outcomes(&dry), vec!["created"; 26]);
    assert_eq!(
        scene.spec("LlmModel", "helper-gpt-4.1-mini").await,
        Value::Null
    );
    assert!(scene.imports().await.is_empty());

    let first = yaml("", LITELLM).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let said = first.json();
    assert_eq!(
        (&said["format"], &said["worst"]),
        (&json!("litellm"), &json!("unsupported"))
    );
    assert_eq!(said["findings"][1]["file"], "body");
    assert_eq!(
        scene.spec("LlmModel", "helper-gpt-4.1-mini").await["modelId"],
        "gpt-4.1-mini"
    );
    let again = yaml("?format=litellm", LITELLM).await;
    assert_eq!(outcomes(&again), vec!["unchanged"; 26]);
    for answer in [&dry, &first, &again] {
        for key in ["sk-ant-", "sk-proxy", "hunter2", "plain-secret"] {
            assert!(!answer.text.contains(key), "{key}");
        }
    }
    let told: Vec<_> = scene.imports().await;
    let words: Vec<&str> = told.iter().map(|row| row.result.as_str()).collect();
    assert_eq!(words, ["Requested", "Done", "Requested", "Done"]);
    let detail: Value = serde_json::from_str(&told[1].detail).unwrap();
    assert_eq!(
        (&detail["count"], &detail["applied"]),
        (&json!(26), &json!(26))
    );
    let rows = format!("{told:?}");
    assert!(
        rows.contains("LlmProvider/openai") && !rows.contains("sk-"),
        "{rows}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_may_not_do_keeps_all_of_it_out() {
    let scene = Scene::new("import-rights").await;
    // No right on models: the providers stay away too.
    let some = scene.writer("some", &EVERYTHING, &KINDS[..3]).await;
    let refused = import(&scene, some.token(), "", "application/yaml", LITELLM).await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (403, "forbidden"),
        "{}",
        refused.text
    );
    assert!(
        refused.detail().contains("nothing was applied"),
        "{}",
        refused.text
    );
    assert_eq!(scene.spec("LlmProvider", "openai").await, Value::Null);

    let reader = scene.token("some", &["llmplane"]).await;
    let refused = import(&scene, &reader, "", "application/yaml", LITELLM).await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (403, "token-not-for-apiserver")
    );

    let elsewhere = yaml(&scene, "?namespace=kube-system", LITELLM).await;
    assert_eq!(elsewhere.status, 403, "{}", elsewhere.text);
    eventually("the refusal is told, in its time", async || {
        let told = scene.imports().await;
        let mut words: Vec<&str> = told.iter().map(|row| row.result.as_str()).collect();
        words.sort_unstable();
        words == ["Forbidden", "TokenRefused"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_problem_that_says_what_to_do() {
    let scene = Scene::new("import-bad").await;
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    for (query, text, status, problem, says) in [
        ("", "", 400, "invalid-body", "holds no object"),
        ("", "a: 1", 400, "invalid-body", "--format"),
        ("", "model_list:\n\t- x", 400, "invalid-body", "line"),
        (
            "",
            "model_list: []\nmodel_list: []",
            400,
            "invalid-body",
            "model_list",
        ),
        ("", &*deep, 400, "invalid-body", "YAML"),
        ("?format=xml", "a: 1", 400, "invalid-parameter", "litellm"),
        (
            "?namespace=*",
            "a: 1",
            400,
            "invalid-parameter",
            "one namespace",
        ),
        ("?force=true", "a: 1", 400, "unknown-parameter", "force"),
        (
            "",
            "apiVersion: llmplane.dev/v1alpha1\nkind: LlmModel\nmetadata: {name: m}\nspec: {providerRef: {name: p}, modelId: ' x '}",
            422,
            "invalid-object",
            "LlmModel/m spec.modelId",
        ),
    ] {
        let answer = yaml(&scene, query, text).await;
        let shown: String = text.chars().take(40).collect();
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, problem),
            "{query} {shown}: {}",
            answer.text
        );
        assert!(answer.detail().contains(says), "{shown}: {}", answer.text);
    }
    let dense = "- ,".repeat(400_000);
    assert_eq!(yaml(&scene, "", &dense).await.status, 400);
    let large = "#".repeat((8 << 20) + 1);
    let answer = yaml(&scene, "", &large).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    let media = import(&scene, scene.editor.token(), "", "text/html", "a: 1").await;
    assert_eq!(
        (media.status, &*media.problem()),
        (415, "unsupported-media-type")
    );
}
