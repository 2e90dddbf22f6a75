//! What `kubectl get llm` shows of what is not in force.

use serde_json::json;

use crate::support::world::World;

/// The words of an object's line in what kubectl printed.
fn line_of<'a>(printed: &'a str, object: &str) -> Vec<&'a str> {
    let line = printed.lines().find(|line| line.starts_with(object));
    let line = line.unwrap_or_else(|| panic!("{object} is not in\n{printed}"));
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_that_is_shown_is_what_the_user_has_to_mend() {
    let world = World::started("columns").await;
    world
        .provider("p", json!({ "defaultEndpointRef": { "name": "gone" } }))
        .await;
    world
        .apply(
            "LlmEndpoint",
            "e",
            json!({ "providerRef": { "name": "gone" }, "baseUrl": "http://127.0.0.1:1" }),
        )
        .await;
    let model = json!({ "providerRef": { "name": "gone" }, "modelId": "m" });
    world.apply("LlmModel", "m", model).await;
    let unlabelled = json!({ "metadata": { "name": "s" }, "stringData": { "api-key": "sk-x" } });
    world.apply_object("Secret", unlabelled).await;
    world.credential("c", "s").await;
    let expected = [
        ("LlmProvider", "p", "EndpointNotFound", "SyncDisabled"),
        ("LlmEndpoint", "e", "ProviderNotFound", "NotCheckedYet"),
        ("LlmModel", "m", "ProviderNotFound", "NotCheckedYet"),
        (
            "LlmCredential",
            "c",
            "SecretNotLabelled",
            "SecretNotLabelled",
        ),
    ];
    for (kind, name, reason, _) in expected {
        world.says(kind, name, "Ready", "False", reason).await;
    }

    let get = |more: &'static [&'static str]| {
        let args = [&["get", "llm", "--namespace", world.ns()], more].concat();
        async move { world.plane.kubectl(&args).await.stdout }
    };
    let printed = String::from_utf8(get(&[]).await).unwrap();
    let wide = String::from_utf8(get(&["--output=wide"]).await).unwrap();
    for (kind, name, reason, own) in expected {
        let object = format!("{}.llmplane.dev/{name} ", kind.to_lowercase());
        let line = line_of(&printed, &object);
        assert_eq!((line[2], line[4]), ("False", reason), "{printed}");
        assert!(line_of(&wide, &object).contains(&own), "{wide}");
    }
}
