//! Keys as callers get them: `POST /resolve` of real processes, with a real controller behind them.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use llmplane::db::{AuditFilter, AuditRow};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use super::RECORD;
use crate::support::api::{Answer, answer};
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::postgres::{PrivatePostgres, tool};
use crate::support::process::Process;
use crate::support::world::World;

const KEY: &str = "sk-canary-Zq7planted23456789";
const ROTATED: &str = "sk-canary-Yx8rotated98765432";
const OTHER: &str = "sk-canary-Wv9another13579246";

/// A world with a controller, model `m` of provider `p`, whose only credential is `c`.
struct Scene {
    world: World,
    controller: Option<Process>,
    vendor: FakeVendor,
}

impl Scene {
    async fn new(prefix: &str) -> Self {
        Self::of(World::new(prefix).await).await
    }

    async fn of(world: World) -> Self {
        let vendor = FakeVendor::start(&[KEY, ROTATED, OTHER], &["gpt-a"]).await;
        let controller = Process::controller(&world, &[]);
        world.secret("s", KEY).await;
        world.apply_basics(&vendor.url()).await;
        world.model("m", "gpt-a").await;
        for (kind, name) in [("LlmCredential", "c"), ("LlmModel", "m")] {
            world.ready(kind, name).await;
        }
        Self {
            world,
            controller: Some(controller),
            vendor,
        }
    }

    /// A replica with the keyring, that has read everything.
    async fn replica(&self, settings: &[(&str, &str)]) -> Process {
        let keyring = self.world.keyring_dir();
        let keyring = [("LLMPLANE_KEYRING_DIR", keyring.to_str().unwrap())];
        let api = Process::api(&self.world, &[&keyring, settings].concat());
        api.ready().await;
        api
    }

    /// A token of a ServiceAccount that is bound to a pod, with this ClusterRole.
    async fn agent(&self, name: &str, role: &str) -> String {
        let (client, ns) = (&self.world.client, self.world.ns());
        let create = PostParams::default();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), ns);
        let account = from(json!({ "metadata": { "name": name } }));
        accounts.create(&create, &account).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), ns);
        let binding = from(json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": ns }],
        }));
        bindings.create(&create, &binding).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(client.clone(), ns);
        let pod = from(json!({
            "metadata": { "name": format!("{name}-0") },
            "spec": {
                "serviceAccountName": name, "nodeName": "node-a",
                "automountServiceAccountToken": false,
                "containers": [{ "name": "agent", "image": "agent" }],
            },
        }));
        let pod = pods.create(&create, &pod).await.unwrap();
        let request = from(json!({
            "spec": {
                "audiences": ["llmplane"],
                "boundObjectRef": {
                    "apiVersion": "v1", "kind": "Pod",
                    "name": format!("{name}-0"), "uid": pod.metadata.uid,
                },
            },
        }));
        let made = accounts.create_token_request(name, &create, &request).await;
        made.unwrap().status.unwrap().token
    }

    async fn user(&self, name: &str) -> String {
        self.agent(name, "llmplane-credential-user").await
    }

    async fn audited(&self, result: &str) -> Vec<AuditRow> {
        let filter = AuditFilter {
            action: Some("Disclose".to_owned()),
            result: Some(result.to_owned()),
            ..AuditFilter::default()
        };
        let db = self.world.db().await;
        db.audit_rows(&filter, None, 1000).await.unwrap()
    }
}

fn from<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

async fn resolve(api: &Process, token: &str, body: Value) -> Answer {
    let url = format!("http://{}/api/v1/resolve", api.listen());
    let request = reqwest::Client::new().post(url).bearer_auth(token);
    answer(request.json(&body)).await
}

async fn ask(api: &Process, token: &str) -> Answer {
    resolve(api, token, json!({ "model": "m", "with_secret": true })).await
}

/// The key in an answer's first target.
fn key(answer: &Answer) -> Option<String> {
    let key = answer.json()["targets"][0]["secret"]["api_key"].clone();
    key.as_str().map(str::to_owned)
}

/// Asks until this is the key that is given out.
async fn gets(api: &Process, token: &str, wanted: Option<&str>) {
    eventually(&format!("the key is {wanted:?}"), async || {
        let answer = ask(api, token).await;
        answer.status == 200 && key(&answer).as_deref() == wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_the_key_of_a_model_under_its_own_identity() {
    let scene = Scene::new("agent").await;
    let api = scene.replica(&[("RUST_LOG", "trace")]).await;
    let agent = scene.user("agent").await;
    gets(&api, &agent, Some(KEY)).await;
    let asked = json!({ "model": "m", "with_secret": true, "purpose": "nightly summaries" });
    let answered = resolve(&api, &agent, asked).await;
    assert_eq!(key(&answered).as_deref(), Some(KEY));
    assert_eq!(answered.header("cache-control"), "no-store");
    assert_eq!(answered.header("etag"), "");
    let target = &answered.json()["targets"][0];
    assert_eq!(target["credential"]["name"], "c");
    assert_eq!(target["secret"]["valid_until"], Value::Null);
    assert_eq!(target["secret"]["secret_key"], Value::Null);

    let rows = scene.audited("Disclosed").await;
    let row = rows
        .iter()
        .find(|row| row.purpose.is_some())
        .expect("a row");
    let ns = scene.world.ns();
    assert_eq!(row.actor, format!("system:serviceaccount:{ns}:agent"));
    assert!(
        row.actor_groups
            .contains(&"system:serviceaccounts".to_owned())
    );
    assert!(row.actor_uid.is_some() && row.pod_uid.is_some());
    assert_eq!(row.pod.as_deref(), Some("agent-0"));
    assert_eq!(row.node.as_deref(), Some("node-a"));
    assert!(
        row.token_id
            .as_ref()
            .is_some_and(|id| id.starts_with("JTI="))
    );
    assert_eq!(
        (row.name.as_deref(), row.credential_version),
        (Some("c"), Some(1))
    );
    assert_eq!(row.purpose.as_deref(), Some("nightly summaries"));
    let detail: Value = serde_json::from_str(&row.detail).unwrap();
    assert_eq!(
        (&detail["model"], &detail["endpoint"]),
        (&json!("m"), &json!("e"))
    );

    // Without with_secret the same answer holds no key, and leaves no row.
    let plain = resolve(&api, &agent, json!({ "model": "m" })).await;
    assert_eq!((plain.status, key(&plain)), (200, None));
    assert!(plain.json()["targets"][0].get("secret").is_none());
    assert_eq!(scene.audited("Disclosed").await.len(), rows.len());
    let (log, (_, metrics)) = (api.log(), api.admin("/metrics").await);
    assert!(log.contains("TRACE") && !log.contains(KEY));
    assert!(metrics.contains("llmplane_disclosures_total") && !metrics.contains(KEY));
    let given = api
        .metric("llmplane_disclosures_total{result=\"Disclosed\"}")
        .await;
    assert_eq!(given, Some(rows.len() as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_the_same_is_answered_the_same_by_its_own_right_and_with_a_row_of_its_own() {
    let scene = Scene::new("same").await;
    let api = scene.replica(&[]).await;
    let (agent, other) = (scene.user("agent").await, scene.user("other").await);
    let reader = scene.agent("reader", "llmplane-viewer").await;
    gets(&api, &agent, Some(KEY)).await;
    let rows = scene.audited("Disclosed").await.len();
    let ask_for = async |token: &str, purpose: &str| {
        let asked = json!({ "model": "m", "with_secret": true, "purpose": purpose });
        resolve(&api, token, asked).await
    };
    let first = ask_for(&agent, "one").await;
    let second = ask_for(&other, "two").await;
    let refused = ask_for(&reader, "three").await;
    let third = ask_for(&agent, "four").await;
    assert_eq!(key(&first).as_deref(), Some(KEY));
    assert_eq!((first.status, first.json()), (200, second.json()));
    assert_eq!(first.json(), third.json());
    assert_eq!((refused.status, key(&refused)), (200, None));
    assert!(refused.json()["targets"][0]["credential"].is_null());
    let told = scene.audited("Disclosed").await;
    let told = told[..told.len() - rows].iter().rev().map(|row| {
        let (_, who) = row.actor.rsplit_once(':').unwrap();
        (who, row.purpose.as_deref())
    });
    let told: Vec<_> = told.collect();
    let wanted = [("agent", "one"), ("other", "two"), ("agent", "four")];
    assert_eq!(told, wanted.map(|(who, purpose)| (who, Some(purpose))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_someone_else_looks_like_one_that_is_not_there() {
    let scene = Scene::new("others").await;
    let api = scene.replica(&[]).await;
    let reader = scene.agent("reader", "llmplane-viewer").await;
    // A model whose provider has no credential at all.
    scene.world.provider("q", json!({})).await;
    let endpoint = json!({ "providerRef": { "name": "q" }, "baseUrl": scene.vendor.url() });
    scene.world.apply("LlmEndpoint", "f", endpoint).await;
    let bare = json!({ "providerRef": { "name": "q" }, "modelId": "gpt-a" });
    scene.world.apply("LlmModel", "bare", bare).await;
    eventually("both models are shown", async || {
        api.get(&reader, "/models").await.names().len() == 2
    })
    .await;
    let of = async |model: &str| {
        let asked = json!({ "model": model, "with_secret": true });
        let answered = resolve(&api, &reader, asked).await;
        let target = answered.json()["targets"][0].clone();
        (
            answered.status,
            target["credential"].clone(),
            target["credential_reason"].clone(),
        )
    };
    let hidden = of("m").await;
    assert_eq!(hidden, of("bare").await);
    assert_eq!((hidden.0, &hidden.1), (200, &Value::Null));
    eventually("the refusal is told of", async || {
        scene.audited("Forbidden").await.len() == 1
    })
    .await;
    let [row] = &scene.audited("Forbidden").await[..] else {
        panic!("one row");
    };
    assert!(row.actor.ends_with(":reader") && row.name.as_deref() == Some("c"));
    // Reading which credentials there are is not the right to get a key.
    assert_eq!(api.get(&reader, "/credentials/c").await.status, 200);
    assert!(scene.audited("Disclosed").await.is_empty());

    // Nor does who may not even list credentials learn of one that serves nobody.
    let spec = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
        "expiresAt": "2020-01-01T00:00:00Z",
    });
    scene.world.apply("LlmCredential", "c", spec).await;
    eventually("who may list credentials is told", async || {
        of("m").await.2 == "Expired"
    })
    .await;
    let lister = format!("{}-lister", scene.world.ns());
    let role: ClusterRole = from(json!({
        "metadata": { "name": lister },
        "rules": [{
            "apiGroups": ["llmplane.dev"], "resources": ["llmmodels", "llmendpoints"], "verbs": ["get", "list"],
        }],
    }));
    let roles: Api<ClusterRole> = Api::all(scene.world.client.clone());
    roles.create(&PostParams::default(), &role).await.unwrap();
    let blind = scene.agent("blind", &lister).await;
    let told = async |model: &str| {
        let asked = json!({ "model": model, "with_secret": true });
        let target = resolve(&api, &blind, asked).await.json()["targets"][0].clone();
        (
            target["credential"].clone(),
            target["credential_reason"].clone(),
        )
    };
    assert_eq!(told("m").await, (Value::Null, json!("NoCredential")));
    assert_eq!(told("m").await, told("bare").await);
    roles
        .delete(&lister, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_right_or_its_account_gets_no_key_any_more() {
    let scene = Scene::new("withdrawn").await;
    let api = scene.replica(&[]).await;
    let (agent, other) = (scene.user("agent").await, scene.user("other").await);
    gets(&api, &agent, Some(KEY)).await;
    gets(&api, &other, Some(KEY)).await;
    let (client, ns) = (&scene.world.client, scene.world.ns());
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), ns);
    let viewer: RoleBinding = from(json!({
        "metadata": { "name": "agent-views" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "llmplane-viewer" },
        "subjects": [{ "kind": "ServiceAccount", "name": "agent", "namespace": ns }],
    }));
    bindings
        .create(&PostParams::default(), &viewer)
        .await
        .unwrap();
    bindings
        .delete("agent", &DeleteParams::default())
        .await
        .unwrap();
    gets(&api, &agent, None).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), ns);
    accounts
        .delete("other", &DeleteParams::default())
        .await
        .unwrap();
    eventually("a deleted account is nobody", async || {
        ask(&api, &other).await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_withdrawn_in_any_way_is_given_out_no_more_and_a_new_one_is() {
    let scene = Scene::new("ways").await;
    let (api, world) = (scene.replica(&[]).await, &scene.world);
    let agent = scene.user("agent").await;
    let credential = |more: Value| {
        let mut spec = json!({ "providerRef": { "name": "p" }, "secretRef": { "name": "s" } });
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        world.apply("LlmCredential", "c", spec)
    };
    gets(&api, &agent, Some(KEY)).await;
    credential(json!({ "enabled": false })).await;
    gets(&api, &agent, None).await;
    credential(json!({})).await;
    gets(&api, &agent, Some(KEY)).await;
    credential(json!({ "expiresAt": "2020-01-01T00:00:00Z" })).await;
    gets(&api, &agent, None).await;
    credential(json!({})).await;
    world.secret("s", ROTATED).await;
    gets(&api, &agent, Some(ROTATED)).await;
    let unlabelled = json!({
        "metadata": { "name": "s", "labels": {} },
        "stringData": { "api-key": ROTATED },
    });
    world.apply_object("Secret", unlabelled).await;
    gets(&api, &agent, None).await;
    world.secret("s", KEY).await;
    gets(&api, &agent, Some(KEY)).await;
    world.delete("LlmCredential", "c").await;
    gets(&api, &agent, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hears_nothing_gives_out_no_key_that_was_withdrawn() {
    let scene = Scene::new("stale").await;
    let (api, world) = (scene.replica(&[]).await, &scene.world);
    let agent = scene.user("agent").await;
    world.secret("t", OTHER).await;
    let spec = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 200,
    });
    world.apply("LlmCredential", "d", spec).await;
    world.ready("LlmCredential", "d").await;
    eventually("the replica knows both", async || {
        let listed = api.get(&agent, "/providers/p/credentials").await;
        listed.names() == ["c", "d"]
    })
    .await;
    gets(&api, &agent, Some(KEY)).await;
    // It cannot follow the feed any more.
    let deaf = "REVOKE SELECT ON feed, changes FROM llmplane_api";
    world.owner().await.execute(deaf).await.unwrap();
    world.secret("s", ROTATED).await;
    gets(&api, &agent, Some(ROTATED)).await;
    let off = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" }, "enabled": false,
    });
    world.apply("LlmCredential", "c", off).await;
    // The next one serves, though the replica still shows the first as active.
    gets(&api, &agent, Some(OTHER)).await;
    assert_eq!(
        api.get(&agent, "/credentials/c").await.json()["is_active"],
        true
    );
    world.delete("LlmCredential", "d").await;
    gets(&api, &agent, None).await;
    assert!(!scene.audited("Disabled").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_and_a_callers_rate_are_told_with_the_time_to_wait() {
    let scene = Scene::new("quota").await;
    let world = &scene.world;
    // A credential that is refused for one endpoint is not asked for again for the other.
    world.endpoint("e2", &scene.vendor.url(), json!({})).await;
    world.ready("LlmEndpoint", "e2").await;
    let (agent, hasty) = (scene.user("agent").await, scene.user("hasty").await);
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    let limited = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
        "quota": { "limit": 2, "unit": "Disclosures", "period": "Month" },
    });
    world.apply("LlmCredential", "c", limited).await;
    world.ready("LlmCredential", "c").await;
    for _ in 0..2 {
        assert_eq!(key(&ask(&api, &agent).await).as_deref(), Some(KEY));
    }
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (429, "quota-exhausted")
    );
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(scene.audited("QuotaExhausted").await.len(), 1);

    let strict = scene.replica(&[("LLMPLANE_KEYS_PER_SECOND", "1")]).await;
    let mut turns = 0;
    let refused = loop {
        let answered = ask(&strict, &hasty).await;
        if answered.problem() == "rate-limited" {
            break answered;
        }
        turns += 1;
        assert!(turns < 1000, "its rate has no end");
    };
    assert!(turns >= 10, "what it saved up serves");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    eventually("that is told of", async || {
        !scene.audited("RateLimited").await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_target_has_its_key_where_all_are_asked_for_and_each_its_row() {
    let scene = Scene::new("targets").await;
    let url = scene.vendor.url();
    scene.world.endpoint("e2", &url, json!({})).await;
    scene.world.ready("LlmEndpoint", "e2").await;
    let api = scene.replica(&[]).await;
    let agent = scene.user("agent").await;
    let keys_of = async |asked: Value| {
        let answered = resolve(&api, &agent, asked).await.json();
        let targets = answered["targets"].as_array().unwrap().clone();
        let key = |target: &Value| target["secret"]["api_key"].as_str().map(str::to_owned);
        targets.iter().map(key).collect::<Vec<_>>()
    };
    let one = json!({ "model": "m", "with_secret": true });
    let all = json!({ "model": "m", "with_secret": true, "all_targets": true });
    eventually("both endpoints serve the model", async || {
        keys_of(one.clone()).await.len() == 2
    })
    .await;
    let before = scene.audited("Disclosed").await.len();
    let given = Some(KEY.to_owned());
    assert_eq!(keys_of(one).await, [given.clone(), None]);
    assert_eq!(keys_of(all).await, [given.clone(), given]);
    assert_eq!(scene.audited("Disclosed").await.len(), before + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_audit_takes_no_row_everything_but_keys_is_served() {
    let scene = Scene::new("unaudited").await;
    let api = scene.replica(&[]).await;
    let agent = scene.user("agent").await;
    gets(&api, &agent, Some(KEY)).await;
    let mut owner = scene.world.owner().await;
    let right = format!("EXECUTE ON {RECORD}");
    let revoke = format!("REVOKE {right} FROM llmplane_api");
    owner.execute(AssertSqlSafe(revoke)).await.unwrap();
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "audit-unavailable")
    );
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.header("retry-after"), "1");
    let plain = resolve(&api, &agent, json!({ "model": "m" })).await;
    assert_eq!(plain.status, 200);
    let grant = format!("GRANT {right} TO llmplane_api");
    owner.execute(AssertSqlSafe(grant)).await.unwrap();
    gets(&api, &agent, Some(KEY)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_moved_in_the_database_gets_no_key() {
    let mut scene = Scene::new("moved").await;
    let agent = scene.user("agent").await;
    // It would put the rows right again.
    scene.controller.as_mut().unwrap().kill().await;
    let moved = "UPDATE endpoints SET base_url = 'https://evil.example/v1';
        UPDATE credential_versions SET allowed_hosts = ARRAY['evil.example']";
    scene.world.owner().await.execute(moved).await.unwrap();
    let api = scene.replica(&[]).await;
    let answered = ask(&api, &agent).await;
    let target = &answered.json()["targets"][0];
    assert_eq!(target["endpoint"]["base_url"], "https://evil.example/v1");
    assert!(target.get("secret").is_none() && target["credential"].is_null());
    assert_eq!(target["credential_reason"], "HostNotAllowed");
    eventually("the refusal is told of", async || {
        !scene.audited("HostNotAllowed").await.is_empty()
    })
    .await;
    assert!(scene.audited("Disclosed").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_paused_in_the_middle_holds_up_no_other() {
    let scene = Scene::new("paused").await;
    let (paused, other) = (scene.replica(&[]).await, scene.replica(&[]).await);
    let agent = scene.user("agent").await;
    gets(&paused, &agent, Some(KEY)).await;
    gets(&other, &agent, Some(KEY)).await;
    let before = scene.audited("Disclosed").await.len();
    let (answered, given) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let load = async {
        for _ in 0..150 {
            let answer = ask(&paused, &agent).await;
            if answer.status == 200 {
                assert_eq!(key(&answer).as_deref(), Some(KEY));
                given.fetch_add(1, Ordering::Relaxed);
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let pauses = async {
        for round in 1..=10 {
            eventually("the replica is in the middle of something", async || {
                answered.load(Ordering::Relaxed) >= 5 * round
            })
            .await;
            paused.pause();
            for _ in 0..3 {
                let answer = ask(&other, &agent).await;
                assert_eq!(key(&answer).as_deref(), Some(KEY), "{}", answer.text);
                given.fetch_add(1, Ordering::Relaxed);
            }
            paused.resume();
        }
    };
    tokio::join!(load, pauses);
    let rows = scene.audited("Disclosed").await.len() - before;
    let given = given.load(Ordering::Relaxed);
    assert!(given >= 30 && rows >= given, "{rows} rows for {given} keys");
    gets(&paused, &agent, Some(KEY)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_a_keyring_serves_everything_but_keys() {
    let scene = Scene::new("keyless").await;
    let api = Process::api(&scene.world, &[]);
    api.ready().await;
    let agent = scene.user("agent").await;
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "no-keyring")
    );
    assert_eq!(refused.header("cache-control"), "no-store");
    let plain = resolve(&api, &agent, json!({ "model": "m" })).await;
    assert_eq!(plain.status, 200);
    assert_eq!(api.get(&agent, "/models").await.names(), ["m"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_learns_whose_key_a_string_is_and_that_he_asked_is_told() {
    let scene = Scene::new("whose").await;
    let ns = scene.world.ns().to_owned();
    let api = scene.replica(&[]).await;
    let agent = scene.user("agent").await;
    let auditor = scene.agent("auditor", "llmplane-auditor").await;
    gets(&api, &agent, Some(KEY)).await;
    let asked = async |token: &str, body: String| {
        let url = format!("http://{}/api/v1/audit/whose-key", api.listen());
        let request = reqwest::Client::new().post(url).bearer_auth(token);
        answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    };
    let string = |key: &str| json!({ "key": key }).to_string();

    let refused = asked(&agent, string(KEY)).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (403, "forbidden")
    );
    let found = asked(&auditor, string(KEY)).await;
    assert_eq!(found.status, 200);
    assert_eq!(found.header("cache-control"), "no-store");
    let versions = found.json()["items"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 1);
    assert_eq!(
        json!([
            versions[0]["namespace"],
            versions[0]["name"],
            versions[0]["version"],
            versions[0]["state"]
        ]),
        json!([ns, "c", 1, "Current"])
    );
    let holder = &versions[0]["disclosures"][0];
    assert_eq!(
        json!([holder["actor"], holder["pod"]]),
        json!([format!("system:serviceaccount:{ns}:agent"), "agent-0"])
    );
    let other = asked(&auditor, string(OTHER)).await;
    assert_eq!(other.json(), json!({ "items": [] }));
    for malformed in [
        format!("{{\"key\": \"{KEY}\", \"ke"),
        format!("{{\"key\": [\"{KEY}\"]}}"),
        json!({ "key": KEY, "kex": KEY }).to_string(),
        string(""),
    ] {
        let refused = asked(&auditor, malformed).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "invalid-body")
        );
        assert!(!refused.text.contains(KEY), "{}", refused.text);
    }
    let filter = AuditFilter {
        action: Some("WhoseKey".to_owned()),
        ..AuditFilter::default()
    };
    let rows = scene.world.db().await;
    let rows = rows.audit_rows(&filter, None, 10).await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.actor.as_str(), row.name.as_deref()))
        .collect();
    let who = format!("system:serviceaccount:{ns}:auditor");
    assert_eq!(told, [(who.as_str(), None), (who.as_str(), Some("c"))]);
    assert!(!format!("{rows:?}").contains(KEY));
    assert!(!api.log().contains(KEY) && !api.log().contains(OTHER));

    let blind = Process::api(&scene.world, &[]);
    blind.ready().await;
    let url = format!("http://{}/api/v1/audit/whose-key", blind.listen());
    let request = reqwest::Client::new().post(url).bearer_auth(&auditor);
    let refused = answer(request.json(&json!({ "key": KEY }))).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "no-keyring")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_leaves_a_restored_database_before_it_was_compared_with_the_cluster() {
    let mut scene = Scene::new("restored").await;
    let agent = scene.user("agent").await;
    {
        let world = &scene.world;
        world.secret("t", OTHER).await;
        world.credential("d", "t").await;
        world.ready("LlmCredential", "d").await;
    }
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    let backup = run_tool("pg_dump", &scene.world, b"");
    // Withdrawn since: the key of c for good, by its Secret.
    scene.world.secret("s", ROTATED).await;
    gets(&api, &agent, Some(ROTATED)).await;
    drop(api);
    drop(scene.controller.take());

    let world = &scene.world;
    let name = &world.database.name;
    let mut admin = world.database.connect("postgres").await;
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER llmplane_owner"),
    ] {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    run_tool("psql", world, &backup);
    let api = scene.replica(&[]).await;
    for _ in 0..5 {
        let refused = ask(&api, &agent).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (503, "key-unavailable")
        );
    }
    assert!(!scene.audited("NotSweptYet").await.is_empty());
    let controller = Process::controller(world, &[]);
    eventually("keys are given out again", async || {
        let answered = ask(&api, &agent).await;
        let given = (answered.status == 200).then(|| key(&answered)).flatten();
        assert_ne!(given.as_deref(), Some(KEY), "it was withdrawn");
        given.is_some()
    })
    .await;
    drop(controller);
}

/// As a snapshot of a volume, or a copy of the data folder, is put back: under the same server, for which
/// it is the same database.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_leaves_a_volume_that_was_put_back_before_it_was_compared_with_the_cluster() {
    let mut server = PrivatePostgres::start(&[], &[]).await;
    let world = crate::lost_database::alone(&server, "volume").await;
    let mut scene = Scene::of(world).await;
    let agent = scene.user("agent").await;
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    let (data, copy) = (server.folder().join("data"), server.folder().join("copy"));
    server.stop();
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.unwrap().success());
    server.start_again().await;
    // Withdrawn since, by its Secret.
    scene.world.secret("s", ROTATED).await;
    gets(&api, &agent, Some(ROTATED)).await;
    drop(scene.controller.take());

    server.stop();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    server.start_again().await;
    let given = |answered: &Answer| {
        let given = (answered.status == 200).then(|| key(answered)).flatten();
        assert_ne!(given.as_deref(), Some(KEY), "it was withdrawn");
        given
    };
    eventually("no key is given out", async || {
        let answered = ask(&api, &agent).await;
        given(&answered).is_none()
            && answered.status == 503
            && answered.problem() == "key-unavailable"
    })
    .await;
    let _controller = Process::controller(&scene.world, &[]);
    eventually("keys are given out again", async || {
        given(&ask(&api, &agent).await).is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_cannot_be_compared_after_a_restore_is_switched_off_and_keeps_no_other() {
    let mut scene = Scene::new("compared").await;
    let agent = scene.user("agent").await;
    {
        let world = &scene.world;
        world.secret("t", OTHER).await;
        let spec = json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 1,
        });
        world.apply("LlmCredential", "d", spec).await;
        world.ready("LlmCredential", "d").await;
    }
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(OTHER)).await;
    drop(scene.controller.take());
    // As after a restore; and whatever is stored of the first choice is refused.
    let mut owner = scene.world.owner().await;
    owner
        .execute(
            "UPDATE swept_database SET marker = 'another';
             CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON credentials FOR EACH ROW
             WHEN (NEW.name = 'd' AND NEW.is_active) EXECUTE FUNCTION public.refuse()",
        )
        .await
        .unwrap();
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "key-unavailable")
    );
    let controller = Process::controller(&scene.world, &[]);
    eventually("the other's key is given out", async || {
        let answered = ask(&api, &agent).await;
        let given = (answered.status == 200).then(|| key(&answered)).flatten();
        assert_ne!(given.as_deref(), Some(OTHER), "nobody has looked at it");
        given.as_deref() == Some(KEY)
    })
    .await;
    let log = controller.log();
    assert!(log.contains("are switched off until they can be"), "{log}");
    owner
        .execute("DROP TRIGGER refuse ON credentials")
        .await
        .unwrap();
    let touched = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "priority": 2,
    });
    scene.world.apply("LlmCredential", "d", touched).await;
    gets(&api, &agent, Some(OTHER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_whose_keyring_cannot_be_used_lets_no_key_out_of_a_restored_database() {
    let mut scene = Scene::new("unkeyed").await;
    let agent = scene.user("agent").await;
    let api = scene.replica(&[]).await;
    gets(&api, &agent, Some(KEY)).await;
    drop(scene.controller.take());
    let restored = "UPDATE swept_database SET marker = 'another'";
    scene.world.owner().await.execute(restored).await.unwrap();
    // With another fingerprint.key nothing can be told of what the Secrets hold.
    let wrong = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(scene.world.keyring_dir()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), wrong.path().join(entry.file_name())).unwrap();
    }
    let fingerprint_key = wrong.path().join("fingerprint.key");
    let right = std::fs::read(&fingerprint_key).unwrap();
    std::fs::write(&fingerprint_key, (0..32).collect::<Vec<u8>>()).unwrap();
    let dir = ("LLMPLANE_KEYRING_DIR", wrong.path().to_str().unwrap());
    let controller = Process::controller(&scene.world, &[dir]);
    eventually("it has tried more than often enough", async || {
        let tried = "llmplane_reconciles_total{kind=\"credential\",result=\"retry\"}";
        controller.metric(tried).await >= Some(6.0)
    })
    .await;
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (503, "key-unavailable")
    );
    std::fs::write(&fingerprint_key, right).unwrap();
    eventually("keys are given out again", async || {
        key(&ask(&api, &agent).await).as_deref() == Some(KEY)
    })
    .await;
}

/// Each choice goes through everything that is declared: one who may use nothing of it pays for what it
/// costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_many_choices_takes_as_many_of_its_callers_turns() {
    let scene = Scene::new("choices").await;
    let world = &scene.world;
    let secret = json!({
        "metadata": {
            "name": "own",
            "labels": { "llmplane.dev/credential": "OpenAI" },
            "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
        },
        "stringData": { "api-key": KEY },
    });
    world.apply_object("Secret", secret).await;
    let names: Vec<String> = (0..20).map(|number| format!("own-{number}")).collect();
    for name in &names {
        let of = json!({ "name": name });
        world.provider(name, json!({ "type": "OpenAI" })).await;
        let of_provider = json!({ "providerRef": of });
        world
            .endpoint(name, &scene.vendor.url(), of_provider.clone())
            .await;
        let credential = json!({ "providerRef": of, "secretRef": { "name": "own" } });
        world.apply("LlmCredential", name, credential).await;
        let model = json!({ "providerRef": of, "modelId": "gpt-a" });
        world.apply("LlmModel", name, model).await;
    }
    for name in &names {
        world.ready("LlmCredential", name).await;
    }
    let api = scene.replica(&[("LLMPLANE_KEYS_PER_SECOND", "1")]).await;
    let viewer = scene.agent("viewer", "llmplane-viewer").await;
    eventually("all are known", async || {
        let listed = api.get(&viewer, "/models?limit=100").await;
        listed.names().len() > names.len()
    })
    .await;
    let need = json!({ "provider_types": ["OpenAI"], "with_secret": true });
    // Of one who has asked for nothing before; another, where that took so long that turns came back.
    for number in 0..10 {
        let reader = scene
            .agent(&format!("reader-{number}"), "llmplane-viewer")
            .await;
        let answered = resolve(&api, &reader, need.clone()).await;
        if answered.problem() == "rate-limited" {
            return;
        }
        assert_eq!(answered.problem(), "no-model", "{}", answered.text);
    }
    panic!("twenty choices cost a turn");
}

fn run_tool(name: &str, world: &World, input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = tool(name, &world.database);
    if name == "psql" {
        command.args(["--quiet", "--set=ON_ERROR_STOP=1"]);
    }
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writes = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writes.join().unwrap().unwrap();
    assert!(output.status.success(), "{name}");
    output.stdout
}
