//! A world in which agents ask for a key, and how they ask.

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::PostParams;
use llmplane::db::{AuditFilter, AuditRow};
use serde_json::{Value, json};

use crate::support::api::Answer;
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::world::World;

pub const KEY: &str = "sk-canary-Zq7planted23456789";
pub const ROTATED: &str = "sk-canary-Yx8rotated98765432";
pub const OTHER: &str = "sk-canary-Wv9another13579246";

/// A world with a controller, model `m` of provider `p`, whose only credential is `c`.
pub struct Scene {
    pub world: World,
    pub controller: Option<Process>,
    pub vendor: FakeVendor,
}

impl Scene {
    pub async fn new(prefix: &str) -> Self {
        Self::of(World::new(prefix).await).await
    }

    pub async fn of(world: World) -> Self {
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
    pub async fn replica(&self, settings: &[(&str, &str)]) -> Process {
        Process::api_with_keys(&self.world, settings).await
    }

    /// A token of a ServiceAccount that is bound to a pod, with this ClusterRole.
    pub async fn agent(&self, name: &str, role: &str) -> String {
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

    pub async fn user(&self, name: &str) -> String {
        self.agent(name, "llmplane-credential-user").await
    }

    pub async fn audited(&self, result: &str) -> Vec<AuditRow> {
        let filter = AuditFilter {
            action: Some("Disclose".to_owned()),
            result: Some(result.to_owned()),
            ..AuditFilter::default()
        };
        let db = self.world.db().await;
        db.audit_rows(&filter, None, 1000).await.unwrap()
    }
}

pub fn from<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

impl Scene {
    /// Rotates the key of `c`, until the new one is given out and the credential's status says that it is
    /// in use: a restored database is put right by what the cluster tells.
    pub async fn rotate(&self, api: &Process, token: &str) {
        self.world.secret("s", ROTATED).await;
        gets(api, token, Some(ROTATED)).await;
        eventually("the status tells of the rotation", async || {
            let status = self.world.get("LlmCredential", "c").await["status"].take();
            let newest = &status["versions"][0];
            newest["version"] == 2 && newest["state"] == "Current"
        })
        .await;
    }
}

/// What asks for model `m` and its key.
fn asked() -> Value {
    json!({ "model": "m", "with_secret": true })
}

pub async fn ask(api: &Process, token: &str) -> Answer {
    api.resolve(token, asked()).await
}

/// The key in an answer's first target.
pub fn key(answer: &Answer) -> Option<String> {
    let key = answer.json()["targets"][0]["secret"]["api_key"].clone();
    key.as_str().map(str::to_owned)
}

/// Asks until this is the key that is given out.
pub async fn gets(api: &Process, token: &str, wanted: Option<&str>) {
    api.gives(token, asked(), wanted).await;
}
