//! Credentials: of a Secret that is there, or with a key, which gets a Secret of its own and is never
//! seen again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{KINDS, Scene, Writer, done};
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::postgres::tool;

const KEY: &str = "sk-canary-Wr1planted23456789";
const ROTATED: &str = "sk-canary-Wr2rotated98765432";

/// Somebody who may write credentials and their Secrets.
async fn keeper(scene: &Scene) -> Writer {
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": super::EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"] },
    ]);
    scene.writer_with("keeper", rules).await
}

async fn with_vendor(scene: &Scene) -> FakeVendor {
    let vendor = FakeVendor::start(&[KEY, ROTATED], &["gpt-a"]).await;
    scene.world.provider("p", json!({})).await;
    scene.world.endpoint("e", &vendor.url(), json!({})).await;
    vendor
}

fn key_of(secret: &Value, entry: &str) -> Option<String> {
    let encoded = secret["data"][entry].as_str()?;
    Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gets_a_secret_of_its_own_is_rotated_there_and_goes_with_its_credential() {
    let scene = Scene::new("write-key").await;
    let keeper = keeper(&scene).await;
    let _vendor = with_vendor(&scene).await;
    let body = json!({
        "name": "c", "api_key": KEY, "allowed_hosts": ["127.0.0.1"], "alias": "main", "quota_limit": 5,
        "quota_unit": "Requests", "quota_period": "Day", "endpoint_ids": ["e"],
    });
    let tried = keeper
        .post("/providers/p/credentials?dry_run=true", body.clone())
        .await;
    assert_eq!(
        (tried.status, &tried.json()["declared"]["secret_name"]),
        (200, &json!("c")),
        "{}",
        tried.text
    );
    assert!(scene.spec("LlmCredential", "c").await.is_null());
    assert!(
        scene
            .world
            .dynamic("Secret")
            .get_opt("c")
            .await
            .unwrap()
            .is_none()
    );

    let made = keeper.post("/providers/p/credentials", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&made.json()["alias"], &made.json()["quota_limit"]),
        (&json!("main"), &json!(5))
    );
    assert_eq!(made.json()["masked_key"], "sk-********6789");
    scene
        .world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let secret = scene.world.get("Secret", "c").await;
    assert_eq!(key_of(&secret, "api-key").as_deref(), Some(KEY));
    assert_eq!(
        secret["metadata"]["labels"]["llmplane.dev/credential"],
        "OpenAICompatible"
    );
    assert_eq!(
        secret["metadata"]["annotations"]["llmplane.dev/allowed-hosts"],
        "127.0.0.1"
    );
    let owner = &secret["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&json!("LlmCredential"), &made.json()["id"])
    );

    // Without a key the one that is there stays.
    let kept = keeper
        .put("/credentials/c", json!({ "alias": "other" }))
        .await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    assert_eq!(
        (&kept.json()["alias"], &kept.json()["quota_limit"]),
        (&json!("other"), &Value::Null)
    );
    assert_eq!(kept.json()["masked_key"], "sk-********6789");
    let masked = keeper
        .put(
            "/credentials/c",
            json!({ "api_key": kept.json()["masked_key"] }),
        )
        .await;
    assert_eq!(
        (masked.status, masked.problem()),
        (400, "invalid-body".to_owned())
    );
    assert!(
        masked.detail().contains("masked key"),
        "{}",
        masked.detail()
    );
    let shown = keeper
        .put("/credentials/c", json!({ "masked_key": "sk-********6789" }))
        .await;
    assert_eq!(
        (shown.status, shown.problem()),
        (400, "invalid-body".to_owned())
    );

    let rotated = keeper
        .put(
            "/credentials/c",
            json!({ "alias": "other", "api_key": ROTATED }),
        )
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let versions = rotated.json()["versions"].as_array().unwrap().len();
    assert_eq!(versions, 2, "{}", rotated.text);
    let secret = scene.world.get("Secret", "c").await;
    assert_eq!(key_of(&secret, "api-key").as_deref(), Some(ROTATED));

    assert_eq!(keeper.delete("/credentials/c").await.status, 200);
    eventually("its Secret goes with it", async || {
        scene
            .world
            .dynamic("Secret")
            .get_opt("c")
            .await
            .unwrap()
            .is_none()
    })
    .await;
    let told = [
        done("Create", "c"),
        done("Update", "c"),
        done("Update", "c"),
        done("Delete", "c"),
    ];
    assert_eq!(scene.told().await, told.concat());
    let rows = scene.audit().await;
    let detail: Value = serde_json::from_str(&rows[4].detail).unwrap();
    assert_eq!(detail["fields"], json!(["api_key"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_not_made_for_it_is_named_and_never_changed() {
    let scene = Scene::new("write-secret").await;
    let keeper = keeper(&scene).await;
    let _vendor = with_vendor(&scene).await;
    scene.world.secret("s", KEY).await;
    for (body, words) in [
        (
            json!({ "name": "c" }),
            "api_key: send the key, name the Secret",
        ),
        (
            json!({ "name": "c", "api_key": KEY, "secret_name": "s" }),
            "secret_name: a key that is sent",
        ),
        (
            json!({ "name": "c", "secret_name": "s", "allowed_hosts": ["x.example"] }),
            "allowed_hosts: they are said on the Secret",
        ),
        (
            json!({ "name": "c", "api_key": KEY, "api_key_entry": "k" }),
            "api_key_entry: it is about a Secret",
        ),
        (
            json!({ "name": "c", "secret_key": KEY }),
            "api_key: a secret key goes with",
        ),
    ] {
        let refused = keeper.post("/providers/p/credentials", body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (400, "invalid-body".to_owned())
        );
        assert!(refused.detail().starts_with(words), "{}", refused.detail());
        assert!(!refused.text.contains("canary"));
    }
    let made = keeper
        .post(
            "/providers/p/credentials",
            json!({ "name": "c", "secret_name": "s" }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let refused = keeper
        .put("/credentials/c", json!({ "api_key": ROTATED }))
        .await;
    assert_eq!(
        (refused.status, refused.problem()),
        (409, "managed-elsewhere".to_owned())
    );
    let secret = scene.world.get("Secret", "s").await;
    assert_eq!(key_of(&secret, "api-key").as_deref(), Some(KEY));

    // A Secret of that name is another's.
    let taken = keeper
        .post(
            "/providers/p/credentials",
            json!({ "name": "s", "api_key": ROTATED }),
        )
        .await;
    assert_eq!(
        (taken.status, taken.problem()),
        (409, "already-exists".to_owned())
    );
    assert!(
        taken.detail().contains("name it as secret_name"),
        "{}",
        taken.detail()
    );
    assert!(scene.spec("LlmCredential", "s").await.is_null());
    assert_eq!(scene.told().await, done("Create", "c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_store_a_key_leaves_neither_credential_nor_secret() {
    let scene = Scene::new("write-half").await;
    let _vendor = with_vendor(&scene).await;
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": super::EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] },
    ]);
    let half = scene.writer_with("half", rules).await;
    let refused = half
        .post(
            "/providers/p/credentials",
            json!({ "name": "c", "api_key": KEY }),
        )
        .await;
    assert_eq!(
        (refused.status, refused.problem()),
        (403, "forbidden".to_owned()),
        "{}",
        refused.text
    );
    assert!(
        refused.detail().starts_with("Secret c: "),
        "{}",
        refused.detail()
    );
    assert!(scene.spec("LlmCredential", "c").await.is_null());
    assert!(
        scene
            .world
            .dynamic("Secret")
            .get_opt("c")
            .await
            .unwrap()
            .is_none()
    );
    assert!(scene.told().await.is_empty(), "it was only tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_token_are_in_no_answer_log_audit_row_or_object_but_the_secret() {
    let scene = Scene::that_logs("write-canary", "trace").await;
    let keeper = keeper(&scene).await;
    let _vendor = with_vendor(&scene).await;
    let mut answers = String::new();
    let wrong = [
        json!({ "name": "c", "api_key": KEY, "unknown": 1 }),
        json!({ "name": "c", "api_key": format!("Bearer {KEY}") }),
        json!({ "name": "c", "api_key": KEY, "secret_name": "s" }),
        json!({ "name": "c", "api_key": KEY, "quota_limit": "x" }),
        json!({ "name": "c", "api_key": [KEY] }),
        json!({ "name": "c", "api_key": KEY, "access_token": KEY, "allowed_hosts": ["a b"] }),
        json!({ "name": "C", "api_key": KEY }),
    ];
    for body in wrong {
        let refused = keeper.post("/providers/p/credentials", body).await;
        assert!((400..500).contains(&refused.status), "{}", refused.text);
        answers += &refused.text;
    }
    for (method, path, body) in [
        (
            Method::POST,
            "/providers/p/credentials",
            json!({ "name": "c", "api_key": KEY, "allowed_hosts": ["127.0.0.1"] }),
        ),
        (Method::PUT, "/credentials/c", json!({ "api_key": ROTATED })),
        (Method::GET, "/credentials/c", Value::Null),
        (Method::GET, "/providers/p/credentials", Value::Null),
        (
            Method::POST,
            "/providers/p/credentials",
            json!({ "name": "c", "api_key": KEY }),
        ),
        (Method::DELETE, "/credentials/c", Value::Null),
    ] {
        let answer = keeper.ask(method, path, body).await;
        answers += &format!("{:?} {}", answer.headers, answer.text);
    }
    let output = tool("pg_dump", &scene.world.database).output().unwrap();
    assert!(output.status.success());
    let database = String::from_utf8(output.stdout).unwrap();
    let log = scene.api.log();
    assert!(log.contains("TRACE"), "all is logged");
    for (place, text) in [("answers", answers), ("database", database), ("log", log)] {
        for key in [KEY, ROTATED] {
            for form in [key.to_owned(), STANDARD.encode(key), key[10..].to_owned()] {
                assert!(!text.contains(&form), "{place} hold a key");
            }
        }
        for part in keeper.token.split('.').skip(1) {
            assert!(!text.contains(part), "{place} hold a token");
        }
    }
}
