//! A read API on a test's own database, and callers with tokens.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::{Api, ObjectMeta, PostParams};
use llmplane::api::{ApiError, run};
use llmplane::config::admin::AdminArgs;
use llmplane::config::api::ApiSettings;
use llmplane::config::cluster::ClusterArgs;
use llmplane::crd::Kind;
use llmplane::db::{Db, DbError, DeclaredModel, Epoch, Revision, WriteTx};
use llmplane::local::state::Component;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::database::TestDatabase;
use super::gate::{ApiserverProxy, Gate, PostgresProxy};
use super::plane::{Plane, TestNamespace, eventually};
use super::rows;

/// The resources of all kinds.
pub const KINDS: [&str; 5] = [
    "llmproviders",
    "llmendpoints",
    "llmcredentials",
    "llmmodels",
    "llmmodelclasses",
];

/// A running API, the database that it serves, and a namespace to look at.
pub struct TestApi {
    pub plane: &'static Plane,
    pub namespace: TestNamespace,
    pub database: TestDatabase,
    pub db: Db,
    pub epoch: Epoch,
    pub url: String,
    admin_url: String,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ApiError>>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// A list's rows.
    pub fn items(&self) -> Vec<Value> {
        match self.json()["items"].take() {
            Value::Array(items) => items,
            _ => panic!("no list: {}", self.text),
        }
    }

    /// The names of a list's rows.
    pub fn names(&self) -> Vec<String> {
        let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
        self.items().iter().map(name).collect()
    }

    /// Where a list goes on; none on its last page.
    pub fn next_cursor(&self) -> Option<String> {
        self.json()["next_cursor"].as_str().map(str::to_owned)
    }

    /// Last part of the problem's type, after what every problem must be was seen to hold.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let kind = problem["type"].as_str().unwrap();
        kind.rsplit('/').next().unwrap().to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn revision(&self) -> i64 {
        self.header("llmplane-revision").parse().unwrap()
    }
}

impl TestApi {
    /// On the shared plane.
    pub async fn start() -> Self {
        Self::on(Plane::shared().await).await
    }

    /// On this plane; ready.
    pub async fn on(plane: &'static Plane) -> Self {
        Self::with(plane, |_| ()).await
    }

    /// On the shared plane, behind a proxy to its kube-apiserver.
    pub async fn behind(proxy: &ApiserverProxy) -> Self {
        let kubeconfig = proxy.kubeconfig().to_str().unwrap().to_owned();
        let settings = |settings: &mut ApiSettings| settings.cluster.kubeconfig = Some(kubeconfig);
        Self::with(Plane::shared().await, settings).await
    }

    /// On the shared plane, behind a proxy to its kube-apiserver and one to its PostgreSQL.
    pub async fn behind_both(proxy: &ApiserverProxy) -> (Self, PostgresProxy) {
        let plane = Plane::shared().await;
        let database = plane.database().await;
        let postgres = PostgresProxy::start(Gate::new(None), &database.api_url).await;
        let (url, kubeconfig) = (postgres.url(), proxy.kubeconfig().to_str().unwrap());
        let settings = |settings: &mut ApiSettings| {
            settings.database_url = url.to_owned().into();
            settings.cluster.kubeconfig = Some(kubeconfig.to_owned());
        };
        let api = Self::of(plane, database, settings).await;
        (api, postgres)
    }

    /// On this plane, with changed settings; ready.
    pub async fn with(plane: &'static Plane, change: impl FnOnce(&mut ApiSettings)) -> Self {
        Self::of(plane, plane.database().await, change).await
    }

    async fn of(
        plane: &'static Plane,
        database: TestDatabase,
        change: impl FnOnce(&mut ApiSettings),
    ) -> Self {
        let (db, epoch) = database.leader().await;
        let (listen, admin) = (free_address(), free_address());
        let kubeconfig = plane.kubeconfig_of(Component::Api);
        let mut settings = ApiSettings {
            database_url: database.api_url.clone().into(),
            cluster: ClusterArgs {
                kubeconfig: Some(kubeconfig.to_str().unwrap().to_owned()),
            },
            listen,
            tls: None,
            max_connections: 1024,
            max_watches: 512,
            audience: "llmplane".to_owned(),
            keyring_dir: None,
            keys_per_second: NonZeroU32::MAX,
            console: false,
            shared_namespaces: Vec::new(),
            token_services: Vec::new(),
        };
        change(&mut settings);
        let scheme = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let shutdown = CancellationToken::new();
        let mut api = Self {
            plane,
            namespace: plane.namespace("api").await,
            database,
            db,
            epoch,
            url: format!("{scheme}://{listen}"),
            admin_url: format!("http://{admin}"),
            task: tokio::spawn(run(
                settings,
                AdminArgs {
                    admin_listen: admin,
                },
                shutdown.clone(),
            )),
            shutdown,
        };
        api.becomes_ready().await;
        api
    }

    /// Waits until it is ready, for a minute at most.
    async fn becomes_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, text) = self.ready().await;
            if status == 200 {
                return;
            }
            if self.task.is_finished() {
                panic!("the API ended: {:?}", (&mut self.task).await);
            }
            assert!(
                Instant::now() < deadline,
                "within a minute: {status} {text}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Status and text of `/readyz`; 0 where nobody answers.
    pub async fn ready(&self) -> (u16, String) {
        match reqwest::get(format!("{}/readyz", self.admin_url)).await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
            Err(_) => (0, String::new()),
        }
    }

    /// The sum of a counter over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = reqwest::get(format!("{}/metrics", self.admin_url)).await;
        let text = answer.unwrap().text().await.unwrap();
        let ours = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        text.lines().filter(ours).map(value).sum()
    }

    /// Writes rows as the controller would, and waits until the API shows them.
    pub async fn write<F>(&self, write: F) -> Revision
    where
        F: for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<(), DbError>> + Send + 'static,
    {
        let (_, revision) = self.db.write(self.epoch, write).await.unwrap();
        let revision = revision.expect("something visible changed");
        eventually("the API has reached the revision", async || {
            self.metric("llmplane_api_snapshot_revision").await >= revision.0 as f64
        })
        .await;
        revision
    }

    /// A ServiceAccount with these verbs on these resources in the namespace.
    pub async fn account(&self, name: &str, verbs: &[&str], resources: &[&str]) -> Caller<'_> {
        self.account_for(name, verbs, resources, &[]).await
    }

    /// As `account`, for these objects alone.
    pub async fn account_for(
        &self,
        name: &str,
        verbs: &[&str],
        resources: &[&str],
        objects: &[&str],
    ) -> Caller<'_> {
        let client = self.plane.client().await;
        make_account(client, &self.namespace.name, name).await;
        if !verbs.is_empty() {
            self.grant(&self.namespace.name, name, verbs, resources, objects)
                .await;
        }
        Caller {
            api: self,
            token: self.token(name, "llmplane").await,
            client: reqwest::Client::new(),
        }
    }

    /// Gives an account of the test's namespace these rights in a namespace; on these objects alone,
    /// where some are named.
    pub async fn grant(
        &self,
        namespace: &str,
        account: &str,
        verbs: &[&str],
        resources: &[&str],
        objects: &[&str],
    ) {
        let client = self.plane.client().await;
        let account = (self.namespace.name.as_str(), account);
        grant(client, namespace, account, (verbs, resources, objects)).await;
    }

    /// Stores a provider in the test's namespace.
    pub async fn provider(&self, name: &str) -> Uuid {
        let mut row = rows::provider(name);
        row.namespace.clone_from(&self.namespace.name);
        let uid = row.uid;
        self.write(move |tx| async move { tx.upsert(&row).await.map(drop) }.boxed())
            .await;
        uid
    }

    /// Someone who may get and list all kinds.
    pub async fn viewer(&self) -> Caller<'_> {
        self.account("viewer", &["get", "list"], &KINDS).await
    }

    /// As the viewer, with the right to read the audit, and so what was deleted.
    pub async fn auditor(&self) -> Caller<'_> {
        let all = [&KINDS[..], &["auditlogs"]].concat();
        self.account("auditor", &["get", "list"], &all).await
    }

    /// Marks objects as deleted, as the controller would.
    pub async fn delete(&self, kind: Kind, uids: &[Uuid]) {
        let uids = uids.to_owned();
        self.write(move |tx| async move { tx.soft_delete(kind, &uids).await.map(drop) }.boxed())
            .await;
    }

    /// A model of the test's namespace.
    pub fn model(&self, provider: Uuid, name: &str) -> DeclaredModel {
        let mut model = rows::model(provider, name);
        model.namespace.clone_from(&self.namespace.name);
        model
    }

    /// A token of a ServiceAccount for an audience.
    pub async fn token(&self, account: &str, audience: &str) -> String {
        let client = self.plane.client().await;
        token(&client, &self.namespace.name, account, audience).await
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Somebody with a token.
pub struct Caller<'a> {
    pub api: &'a TestApi,
    pub token: String,
    client: reqwest::Client,
}

impl Caller<'_> {
    /// `GET` below `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Every page of a list whose path has a query.
    pub async fn pages(&self, path: &str) -> Vec<Answer> {
        let mut pages = vec![self.get(path).await];
        while let Some(next) = pages.last().and_then(Answer::next_cursor) {
            assert!(pages.len() < 100, "{path} has no end");
            pages.push(self.get(&format!("{path}&cursor={next}")).await);
        }
        pages
    }

    /// As `get`, with more headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, headers).await
    }

    /// `POST` of JSON below `/api/v1`.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let url = format!("{}/api/v1{path}", self.api.url);
        let request = self.client.post(url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json");
        answer(request.body(body)).await
    }

    /// Any method below `/api/v1`.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("{}/api/v1{path}", self.api.url);
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }
}

/// Makes an account in a namespace.
pub async fn make_account(client: kube::Client, namespace: &str, name: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let account = ServiceAccount {
        metadata: named(name),
        ..ServiceAccount::default()
    };
    let create = PostParams::default();
    accounts.create(&create, &account).await.unwrap();
}

/// Gives an account (its namespace and name) verbs on resources in a namespace; on these objects alone,
/// where some are named.
pub async fn grant(
    client: kube::Client,
    namespace: &str,
    (home, account): (&str, &str),
    (verbs, resources, objects): (&[&str], &[&str], &[&str]),
) {
    let create = PostParams::default();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let rule = PolicyRule {
        api_groups: Some(vec!["llmplane.dev".to_owned()]),
        resources: Some(owned(resources)),
        resource_names: (!objects.is_empty()).then(|| owned(objects)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    };
    let role = Role {
        metadata: named(account),
        rules: Some(vec![rule]),
    };
    roles.create(&create, &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client, namespace);
    let binding = RoleBinding {
        metadata: named(account),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: account.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: account.to_owned(),
            namespace: Some(home.to_owned()),
            ..Subject::default()
        }]),
    };
    bindings.create(&create, &binding).await.unwrap();
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// A token of a namespace's ServiceAccount for an audience.
pub async fn token(
    client: &kube::Client,
    namespace: &str,
    account: &str,
    audience: &str,
) -> String {
    token_for(client, namespace, account, &[audience]).await
}

/// A token of a namespace's ServiceAccount for several audiences.
pub async fn token_for(
    client: &kube::Client,
    namespace: &str,
    account: &str,
    audiences: &[&str],
) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().map(|one| (*one).to_owned()).collect(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .unwrap();
    made.status.unwrap().token
}

/// A proxy to the shared plane's kube-apiserver, for an API that is to lose it.
pub async fn apiserver_proxy() -> ApiserverProxy {
    let kubeconfig = Plane::shared().await.kubeconfig_of(Component::Api);
    ApiserverProxy::start(Gate::new(None), &kubeconfig).await
}

/// Sends a request.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.unwrap(),
    }
}

/// Stores models.
pub fn models(
    rows: Vec<DeclaredModel>,
) -> impl for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<(), DbError>> + Send + 'static {
    move |tx| {
        async move {
            for row in &rows {
                tx.upsert(row).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// An address on loopback that nobody listens on.
pub fn free_address() -> SocketAddr {
    let listener = llmplane::local::ports::bind_free().unwrap();
    listener.local_addr().unwrap()
}
