//! Providers: each write's effect on the resource, on the row and on the audit.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, done};
use crate::support::plane::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_made_changed_switched_and_deleted_as_the_caller() {
    let scene = Scene::new("write-provider").await;
    let (editor, world) = (&scene.editor, &scene.world);
    let body =
        json!({ "name": "p", "type": "OpenAI", "display_name": "One", "description": "why" });
    let made = editor.post("/providers", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let row = made.json();
    assert_eq!(
        (&row["name"], &row["display_name"], &row["is_active"]),
        (&json!("p"), &json!("One"), &json!(true))
    );
    let id = row["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/providers/{id}"));
    let object = world.get("LlmProvider", "p").await;
    assert_eq!(object["metadata"]["uid"], id);
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        managers
            .iter()
            .any(|entry| entry["manager"] == "llmplane-api")
    );
    assert_eq!(object["spec"]["description"], "why");
    let read = editor
        .ask(Method::GET, &format!("/providers/{id}"), Value::Null)
        .await;
    assert_eq!(read.json(), row, "it is what is read afterwards");

    let again = editor.post("/providers", body).await;
    assert_eq!(
        (again.status, again.problem()),
        (409, "already-exists".to_owned())
    );

    // What rows do not show stays; what the body leaves out goes.
    world
        .provider(
            "p",
            json!({ "type": "OpenAI", "modelSync": { "periodSeconds": 7200 } }),
        )
        .await;
    let changed = editor
        .put(
            &format!("/providers/{id}"),
            json!({ "type": "OpenAI", "display_name": "Two" }),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json()["display_name"], "Two");
    assert_eq!(changed.json()["description"], Value::Null);
    let spec = scene.spec("LlmProvider", "p").await;
    assert_eq!(spec["modelSync"]["periodSeconds"], 7200);
    assert_eq!(spec.get("description"), None);

    let off = editor
        .ask(
            Method::PATCH,
            "/providers/p/status",
            json!({ "is_active": false }),
        )
        .await;
    assert_eq!((off.status, &off.json()["is_active"]), (200, &json!(false)));
    assert_eq!(scene.spec("LlmProvider", "p").await["enabled"], false);
    // A replacement that does not say it leaves the switch.
    let kept = editor
        .put("/providers/p", json!({ "type": "OpenAI" }))
        .await;
    assert_eq!(
        (kept.status, &kept.json()["is_active"]),
        (200, &json!(false))
    );

    let gone = editor.delete(&format!("/providers/{id}")).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert_eq!(
        gone.json()["items"],
        json!([{ "id": id, "kind": "LlmProvider", "namespace": scene.ns(), "name": "p" }])
    );
    assert_eq!(scene.spec("LlmProvider", "p").await, Value::Null);
    let read = editor
        .ask(Method::GET, &format!("/providers/{id}"), Value::Null)
        .await;
    assert_eq!(read.status, 404);

    let told = [
        done("Create", "p"),
        done("Update", "p"),
        done("Update", "p"),
        done("Update", "p"),
        done("Delete", "p"),
    ];
    let refused = |result: &str| result == "AlreadyExists";
    let mut all = scene.told().await;
    all.retain(|(.., result)| !refused(result));
    assert_eq!(all, told.concat());
    eventually("the refusal is told, in its time", async || {
        let told = scene.told().await;
        told.iter().any(|(.., result)| refused(result))
    })
    .await;
    let mut rows = scene.audit().await;
    rows.retain(|row| !refused(&row.result));
    let fields =
        |row: usize| serde_json::from_str::<Value>(&rows[row].detail).unwrap()["fields"].clone();
    assert_eq!(fields(0), json!(["type", "display_name", "description"]));
    assert_eq!(fields(2), json!(["display_name", "description"]));
    assert_eq!(fields(4), json!(["is_active"]));
    for row in &rows {
        assert_eq!(row.kind.as_deref(), Some("LlmProvider"));
        assert!(row.actor.ends_with(":editor"), "{}", row.actor);
    }
    let request =
        |row: usize| serde_json::from_str::<Value>(&rows[row].detail).unwrap()["request"].clone();
    assert!(request(0).is_string() && request(0) == request(1) && request(0) != request(2));
    assert_eq!(rows[1].object_uid.unwrap().to_string(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_tried_says_what_would_be_and_leaves_nothing() {
    let scene = Scene::new("write-dry").await;
    let editor = &scene.editor;
    let body = json!({ "name": "p", "type": "OpenAI", "display_name": "One" });
    let tried = editor.post("/providers?dry_run=true", body.clone()).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    let said = tried.json();
    assert_eq!(
        (&said["dry_run"], &said["id"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        said["declared"],
        json!({ "type": "OpenAI", "display_name": "One", "is_active": true })
    );
    assert_eq!(scene.spec("LlmProvider", "p").await, Value::Null);
    let bad = editor
        .post(
            "/providers?dry_run=true",
            json!({ "name": "p", "type": "Nobody" }),
        )
        .await;
    assert_eq!(
        (bad.status, bad.problem()),
        (422, "invalid-object".to_owned())
    );

    scene
        .world
        .provider("p", json!({ "type": "OpenAI", "displayName": "One" }))
        .await;
    let before = scene.world.get("LlmProvider", "p").await["metadata"]["resourceVersion"].clone();
    let put = editor
        .put(
            "/providers/p?dry_run=true",
            json!({ "type": "OpenAI", "display_name": "Two" }),
        )
        .await;
    assert_eq!(
        (put.status, &put.json()["declared"]["display_name"]),
        (200, &json!("Two"))
    );
    let switched = editor
        .ask(
            Method::PATCH,
            "/providers/p/status?dry_run=true",
            json!({ "is_active": false }),
        )
        .await;
    assert_eq!(
        (switched.status, &switched.json()["declared"]["is_active"]),
        (200, &json!(false))
    );
    let gone = editor.delete("/providers/p?dry_run=true").await;
    assert_eq!((gone.status, &gone.json()["dry_run"]), (200, &json!(true)));
    let object = scene.world.get("LlmProvider", "p").await;
    assert_eq!(object["spec"]["displayName"], "One");
    assert!(object["metadata"]["deletionTimestamp"].is_null());
    let versions = [before, object["metadata"]["resourceVersion"].clone()];
    // The controller may have written the status meanwhile, and nobody else anything.
    assert!(versions[0] == versions[1] || !object["status"]["conditions"].is_null());
    assert!(scene.told().await.is_empty(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_controller_does_not_take_is_declared_and_says_why_it_has_no_row() {
    let scene = Scene::new("write-refused").await;
    let editor = &scene.editor;
    scene
        .world
        .provider("p", json!({ "type": "OpenAICompatible" }))
        .await;
    // This type has no URL of its own.
    let made = editor
        .post("/providers/p/endpoints", json!({ "name": "e" }))
        .await;
    assert_eq!(made.status, 202, "{}", made.text);
    let said = made.json();
    assert!(said["id"].is_string() && said["dry_run"] == false);
    let synced = said["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["type"] == "Synced")
        .unwrap();
    assert_eq!(
        (&synced["status"], &synced["reason"]),
        (&json!("False"), &json!("InvalidSpec"))
    );
    // It has no row, and is found by its id all the same.
    let id = said["id"].as_str().unwrap();
    let mended = editor
        .put(
            &format!("/endpoints/{id}"),
            json!({ "base_url": "http://127.0.0.1:9/v1" }),
        )
        .await;
    assert_eq!(mended.status, 200, "{}", mended.text);
    assert_eq!(mended.json()["base_url"], "http://127.0.0.1:9/v1");
}
