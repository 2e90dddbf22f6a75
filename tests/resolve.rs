//! `POST /resolve` over sockets: what it refuses, what it answers, and what it never tells.

use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use llmplane::crd::credential::VersionState;
use llmplane::crd::model::{Capability, ModelCapability};
use llmplane::crd::reasons::Reason;
use llmplane::db::{DeclaredCredential, DeclaredEndpoint, DeclaredModel};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::api::{Answer, Caller, TestApi, answer, apiserver_proxy};
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::rows;
use crate::support::world::World;

const LISTED: [&str; 3] = ["llmmodels", "llmendpoints", "llmcredentials"];

async fn resolve(caller: &Caller<'_>, body: Value) -> Answer {
    caller.post("/resolve", body.to_string()).await
}

/// Names of what is in a list of the answer.
fn names(answer: &Value, list: &str, name: &str) -> Vec<String> {
    let items = answer[list].as_array().expect("a list");
    let text = |item: &Value| {
        item.pointer(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    items
        .iter()
        .map(|item| text(item).unwrap_or_default())
        .collect()
}

fn reasons(answer: &Value) -> Vec<(String, String)> {
    let models = names(answer, "considered", "/model");
    let reasons = names(answer, "considered", "/reason");
    models.into_iter().zip(reasons).collect()
}

fn said(type_: &str, reason: Reason) -> Vec<Condition> {
    vec![Condition {
        type_: type_.to_owned(),
        status: reason.status().as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: String::new(),
        last_transition_time: Time("2026-03-04T05:06:07Z".parse().unwrap()),
        observed_generation: Some(1),
    }]
}

/// Rows of one provider, to be stored together.
struct Fleet {
    endpoints: Vec<DeclaredEndpoint>,
    credentials: Vec<DeclaredCredential>,
    models: Vec<DeclaredModel>,
}

impl Fleet {
    /// One healthy endpoint, one valid credential and one model.
    fn new(namespace: &str, provider: Uuid) -> Self {
        let mut endpoint = rows::endpoint(provider, "main");
        endpoint.namespace = namespace.to_owned();
        endpoint.conditions = said("Healthy", Reason::ProbeSucceeded);
        let mut credential = rows::credential(provider, "key");
        credential.namespace = namespace.to_owned();
        credential.endpoint_uids.clear();
        credential.conditions = said("Valid", Reason::KeyAccepted);
        let mut model = rows::model(provider, "gpt");
        model.namespace = namespace.to_owned();
        Self {
            endpoints: vec![endpoint],
            credentials: vec![credential],
            models: vec![model],
        }
    }

    async fn store(self, api: &TestApi) {
        api.write(move |tx| {
            async move {
                for row in &self.endpoints {
                    tx.upsert(row).await?;
                }
                for row in &self.credentials {
                    tx.upsert(row).await?;
                    let version = rows::key_version(row.uid, 1, VersionState::Current);
                    tx.credential_version_insert(&version).await?;
                }
                for row in &self.models {
                    tx.upsert(row).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await;
    }
}

/// A fleet in the test's own namespace, changed before it is stored.
async fn with_fleet(api: &TestApi, change: impl FnOnce(&mut Fleet)) {
    let provider = api.provider("openai").await;
    let mut fleet = Fleet::new(&api.namespace.name, provider);
    change(&mut fleet);
    fleet.store(api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_with_its_place_and_a_remedy() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let deep = format!("{{\"model\": {}", "[".repeat(10_000));
    let huge = format!("{{\"model\": \"{}\"}}", "x".repeat(1 << 20));
    let padded = format!("{{\"model\": \"gpt\"{}}}", " ".repeat(64 << 10));
    #[rustfmt::skip]
    let cases = [
        ("{}", 400, "invalid-body", "name a model"),
        ("", 400, "invalid-body", "JSON object"),
        (r#"{"model": "a", "capabilities": ["Chat"]}"#, 400, "invalid-body", "not both"),
        (r#"{"min_score": "high"}"#, 400, "invalid-body", "min_score: expected a whole number"),
        (r#"{"modle": "a"}"#, 400, "invalid-body", "did you mean \"model\"?"),
        (r#"{"capabilities": ["FunctionCaling"]}"#, 400, "invalid-body", "capabilities[0]"),
        (r#"{"max_input_price": -1, "currency": "USD"}"#, 400, "invalid-body", "not negative"),
        (r#"{"prefer": "vibes"}"#, 400, "invalid-body", "one of price, score, context"),
        (r#"{"prefer": "score"}"#, 400, "invalid-body", "add capabilities"),
        (r#"{"model": "a", "model": "b"}"#, 400, "invalid-body", "more than once"),
        (r#"{"model": "a", "class": "b"}"#, 400, "invalid-body", "class: a request names a model or a class, not both"),
        (r#"{"class": "smart", "prefer": "price"}"#, 400, "invalid-body", "not both"),
        (&deep, 400, "invalid-body", "model: expected a text"),
        (&"[".repeat(10_000), 400, "invalid-body", "JSON object"),
        (&huge, 413, "body-too-large", "64 KiB"),
        (&padded, 413, "body-too-large", "64 KiB"),
        (r#"{"class": "smart"}"#, 404, "no-model", "no class that you may see is called \"smart\""),
        (r#"{"model": "nobody"}"#, 404, "no-model", "no model that you may see is called \"nobody\""),
    ];
    for (body, status, kind, detail) in cases {
        let refused = viewer.post("/resolve", body.to_owned()).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (status, kind),
            "{shown}"
        );
        assert!(
            refused.detail().contains(detail),
            "{shown}: {}",
            refused.detail()
        );
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    for path in [
        "/resolve?namespace=A",
        "/resolve?limit=1",
        "/resolve?min_revision=x",
    ] {
        assert_eq!(
            viewer.post(path, r#"{"model": "gpt"}"#).await.status,
            400,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_names_its_own_methods_and_a_body_its_media_type() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let refused = viewer.ask(method.clone(), "/resolve", &[]).await;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, "POST"),
            "{method}"
        );
    }
    let refused = viewer.post("/models", "{}").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET,HEAD"));
    let typed = async |value: &'static str| {
        let url = format!("{}/api/v1/resolve", api.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&viewer.token);
        answer(
            request
                .header("content-type", value)
                .body(r#"{"model": "gpt"}"#),
        )
        .await
    };
    for value in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let refused = typed(value).await;
        let told = (refused.status, refused.problem());
        assert_eq!(told, (415, "unsupported-media-type".to_owned()), "{value}");
    }
    assert_eq!(
        typed("application/json; charset=utf-8").await.problem(),
        "no-model"
    );
    let url = format!("{}/api/v1/resolve", api.url);
    let stranger = answer(reqwest::Client::new().post(url).body("x".repeat(1 << 20))).await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_comes_with_its_endpoints_in_failover_order_and_what_a_client_takes() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    with_fleet(&api, |fleet| {
        let main = fleet.endpoints[0].clone();
        let another = |name: &str, default, priority, reason| {
            let mut endpoint = main.clone();
            endpoint.uid = Uuid::new_v4();
            endpoint.name = name.to_owned();
            (endpoint.is_default, endpoint.priority) = (default, priority);
            endpoint.conditions = said("Healthy", reason);
            endpoint
        };
        fleet.endpoints = vec![
            another("sick", true, 1, Reason::ProbeFailed),
            another("unknown", false, 1, Reason::NotCheckedYet),
            another("late", false, 200, Reason::ProbeSucceeded),
            another("early", false, 50, Reason::ProbeSucceeded),
        ];
    })
    .await;
    let found = resolve(&viewer, json!({ "model": "gpt" })).await;
    assert_eq!(found.status, 200, "{}", found.text);
    let json = found.json();
    let order = names(&json, "targets", "/endpoint/name");
    assert_eq!(order, ["early", "late", "unknown", "sick"]);
    let target = &json["targets"][0];
    assert_eq!(target["credential"]["name"], "key");
    assert_eq!(target["credential_reason"], Value::Null);
    assert_eq!(target["exchange"], Value::Null);
    assert_eq!(
        target["langchain"],
        json!({
            "model_provider": "openai",
            "model": "vendor/gpt",
            "kwargs": {
                "base_url": "https://api.openai.com/v1",
                "default_headers": { "X-Team": "a" },
                "max_retries": 2,
                "stream_usage": true,
                "temperature": 0.2,
                "timeout": 60,
            },
        })
    );
    // The rows are those of the other routes, field by field.
    assert_eq!(json["model"], viewer.get("/models/gpt").await.json());
    assert_eq!(
        target["endpoint"],
        viewer.get("/endpoints/early").await.json()
    );
    assert_eq!(
        target["credential"],
        viewer.get("/credentials/key").await.json()
    );
    assert_eq!(json["considered"], json!([]));
    assert_eq!(json["considered_omitted"], 0);
    assert_eq!(json["revision"], found.revision());
    assert_eq!(found.header("cache-control"), "no-store");
    assert_eq!(found.header("etag"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_need_is_answered_with_why_every_other_model_is_not() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    with_fleet(&api, |fleet| {
        let gpt = fleet.models[0].clone();
        let another = |name: &str, change: &dyn Fn(&mut DeclaredModel)| {
            let mut model = gpt.clone();
            (model.uid, model.name) = (Uuid::new_v4(), name.to_owned());
            model.model_id = format!("vendor/{name}");
            change(&mut model);
            model
        };
        fleet.models = vec![
            another("cheap", &|m| m.input_price = Some("0.001".to_owned())),
            another("dear", &|m| m.input_price = Some("0.1".to_owned())),
            another("small", &|m| m.context_window = Some(8192)),
            another("blind", &|m| {
                m.capabilities = vec![ModelCapability {
                    name: Capability::Embedding,
                    score: None,
                }];
            }),
            another("off", &|m| m.is_active = false),
            another("labelled", &|m| {
                m.labels = [("stage".to_owned(), "production".to_owned())].into();
            }),
        ];
    })
    .await;
    let need = json!({ "capabilities": ["Chat"], "min_context_window": 100_000 });
    let found = resolve(&viewer, need.clone()).await;
    assert_eq!(found.json()["model"]["name"], "cheap", "{}", found.text);
    let told = |name: &str, reason: &str| (name.to_owned(), reason.to_owned());
    assert_eq!(
        reasons(&found.json()),
        [
            told("labelled", "LessPreferred"),
            told("dear", "LessPreferred"),
            told("small", "ContextWindowTooSmall"),
            told("blind", "CapabilityMissing"),
            told("off", "Inactive"),
        ]
    );
    for _ in 0..3 {
        assert_eq!(resolve(&viewer, need.clone()).await.text, found.text);
    }
    // As spelled by another caller, and so not from the same place in memory.
    let other = api.account("other", &["list"], &LISTED).await;
    let spelled = format!(" {need} ");
    assert_eq!(other.post("/resolve", spelled).await.text, found.text);

    let production = json!({ "selector": { "stage": "production" } });
    let found = resolve(&viewer, production).await;
    assert_eq!(found.json()["model"]["name"], "labelled");
    let none = resolve(&viewer, json!({ "min_context_window": 999_999 })).await;
    assert_eq!((none.status, none.problem().as_str()), (404, "no-model"));
    assert_eq!(none.json()["considered"].as_array().unwrap().len(), 6);
    assert_eq!(
        none.json()["considered"][0]["detail"],
        "context_window 128000"
    );
    assert_eq!(none.json()["revision"], none.revision());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_cannot_be_used_is_left_out_and_its_target_says_why() {
    type Change = fn(&mut Fleet);
    let cases: [(&str, Change); 5] = [
        ("Expired", |fleet| {
            fleet.credentials[0].expires_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        }),
        ("Invalid", |fleet| {
            fleet.credentials[0].conditions = said("Valid", Reason::KeyRejected);
        }),
        ("QuotaExhausted", |fleet| {
            fleet.credentials[0].conditions = said("Valid", Reason::QuotaExhausted);
        }),
        ("HostNotAllowed", |fleet| {
            fleet.endpoints[0].base_url =
                llmplane::crd::base_url::BaseUrl::new("https://elsewhere.example/v1");
        }),
        ("NoCredential", |fleet| fleet.credentials.clear()),
    ];
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    for (reason, change) in cases {
        let name = format!("openai-{}", reason.to_lowercase());
        let provider = api.provider(&name).await;
        let mut fleet = Fleet::new(&api.namespace.name, provider);
        change(&mut fleet);
        let own = |kind: &str| format!("{kind}-{}", reason.to_lowercase());
        fleet.endpoints[0].name = own("endpoint");
        fleet.models[0].name = own("model");
        fleet
            .credentials
            .iter_mut()
            .for_each(|c| c.name = own("key"));
        fleet.store(&api).await;
        let found = resolve(&viewer, json!({ "model": own("model") })).await;
        assert_eq!(found.status, 200, "{}", found.text);
        let target = &found.json()["targets"][0];
        assert_eq!(target["credential"], Value::Null);
        assert_eq!(target["credential_reason"], reason);
    }
}

/// The answer that is in memory holds until the credential ends, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_ends_without_any_change_of_the_configuration() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let end = Timestamp::now() + Duration::from_secs(4);
    with_fleet(&api, |fleet| fleet.credentials[0].expires_at = Some(end)).await;
    let credential = async || {
        let found = resolve(&viewer, json!({ "model": "gpt" })).await;
        found.json()["targets"][0]["credential_reason"].clone()
    };
    if Timestamp::now() < end - Duration::from_secs(1) {
        assert_eq!(credential().await, Value::Null);
    }
    eventually("it has ended", async || credential().await == "Expired").await;
    assert!(Timestamp::now() >= end);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_looks_like_what_is_not_there() {
    let api = TestApi::start().await;
    let elsewhere = api.plane.namespace("elsewhere").await;
    let viewer = api.viewer().await;
    let hidden = {
        let mut provider = rows::provider("hidden");
        provider.namespace.clone_from(&elsewhere.name);
        let uid = provider.uid;
        api.write(move |tx| async move { tx.upsert(&provider).await.map(drop) }.boxed())
            .await;
        let mut fleet = Fleet::new(&elsewhere.name, uid);
        fleet.models[0].name = "secret-a".to_owned();
        fleet.store(&api).await;
        resolve(&viewer, json!({ "model": "secret-a" })).await
    };
    let absent = resolve(&viewer, json!({ "model": "secret-b" })).await;
    assert_eq!(hidden.status, 404);
    assert_eq!(hidden.text.replace("secret-a", "secret-b"), absent.text);
    let none = resolve(&viewer, json!({ "prefer": "price" })).await;
    assert_eq!(
        none.json()["considered"],
        json!([]),
        "no need tells of it either"
    );

    let there = format!("/resolve?namespace={}", elsewhere.name);
    let nowhere = "/resolve?namespace=nowhere-at-all";
    let refused = viewer.post(&there, r#"{"model": "secret-a"}"#).await;
    let absent = viewer.post(nowhere, r#"{"model": "secret-a"}"#).await;
    assert_eq!((refused.status, absent.status), (403, 403));
    assert_eq!(
        refused.text.replace(&elsewhere.name, "nowhere-at-all"),
        absent.text
    );
    let everywhere = viewer
        .post("/resolve?namespace=*", r#"{"model": "x"}"#)
        .await;
    assert_eq!(everywhere.problem(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_what_is_looked_at_and_shown() {
    let api = TestApi::start().await;
    with_fleet(&api, |_| ()).await;
    let gpt = || json!({ "model": "gpt" });
    for (name, resources) in [
        ("models-only", &["llmmodels"][..]),
        ("endpoints-only", &["llmendpoints"]),
        ("nothing", &["llmproviders"]),
    ] {
        let caller = api.account(name, &["list"], resources).await;
        let refused = resolve(&caller, gpt()).await;
        assert_eq!(refused.problem(), "forbidden", "{name}");
        assert!(refused.detail().contains("list"), "{}", refused.detail());
    }
    let blind = api
        .account("no-credentials", &["list"], &["llmmodels", "llmendpoints"])
        .await;
    let seen = resolve(&blind, gpt()).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert_eq!(
        seen.json()["targets"][0]["credential_reason"],
        "NoCredential"
    );
    assert!(!seen.text.contains("masked_key"), "{}", seen.text);
    let seeing = api.account("seeing", &["list"], &LISTED).await;
    let seen = resolve(&seeing, gpt()).await;
    assert_eq!(seen.json()["targets"][0]["credential"]["name"], "key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_for_at_home_then_in_shared_namespaces() {
    let plane = crate::support::plane::Plane::shared().await;
    let shared = [
        plane.namespace("shared-a").await,
        plane.namespace("shared-b").await,
    ];
    let settings = shared.iter().map(|one| one.name.clone()).collect();
    let api = TestApi::with(plane, |s| s.shared_namespaces = settings).await;
    let agent = api.account("agent", &["list"], &LISTED).await;
    for (number, namespace) in shared.iter().enumerate() {
        let mut provider = rows::provider("openai");
        provider.namespace.clone_from(&namespace.name);
        let uid = provider.uid;
        api.write(move |tx| async move { tx.upsert(&provider).await.map(drop) }.boxed())
            .await;
        let mut fleet = Fleet::new(&namespace.name, uid);
        let mut only = fleet.models[0].clone();
        (only.uid, only.name) = (Uuid::new_v4(), format!("only-{number}"));
        only.model_id = format!("vendor/only-{number}");
        fleet.models.push(only);
        fleet.store(&api).await;
    }
    let namespace_of = async |body: Value| {
        let found = resolve(&agent, body).await;
        found.json()["model"]["namespace"].clone()
    };
    // Without a right there it is as if they were empty.
    let hidden = resolve(&agent, json!({ "model": "only-0" })).await;
    assert_eq!(hidden.problem(), "no-model");
    assert_eq!(hidden.json()["considered"], json!([]));
    api.grant(&shared[0].name, "agent", &["list"], &LISTED, &[])
        .await;
    eventually("the right is known", async || {
        namespace_of(json!({ "model": "only-0" })).await == shared[0].name.as_str()
    })
    .await;
    assert_eq!(
        namespace_of(json!({ "model": "gpt" })).await,
        shared[0].name.as_str()
    );
    api.grant(&shared[1].name, "agent", &["list"], &LISTED, &[])
        .await;
    eventually("two namespaces have the name", async || {
        resolve(&agent, json!({ "model": "gpt" })).await.status == 404
    })
    .await;
    let both = resolve(&agent, json!({ "model": "gpt" })).await;
    assert_eq!(both.problem(), "ambiguous-model");
    let namespaces = names(&both.json(), "considered", "/namespace");
    assert_eq!(namespaces, [shared[0].name.clone(), shared[1].name.clone()]);
    let named = format!("/resolve?namespace={}", shared[1].name);
    let one = agent.post(&named, r#"{"model": "gpt"}"#).await;
    assert_eq!(one.json()["model"]["namespace"], shared[1].name.as_str());

    with_fleet(&api, |fleet| {
        fleet.models[0].input_price = Some("9".to_owned())
    })
    .await;
    let own = resolve(&agent, json!({ "model": "gpt" })).await.json();
    assert_eq!(own["model"]["namespace"], api.namespace.name.as_str());
    assert_eq!(own["considered"].as_array().unwrap().len(), 2);
    let need = resolve(&agent, json!({ "prefer": "price" })).await.json();
    assert_eq!(need["model"]["namespace"], api.namespace.name.as_str());
    let cheap = json!({ "max_input_price": "1", "currency": "USD" });
    assert_eq!(namespace_of(cheap).await, shared[0].name.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_alone_is_in_the_one_currency_that_there_is() {
    let alone = json!({ "max_output_price": "1000", "allow_deprecated": true });
    let api = TestApi::start().await;
    with_fleet(&api, |_| ()).await;
    let found = resolve(&api.viewer().await, alone.clone()).await;
    assert_eq!(found.status, 200, "{}", found.detail());

    let mixed = TestApi::start().await;
    with_fleet(&mixed, |fleet| {
        let mut yuan = fleet.models[0].clone();
        (yuan.uid, yuan.name) = (Uuid::new_v4(), "yuan".to_owned());
        yuan.model_id = "vendor/yuan".to_owned();
        yuan.currency = Some("CNY".to_owned());
        fleet.models.push(yuan);
    })
    .await;
    let viewer = mixed.viewer().await;
    let unclear = resolve(&viewer, alone).await;
    assert_eq!((unclear.status, &*unclear.problem()), (400, "invalid-body"));
    let said = unclear.detail();
    assert!(
        said.contains("max_output_price: ") && said.contains("one of CNY, USD"),
        "{said}"
    );
    let clear = json!({ "max_output_price": "1000", "currency": "CNY" });
    let found = resolve(&viewer, clear).await.json();
    assert_eq!(found["model"]["name"], "yuan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_resolve_asks_neither_the_apiserver_nor_postgresql() {
    let proxy = apiserver_proxy().await;
    let (api, postgres) = TestApi::behind_both(&proxy).await;
    let viewer = api.viewer().await;
    with_fleet(&api, |_| ()).await;
    let bodies = [
        json!({ "model": "gpt" }),
        json!({ "prefer": "price" }),
        json!({ "model": "x" }),
    ];
    for body in &bodies {
        resolve(&viewer, body.clone()).await;
    }
    let (asked, executed) = (proxy.requests(), postgres.executed().len());
    for round in 0..10 {
        for body in &bodies {
            resolve(&viewer, body.clone()).await;
        }
        // One that nobody asked before.
        let fresh = json!({ "prefer": "price", "prompt_tokens": round + 1 });
        assert_eq!(resolve(&viewer, fresh).await.status, 200);
    }
    assert_eq!(proxy.requests(), asked);
    let executed = postgres.executed().split_off(executed);
    assert!(executed.len() < 20, "no statement a request: {executed:#?}");
}

/// A body that never ends is given up, and takes nobody else's place meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_keeps_nobody_from_an_answer() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    with_fleet(&api, |_| ()).await;
    let stalled = (0..50).map(|_| {
        let endless = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        let endless = futures::StreamExt::chain(endless, futures::stream::pending());
        viewer.post("/resolve", reqwest::Body::wrap_stream(endless))
    });
    let stalled = futures::future::join_all(stalled);
    let others = async {
        for _ in 0..20 {
            let found = resolve(&viewer, json!({ "model": "gpt" })).await;
            assert_eq!(found.status, 200, "{}", found.text);
        }
    };
    let (stalled, ()) = futures::join!(stalled, others);
    for refused in stalled {
        let told = (refused.status, refused.problem());
        assert_eq!(told, (408, "body-timeout".to_owned()));
    }
}

/// From the resource to the answer: labels bump no generation, and a selector goes by them.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_a_model_is_stored_when_it_changes() {
    let vendor = FakeVendor::start(&["sk-key-0123456789abcdef"], &["gpt-4o"]).await;
    let world = World::started("labels").await;
    world.apply_basics(&vendor.url()).await;
    let db = world.db().await;
    let labels = async || {
        let rows = db.model_rows_all(false).await.unwrap();
        let row = rows.into_iter().find(|row| row.namespace == world.ns());
        row.map(|row| row.labels.clone()).unwrap_or_default()
    };
    for stage in ["test", "production"] {
        let object = json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
            "metadata": { "name": "gpt", "namespace": world.ns(), "labels": { "stage": stage } },
            "spec": { "providerRef": { "name": "p" }, "modelId": "gpt-4o" },
        });
        world.apply_object("LlmModel", object).await;
        eventually("the label is in the row", async || {
            labels()
                .await
                .get("stage")
                .is_some_and(|stored| stored == stage)
        })
        .await;
    }
}
