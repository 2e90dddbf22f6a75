//! llmplane's processes as a test runs them: their log, their ports, their end.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use k8s_openapi::api::{core::v1::ServiceAccount, rbac::v1::RoleBinding};
use kube::{Api, api::PostParams};
use llmplane::local::state::Component;
use nix::{
    errno::Errno,
    sys::signal::{self, Signal},
    unistd::Pid,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{
    api::{Answer, answer, free_address, make_account, token},
    plane::eventually,
    world::World,
};

/// A running process; it is killed when dropped.
pub struct Process {
    child: Child,
    admin: SocketAddr,
    listen: SocketAddr,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    /// `llmplane controller` for this world, with these settings over the usual ones.
    pub fn controller(world: &World, settings: &[(&str, &str)]) -> Self {
        let kubeconfig = world.plane.kubeconfig_of(Component::Controller);
        let keyring = world.keyring_dir();
        let usual = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("DATABASE_URL", &world.database.controller_url),
            ("LLMPLANE_KEYRING_DIR", keyring.to_str().unwrap()),
            ("LLMPLANE_NAMESPACES", world.ns()),
            ("LLMPLANE_LEASE_NAMESPACE", world.ns()),
            ("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8"),
            ("LLMPLANE_LEADER_ELECTION", "false"),
        ];
        Self::start("controller", &[&usual, settings].concat())
    }

    /// `llmplane api` for this world, with these settings over the usual ones.
    pub fn api(world: &World, settings: &[(&str, &str)]) -> Self {
        let kubeconfig = world.plane.kubeconfig_of(Component::Api);
        let usual = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("DATABASE_URL", world.database.api_url.as_str()),
        ];
        Self::start("api", &[&usual, settings].concat())
    }

    /// As `api`, with the world's keyring: it gives keys out. Returns once it is ready.
    pub async fn api_with_keys(world: &World, settings: &[(&str, &str)]) -> Self {
        let keyring = world.keyring_dir();
        let keyring = [("LLMPLANE_KEYRING_DIR", keyring.to_str().unwrap())];
        let api = Self::api(world, &[&keyring, settings].concat());
        api.ready().await;
        api
    }

    fn start(part: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (admin, listen) = (free_address(), free_address());
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
        command
            .arg(part)
            .env_clear()
            .env("LLMPLANE_ADMIN_LISTEN", admin.to_string())
            .env("LLMPLANE_LISTEN", listen.to_string())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true);
        Self {
            child: command.spawn().unwrap(),
            admin,
            listen,
            log,
            _folder: folder,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").cast_signed())
    }

    /// Where its admin port listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Where the read API listens.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        signal::kill(self.pid(), signal).unwrap();
    }

    /// Stops it where it is; its connections stay open.
    pub fn pause(&self) {
        pause(self.pid());
    }

    /// Lets it go on after it was paused.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it does not end within a minute: {}", self.log()))
            .unwrap()
    }

    /// Status and text of a path of the admin port; 0 where nobody answers.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.admin);
        match reqwest::get(url).await {
            Ok(answer) => (
                answer.status().as_u16(),
                answer.text().await.unwrap_or_default(),
            ),
            Err(_) => (0, String::new()),
        }
    }

    /// The sum of a metric over its labels; none where it is not there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics").await;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{'])
                .then(|| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Waits until `/readyz` says that nothing is waited for.
    pub async fn ready(&self) {
        eventually("the process is ready", async || {
            self.admin("/readyz").await.0 == 200
        })
        .await;
    }

    /// `GET` below `/api/v1` with a token.
    pub async fn get(&self, token: &str, path: &str) -> Answer {
        answer(self.request(Method::GET, token, path)).await
    }

    /// `POST` of nothing below `/api/v1` with a token.
    pub async fn post(&self, token: &str, path: &str) -> Answer {
        answer(self.request(Method::POST, token, path)).await
    }

    /// What `POST /resolve` answers.
    pub async fn resolve(&self, token: &str, asked: Value) -> Answer {
        answer(self.request(Method::POST, token, "/resolve").json(&asked)).await
    }

    /// Asks until this is the key of the first target, or until there is none.
    pub async fn gives(&self, token: &str, asked: Value, key: Option<&str>) {
        eventually(&format!("the key is {key:?}"), async || {
            let answer = self.resolve(token, asked.clone()).await;
            answer.status == 200 && answer.json()["targets"][0]["secret"]["api_key"].as_str() == key
        })
        .await;
    }

    /// Any request below `/api/v1` with a token.
    pub fn request(&self, method: Method, token: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/v1{path}", self.listen);
        reqwest::Client::new()
            .request(method, url)
            .bearer_auth(token)
    }
}

/// Stops a process where it is, and returns once none of its threads runs: the signal alone is on its
/// way for as long as other processes use the processors. One that ended meanwhile runs no more either.
pub fn pause(pid: Pid) {
    match signal::kill(pid, Signal::SIGSTOP) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot pause process {pid}: {error}"),
    }
    while !is_paused(pid) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether no thread runs.
fn is_paused(pid: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    threads.into_iter().flatten().flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state stands behind the name, which may have anything in it.
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim().chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of a process of the failed test:\n{}", self.log());
        }
    }
}

/// A token of the namespace's `default` account, which may see what is in it.
pub async fn viewer(world: &World) -> String {
    bind(world, "viewer", "llmplane-viewer", "default").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), world.ns());
    eventually("the namespace has its account", async || {
        accounts.get_opt("default").await.unwrap().is_some()
    })
    .await;
    token(&world.client, world.ns(), "default", "llmplane").await
}

/// A token of a new account `agent`, which may use every key of the namespace.
pub async fn agent(world: &World) -> String {
    make_account(world.client.clone(), world.ns(), "agent").await;
    bind(world, "agent", "llmplane-credential-user", "agent").await;
    token(&world.client, world.ns(), "agent", "llmplane").await
}

/// Binds a ClusterRole to an account, in the namespace.
async fn bind(world: &World, name: &str, role: &str, account: &str) {
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), world.ns());
    let binding = serde_json::from_value(json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": world.ns() }],
    }))
    .unwrap();
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
}
