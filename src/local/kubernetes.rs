//! Command lines, identities and health of etcd, kube-apiserver and kube-controller-manager.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::binaries::Binaries;
use super::bootstrap::{API_USER, CONTROLLER_USER};
use super::error::{LocalError, Result};
use super::launch::{Context, Durability};
use super::node::{self, Node, NodePki};
use super::process::Spec;
use super::state::{Component, random_hex};

const TOKENS: &str = "tokens.csv";
const ENCRYPTION: &str = "encryption.json";
const ISSUER: &str = "https://kubernetes.default.svc";
/// The garbage collector, namespace deletion, ServiceAccounts with their root certificate, and the
/// aggregation of llmplane's roles into `view` and `edit`. Without a node nothing runs pods.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    clusterrole-aggregation-controller,root-ca-certificate-publisher-controller";

/// Writes what the programs read: tokens, the encryption of Secrets at rest, kubeconfigs.
pub(super) fn write_configuration(ctx: &Context) -> Result<()> {
    let secrets = &ctx.secrets;
    // Static tokens under the shipped ServiceAccounts' names: the shipped bindings hold for them.
    let accounts = "system:serviceaccounts,system:serviceaccounts:llmplane-system";
    let tokens = format!(
        "{},admin,admin,\"system:masters\"\n\
         {},system:kube-controller-manager,kube-controller-manager,\"\"\n\
         {},{CONTROLLER_USER},llmplane-controller,\"{accounts}\"\n\
         {},{API_USER},llmplane-api,\"{accounts}\"\n",
        secrets.admin_token,
        secrets.controller_manager_token,
        secrets.controller_token,
        secrets.api_token,
    );
    let nodes = ctx.node.as_ref().map(Node::token_lines);
    ctx.dir
        .write(TOKENS, (tokens + &nodes.unwrap_or_default()).as_bytes())?;
    write_encryption_once(ctx)?;
    let kubeconfigs = [
        (ctx.dir.kubeconfig(), &secrets.admin_token),
        (
            ctx.dir.kubeconfig_of(Component::ControllerManager),
            &secrets.controller_manager_token,
        ),
        (
            ctx.dir.kubeconfig_of(Component::Controller),
            &secrets.controller_token,
        ),
        (ctx.dir.kubeconfig_of(Component::Api), &secrets.api_token),
    ];
    for (path, token) in kubeconfigs {
        ctx.dir.write(path, kubeconfig(ctx, token)?.as_bytes())?;
    }
    Ok(())
}

/// A new key would make the Secrets in etcd unreadable.
fn write_encryption_once(ctx: &Context) -> Result<()> {
    if ctx.dir.path().join(ENCRYPTION).exists() {
        return Ok(());
    }
    let key = hex::decode(random_hex(32))
        .map(|key| STANDARD.encode(key))
        .unwrap_or_default();
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [{"secretbox": {"keys": [{"name": "local", "secret": key}]}}],
        }],
    });
    ctx.dir
        .write(ENCRYPTION, configuration.to_string().as_bytes())
}

/// JSON is YAML, so every client reads it.
fn kubeconfig(ctx: &Context, token: &str) -> Result<String> {
    let ca = read(&ctx.pki.ca)?;
    let configuration = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "llmplane-local", "cluster": {
            "server": apiserver_url(ctx),
            "certificate-authority-data": STANDARD.encode(ca),
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "llmplane-local", "context": {
            "cluster": "llmplane-local", "user": "user", "namespace": "default",
        }}],
        "current-context": "llmplane-local",
    });
    Ok(format!("{configuration:#}\n"))
}

fn apiserver_url(ctx: &Context) -> String {
    format!("https://127.0.0.1:{}", ctx.state.ports.apiserver)
}

fn etcd_url(ctx: &Context) -> String {
    format!("https://127.0.0.1:{}", ctx.state.ports.etcd_client)
}

/// A component's program with an environment that nothing of the caller's can change: another shell's
/// `up` finds it as it would start it.
fn program(ctx: &Context, path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().current_dir(ctx.dir.path());
    command
}

fn flag(name: &str, value: impl AsRef<std::ffi::OsStr>) -> std::ffi::OsString {
    let mut flag = std::ffi::OsString::from(format!("--{name}="));
    flag.push(value);
    flag
}

fn spec(ctx: &Context, component: Component, command: Command) -> Spec {
    Spec {
        component,
        command,
        user: None,
        depends_on: ctx.digest(),
    }
}

/// etcd, which answers nobody without a certificate of this plane's own authority.
pub(super) fn etcd(ctx: &Context, binaries: &Binaries, durability: Durability) -> Spec {
    let pki = &ctx.pki;
    let client = etcd_url(ctx);
    let peer = format!("https://127.0.0.1:{}", ctx.state.ports.etcd_peer);
    let mut command = program(ctx, &binaries.etcd);
    command
        .arg("--name=local")
        .arg(flag("data-dir", ctx.dir.path().join("etcd")))
        .arg(flag("listen-client-urls", &client))
        .arg(flag("advertise-client-urls", &client))
        .arg(flag("listen-peer-urls", &peer))
        .arg(flag("initial-advertise-peer-urls", &peer))
        .arg(flag("initial-cluster", format!("local={peer}")))
        .args([
            "--client-cert-auth",
            "--peer-client-cert-auth",
            "--log-level=warn",
        ]);
    for prefix in ["", "peer-"] {
        command
            .arg(flag(&format!("{prefix}trusted-ca-file"), &pki.etcd_ca))
            .arg(flag(&format!("{prefix}cert-file"), &pki.etcd.cert))
            .arg(flag(&format!("{prefix}key-file"), &pki.etcd.key));
    }
    if durability == Durability::Throwaway {
        command.arg("--unsafe-no-fsync");
    }
    spec(ctx, Component::Etcd, command)
}

/// kube-apiserver with RBAC, no anonymous access, and Secrets encrypted at rest.
pub(super) fn apiserver(ctx: &Context, binaries: &Binaries) -> Spec {
    let pki = &ctx.pki;
    let mut command = program(ctx, &binaries.apiserver);
    command
        .arg(flag("etcd-servers", etcd_url(ctx)))
        .arg(flag("etcd-cafile", &pki.etcd_ca))
        .arg(flag("etcd-certfile", &pki.etcd_client.cert))
        .arg(flag("etcd-keyfile", &pki.etcd_client.key))
        .arg(flag("secure-port", ctx.state.ports.apiserver.to_string()))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(flag("tls-cert-file", &pki.serving.cert))
        .arg(flag("tls-private-key-file", &pki.serving.key))
        .arg(flag(
            "service-account-key-file",
            &pki.service_account_public_key,
        ))
        .arg(flag(
            "service-account-signing-key-file",
            &pki.service_account_key,
        ))
        .arg(flag("service-account-issuer", ISSUER))
        // The issuer alone, as real clusters have it: a token for `llmplane` is worth nothing here.
        .arg(flag("api-audiences", ISSUER))
        .arg(flag("token-auth-file", ctx.dir.path().join(TOKENS)))
        .arg(flag(
            "encryption-provider-config",
            ctx.dir.path().join(ENCRYPTION),
        ))
        .args(["--anonymous-auth=false", "--profiling=false"])
        .args([
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
        ]);
    let Some(node) = &ctx.node else {
        command.arg("--authorization-mode=RBAC");
        return spec(ctx, Component::ApiServer, command);
    };
    let pki = NodePki::locate(&ctx.dir);
    command
        .args([
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
        ])
        .arg(flag("kubelet-certificate-authority", &pki.ca))
        .arg(flag("kubelet-client-certificate", &pki.client.cert))
        .arg(flag("kubelet-client-key", &pki.client.key));
    let mut spec = spec(ctx, Component::ApiServer, command);
    // It reads tokens and authorities at its start alone.
    spec.depends_on.push_str(&node.digest(&pki));
    spec
}

/// kube-controller-manager with the few controllers that make a cluster behave; with all of them where pods
/// run.
pub(super) fn controller_manager(ctx: &Context, binaries: &Binaries) -> Spec {
    let pki = &ctx.pki;
    let mut command = program(ctx, &binaries.controller_manager);
    command
        .arg(flag(
            "kubeconfig",
            ctx.dir.kubeconfig_of(Component::ControllerManager),
        ))
        .arg(flag(
            "service-account-private-key-file",
            &pki.service_account_key,
        ))
        .arg(flag("root-ca-file", &pki.ca))
        .arg(flag(
            "secure-port",
            ctx.state.ports.controller_manager.to_string(),
        ))
        .arg(flag("tls-cert-file", &pki.serving.cert))
        .arg(flag("tls-private-key-file", &pki.serving.key))
        .args([
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--profiling=false",
        ])
        .arg("--use-service-account-credentials");
    match &ctx.node {
        None => command.arg(flag("controllers", CONTROLLERS)),
        // Else it makes a folder for volume plugins under /usr.
        Some(_) => command.arg(flag(
            "flex-volume-plugin-dir",
            node::folder(&ctx.dir).join("volume-plugins"),
        )),
    };
    spec(ctx, Component::ControllerManager, command)
}

/// Whether etcd has a leader and can commit.
///
/// # Errors
/// Why not, in a few words.
pub(super) async fn etcd_health(ctx: &Context) -> Result<(), String> {
    let pki = &ctx.pki;
    let identity = [&pki.etcd_client.cert, &pki.etcd_client.key].map(|path| read(path));
    let [cert, key] = identity;
    let pem = [cert.map_err(text)?, key.map_err(text)?].concat();
    let client = https(&pki.etcd_ca)?
        .identity(reqwest::Identity::from_pem(&pem).map_err(text)?)
        .build()
        .map_err(text)?;
    expect_ok(client.get(format!("{}/health", etcd_url(ctx)))).await
}

/// Whether kube-apiserver says that it is ready, to the administrator.
///
/// # Errors
/// Why not, in a few words.
pub(super) async fn apiserver_health(ctx: &Context) -> Result<(), String> {
    get_as_admin(ctx, "/readyz").await
}

/// Whether kube-controller-manager is healthy, and has given `default` its ServiceAccount.
///
/// # Errors
/// Why not, in a few words.
pub(super) async fn controller_manager_health(ctx: &Context) -> Result<(), String> {
    let client = https(&ctx.pki.ca)?.build().map_err(text)?;
    let url = format!(
        "https://127.0.0.1:{}/healthz",
        ctx.state.ports.controller_manager
    );
    expect_ok(client.get(url)).await?;
    get_as_admin(ctx, "/api/v1/namespaces/default/serviceaccounts/default").await
}

async fn get_as_admin(ctx: &Context, path: &str) -> Result<(), String> {
    answer_to_admin(ctx, path).await.map(|_| ())
}

/// An object of the cluster, as the administrator reads it.
///
/// # Errors
/// Why there is none, in a few words.
pub(super) async fn json_as_admin(ctx: &Context, path: &str) -> Result<serde_json::Value, String> {
    answer_to_admin(ctx, path).await?.json().await.map_err(text)
}

async fn answer_to_admin(ctx: &Context, path: &str) -> Result<reqwest::Response, String> {
    let client = https(&ctx.pki.ca)?.build().map_err(text)?;
    let url = format!("{}{path}", apiserver_url(ctx));
    success(client.get(url).bearer_auth(&ctx.secrets.admin_token)).await
}

/// Whether a process of llmplane says on its admin port that it is ready.
///
/// # Errors
/// Why not, in a few words.
pub(super) async fn admin_port_health(port: u16) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(text)?;
    expect_ok(client.get(format!("http://127.0.0.1:{port}/readyz"))).await
}

fn https(ca: &Path) -> Result<reqwest::ClientBuilder, String> {
    let ca = reqwest::Certificate::from_pem(&read(ca).map_err(text)?).map_err(text)?;
    Ok(reqwest::Client::builder().tls_certs_only([ca]).no_proxy())
}

async fn expect_ok(request: reqwest::RequestBuilder) -> Result<(), String> {
    success(request).await.map(|_| ())
}

async fn success(request: reqwest::RequestBuilder) -> Result<reqwest::Response, String> {
    let answer = request.send().await.map_err(text)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    Err(format!(
        "{} answers {}",
        answer.url().path(),
        answer.status()
    ))
}

/// The innermost cause: what wraps it names the URL and the layers of the client.
fn text(error: impl std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = cause.to_string();
        source = cause.source();
    }
    message
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(LocalError::io("read", path))
}
