//! Keys as callers get them: `POST /resolve` of real processes, with a real controller behind them.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use llmplane::crd::ProviderType;
use llmplane::db::AuditFilter;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use super::RECORD;
use super::scene::{KEY, OTHER, ROTATED, Scene, ask, from, gets, key};
use crate::support::api::answer;
use crate::support::plane::eventually;
use crate::support::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_the_key_of_a_model_under_its_own_identity() {
    let scene = Scene::new("agent").await;
    let api = scene.replica(&[("RUST_LOG", "trace")]).await;
    let agent = scene.user("agent").await;
    gets(&api, &agent, Some(KEY)).await;
    let asked = json!({ "model": "m", "with_secret": true, "purpose": "nightly summaries" });
    let answered = api.resolve(&agent, asked).await;
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
    let plain = api.resolve(&agent, json!({ "model": "m" })).await;
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
        api.resolve(token, asked).await
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
        let answered = api.resolve(&reader, asked).await;
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
        let target = api.resolve(&blind, asked).await.json()["targets"][0].clone();
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
    for _ in 0..20 {
        let again = ask(&api, &agent).await;
        assert_eq!(
            (again.status, again.problem().as_str()),
            (429, "quota-exhausted")
        );
    }
    // Who asks again at once is counted: no row is written for each.
    eventually("all refusals are told of", async || {
        let rows = scene.audited("QuotaExhausted").await;
        let told: i32 = rows.iter().map(|row| row.count).sum();
        assert!(rows.len() < 10, "{} rows", rows.len());
        told == 21
    })
    .await;

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
        let answered = api.resolve(&agent, asked).await.json();
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
    let plain = api.resolve(&agent, json!({ "model": "m" })).await;
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
    let plain = api.resolve(&agent, json!({ "model": "m" })).await;
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
    assert_eq!(versions[0]["is_partial"], false);
    // As it leaks: in a line of a file, of a header, or of a log.
    for leaked in [
        format!("{KEY}\n"),
        format!(" \"{KEY}\","),
        format!("Authorization: Bearer {KEY}"),
        format!("export OPENAI_API_KEY={KEY}"),
    ] {
        let found = asked(&auditor, string(&leaked)).await.json();
        assert_eq!(found["items"][0]["name"], "c", "{leaked:?}");
    }
    let text = asked(&auditor, string(&format!("{KEY} ").repeat(65))).await;
    assert_eq!(
        (text.status, text.problem().as_str()),
        (400, "invalid-body")
    );
    assert!(!text.text.contains(KEY), "{}", text.text);
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
    let rows = rows.audit_rows(&filter, None, 100).await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .filter(|row| row.result == "Done")
        .map(|row| (row.actor.as_str(), row.name.as_deref()))
        .collect();
    let who = format!("system:serviceaccount:{ns}:auditor");
    let mut wanted = vec![(who.as_str(), None)];
    wanted.extend([(who.as_str(), Some("c")); 5]);
    assert_eq!(told, wanted);
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

/// Each choice goes through everything that is declared: one who may use nothing of it pays for what it
/// costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_many_choices_takes_as_many_of_its_callers_turns() {
    let scene = Scene::new("choices").await;
    let world = &scene.world;
    let key = json!({ "api-key": KEY });
    world.secret_of(ProviderType::OpenAI, "own", key).await;
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
        let answered = api.resolve(&reader, need.clone()).await;
        if answered.problem() == "rate-limited" {
            return;
        }
        assert_eq!(answered.problem(), "no-model", "{}", answered.text);
    }
    panic!("twenty choices cost a turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_key_may_not_leave_now_is_passed_over_for_a_model_whose_key_may() {
    let scene = Scene::new("passedover").await;
    let world = &scene.world;
    let once = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
        "quota": { "limit": 1, "unit": "Disclosures", "period": "Month" },
    });
    world.apply("LlmCredential", "c", once).await;
    world
        .declare("q", &scene.vendor.url(), OTHER, json!({}))
        .await;
    let second = json!({ "providerRef": { "name": "q" }, "modelId": "gpt-a" });
    world.apply("LlmModel", "n", second).await;
    for (kind, name) in [
        ("LlmCredential", "c"),
        ("LlmCredential", "q"),
        ("LlmModel", "n"),
    ] {
        world.ready(kind, name).await;
    }
    let api = scene.replica(&[]).await;
    let agent = scene.user("agent").await;
    let need = json!({ "provider_types": ["OpenAICompatible"], "with_secret": true });
    let given = async || {
        let answered = api.resolve(&agent, need.clone()).await;
        let name = answered.json()["model"]["name"].clone();
        (name, key(&answered))
    };
    eventually("the first model's key, and both are known", async || {
        given().await == (json!("m"), Some(KEY.to_owned()))
    })
    .await;
    for _ in 0..3 {
        assert_eq!(given().await, (json!("n"), Some(OTHER.to_owned())));
    }
    // Where the caller wants that very model, it hears why there is no key.
    let refused = ask(&api, &agent).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (429, "quota-exhausted"),
        "{}",
        refused.text
    );
}
