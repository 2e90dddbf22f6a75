//! A namespace, a database, a keyring and a controller of a test's own, on the shared plane.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    },
};
use llmplane::{
    config::{admin::AdminArgs, audience::AudienceArgs, cluster::ClusterArgs},
    controller::{self, Settings, StartError},
    crd::{Kind, ProviderType},
    db::{Db, DbOptions},
    local::state::Component,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::api;
use super::plane::{Plane, TestDatabase, TestNamespace, eventually};
use super::sealed_fleet::Fleet;

/// The words of a condition: status and reason.
pub type Said = (String, String);

pub struct World {
    pub plane: &'static Plane,
    pub namespace: TestNamespace,
    pub database: TestDatabase,
    pub client: Client,
    keyring: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

impl World {
    /// Everything but the controller.
    pub async fn new(prefix: &str) -> Self {
        Self::on(Plane::shared().await, prefix).await
    }

    /// As `new`, on this plane.
    pub async fn on(plane: &'static Plane, prefix: &str) -> Self {
        Self::with(plane, plane.database().await, prefix).await
    }

    /// As `new`, on this plane and with this database.
    pub async fn with(plane: &'static Plane, database: TestDatabase, prefix: &str) -> Self {
        let keyring = tempfile::tempdir().unwrap();
        llmplane::encryption::kek::folder::create(&keyring.path().join("ring")).unwrap();
        Self {
            namespace: plane.namespace(prefix).await,
            database,
            client: plane.client().await,
            plane,
            keyring,
            running: None,
        }
    }

    /// With a running controller.
    pub async fn started(prefix: &str) -> Self {
        let mut world = Self::new(prefix).await;
        world.start().await;
        world
    }

    pub fn ns(&self) -> &str {
        &self.namespace.name
    }

    pub fn keyring_dir(&self) -> std::path::PathBuf {
        self.keyring.path().join("ring")
    }

    pub fn settings(&self) -> Settings {
        let kubeconfig = self.plane.kubeconfig_of(Component::Controller);
        Settings {
            database_url: self.database.controller_url.clone().into(),
            cluster: ClusterArgs {
                kubeconfig: Some(kubeconfig.to_str().unwrap().to_owned()),
            },
            keyring_dir: self.keyring_dir(),
            admin: AdminArgs {
                admin_listen: "127.0.0.1:0".parse().unwrap(),
            },
            namespaces: vec![self.ns().to_owned()],
            allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
            https_proxy: None,
            token_services: Vec::new(),
            audience: AudienceArgs::default(),
            leader_election: false,
            lease_namespace: None,
            catalog: None,
            label_prefixes: Vec::new(),
            model_sync_limit: controller::settings::MODEL_SYNC_LIMIT,
            model_sync_writes_per_second: controller::settings::MODEL_SYNC_WRITES_PER_SECOND,
            rewrap_settling_seconds: controller::settings::REWRAP_SETTLING_SECONDS,
            adopt_cluster: false,
            migrate: false,
        }
    }

    /// Starts a controller in this process.
    pub async fn start(&mut self) {
        self.start_with(self.settings()).await;
    }

    pub async fn start_with(&mut self, settings: Settings) {
        let shutdown = CancellationToken::new();
        let running = controller::run(settings, shutdown.clone());
        let task = tokio::spawn(async move {
            let ended = running.await;
            if let Err(error) = &ended {
                eprintln!("a controller in this process ended: {error}");
            }
            ended
        });
        self.running = Some(Running { shutdown, task });
    }

    /// Ends it as SIGTERM would.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("a controller runs");
        running.shutdown.cancel();
        running.task.await.unwrap().unwrap();
    }

    /// Drops it where it stands, as a killed process would be.
    pub async fn abandon(&mut self) {
        let running = self.running.take().expect("a controller runs");
        running.task.abort();
        let _ = running.task.await;
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self) -> Result<(), StartError> {
        let running = self.running.take().expect("a controller runs");
        tokio::time::timeout(Duration::from_secs(30), running.task)
            .await
            .expect("it ends within half a minute")
            .unwrap()
    }

    pub async fn db(&self) -> Db {
        let options = DbOptions::new("test");
        Db::connect(&self.database.controller_url, &options)
            .await
            .unwrap()
    }

    /// A connection as the database's owner, who may change any row.
    pub async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.owner_url)
            .await
            .unwrap()
    }

    /// So many credentials with so many stored versions each, which no controller watches.
    pub async fn fleet(&self, credentials: usize, versions: i32) -> Fleet {
        Fleet::make(
            self.owner().await,
            &self.keyring_dir(),
            credentials,
            versions,
        )
        .await
    }

    /// A token of a new account with these verbs on these resources in the namespace; on these objects
    /// alone, where some are named.
    pub async fn account(
        &self,
        name: &str,
        verbs: &[&str],
        resources: &[&str],
        objects: &[&str],
    ) -> String {
        let (client, ns) = (self.client.clone(), self.ns());
        api::make_account(client.clone(), ns, name).await;
        if !verbs.is_empty() {
            let rights = (verbs, resources, objects);
            api::grant(client.clone(), ns, (ns, name), rights).await;
        }
        api::token(&client, ns, name, "llmplane").await
    }

    /// Asks for the checks of credential `c` from Secret `s`, as a user would, and waits until they were
    /// made.
    pub async fn check_key(&self, asked: &str) {
        let object = json!({
            "metadata": { "name": "c", "annotations": { "llmplane.dev/reconcile-requested-at": asked } },
            "spec": { "providerRef": { "name": "p" }, "secretRef": { "name": "s" } },
        });
        self.apply_object("LlmCredential", object).await;
        eventually("the request is answered", async || {
            self.get("LlmCredential", "c").await["status"]["lastHandledReconcileAt"] == asked
        })
        .await;
    }

    /// Asks for an object's checks, as the read API does.
    pub async fn request_check(&self, uid: Uuid) {
        sqlx::query("SELECT llmplane_fn.request_check($1, 'test')")
            .bind(uid)
            .execute(&mut self.owner().await)
            .await
            .unwrap();
    }

    /// Objects of a kind, whatever their fields.
    pub fn dynamic(&self, kind: &str) -> Api<DynamicObject> {
        let resource = match kind {
            "Secret" => ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&()),
            kind => {
                let gvk = GroupVersionKind::gvk("llmplane.dev", "v1alpha1", kind);
                let plural = Kind::ALL
                    .into_iter()
                    .find(|k| k.kubernetes() == kind)
                    .unwrap()
                    .plural();
                ApiResource::from_gvk_with_plural(&gvk, plural)
            }
        };
        Api::namespaced_with(self.client.clone(), self.ns(), &resource)
    }

    /// Applies an object of this kind and name, as a user would.
    pub async fn apply(&self, kind: &str, name: &str, spec: Value) -> DynamicObject {
        self.apply_object(kind, json!({ "metadata": { "name": name }, "spec": spec }))
            .await
    }

    pub async fn apply_object(&self, kind: &str, object: Value) -> DynamicObject {
        self.try_apply(kind, object).await.unwrap()
    }

    /// The same, where it may be refused.
    pub async fn try_apply(
        &self,
        kind: &str,
        mut object: Value,
    ) -> Result<DynamicObject, kube::Error> {
        let version = if kind == "Secret" {
            "v1"
        } else {
            "llmplane.dev/v1alpha1"
        };
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("test").force();
        self.dynamic(kind)
            .patch(&name, &params, &Patch::Apply(object))
            .await
    }

    /// A Secret with this key for an OpenAI-compatible vendor on loopback.
    pub async fn secret(&self, name: &str, key: &str) {
        self.secret_with(name, json!({ "api-key": key })).await;
    }

    pub async fn secret_with(&self, name: &str, string_data: Value) {
        self.secret_of(ProviderType::OpenAICompatible, name, string_data)
            .await;
    }

    /// The same for a vendor of another type.
    pub async fn secret_of(&self, type_: ProviderType, name: &str, string_data: Value) {
        self.apply_object(
            "Secret",
            json!({
                "metadata": {
                    "name": name,
                    "labels": { "llmplane.dev/credential": type_.as_str() },
                    "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
                },
                "stringData": string_data,
            }),
        )
        .await;
    }

    /// Provider, endpoint, Secret and credential of one name; `provider` goes over the usual spec.
    pub async fn declare(&self, name: &str, url: &str, key: &str, provider: Value) {
        let type_ = provider.get("type").cloned();
        let type_ = type_.map_or(ProviderType::OpenAICompatible, |it| {
            serde_json::from_value(it).unwrap()
        });
        let of = json!({ "name": name });
        self.provider(name, provider).await;
        self.endpoint(name, url, json!({ "providerRef": of })).await;
        self.secret_of(type_, name, json!({ "api-key": key })).await;
        let spec = json!({ "providerRef": of, "secretRef": of });
        self.apply("LlmCredential", name, spec).await;
    }

    /// Provider `p` with endpoint `e` at this URL, credential `c` from Secret `s`.
    pub async fn apply_basics(&self, url: &str) {
        self.provider("p", json!({})).await;
        self.endpoint("e", url, json!({})).await;
        self.credential("c", "s").await;
    }

    pub async fn provider(&self, name: &str, more: Value) {
        let mut spec = json!({ "type": "OpenAICompatible" });
        merge(&mut spec, more);
        self.apply("LlmProvider", name, spec).await;
    }

    pub async fn endpoint(&self, name: &str, url: &str, more: Value) {
        let mut spec = json!({ "providerRef": { "name": "p" }, "baseUrl": url });
        merge(&mut spec, more);
        self.apply("LlmEndpoint", name, spec).await;
    }

    pub async fn credential(&self, name: &str, secret: &str) {
        let spec = json!({ "providerRef": { "name": "p" }, "secretRef": { "name": secret } });
        self.apply("LlmCredential", name, spec).await;
    }

    pub async fn model(&self, name: &str, id: &str) {
        let spec = json!({ "providerRef": { "name": "p" }, "modelId": id });
        self.apply("LlmModel", name, spec).await;
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        let params = DeleteParams::default();
        self.dynamic(kind).delete(name, &params).await.unwrap();
    }

    pub async fn get(&self, kind: &str, name: &str) -> Value {
        let object = self.dynamic(kind).get(name).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// All objects of a kind.
    pub async fn all(&self, kind: &str) -> Vec<Value> {
        let list = self.dynamic(kind).list(&ListParams::default()).await;
        let json = |object| serde_json::to_value(object).unwrap();
        list.unwrap().items.into_iter().map(json).collect()
    }

    /// Status and reason of a condition of the object's present generation.
    pub async fn said(&self, kind: &str, name: &str, condition: &str) -> Option<Said> {
        let object = self.get(kind, name).await;
        let generation = object["metadata"]["generation"].as_i64();
        if object["status"]["observedGeneration"].as_i64() != generation {
            return None;
        }
        find_condition(&object, condition).map(|c| {
            let word = |field: &str| c[field].as_str().unwrap_or_default().to_owned();
            (word("status"), word("reason"))
        })
    }

    pub async fn message(&self, kind: &str, name: &str, condition: &str) -> String {
        let object = self.get(kind, name).await;
        let found = find_condition(&object, condition).cloned();
        found.unwrap_or_default()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until a condition says this.
    pub async fn says(&self, kind: &str, name: &str, condition: &str, status: &str, reason: &str) {
        let wanted = Some((status.to_owned(), reason.to_owned()));
        let what = format!("{kind} {name}: {condition}={status} {reason}");
        eventually(&what, async || {
            self.said(kind, name, condition).await == wanted
        })
        .await;
    }

    /// The `resourceVersion` of each of these objects, by kind and name.
    pub async fn resource_versions(&self, objects: &[(&str, &str)]) -> Vec<Value> {
        let mut versions = Vec::new();
        for (kind, name) in objects {
            versions.push(self.get(kind, name).await["metadata"]["resourceVersion"].clone());
        }
        versions
    }

    pub async fn ready(&self, kind: &str, name: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.said(kind, name, "Ready").await;
            if said.is_some_and(|(status, _)| status == "True") {
                return;
            }
            if tokio::time::Instant::now() > deadline {
                let object = self.get(kind, name).await;
                panic!("{kind} {name} is not Ready within a minute: {object:#}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.shutdown.cancel();
        }
    }
}

pub fn find_condition<'a>(object: &'a Value, condition: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|c| c["type"] == condition)
}

fn merge(into: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        into[key] = value.clone();
    }
}
