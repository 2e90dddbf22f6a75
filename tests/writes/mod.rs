//! What callers change by the API: on a real kube-apiserver, as themselves, with a controller behind.

mod bad_input;
mod children;
mod credentials;
mod faults;
mod gitops;
mod half_written;
mod keyless;
mod providers;
mod rights;
mod webhooks;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use llmplane::db::{AuditFilter, AuditRow};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, answer, token_for};
use crate::support::process::Process;
use crate::support::world::World;

/// The audience of the plane's kube-apiserver.
const APISERVER: &str = "https://kubernetes.default.svc";
pub const KINDS: [&str; 5] = [
    "llmproviders",
    "llmendpoints",
    "llmcredentials",
    "llmmodels",
    "llmmodelclasses",
];
pub const EVERYTHING: [&str; 6] = ["get", "list", "create", "update", "patch", "delete"];

/// A world with a controller and an API, and somebody who may write all kinds.
pub struct Scene {
    pub world: World,
    pub api: Process,
    pub editor: Writer,
}

/// Somebody with a token.
#[derive(Clone)]
pub struct Writer {
    token: String,
    url: String,
}

impl Scene {
    pub async fn new(prefix: &str) -> Self {
        Self::that_logs(prefix, "info").await
    }

    /// As `new`, with an API that logs so much.
    pub async fn that_logs(prefix: &str, level: &str) -> Self {
        let mut world = World::new(prefix).await;
        world.start().await;
        Self::of(world, level).await
    }

    /// In a world that has a controller, with an API that logs so much.
    pub async fn of(world: World, level: &str) -> Self {
        let api = Process::api(&world, &[("RUST_LOG", level)]);
        api.ready().await;
        let mut scene = Self {
            editor: Writer {
                token: String::new(),
                url: url(&api),
            },
            world,
            api,
        };
        scene.editor = scene.writer("editor", &EVERYTHING, &KINDS).await;
        scene
    }

    pub fn ns(&self) -> &str {
        self.world.ns()
    }

    /// A ServiceAccount with these verbs on these resources, and a token for both audiences.
    pub async fn writer(&self, name: &str, verbs: &[&str], resources: &[&str]) -> Writer {
        let rules =
            json!([{ "apiGroups": ["llmplane.dev"], "resources": resources, "verbs": verbs }]);
        self.writer_with(name, rules).await
    }

    pub async fn writer_with(&self, name: &str, rules: Value) -> Writer {
        account(&self.world, name, rules).await;
        Writer {
            token: self.token(name, &["llmplane", APISERVER]).await,
            url: url(&self.api),
        }
    }

    pub async fn token(&self, account: &str, audiences: &[&str]) -> String {
        token_for(&self.world.client, self.ns(), account, audiences).await
    }

    /// What the audit tells of single writes, oldest first.
    pub async fn audit(&self) -> Vec<AuditRow> {
        let mut rows = self.rows().await;
        rows.retain(|row| ["Create", "Update", "Delete"].contains(&row.action.as_str()));
        rows
    }

    async fn rows(&self) -> Vec<AuditRow> {
        let db = self.world.db().await;
        let filter = AuditFilter {
            namespace: Some(self.ns().to_owned()),
            ..AuditFilter::default()
        };
        let mut rows = db.audit_rows(&filter, None, 1000).await.unwrap();
        rows.reverse();
        rows
    }

    /// Where the API answers.
    pub fn url(&self) -> String {
        url(&self.api)
    }

    /// What the audit tells of imports, oldest first.
    pub async fn imports(&self) -> Vec<AuditRow> {
        let mut rows = self.rows().await;
        rows.retain(|row| row.action == "Import");
        rows
    }

    /// Action, name and result of each row of the audit.
    pub async fn told(&self) -> Vec<(String, String, String)> {
        let rows = self.audit().await.into_iter();
        rows.map(|row| (row.action, row.name.unwrap_or_default(), row.result))
            .collect()
    }

    /// The spec of an object; null where there is none.
    pub async fn spec(&self, kind: &str, name: &str) -> Value {
        let object = self.world.dynamic(kind).get_opt(name).await.unwrap();
        object.map_or(Value::Null, |object| object.data["spec"].clone())
    }
}

impl Writer {
    pub fn new(token: String, url: String) -> Self {
        Self { token, url }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Any method below `/api/v1`, with a body unless that is null.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}/api/v1{path}", self.url);
        let request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(&self.token);
        answer(match body {
            Value::Null => request,
            body => request.json(&body),
        })
        .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, Value::Null).await
    }

    /// `POST` of this text.
    pub async fn post_text(&self, path: &str, text: impl Into<String>) -> Answer {
        let url = format!("{}/api/v1{path}", self.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json");
        answer(request.body(text.into())).await
    }
}

fn url(api: &Process) -> String {
    format!("http://{}", api.listen())
}

/// A ServiceAccount with these rights in the namespace.
async fn account(world: &World, name: &str, rules: Value) {
    let (client, ns, create) = (&world.client, world.ns(), PostParams::default());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), ns);
    let account = from(json!({ "metadata": { "name": name } }));
    accounts.create(&create, &account).await.unwrap();
    let roles: Api<Role> = Api::namespaced(client.clone(), ns);
    let role = from(json!({ "metadata": { "name": name }, "rules": rules }));
    roles.create(&create, &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), ns);
    let binding = from(json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": ns }],
    }));
    bindings.create(&create, &binding).await.unwrap();
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// What the audit tells of one write that was done.
fn done(action: &str, name: &str) -> [(String, String, String); 2] {
    outcome(action, name, "Done")
}

/// What the audit tells of one write.
fn outcome(action: &str, name: &str, result: &str) -> [(String, String, String); 2] {
    ["Requested", result].map(|word| (action.to_owned(), name.to_owned(), word.to_owned()))
}
