//! Credentials without a key: an agreement that a body says, and that takes the place of a key or gives it up.

use std::sync::Arc;
use std::time::Duration;

use llmplane::crd::ProviderType;
use reqwest::Method;
use serde_json::{Value, json};

use super::{KINDS, Scene, Writer, done};
use crate::federation::site::{ACCOUNT, agreement, grant, make_account, start};
use crate::support::plane::eventually;
use crate::support::vendors::{Fake, token_service::TokenService};
use crate::support::world::World;

const KEY: &str = "sk-ant-canary-Wr5planted23456789";
const AUDIENCE: &str = "https://api.anthropic.com";
const ORGANIZATION: &str = "11111111-2222-3333-4444-555555555555";
const LIFE: Duration = Duration::from_secs(600);

/// Somebody who may write credentials, their Secrets and the tokens of the account.
async fn keeper(scene: &Scene, on_secrets: &[&str]) -> Writer {
    let rules = json!([
        { "apiGroups": ["llmplane.dev"], "resources": KINDS, "verbs": super::EVERYTHING },
        { "apiGroups": [""], "resources": ["secrets"], "verbs": on_secrets },
        { "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [ACCOUNT], "verbs": ["create"] },
    ]);
    scene.writer_with("keeper", rules).await
}

const ALL_OF_SECRETS: [&str; 4] = ["get", "create", "patch", "delete"];

fn federation() -> Value {
    json!({
        "service_account_ref": { "name": ACCOUNT }, "audience": AUDIENCE,
        "anthropic": {
            "federation_rule_id": "fdrl_1", "organization_id": ORGANIZATION, "service_account_id": "svac_1",
        },
    })
}

/// What a row shows of it.
fn shown() -> Value {
    let mut shown = federation();
    shown["expiration_seconds"] = 3600.into();
    shown
}

/// What the resource declares then.
fn declared() -> Value {
    json!({
        "serviceAccountRef": { "name": ACCOUNT }, "audience": AUDIENCE, "expirationSeconds": 3600,
        "anthropic": {
            "federationRuleId": "fdrl_1", "organizationId": ORGANIZATION, "serviceAccountId": "svac_1",
        },
    })
}

async fn secret(scene: &Scene, name: &str) -> Option<Value> {
    let found = scene.world.dynamic("Secret").get_opt(name).await.unwrap();
    found.map(|found| serde_json::to_value(found).unwrap())
}

/// The fields that the audit tells of each change, the oldest first.
async fn fields_told(scene: &Scene) -> Vec<Value> {
    let rows = scene.audit().await.into_iter();
    let detail = rows.filter(|row| row.result == "Done").map(|row| {
        let detail: Value = serde_json::from_str(&row.detail).unwrap();
        detail["fields"].clone()
    });
    detail.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_gives_its_key_up_for_an_agreement_and_takes_one_again() {
    let mut world = World::new("write-keyless").await;
    let api = Arc::new(Fake::of(ProviderType::Anthropic).await);
    api.accept(KEY);
    let ids = [
        ("federation_rule_id", "fdrl_1"),
        ("organization_id", ORGANIZATION),
        ("service_account_id", "svac_1"),
    ];
    let tokens = TokenService::of("anthropic", agreement(&world, AUDIENCE, &ids, LIFE).await).await;
    let taken = api.clone();
    tokens.on_issue(move |issued| taken.shop().tokens.push(issued.token.clone()));
    make_account(&world, "127.0.0.1").await;
    grant(&world).await;
    start(&mut world, &[&tokens]).await;
    let scene = Scene::of(world, "info").await;
    let keeper = keeper(&scene, &ALL_OF_SECRETS).await;
    let provider = json!({ "type": "Anthropic" });
    scene.world.apply("LlmProvider", "p", provider).await;
    let endpoint = json!({ "providerRef": { "name": "p" }, "baseUrl": api.url() });
    scene.world.apply("LlmEndpoint", "e", endpoint).await;

    let body = json!({ "name": "c", "api_key": KEY, "allowed_hosts": ["127.0.0.1"] });
    let made = keeper.post("/providers/p/credentials", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["federation"], Value::Null);
    let says = async |reason: &str| {
        let world = &scene.world;
        world
            .says("LlmCredential", "c", "Valid", "True", reason)
            .await;
    };
    says("KeyAccepted").await;

    // Tried, it changes nothing.
    let body = json!({ "federation": federation() });
    let path = "/credentials/c?dry_run=true";
    let tried = keeper.put(path, body.clone()).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert_eq!(tried.json()["declared"]["federation"], shown());
    assert!(tried.json()["declared"]["secret_name"].is_null());
    assert!(secret(&scene, "c").await.is_some());
    assert!(scene.spec("LlmCredential", "c").await["federation"].is_null());

    let put = keeper.put("/credentials/c", body).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert_eq!(put.json()["federation"], shown());
    let spec = scene.spec("LlmCredential", "c").await;
    assert_eq!(
        (&spec["federation"], &spec["secretRef"]),
        (&declared(), &Value::Null)
    );
    assert!(secret(&scene, "c").await.is_none(), "the key's Secret goes");
    eventually("a token is in force", async || {
        let row = keeper.ask(Method::GET, "/credentials/c", Value::Null).await;
        let row = row.json();
        row["federation"] == shown()
            && row["validity"]["state"] == "valid"
            && row["masked_key"] != made.json()["masked_key"]
            && row["version"].is_i64()
    })
    .await;
    assert_eq!(tokens.issued().len(), 1);

    // Without it the agreement stays.
    let kept = keeper
        .put("/credentials/c", json!({ "alias": "main" }))
        .await;
    assert_eq!(
        (kept.status, &kept.json()["federation"]),
        (200, &shown()),
        "{}",
        kept.text
    );
    let hosts = keeper
        .put("/credentials/c", json!({ "allowed_hosts": [] }))
        .await;
    assert_eq!(hosts.status, 400);
    assert!(
        hosts.detail().contains("on the ServiceAccount"),
        "{}",
        hosts.detail()
    );

    let back = json!({ "api_key": KEY, "allowed_hosts": ["127.0.0.1"] });
    let tried = keeper.put(path, back.clone()).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert!(secret(&scene, "c").await.is_none(), "it was only tried");
    let back = keeper.put("/credentials/c", back).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(back.json()["federation"], Value::Null);
    let spec = scene.spec("LlmCredential", "c").await;
    let reference = json!({ "name": "c", "keys": { "apiKey": "api-key" } });
    assert_eq!(
        (&spec["secretRef"], &spec["federation"]),
        (&reference, &Value::Null)
    );
    let stored = secret(&scene, "c").await.unwrap();
    assert_eq!(
        stored["metadata"]["ownerReferences"][0]["uid"],
        made.json()["id"]
    );
    assert_eq!(
        stored["metadata"]["labels"]["llmplane.dev/credential"],
        "Anthropic"
    );
    eventually("the key is in force", async || {
        let row = keeper.ask(Method::GET, "/credentials/c", Value::Null).await;
        row.json()["masked_key"] == made.json()["masked_key"]
    })
    .await;
    says("KeyAccepted").await;

    let changed = json!(["secret_name", "api_key_entry", "federation"]);
    let told = fields_told(&scene).await;
    assert_eq!(told[1], changed);
    assert_eq!(told[2], json!(["alias"]));
    let fields = told[3].as_array().unwrap();
    for field in ["api_key", "allowed_hosts", "secret_name", "federation"] {
        assert!(fields.contains(&field.into()), "{fields:?}");
    }
    let told = [
        done("Create", "c"),
        done("Update", "c"),
        done("Update", "c"),
        done("Update", "c"),
    ];
    assert_eq!(scene.told().await, told.concat());
}

/// A scene with a provider of this type, whose exchanges nobody answers.
async fn quiet(prefix: &str, on_secrets: &[&str]) -> (Scene, Writer) {
    let scene = Scene::new(prefix).await;
    let keeper = keeper(&scene, on_secrets).await;
    let provider = json!({ "type": "Anthropic" });
    scene.world.apply("LlmProvider", "p", provider).await;
    (scene, keeper)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_agreement_with_the_providers_vendor_is_refused_by_its_field() {
    let (scene, keeper) = quiet("write-odd-keyless", &["get"]).await;
    let with = |change: Value| {
        let mut federation = federation();
        let change = change.as_object().unwrap().clone();
        federation.as_object_mut().unwrap().extend(change);
        json!({ "name": "c", "federation": federation })
    };
    let aws = json!({ "role_arn": "arn:aws:iam::123456789012:role/llm" });
    let both = |field: &str, value: Value| {
        let mut body = with(json!({}));
        body[field] = value;
        body
    };
    for (body, status, words) in [
        (
            json!({ "name": "c" }),
            400,
            "api_key: send the key, name the Secret",
        ),
        (
            both("api_key", KEY.into()),
            400,
            "federation: a credential has a key, or",
        ),
        (
            both("secret_name", "s".into()),
            400,
            "federation: a credential has a key, or",
        ),
        (
            both("api_key_entry", "k".into()),
            400,
            "federation: a credential has a key, or",
        ),
        (
            both("allowed_hosts", json!(["a.example"])),
            400,
            "allowed_hosts: where there is no key",
        ),
        (
            with(json!({ "anthropic": null, "aws": aws })),
            400,
            "federation.aws is for providers of type Bedrock, and this one's is Anthropic; write \
             federation.anthropic",
        ),
        (
            with(json!({ "aws": aws })),
            400,
            "federation names not exactly one of its vendors; write one of federation.open_ai, ",
        ),
        (
            with(json!({ "anthropic": null })),
            400,
            "federation names not exactly one of its vendors",
        ),
        (
            with(json!({ "audiense": "x" })),
            400,
            "federation: \"audiense\" is no field of it; did you mean \"audience\"?",
        ),
        (
            with(json!({ "anthropic": { "federationRuleId": "fdrl_1" } })),
            400,
            "federation.anthropic: \"federationRuleId\" is no field of it; did you mean \"federation_rule_id\"?",
        ),
        (
            with(json!({ "expiration_seconds": 60 })),
            422,
            "federation.expiration_seconds: ",
        ),
        (
            with(json!({ "audience": null })),
            422,
            "federation.audience: ",
        ),
        (
            with(json!({ "anthropic": "x" })),
            422,
            "federation.anthropic: ",
        ),
        (
            with(json!({ "anthropic": {
                "federation_rule_id": "x", "organization_id": ORGANIZATION, "service_account_id": "svac_1",
            } })),
            422,
            "federation.anthropic.federation_rule_id: write the id of the federation rule",
        ),
        (
            with(json!({ "service_account_ref": { "name": "other" } })),
            403,
            "federation.service_account_ref.name: you may not create tokens",
        ),
    ] {
        let said = body.to_string();
        for path in [
            "/providers/p/credentials",
            "/providers/p/credentials?dry_run=true",
        ] {
            let refused = keeper.post(path, body.clone()).await;
            assert_eq!(refused.status, status, "{said}: {}", refused.text);
            let detail = refused.detail();
            assert!(detail.starts_with(words), "{said}: {detail}");
            assert!(!refused.text.contains("canary"));
        }
    }
    assert!(scene.spec("LlmCredential", "c").await.is_null());

    let made = keeper
        .post("/providers/p/credentials", with(json!({})))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["federation"], shown());
    assert_eq!(
        scene.spec("LlmCredential", "c").await["federation"],
        declared()
    );
    assert_eq!(scene.told().await, done("Create", "c"));
    // As it was made, so it is replaced.
    let misfit =
        json!({ "federation": with(json!({ "anthropic": null, "aws": aws }))["federation"] });
    let refused = keeper.put("/credentials/c", misfit).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(
        refused
            .detail()
            .starts_with("federation.aws is for providers")
    );
    let same = keeper
        .put("/credentials/c", json!({ "federation": federation() }))
        .await;
    assert_eq!(
        (same.status, &same.json()["federation"]),
        (200, &shown()),
        "{}",
        same.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_somebody_elses_stays_when_an_agreement_takes_its_place() {
    let (scene, keeper) = quiet("write-other-keyless", &["get"]).await;
    scene.world.secret("s", KEY).await;
    let named = json!({ "name": "c", "secret_name": "s" });
    let made = keeper.post("/providers/p/credentials", named).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let body = json!({ "federation": federation() });
    let put = keeper.put("/credentials/c", body).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert!(secret(&scene, "s").await.is_some());
    let back = keeper
        .put("/credentials/c", json!({ "secret_name": "s" }))
        .await;
    assert_eq!(back.status, 200, "{}", back.text);
    let spec = scene.spec("LlmCredential", "c").await;
    assert_eq!(
        (&spec["secretRef"]["name"], &spec["federation"]),
        (&"s".into(), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_delete_the_keys_secret_changes_nothing() {
    let (scene, keeper) = quiet("write-half-keyless", &["get", "create"]).await;
    let body = json!({ "name": "c", "api_key": KEY });
    let made = keeper.post("/providers/p/credentials", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let put = keeper
        .put("/credentials/c", json!({ "federation": federation() }))
        .await;
    assert_eq!(
        (put.status, put.problem()),
        (403, "forbidden".to_owned()),
        "{}",
        put.text
    );
    assert!(put.detail().starts_with("Secret c: "), "{}", put.detail());
    let spec = scene.spec("LlmCredential", "c").await;
    assert_eq!(
        (&spec["secretRef"]["name"], &spec["federation"]),
        (&"c".into(), &Value::Null)
    );
    assert!(secret(&scene, "c").await.is_some());
    let told: Vec<_> = scene
        .told()
        .await
        .into_iter()
        .filter(|told| told.0 == "Update")
        .collect();
    assert!(told.iter().all(|told| told.2 == "Forbidden"), "{told:?}");
}
