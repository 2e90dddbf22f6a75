//! Classes of models, from their declaration to what an agent is answered.

use futures::FutureExt;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use llmplane::crd::Kind;
use llmplane::db::AuditFilter;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::api::{Answer, TestApi};
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::process::{Process, agent};
use crate::support::rows;
use crate::support::vendors::Fault;
use crate::support::world::World;

const KEY: &str = "sk-test-0123456789abcdef";

/// A world with two providers `p` and `q`, each with an endpoint, a credential and a model of its own:
/// `large` at `p-main`, `small` at `q-main`.
struct Scene {
    world: World,
    large: FakeVendor,
    small: FakeVendor,
}

impl Scene {
    async fn new(prefix: &str) -> Self {
        let large = FakeVendor::start(&[KEY], &["vendor-large"]).await;
        let small = FakeVendor::start(&[KEY], &["vendor-small"]).await;
        let world = World::started(prefix).await;
        world.secret("s", KEY).await;
        let scene = Self {
            world,
            large,
            small,
        };
        scene
            .provider("p", &scene.large.url(), "large", "vendor-large")
            .await;
        scene
            .provider("q", &scene.small.url(), "small", "vendor-small")
            .await;
        scene
    }

    async fn provider(&self, name: &str, url: &str, model: &str, id: &str) {
        let world = &self.world;
        let provider = json!({ "name": name });
        world.provider(name, json!({})).await;
        // Seconds in place of a minute, for what a probe finds is what the test waits for.
        let probe = json!({ "periodSeconds": 5, "failureThreshold": 1 });
        let endpoint = json!({ "providerRef": provider, "baseUrl": url, "healthCheck": probe });
        let main = format!("{name}-main");
        world.apply("LlmEndpoint", &main, endpoint).await;
        let credential = json!({ "providerRef": provider, "secretRef": { "name": "s" } });
        world.apply("LlmCredential", name, credential).await;
        let model_spec = json!({ "providerRef": provider, "modelId": id });
        world.apply("LlmModel", model, model_spec).await;
    }

    async fn class(&self, name: &str, spec: Value) {
        self.world.apply("LlmModelClass", name, spec).await;
    }

    /// Waits until a class means this.
    async fn means(&self, name: &str, model: &str, endpoint: &str) {
        let current = json!({ "model": model, "endpoint": endpoint });
        eventually(&format!("{name} means {current}"), async || {
            self.world.get("LlmModelClass", name).await["status"]["current"] == current
        })
        .await;
    }

    async fn says(&self, name: &str, condition: &str, status: &str, reason: &str) {
        let kind = "LlmModelClass";
        self.world.says(kind, name, condition, status, reason).await;
    }

    /// Notes of the Events of this reason about a class.
    async fn events(&self, name: &str, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.world.client.clone(), self.world.ns());
        let listed = events.list(&ListParams::default()).await.unwrap().items;
        let about = |event: &Event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|it| it.name.as_deref() == Some(name))
                && event.reason.as_deref() == Some(reason)
        };
        let of_class = listed.into_iter().filter(about);
        of_class.filter_map(|event| event.note).collect()
    }

    /// An API with the keyring, and the token of somebody who may use its keys.
    async fn api(&self) -> (Process, String) {
        let api = Process::api_with_keys(&self.world, &[]).await;
        (api, agent(&self.world).await)
    }
}

/// The model, and the model and endpoint of each target.
fn places(answer: &Answer) -> (String, Vec<(String, String)>) {
    let answer = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = answer["targets"].as_array().cloned().unwrap_or_default();
    let place = |target: &Value| (text(&target["model"]), text(&target["endpoint"]["name"]));
    (
        text(&answer["model"]["name"]),
        targets.iter().map(place).collect(),
    )
}

fn both(models: [(&str, &str); 2]) -> (String, Vec<(String, String)>) {
    let targets = models.map(|(model, endpoint)| (model.to_owned(), endpoint.to_owned()));
    (models[0].0.to_owned(), targets.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_means_the_first_model_that_answers_and_agents_are_told_the_same() {
    let scene = Scene::new("classes").await;
    let spec = json!({
        "description": "the best that answers",
        "models": [{ "name": "large" }, { "name": "small" }],
    });
    scene.class("smart", spec).await;
    scene
        .says("smart", "Available", "True", "CandidateFound")
        .await;
    scene.says("smart", "Ready", "True", "CandidateFound").await;
    scene.means("smart", "large", "p-main").await;
    let status = scene.world.get("LlmModelClass", "smart").await["status"].clone();
    assert_eq!(status["candidates"], 2);
    assert_eq!(status["observedGeneration"], status["verifiedGeneration"]);

    let (api, token) = scene.api().await;
    let answered = async |expected: [(&str, &str); 2]| {
        let what = format!("agents are answered {expected:?}");
        eventually(&what, async || {
            let answer = api.resolve(&token, json!({ "class": "smart" })).await;
            answer.status == 200 && places(&answer) == both(expected)
        })
        .await;
    };
    answered([("large", "p-main"), ("small", "q-main")]).await;
    // A name that no model has is the class's.
    let named = api.resolve(&token, json!({ "model": "smart" })).await;
    assert_eq!(named.json()["class"], "smart", "{}", named.text);
    let row = api.get(&token, "/classes/smart").await.json();
    assert_eq!(
        row["current"],
        json!({ "model": "large", "endpoint": "p-main" })
    );
    assert_eq!(
        (&row["prefer"], &row["candidates"], &row["need"]),
        (&"order".into(), &2.into(), &Value::Null)
    );
    assert_eq!(row["availability"]["state"], "available");

    // A key that leaves for it is told of with the class.
    let with_key = json!({ "class": "smart", "with_secret": true, "purpose": "a test" });
    let keyed = api.resolve(&token, with_key).await.json();
    assert_eq!(keyed["targets"][0]["secret"]["api_key"], KEY);
    let filter = AuditFilter {
        action: Some("Disclose".to_owned()),
        result: Some("Disclosed".to_owned()),
        ..AuditFilter::default()
    };
    let db = scene.world.db().await;
    let rows = db.audit_rows(&filter, None, 10).await.unwrap();
    let detail: Value = serde_json::from_str(&rows[0].detail).unwrap();
    assert_eq!(
        (&detail["class"], &detail["model"], &detail["endpoint"]),
        (&"smart".into(), &"large".into(), &"p-main".into())
    );
    assert!(
        scene
            .events("smart", "CurrentModelChanged")
            .await
            .is_empty()
    );

    scene.large.break_with(503);
    scene.means("smart", "small", "q-main").await;
    answered([("small", "q-main"), ("large", "p-main")]).await;
    eventually("an Event tells of it", async || {
        let told = scene.events("smart", "CurrentModelChanged").await;
        told.iter().any(|note| {
            note.contains("it means LlmModel small at LlmEndpoint q-main now")
                && note.contains("LlmModel large")
        })
    })
    .await;
    scene
        .says("smart", "Available", "True", "CandidateFound")
        .await;

    // Where nobody answers, an outage elsewhere leaves it Ready, and agents are given what there is.
    scene.small.break_with(503);
    scene
        .says("smart", "Available", "False", "CandidatesUnavailable")
        .await;
    scene
        .says("smart", "Ready", "True", "CandidatesUnavailable")
        .await;
    answered([("large", "p-main"), ("small", "q-main")]).await;
}

/// From the vendor's answer to what agents are given, and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_quota_is_used_up_at_the_vendor_is_given_to_nobody_until_it_recovers() {
    const SPARE: &str = "sk-test-fedcba9876543210";
    let scene = Scene::new("vendorquota").await;
    scene.large.accept(SPARE);
    scene.world.secret("t", SPARE).await;
    let spare = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 200,
    });
    scene.world.apply("LlmCredential", "spare", spare).await;
    let models = json!({ "models": [{ "name": "large" }] });
    scene.class("smart", models).await;
    scene.means("smart", "large", "p-main").await;
    for name in ["p", "spare"] {
        scene.world.ready("LlmCredential", name).await;
    }
    let (api, token) = scene.api().await;
    let given = async |key: &str| {
        let asked = json!({ "class": "smart", "with_secret": true });
        api.gives(&token, asked, Some(key)).await;
    };
    given(KEY).await;

    let credential = scene.world.get("LlmCredential", "p").await["metadata"]["uid"].clone();
    let credential: Uuid = credential.as_str().unwrap().parse().unwrap();
    scene.large.fail_when(
        |request| request.bearer() == Some(KEY),
        Fault::documented("openai_compatible", "insufficient_quota"),
    );
    scene.world.request_check(credential).await;
    scene
        .world
        .says("LlmCredential", "p", "Valid", "False", "QuotaExhausted")
        .await;
    given(SPARE).await;

    scene.large.mend();
    scene.world.request_check(credential).await;
    scene
        .world
        .says("LlmCredential", "p", "Valid", "True", "KeyAccepted")
        .await;
    given(KEY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_class_names_and_there_is_not_is_said_until_it_is_there() {
    let scene = Scene::new("classless").await;
    let elsewhere = scene.world.plane.namespace("elsewhere").await;
    let theirs = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "name": "theirs", "namespace": elsewhere.name },
        "spec": { "providerRef": { "name": "p" }, "modelId": "m" },
    });
    let apply = ["apply", "-f", "-"];
    let theirs = theirs.to_string();
    let applied = scene.world.plane.kubectl_with_input(&apply, &theirs);
    assert!(applied.await.status.success());
    let names = |names: &[&str]| {
        let names: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "models": names })
    };
    scene.class("itself", names(&["itself"])).await;
    scene.class("other", names(&["itself"])).await;
    scene.class("abroad", names(&["theirs"])).await;
    scene.class("typo", names(&["larg"])).await;
    let need = json!({ "need": { "capabilities": ["Vision"], "minContextWindow": 1000 } });
    scene.class("demanding", need).await;
    for (class, words) in [
        ("itself", "spec.models[0] names this class itself"),
        (
            "other",
            "names the LlmModelClass itself, and a class names LlmModels",
        ),
        ("abroad", "there is no LlmModel theirs in this namespace"),
        ("typo", "did you mean \"large\"?"),
        ("demanding", "large CapabilityMissing (Vision)"),
    ] {
        scene.says(class, "Ready", "False", "NoCandidate").await;
        let message = scene
            .world
            .message("LlmModelClass", class, "Available")
            .await;
        assert!(message.contains(words), "{class}: {message}");
        let status = scene.world.get("LlmModelClass", class).await["status"].clone();
        assert_eq!(
            (&status["current"], &status["candidates"]),
            (&Value::Null, &0.into())
        );
    }
    // The apiserver refuses what names nothing.
    for spec in [json!({}), json!({ "models": [] }), json!({ "need": {} })] {
        let object = json!({ "metadata": { "name": "nothing" }, "spec": spec });
        let refused = scene.world.try_apply("LlmModelClass", object).await;
        assert!(refused.is_err(), "{spec} is taken");
    }
    let spec = json!({ "providerRef": { "name": "p" }, "modelId": "vendor-large-2" });
    scene.large.list_model("vendor-large-2");
    scene.world.apply("LlmModel", "larg", spec).await;
    scene.says("typo", "Ready", "True", "CandidateFound").await;
    scene.means("typo", "larg", "p-main").await;
    // Where one of several is missing the others serve, and the message tells of it.
    scene.class("half", names(&["absent", "small"])).await;
    scene.means("half", "small", "q-main").await;
    let message = scene
        .world
        .message("LlmModelClass", "half", "Available")
        .await;
    assert!(
        message.contains("spec.models[0]: there is no LlmModel absent"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_is_switched_off_or_gone_means_nothing() {
    let scene = Scene::new("classoff").await;
    let spec = |enabled: bool| json!({ "enabled": enabled, "models": [{ "name": "small" }] });
    scene.class("smart", spec(true)).await;
    scene.means("smart", "small", "q-main").await;
    let (api, token) = scene.api().await;
    let asked = async || api.resolve(&token, json!({ "class": "smart" })).await;
    eventually("it is answered", async || asked().await.status == 200).await;

    scene.class("smart", spec(false)).await;
    scene.says("smart", "Ready", "True", "Disabled").await;
    let status = scene.world.get("LlmModelClass", "smart").await["status"].clone();
    assert!(
        status["current"].is_null() && status["candidates"].is_null(),
        "{status}"
    );
    eventually("it is not answered", async || asked().await.status == 404).await;
    assert!(asked().await.detail().contains("is switched off"));
    let row = api.get(&token, "/classes/smart").await.json();
    assert_eq!(
        (&row["is_active"], &row["current"]),
        (&false.into(), &Value::Null)
    );

    // What is switched off on purpose below it leaves it Ready.
    scene.class("smart", spec(true)).await;
    scene.means("smart", "small", "q-main").await;
    scene.world.provider("q", json!({ "enabled": false })).await;
    scene
        .says("smart", "Available", "False", "CandidatesUnavailable")
        .await;
    scene
        .says("smart", "Ready", "True", "CandidatesUnavailable")
        .await;

    scene.world.delete("LlmModelClass", "smart").await;
    eventually("its row is gone", async || {
        api.get(&token, "/classes/smart").await.status == 404
    })
    .await;
    let refused = asked().await;
    assert_eq!(refused.status, 404);
    assert!(
        refused
            .detail()
            .contains("no class that you may see is called")
    );
    let db = scene.world.db().await;
    assert_eq!(db.model_class_rows_all(false).await.unwrap(), []);
    assert_eq!(db.model_class_rows_all(true).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_whose_models_rest_takes_no_revision_and_no_write() {
    let scene = Scene::new("classrest").await;
    let spec = json!({ "models": [{ "name": "large" }, { "name": "small" }] });
    scene.class("smart", spec).await;
    scene.means("smart", "large", "p-main").await;
    let kinds = [
        ("LlmProvider", "p"),
        ("LlmProvider", "q"),
        ("LlmModel", "large"),
        ("LlmModel", "small"),
    ];
    for (kind, name) in kinds {
        scene.world.ready(kind, name).await;
    }
    let db = scene.world.db().await;
    let objects = [&kinds[..], &[("LlmModelClass", "smart")]].concat();
    let now = async || {
        let revision = db.feed_state().await.unwrap().revision;
        (revision, scene.world.resource_versions(&objects).await)
    };
    // Probes go on meanwhile, at each endpoint every five seconds.
    let probes = async || -> i64 {
        let least = "SELECT coalesce(min(made), 0) FROM (SELECT count(*) AS made FROM health_probes \
                     WHERE kind = 'Probe' GROUP BY subject) AS each";
        let mut owner = scene.world.owner().await;
        let made = sqlx::query_scalar(least).fetch_one(&mut owner).await;
        made.unwrap()
    };
    eventually(
        "nothing changes while each endpoint is probed twice",
        async || {
            let (before, made) = (now().await, probes().await);
            eventually("two more probes", async || probes().await >= made + 2).await;
            now().await == before
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_are_shown_to_who_may_see_them_and_hidden_as_if_absent() {
    let api = TestApi::start().await;
    let provider = api.provider("openai").await;
    let namespace = api.namespace.name.clone();
    let (mut smart, mut other) = (
        rows::class("smart", &["gpt"]),
        rows::class("other", &["gpt"]),
    );
    for class in [&mut smart, &mut other] {
        class.namespace.clone_from(&namespace);
    }
    let uid = smart.uid;
    let mut endpoint = rows::endpoint(provider, "main");
    endpoint.namespace.clone_from(&namespace);
    let model = api.model(provider, "gpt");
    api.write(move |tx| {
        async move {
            tx.upsert(&endpoint).await?;
            tx.upsert(&model).await?;
            tx.upsert(&smart).await?;
            tx.upsert(&other).await.map(drop)
        }
        .boxed()
    })
    .await;

    let viewer = api.viewer().await;
    let listed = viewer.get("/classes").await;
    assert_eq!(listed.names(), ["other", "smart"]);
    assert_eq!(viewer.get("/classes?name=smart").await.names(), ["smart"]);
    let one = viewer.get("/classes/smart").await;
    assert_eq!(one.json()["models"], json!(["gpt"]));
    assert_eq!(
        viewer.get(&format!("/classes/{uid}")).await.json(),
        one.json()
    );
    let etag = one.header("etag").to_owned();
    let again = viewer
        .get_with("/classes/smart", &[("if-none-match", &etag)])
        .await;
    assert_eq!(again.status, 304);
    assert_eq!(viewer.get("/classes?limit=1").await.items().len(), 1);
    assert_eq!(
        viewer.get("/classes?prefer=x").await.problem(),
        "unknown-parameter"
    );
    assert_eq!(
        viewer.get("/classes?namespace=*").await.problem(),
        "forbidden"
    );

    let without = ["llmmodels", "llmendpoints", "llmcredentials"];
    let blind = api.account("blind", &["get", "list"], &without).await;
    assert_eq!(blind.get("/classes").await.problem(), "forbidden");
    let hidden = blind.get("/classes/smart").await;
    let absent = blind.get("/classes/nobody").await;
    assert_eq!((hidden.status, hidden.text), (404, absent.text));
    for asked in ["class", "model"] {
        let body = |name: &str| json!({ asked: name }).to_string();
        let seen = viewer.post("/resolve", body("smart")).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        let hidden = blind.post("/resolve", body("smart")).await;
        let absent = blind.post("/resolve", body("smarx")).await;
        let as_absent = absent.text.replace("smarx", "smart");
        assert_eq!((hidden.status, hidden.text), (404, as_absent), "by {asked}");
    }
    assert_eq!(
        blind.post("/resolve", r#"{"model": "gpt"}"#).await.status,
        200
    );

    // Of one alone.
    let some = api
        .account_for("some", &["get"], &["llmmodelclasses"], &["other"])
        .await;
    assert_eq!(some.get("/classes/other").await.status, 200);
    assert_eq!(some.get("/classes/smart").await.status, 404);

    api.delete(Kind::ModelClass, &[uid]).await;
    eventually("it is gone", async || {
        viewer.get("/classes/smart").await.status == 404
    })
    .await;
    let auditor = api.auditor().await;
    let deleted = auditor.get("/classes?include_deleted=true").await;
    assert_eq!(deleted.names(), ["other", "smart"]);
    assert!(deleted.items()[1]["deleted_at"].is_string());
}
