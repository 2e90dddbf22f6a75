//! Requests for keys, and for the audit, that are refused: each leaves a row.

use std::collections::BTreeSet;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use llmplane::crd::credential::VersionState;
use llmplane::db::{AuditFilter, AuditRow, DeclaredCredential};
use serde_json::{Value, json};

use crate::support::api::{Answer, Caller, TestApi};
use crate::support::plane::{Plane, eventually};
use crate::support::rows;

async fn told(api: &TestApi) -> Vec<AuditRow> {
    let db = api.database.api().await;
    db.audit_rows(&AuditFilter::default(), None, 100)
        .await
        .unwrap()
}

/// One that would give out keys, had it a keyring to open.
async fn with_keys() -> TestApi {
    TestApi::with(Plane::shared().await, |settings| {
        settings.keyring_dir = Some(std::env::temp_dir());
    })
    .await
}

/// Model `gpt` at one endpoint, with one credential `key`.
async fn store(api: &TestApi, change: impl FnOnce(&mut DeclaredCredential)) {
    let provider = api.provider("p").await;
    let mut endpoint = rows::endpoint(provider, "main");
    let mut credential = rows::credential(provider, "key");
    let model = api.model(provider, "gpt");
    for namespace in [&mut endpoint.namespace, &mut credential.namespace] {
        namespace.clone_from(&api.namespace.name);
    }
    credential.endpoint_uids.clear();
    change(&mut credential);
    let version = rows::key_version(credential.uid, 1, VersionState::Current);
    api.write(move |tx| {
        async move {
            tx.upsert(&endpoint).await?;
            tx.upsert(&credential).await?;
            tx.credential_version_insert(&version).await?;
            tx.upsert(&model).await.map(drop)
        }
        .boxed()
    })
    .await;
}

async fn ask(caller: &Caller<'_>, model: &str) -> Answer {
    let asked = json!({ "model": model, "with_secret": true, "purpose": "nightly run" });
    caller.post("/resolve", asked.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_before_a_credential_is_looked_at_is_told_of() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let asked = json!({ "model": "m", "with_secret": true }).to_string();
    for (answer, status) in [
        (viewer.get("/audit").await, 403),
        (
            viewer.post("/audit/whose-key", r#"{"key": "x"}"#).await,
            403,
        ),
        (
            viewer.post("/resolve?namespace=elsewhere", asked).await,
            403,
        ),
        (ask(&viewer, "m").await, 503),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    eventually("all refusals are told of", async || {
        let rows = told(&api).await;
        let told: BTreeSet<_> = rows
            .iter()
            .filter(|row| row.actor.ends_with(":viewer"))
            .map(|row| (&*row.action, &*row.result, row.namespace.as_deref()))
            .collect();
        let own = Some(&*api.namespace.name);
        [
            ("Read", "Forbidden", own),
            ("WhoseKey", "Forbidden", own),
            ("Disclose", "Forbidden", Some("elsewhere")),
        ]
        .iter()
        .all(|refusal| told.contains(refusal))
            && told.iter().any(|(_, result, _)| *result == "NoKeyring")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_the_right_to_read_the_audit_leaves_a_row_where_it_is_refused() {
    let api = TestApi::start().await;
    store(&api, |_| {}).await;
    let viewer = api.viewer().await;
    let asked = [
        ("/audit", 403),
        ("/needs", 403),
        ("/models?include_deleted=true", 403),
        ("/providers/p?include_deleted=true", 403),
        ("/providers/p/credentials?include_deleted=true", 403),
        ("/credentials/key/holders", 403),
        // What is not there looks to the caller as it would to anybody.
        ("/credentials/absent/holders", 404),
    ];
    for (path, status) in asked {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    assert_eq!(viewer.get("/models").await.status, 200);
    let refused = async || -> Vec<AuditRow> {
        let rows = told(&api).await.into_iter();
        let is_read = |row: &AuditRow| row.action == "Read" && row.result == "Forbidden";
        rows.filter(is_read).collect()
    };
    let count = |rows: &[AuditRow]| rows.iter().map(|row| row.count).sum::<i32>();
    eventually("all refusals are told of", async || {
        count(&refused().await) >= 7
    })
    .await;
    let rows = refused().await;
    assert_eq!(count(&rows), 7, "each is told of once: {rows:?}");
    for row in rows {
        assert!(row.actor.ends_with(":viewer"), "{}", row.actor);
        assert_eq!(row.namespace.as_ref(), Some(&api.namespace.name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_replica_knows_not_to_give_out_leaves_a_row_for_who_asked() {
    type Change = fn(&mut DeclaredCredential);
    let cases: [(&str, Change); 2] = [
        ("Disabled", |row| row.is_active = false),
        ("Expired", |row| {
            row.expires_at = Some(Timestamp::UNIX_EPOCH)
        }),
    ];
    for (result, change) in cases {
        let api = with_keys().await;
        store(&api, change).await;
        let viewer = api.viewer().await;
        for _ in 0..3 {
            let answer = ask(&viewer, "gpt").await;
            let target = &answer.json()["targets"][0];
            assert_eq!(
                (answer.status, target.get("secret")),
                (200, None),
                "{result}"
            );
        }
        assert_eq!(ask(&viewer, "nobody").await.status, 404);
        eventually("all are told of", async || {
            let rows = told(&api).await;
            let of = |result: &str| -> Vec<&AuditRow> {
                rows.iter().filter(|row| row.result == result).collect()
            };
            let count: i32 = of(result).iter().map(|row| row.count).sum();
            let is_named = |row: &&AuditRow| {
                row.name.as_deref() == Some("key") && row.purpose.as_deref() == Some("nightly run")
            };
            count == 3 && of(result).iter().all(is_named) && of("NotFound").len() == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_use_a_credential_and_not_list_it_is_told_why_it_serves_nobody() {
    let api = with_keys().await;
    store(&api, |row| row.expires_at = Some(Timestamp::UNIX_EPOCH)).await;
    let listed = ["llmmodels", "llmendpoints"];
    let own = api.account("own", &["get", "list"], &listed).await;
    let other = api.account("other", &["get", "list"], &listed).await;
    let namespace = &*api.namespace.name;
    let client = api.plane.client().await;
    let create = PostParams::default();
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let role = serde_json::from_value(json!({
        "metadata": { "name": "uses" },
        "rules": [{
            "apiGroups": ["llmplane.dev"], "resources": ["llmcredentials"],
            "resourceNames": ["key"], "verbs": ["use"],
        }],
    }));
    roles.create(&create, &role.unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client, namespace);
    let binding = serde_json::from_value(json!({
        "metadata": { "name": "uses" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "uses" },
        "subjects": [{ "kind": "ServiceAccount", "name": "own", "namespace": namespace }],
    }));
    bindings.create(&create, &binding.unwrap()).await.unwrap();
    for (caller, reason) in [(&own, "Expired"), (&other, "NoCredential")] {
        let target = ask(caller, "gpt").await.json()["targets"][0].clone();
        assert_eq!(target["credential"], Value::Null);
        assert_eq!(target["credential_reason"], reason);
    }
}
