//! `llmplane preflight`: what an installation needs, on a real cluster and database, and each thing that can be
//! missing.

mod kubeconfig;
mod values;

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::api::{free_address, token};
use crate::support::gate::{ApiserverProxy, Gate, PostgresProxy};
use crate::support::plane::{Plane, TestDatabase, TestNamespace, eventually};
use crate::support::postgres::PrivatePostgres;

const PASSWORD: &str = "hunter2-canary";

/// A namespace with all Secrets, and a database.
struct Site {
    plane: &'static Plane,
    namespace: TestNamespace,
    database: TestDatabase,
    client: kube::Client,
    folder: tempfile::TempDir,
}

/// What binds the controller's role, one for a cluster.
const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/llmplane-controller";

/// What a run said.
struct Said {
    code: Option<i32>,
    checks: Vec<Value>,
    text: String,
}

impl Site {
    /// With all that an installation needs.
    async fn whole() -> Self {
        let plane = Plane::shared().await;
        Self::with(plane.database().await).await
    }

    async fn with(database: TestDatabase) -> Self {
        let plane = Plane::shared().await;
        let namespace = plane.namespace("preflight").await;
        let client = plane.client().await;
        let folder = tempfile::tempdir().unwrap();
        llmplane::encryption::kek::folder::create(&folder.path().join("ring")).unwrap();
        let site = Self {
            plane,
            namespace,
            database,
            client,
            folder,
        };
        let label = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let namespaces: Api<Namespace> = Api::all(site.client.clone());
        namespaces
            .patch(
                &site.namespace.name,
                &PatchParams::default(),
                &Patch::Merge(label),
            )
            .await
            .unwrap();
        let url = |url: &str| json!({ "DATABASE_URL": url });
        site.secret(
            "llmplane-controller-database",
            url(&site.database.controller_url),
        )
        .await;
        site.secret("llmplane-api-database", url(&site.database.api_url))
            .await;
        let mut ring = site.ring_entries();
        let audit = ring.as_object_mut().unwrap().remove("audit.key").unwrap();
        site.binary_secret("llmplane-keyring", ring).await;
        site.binary_secret("llmplane-audit-key", json!({ "audit.key": audit }))
            .await;
        let key = rcgen::generate_simple_self_signed(["llmplane-api".to_owned()]).unwrap();
        let pair = json!({ "tls.crt": key.cert.pem(), "tls.key": key.signing_key.serialize_pem() });
        site.secret("llmplane-api-tls", pair).await;
        eventually("the namespace has its account", async || {
            let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = site.api();
            accounts.get_opt("default").await.unwrap().is_some()
        })
        .await;
        site
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace.name)
    }

    fn ring(&self) -> PathBuf {
        self.folder.path().join("ring")
    }

    /// The keyring's files in base64, as a Secret has them.
    fn ring_entries(&self) -> Value {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let files = std::fs::read_dir(self.ring()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let content = STANDARD.encode(std::fs::read(entry.path()).unwrap());
            (
                entry.file_name().into_string().unwrap(),
                Value::from(content),
            )
        });
        files.collect::<serde_json::Map<_, _>>().into()
    }

    async fn secret(&self, name: &str, entries: Value) {
        self.apply_secret(json!({ "metadata": { "name": name }, "stringData": entries }))
            .await;
    }

    async fn binary_secret(&self, name: &str, entries: Value) {
        self.apply_secret(json!({ "metadata": { "name": name }, "data": entries }))
            .await;
    }

    async fn apply_secret(&self, mut secret: Value) {
        secret["apiVersion"] = "v1".into();
        secret["kind"] = "Secret".into();
        let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
        let secrets: Api<Secret> = self.api();
        let _ = secrets.delete(&name, &Default::default()).await;
        let secret = serde_json::from_value(secret).unwrap();
        secrets
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    /// The cluster, without the binding that every local plane has for a controller of its own.
    async fn cluster(&self) -> ApiserverProxy {
        let proxy = ApiserverProxy::start(Gate::new(None), &self.plane.kubeconfig()).await;
        let none = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404 });
        proxy.answers(BINDING, 404, none);
        proxy
    }

    /// Runs it as the administrator.
    async fn run(&self, args: &[&str]) -> Said {
        let cluster = self.cluster().await;
        self.run_with(cluster.kubeconfig().to_owned(), args).await
    }

    async fn run_with(&self, kubeconfig: PathBuf, args: &[&str]) -> Said {
        let args = [&["-n", self.namespace.name.as_str()], args].concat();
        run(&kubeconfig, &args).await
    }

    /// Runs it through a proxy that answers one path in the cluster's place.
    async fn run_where(&self, path: &str, status: u16, answer: Value, args: &[&str]) -> Said {
        let proxy = self.cluster().await;
        proxy.answers(path, status, answer);
        self.run_with(proxy.kubeconfig().to_owned(), args).await
    }

    /// A kubeconfig of the namespace's account, by a token for the kube-apiserver itself.
    async fn kubeconfig_of_account(&self) -> PathBuf {
        let audience = "https://kubernetes.default.svc";
        let bearer = token(&self.client, &self.namespace.name, "default", audience).await;
        let config = std::fs::read(self.plane.kubeconfig()).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config["users"][0]["user"] = json!({ "token": bearer });
        let path = self.folder.path().join("account");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// A file with values.
    fn values(&self, text: &str) -> String {
        let path = self.folder.path().join("values.yaml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

async fn run(kubeconfig: &std::path::Path, args: &[&str]) -> Said {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(["preflight", "-o", "json"])
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(PASSWORD), "{said}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    assert_eq!(
        answer["passes"] == true,
        output.status.code() == Some(0),
        "{said}"
    );
    Said {
        code: output.status.code(),
        checks,
        text: said,
    }
}

impl Said {
    /// The one finding of a check, which must have come out so and have these words.
    fn says(&self, check: &str, verdict: &str, words: &[&str]) {
        let found: Vec<&Value> = self
            .checks
            .iter()
            .filter(|it| it["check"] == check)
            .collect();
        let of_verdict = found.iter().find(|it| it["verdict"] == verdict);
        let finding =
            of_verdict.unwrap_or_else(|| panic!("{check} does not say {verdict}: {}", self.text));
        let said = finding.to_string();
        for word in words {
            assert!(said.contains(word), "{check}: {word:?} is not in {said}");
        }
        let is_remedied = finding["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(
            is_remedied,
            verdict != "ok",
            "{check} says what to do: {said}"
        );
        assert_eq!(
            self.code == Some(1),
            self.checks.iter().any(|it| it["verdict"] == "fail")
        );
    }

    /// A check that fails the whole, with these words.
    fn fails(&self, check: &str, words: &[&str]) {
        self.says(check, "fail", words);
        assert_eq!(self.code, Some(1), "{}", self.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_there_nothing_is_to_be_mended_and_nothing_is_changed() {
    let site = Site::whole().await;
    let ring = site.ring();
    let said = site.run(&["--keyring-dir", ring.to_str().unwrap()]).await;
    assert_eq!(said.code, Some(0), "{}", said.text);
    for check in [
        "cluster",
        "admission policies",
        "network policies",
        "definitions",
        "rights",
        "pod security",
        "pods",
        "watched namespaces",
        "token review",
        "secret/llmplane-controller-database",
        "secret/llmplane-api-database",
        "secret/llmplane-keyring",
        "secret/llmplane-audit-key",
        "secret/llmplane-api-tls",
        "database/controller",
        "schema/controller",
        "database's cluster",
        "database/api",
        "schema/api",
        "keyring",
    ] {
        said.says(check, "ok", &[]);
    }
    said.says(
        "namespace",
        "warn",
        &[
            "manifests/base installs into llmplane-system",
            "--api-namespace",
        ],
    );
    let pods: Api<k8s_openapi::api::core::v1::Pod> = site.api();
    assert!(
        pods.list(&Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_one_line_a_check() {
    let site = Site::whole().await;
    let cluster = site.cluster().await;
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(["preflight", "-n", &site.namespace.name])
        .env_clear()
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (last, lines) = text
        .lines()
        .collect::<Vec<_>>()
        .split_last()
        .map(|(last, lines)| (last.to_string(), lines.to_vec()))
        .unwrap();
    assert!(last.ends_with(" ok, 1 to look at, 0 to mend"), "{text}");
    for line in lines {
        assert!(
            ["ok    ", "warn  "]
                .iter()
                .any(|verdict| line.starts_with(verdict)),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lacks_something_is_told_what() {
    let site = Site::whole().await;
    let nowhere = site.folder.path().join("absent");
    let said = site.run_with(nowhere, &[]).await;
    said.fails("cluster", &["cannot be used", "KUBECONFIG"]);
    // The rest is looked at all the same.
    said.says("database/controller", "warn", &["no URL is known"]);

    let old = json!({ "major": "1", "minor": "29+", "gitVersion": "v1.29.3", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
    site.run_where("/version", 200, old, &[])
        .await
        .fails("cluster", &["v1.29.3", "1.32 or later"]);

    let absent = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
        "reason": "NotFound", "message": "the server could not find the requested resource" });
    site.run_where(
        "/apis/admissionregistration.k8s.io/v1",
        404,
        absent.clone(),
        &[],
    )
    .await
    .fails(
        "admission policies",
        &[
            "does not serve ValidatingAdmissionPolicy",
            "--runtime-config",
        ],
    );
    site.run_where("/apis/networking.k8s.io/v1", 404, absent.clone(), &[])
        .await
        .fails("network policies", &["networkPolicy.enabled=false"]);
    let values = site.values("serviceMonitor: {enabled: true}\n");
    site.run_where(
        "/apis/monitoring.coreos.com/v1",
        404,
        absent.clone(),
        &["-f", &values],
    )
    .await
    .fails("servicemonitors", &["install the Prometheus operator"]);
    let values = site.values("api: {tls: {certManager: {enabled: true, issuerRef: {name: ca}}}}\n");
    let said = site
        .run_where("/apis/cert-manager.io/v1", 404, absent, &["-f", &values])
        .await;
    said.fails("certificates", &["install cert-manager"]);
    let makes_it = said
        .checks
        .iter()
        .all(|it| it["check"] != "secret/llmplane-api-tls");
    assert!(makes_it, "cert-manager makes that Secret: {}", said.text);

    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {},
        "status": { "authenticated": true, "user": { "username": "u" } } });
    site.run_where(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        201,
        review,
        &[],
    )
    .await
    .fails("token review", &["without regard to the audience llmplane"]);
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {},
        "status": { "error": "unknown issuer" } });
    site.run_where(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        201,
        review,
        &[],
    )
    .await
    .fails("token review", &["--service-account-issuer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_another_release_are_told_from_this_ones() {
    let site = Site::whole().await;
    let (name, path) = (
        "llmmodels.llmplane.dev",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/llmmodels.llmplane.dev",
    );
    let api: Api<CustomResourceDefinition> = Api::all(site.client.clone());
    let current = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let mut older = current.clone();
    let spec = older.pointer_mut(fields).unwrap().as_object_mut().unwrap();
    spec.remove("contextWindow").unwrap();
    let mut newer = current.clone();
    newer.pointer_mut(fields).unwrap()["ofTomorrow"] = json!({ "type": "string" });

    let said = site.run_where(path, 200, older.clone(), &[]).await;
    said.says(
        "definitions",
        "warn",
        &["LlmModel lacks spec.contextWindow", "helm upgrade"],
    );
    assert_eq!(said.code, Some(0), "{}", said.text);
    let values = site.values("crds: {install: false}\n");
    site.run_where(path, 200, older, &["-f", &values])
        .await
        .fails(
            "definitions",
            &[
                "LlmModel lacks spec.contextWindow",
                "llmplane crds | kubectl apply",
            ],
        );
    site.run_where(path, 200, newer, &[]).await.fails(
        "definitions",
        &["LlmModel has spec.ofTomorrow", "newer release"],
    );
    let absent = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound" });
    site.run_where(path, 404, absent, &["-f", &values])
        .await
        .fails("definitions", &["LlmModel is missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_cannot_take_the_pods_is_told_why() {
    let site = Site::whole().await;
    let said = run(&site.plane.kubeconfig(), &["-n", "no-such-namespace"]).await;
    said.fails(
        "namespace",
        &[
            "kubectl create namespace no-such-namespace",
            "enforce=restricted",
        ],
    );
    said.fails(
        "secret/llmplane-keyring",
        &["not in namespace no-such-namespace"],
    );
    said.says("token review", "ok", &[]);

    for values in [
        "namespaces: [default, no-such-team]",
        "{namespaces: [default, no-such-team], sharedNamespaces: [no-such-team]}",
        "{namespaces: ['*'], sharedNamespaces: [no-such-team]}",
        "{namespaces: ['*'], federation: {no-such-team: [llm]}}",
    ] {
        let file = site.values(values);
        let said = site.run(&["-f", &file]).await;
        said.fails("watched namespaces", &["no-such-team", "create them"]);
    }

    let subject = json!({ "kind": "ServiceAccount", "name": "llmplane-controller", "namespace": "elsewhere" });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "llmplane-controller" }, "subjects": [subject],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "llmplane-controller" } });
    site.run_where(BINDING, 200, binding, &[]).await.fails(
        "other installation",
        &["in namespace elsewhere", "--namespace elsewhere"],
    );

    let labels =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": null } } });
    let namespaces: Api<Namespace> = Api::all(site.client.clone());
    namespaces
        .patch(
            &site.namespace.name,
            &PatchParams::default(),
            &Patch::Merge(labels),
        )
        .await
        .unwrap();
    let limit = json!({ "metadata": { "name": "small" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "64Mi" } }] } });
    let limits: Api<LimitRange> = site.api();
    limits
        .create(
            &PostParams::default(),
            &serde_json::from_value(limit).unwrap(),
        )
        .await
        .unwrap();
    // The apiserver's own memory of limits follows by a watch.
    let last = tokio::sync::Mutex::new(None);
    eventually("the limit is in force", async || {
        let said = site.run(&[]).await;
        let in_force = said.code == Some(1);
        *last.lock().await = Some(said);
        in_force
    })
    .await;
    let said = last.into_inner().unwrap();
    let named = ["the controller's", "the api's", "memory"];
    let remedy = ["change the quota or the policy", "controller.resources"];
    said.fails("pods", &[&named[..], &remedy].concat());
    said.says(
        "pod security",
        "warn",
        &["enforces no level", "kubectl label namespace"],
    );
}

/// What a quota lets in is what the values give the pods.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_judges_the_pods_that_will_be_installed() {
    let site = Site::whole().await;
    let hard = json!({ "limits.cpu": "1" });
    let quota = json!({ "metadata": { "name": "cpu" }, "spec": { "hard": hard } });
    let quotas: Api<ResourceQuota> = site.api();
    quotas
        .create(
            &PostParams::default(),
            &serde_json::from_value(quota).unwrap(),
        )
        .await
        .unwrap();
    // As the quota's controller does, which this plane has none of.
    let status = json!({ "status": { "hard": hard, "used": { "limits.cpu": "0" } } });
    quotas
        .patch_status("cpu", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    // The apiserver's own memory of quotas follows by a watch.
    let last = tokio::sync::Mutex::new(None);
    eventually("the quota is in force", async || {
        let said = site.run(&[]).await;
        let in_force = said.code == Some(1);
        *last.lock().await = Some(said);
        in_force
    })
    .await;
    let said = last.into_inner().unwrap();
    said.fails(
        "pods",
        &["the controller's", "the api's", "must specify limits.cpu"],
    );

    let limits = |controller: &str, api: &str| {
        site.values(&format!(
            "controller: {{resources: {{limits: {{cpu: {controller}}}}}}}\n\
             api: {{resources: {{limits: {{cpu: {api}}}}}}}\n"
        ))
    };
    let said = site.run(&["-f", &limits("500m", "2")]).await;
    said.fails("pods", &["the api's", "exceeded quota", "api.resources"]);
    assert!(
        !said.text.contains("pod like the controller's"),
        "{}",
        said.text
    );
    let said = site.run(&["-f", &limits("500m", "1")]).await;
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.says("pods", "ok", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_rights_is_told_what_it_lacks() {
    let site = Site::whole().await;
    let path = site.kubeconfig_of_account().await;
    let said = site.run_with(path, &[]).await;
    said.fails(
        "rights",
        &[
            "create customresourcedefinitions",
            "patch deployments",
            "create roles in default",
            "patch rolebindings in default",
            "cluster-admin",
        ],
    );
    for check in [
        "definitions",
        "namespace",
        "token review",
        "secret/llmplane-keyring",
    ] {
        said.says(check, "warn", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_missing_or_hold_something_else_are_named() {
    let site = Site::whole().await;
    let secrets: Api<Secret> = site.api();
    secrets
        .delete("llmplane-api-database", &Default::default())
        .await
        .unwrap();
    site.secret(
        "llmplane-controller-database",
        json!({ "URL": "postgres://u:hunter2-canary@h/db" }),
    )
    .await;
    site.binary_secret("llmplane-keyring", site.ring_entries())
        .await;
    site.secret("llmplane-audit-key", json!({ "audit.key": PASSWORD }))
        .await;
    site.secret("llmplane-api-tls", json!({ "tls.crt": "none" }))
        .await;
    let said = site.run(&[]).await;
    said.fails(
        "secret/llmplane-api-database",
        &["kubectl -n", "DATABASE_URL=<the URL of llmplane_api>"],
    );
    said.fails(
        "secret/llmplane-controller-database",
        &["no entry DATABASE_URL"],
    );
    said.fails("secret/llmplane-keyring", &["holds audit.key"]);
    said.fails("secret/llmplane-audit-key", &["14 bytes, not 32"]);
    said.fails(
        "secret/llmplane-api-tls",
        &["tls.crt is missing, or no PEM", "--from-file=ca.crt"],
    );

    site.secret(
        "mine",
        json!({ "DATABASE_URL": format!("{}\n", site.database.api_url) }),
    )
    .await;
    let values = site.values("database: {api: {existingSecret: mine}}\n");
    site.run(&["-f", &values])
        .await
        .fails("secret/mine", &["a space or a line's end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_will_not_do_is_told_why() {
    let site = Site::whole().await;
    let url = |url: &str| ["--database-url".to_owned(), url.to_owned()];
    let run = async |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        site.run(&args).await
    };
    run(&url("mysql://u:hunter2-canary@h/db")).await.fails(
        "database/controller",
        &["must start with postgres://", "correct the URL"],
    );
    let away = format!("postgres://u:hunter2-canary@{}/db", free_address());
    run(&url(&away)).await.fails(
        "database/controller",
        &["not available", "host, port and sslmode"],
    );
    let mut wrong = url::Url::parse(&site.database.controller_url).unwrap();
    wrong.set_password(Some(PASSWORD)).unwrap();
    run(&url(wrong.as_str())).await.fails(
        "database/controller",
        &[
            "password authentication failed",
            "user, password and database",
        ],
    );
    let proxy = PostgresProxy::start(Gate::new(None), &site.database.controller_url).await;
    let mut connection = PgConnection::connect(&site.database.controller_url)
        .await
        .unwrap();
    let number: String = sqlx::query_scalar("SELECT current_setting('server_version_num')")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    proxy.alter(&number, "140011");
    run(&url(proxy.url())).await.fails(
        "database/controller",
        &["PostgreSQL 14.11 is too old", "15 or later"],
    );

    let api = |url: &str| ["--api-database-url".to_owned(), url.to_owned()];
    run(&api(&site.database.controller_url))
        .await
        .fails("database/api", &["has not the rights of llmplane_api"]);
    let superuser = site
        .database
        .superuser_url
        .replace("/postgres?", &format!("/{}?", site.database.name));
    run(&api(&superuser)).await.says(
        "database/api",
        "warn",
        &["a superuser", "give a URL of llmplane_api"],
    );
    let read_only = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        site.database.name
    );
    let mut admin = PgConnection::connect(&site.database.superuser_url)
        .await
        .unwrap();
    admin.execute(AssertSqlSafe(read_only)).await.unwrap();
    run(&[])
        .await
        .fails("database/controller", &["takes no writes", "primary"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_another_is_told_with_what_to_do() {
    let database = Plane::shared().await.empty_database().await;
    let site = Site::with(database).await;
    site.run(&[]).await.fails(
        "schema/controller",
        &["has no llmplane schema", "llmplane migrate"],
    );
    // The chart migrates where its values have the owner's URL, whatever this command is given.
    let owner = site.database.owner_url.clone();
    let said = site.run(&["--owner-database-url", &owner]).await;
    said.says("database/owner", "ok", &[]);
    said.fails(
        "schema/controller",
        &["has no llmplane schema", "llmplane migrate"],
    );
    let values = site.values("database: {owner: {existingSecret: owner}}\n");
    let by_the_chart = ["-f", values.as_str()];
    site.secret("owner", json!({ "DATABASE_URL": owner })).await;
    let said = site.run(&by_the_chart).await;
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.says("database/owner", "ok", &[]);
    for check in ["schema/controller", "schema/api"] {
        said.says(check, "ok", &["the chart's Job"]);
    }
    // Whoever installs need not be allowed to read that Secret.
    let path = format!("/api/v1/namespaces/{}/secrets/owner", site.namespace.name);
    let forbidden = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
        "message": "secrets \"owner\" is forbidden", "code": 403 });
    let said = site.run_where(&path, 403, forbidden, &by_the_chart).await;
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.says("secret/owner", "warn", &["it cannot be read"]);
    said.says("database/owner", "warn", &["no URL is known"]);
    said.says("schema/controller", "ok", &["the chart's Job"]);
    let api = site.database.api_url.clone();
    site.run(&["--owner-database-url", &api])
        .await
        .fails("database/owner", &["may not make the schema"]);

    llmplane::db::migrate(&owner).await.unwrap();
    let mut connection = PgConnection::connect(&owner).await.unwrap();
    connection
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99990101000000, 'from the future', true, '', 0);
             UPDATE feed SET cluster_uid = 'another';
             INSERT INTO keyring_check (fingerprint_key) VALUES ('another')",
        )
        .await
        .unwrap();
    let ring = site.ring();
    let said = site.run(&["--keyring-dir", ring.to_str().unwrap()]).await;
    said.fails(
        "schema/api",
        &["newer than this binary", "run a newer llmplane"],
    );
    said.fails(
        "database's cluster",
        &["belongs to the cluster another", "LLMPLANE_ADOPT_CLUSTER"],
    );
    said.fails(
        "keyring",
        &["give the keyring that the database was used with"],
    );
    site.run(&["--keyring-dir", "/nowhere"])
        .await
        .fails("keyring", &["/nowhere", "llmplane keyring new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_roles_is_told_how_to_make_them() {
    let site = Site::whole().await;
    let server = PrivatePostgres::start(&[], &[]).await;
    let url = server.url("localhost", "postgres", "");
    let said = site.run(&["--database-url", &url]).await;
    said.fails(
        "database/controller",
        &[
            "no role llmplane_controller, llmplane_api",
            "CREATE ROLE llmplane_api LOGIN",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_the_documentation_runs_where_pods_are_restricted() {
    let site = Site::whole().await;
    let warn =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/warn": "restricted" } } });
    let namespaces: Api<Namespace> = Api::all(site.client.clone());
    namespaces
        .patch(
            &site.namespace.name,
            &PatchParams::default(),
            &Patch::Merge(warn),
        )
        .await
        .unwrap();
    let page = std::fs::read_to_string("docs/preflight.md").unwrap();
    let (_, job) = page.split_once("```yaml\n").unwrap();
    let (job, _) = job.split_once("```").unwrap();
    let job = job.replace("llmplane-system", &site.namespace.name);
    // Else a quota on these would refuse its pods.
    let made: Value = serde_saphyr::from_str(&job).unwrap();
    let container = &made["spec"]["template"]["spec"]["containers"][0];
    for memory in ["/resources/requests/memory", "/resources/limits/memory"] {
        assert!(container.pointer(memory).is_some(), "no {memory}");
    }
    // What a level would refuse of its pods is a warning, which is not allowed here.
    site.plane.takes("the Job", &job).await;
}
