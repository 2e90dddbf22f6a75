//! Endpoints and models of a provider: whose they are, how many there may be, what goes with what.

use serde_json::{Value, json};

use super::{Scene, done};
use crate::support::plane::eventually;

const URL: &str = "http://127.0.0.1:9/v1";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_and_a_model_are_made_changed_and_deleted() {
    let scene = Scene::new("write-children").await;
    let editor = &scene.editor;
    scene.world.provider("p", json!({})).await;
    let body = json!({
        "name": "e", "base_url": URL, "region": "eu-1", "timeout_connect": 7, "retry_count": 3, "priority": 5,
    });
    let endpoint = editor.post("/providers/p/endpoints", body).await;
    assert_eq!(endpoint.status, 201, "{}", endpoint.text);
    let endpoint = endpoint.json();
    assert_eq!(
        (&endpoint["timeout_connect"], &endpoint["retry_count"]),
        (&json!(7), &json!(3))
    );
    let spec = scene.spec("LlmEndpoint", "e").await;
    assert_eq!(spec["providerRef"], json!({ "name": "p" }));
    assert_eq!(
        spec["retry"],
        json!({ "count": 3, "intervalMilliseconds": 500 })
    );

    let body = json!({
        "name": "m", "model_id": "gpt-x", "type": "Chat", "currency": "USD", "input_price": "0.1",
        "endpoint_ids": [endpoint["id"]], "capabilities": [{ "name": "Chat", "score": 4 }, { "name": "Vision" }],
        "default_parameters": { "temperature": 0.2, "stop": null }, "status": "maintenance",
    });
    let model = editor.post("/providers/p/models", body).await;
    assert_eq!(model.status, 201, "{}", model.text);
    let model = model.json();
    assert_eq!(model["endpoint_ids"], json!([endpoint["id"]]));
    assert_eq!(
        (&model["status"], &model["input_price"]),
        (&json!("maintenance"), &json!("0.1"))
    );
    assert_eq!(
        model["default_parameters"],
        json!({ "temperature": 0.2, "stop": null })
    );
    assert_eq!(model["origin"]["input_price"], "declared");

    let body = json!({ "model_id": "gpt-x", "endpoint_ids": ["e"], "display_name": "X" });
    let changed = editor.put("/models/m", body).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let changed = changed.json();
    assert_eq!(
        (&changed["currency"], &changed["capabilities"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(changed["status"], "available");
    assert_eq!(
        scene.spec("LlmModel", "m").await["endpointRefs"],
        json!([{ "name": "e" }])
    );

    let changed = editor
        .put(
            "/endpoints/e",
            json!({ "base_url": URL, "is_active": false }),
        )
        .await;
    assert_eq!(
        (changed.status, &changed.json()["is_active"]),
        (200, &json!(false))
    );
    assert_eq!(
        scene.spec("LlmEndpoint", "e").await["retry"]["count"],
        2,
        "its default"
    );

    for path in ["/models/m", "/endpoints/e"] {
        assert_eq!(editor.delete(path).await.status, 200, "{path}");
    }
    let told = [
        done("Create", "e"),
        done("Create", "m"),
        done("Update", "m"),
        done("Update", "e"),
        done("Delete", "m"),
        done("Delete", "e"),
    ];
    assert_eq!(scene.told().await, told.concat());
    // What is at its default before and after is no change.
    let rows = scene.audit().await;
    let fields =
        |row: usize| serde_json::from_str::<Value>(&rows[row].detail).unwrap()["fields"].clone();
    assert_eq!(
        fields(4),
        json!([
            "display_name",
            "type",
            "currency",
            "input_price",
            "capabilities",
            "default_parameters",
            "status"
        ])
    );
    assert_eq!(
        fields(6),
        json!([
            "region",
            "timeout_connect",
            "retry_count",
            "priority",
            "is_active"
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_provider_is_none_of_this_one() {
    let scene = Scene::new("write-foreign").await;
    scene.world.provider("p", json!({})).await;
    scene.world.endpoint("europe", URL, json!({})).await;
    scene.world.provider("q", json!({})).await;
    let foreign = scene.world.get("LlmEndpoint", "europe").await["metadata"]["uid"].clone();
    let model = |ids: Value| json!({ "name": "m", "model_id": "m", "endpoint_ids": ids });
    let refused = scene
        .editor
        .post("/providers/q/models", model(json!([foreign])))
        .await;
    assert_eq!(
        (refused.status, refused.problem()),
        (400, "invalid-body".to_owned())
    );
    let near = scene
        .editor
        .post("/providers/p/models", model(json!(["europe", "eurpoe"])))
        .await;
    assert_eq!(
        near.detail(),
        "endpoint_ids[1]: provider p has no endpoint \"eurpoe\"; did you mean \"europe\"?"
    );
    assert!(scene.told().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_eleventh_endpoint_and_the_twenty_first_credential_find_no_room() {
    let scene = Scene::new("write-limits").await;
    let (editor, world) = (&scene.editor, &scene.world);
    world.provider("p", json!({})).await;
    for number in 0..10 {
        world.endpoint(&format!("e{number}"), URL, json!({})).await;
    }
    world.secret("s", "sk-test-0123456789abcdef").await;
    for number in 0..20 {
        world.credential(&format!("c{number}"), "s").await;
    }
    let endpoint = json!({ "name": "e", "base_url": URL });
    let credential = json!({ "name": "c", "secret_name": "s" });
    let key = json!({ "name": "k", "api_key": "sk-test-0123456789abcdef" });
    for (path, body) in [
        ("endpoints", endpoint.clone()),
        ("credentials", credential),
        ("credentials", key),
    ] {
        let refused = editor.post(&format!("/providers/p/{path}"), body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (409, "limit-reached".to_owned()),
            "{}",
            refused.text
        );
        assert!(
            refused.detail().contains("delete one first"),
            "{}",
            refused.detail()
        );
    }
    assert!(scene.told().await.is_empty());
    assert_eq!(editor.delete("/endpoints/e3").await.status, 200);
    let made = editor.post("/providers/p/endpoints", endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_in_use_stays_unless_all_is_to_go() {
    let scene = Scene::new("write-cascade").await;
    let (editor, world) = (&scene.editor, &scene.world);
    world.secret("s", "sk-test-0123456789abcdef").await;
    world.apply_basics(URL).await;
    world.model("m", "gpt-x").await;
    let refused = editor.delete("/providers/p").await;
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "has-children".to_owned())
    );
    let children = refused.json()["children"].clone();
    let names: Vec<_> = children
        .as_array()
        .unwrap()
        .iter()
        .map(|child| &child["name"])
        .collect();
    assert_eq!(names, ["m", "c", "e"]);

    // Who may not delete all of it deletes nothing of it.
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": super::KINDS, "verbs": ["get", "list"] },
        { "apiGroups": ["llmplane.dev"], "resources": ["llmproviders", "llmmodels"], "verbs": ["delete"] },
    ]);
    let half = scene.writer_with("half", rules).await;
    let refused = half.delete("/providers/p?cascade=true").await;
    assert_eq!(
        (refused.status, refused.problem()),
        (403, "forbidden".to_owned())
    );
    for (kind, name) in [
        ("LlmModel", "m"),
        ("LlmCredential", "c"),
        ("LlmEndpoint", "e"),
        ("LlmProvider", "p"),
    ] {
        assert!(!scene.spec(kind, name).await.is_null(), "{kind} is there");
    }
    assert!(scene.told().await.is_empty());

    let tried = editor
        .delete("/providers/p?cascade=true&dry_run=true")
        .await;
    assert_eq!((tried.status, tried.items().len()), (200, 4));
    assert!(!scene.spec("LlmModel", "m").await.is_null());

    let gone = editor.delete("/providers/p?cascade=true").await;
    assert_eq!((gone.status, gone.items().len()), (200, 4), "{}", gone.text);
    for (kind, name) in [
        ("LlmModel", "m"),
        ("LlmCredential", "c"),
        ("LlmEndpoint", "e"),
        ("LlmProvider", "p"),
    ] {
        eventually(kind, async || scene.spec(kind, name).await.is_null()).await;
    }
    let told = [
        done("Delete", "m"),
        done("Delete", "c"),
        done("Delete", "e"),
        done("Delete", "p"),
    ];
    assert_eq!(scene.told().await, told.concat());
    let secret = world.dynamic("Secret").get_opt("s").await.unwrap();
    assert!(secret.is_some(), "a Secret that is another's stays");
}
