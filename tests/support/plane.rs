//! A real control plane for tests: the one that `llmplane local up` runs, by the same code.
//!
//! Tests run on runtimes of their own, so that clients and pools are made anew for each: a
//! connection does not outlive the runtime that it was opened on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use llmplane::local::binaries::Binaries;
use llmplane::local::postgres::{self, Role};
use llmplane::local::process::{self, ProcessRecord};
use llmplane::local::state::Component;
use llmplane::local::{Durability, Lifetime, Options, StateDir, down, up};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

use super::process::pause;

/// Names a folder whose plane is used, and left running, by test runs that follow each other.
const STATE_DIR: &str = "LLMPLANE_TEST_STATE_DIR";

/// A running plane without llmplane's own processes.
pub struct Plane {
    options: Options,
    kubectl: PathBuf,
    /// Held while the folder is this process's.
    _slot: Option<File>,
    /// Removed when the plane is dropped.
    _folder: Option<tempfile::TempDir>,
}

impl Plane {
    /// The plane that all tests of this process share: for tests that disturb no one.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Plane> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                if let Some(path) = std::env::var_os(STATE_DIR) {
                    return Self::start(Path::new(&path), Lifetime::Detached, None, None).await;
                }
                let (path, slot) = free_slot();
                let dir = StateDir::new(&path).unwrap();
                down(&dir, true)
                    .await
                    .expect("an earlier run's plane can be removed");
                Self::start(&path, Lifetime::WithCaller, Some(slot), None).await
            })
            .await
    }

    /// A plane of the test's own, for faults that would disturb others; it goes when dropped.
    pub async fn private() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane");
        Self::start(&path, Lifetime::WithCaller, None, Some(folder)).await
    }

    async fn start(
        path: &Path,
        lifetime: Lifetime,
        slot: Option<File>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let options = Options {
            state_dir: StateDir::new(path).unwrap(),
            plane_only: true,
            empty: false,
            node: false,
            durability: Durability::Throwaway,
            lifetime,
            executable: PathBuf::from(env!("CARGO_BIN_EXE_llmplane")),
        };
        let kubectl = Binaries::find(&report).await.unwrap().kubectl;
        let plane = Self {
            options,
            kubectl,
            _slot: slot,
            _folder: folder,
        };
        plane.heal().await;
        plane
    }

    /// Starts again whatever does not run, and waits until all of it is healthy.
    pub async fn heal(&self) {
        let status = up(&self.options, &report, std::future::pending()).await;
        let status = status.unwrap_or_else(|error| panic!("the plane does not start: {error}"));
        assert!(status.running);
    }

    /// Where the plane keeps its state.
    pub fn state_dir(&self) -> &StateDir {
        &self.options.state_dir
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state_dir().kubeconfig()
    }

    /// The kubeconfig with which the controller, or the API, runs.
    pub fn kubeconfig_of(&self, component: Component) -> PathBuf {
        self.state_dir().kubeconfig_of(component)
    }

    /// A new client with the administrator's rights.
    pub async fn client(&self) -> kube::Client {
        client(&self.kubeconfig()).await
    }

    /// A new client with the rights of the controller, or of the API.
    pub async fn client_of(&self, component: Component) -> kube::Client {
        client(&self.kubeconfig_of(component)).await
    }

    /// A new namespace with a name that no other test has.
    pub async fn namespace(&self, prefix: &str) -> TestNamespace {
        let name = format!("{prefix}-{}", unique());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let api: Api<Namespace> = Api::all(self.client().await);
        api.create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        TestNamespace {
            name,
            kubeconfig: self.kubeconfig(),
        }
    }

    /// A new database with the schema in it.
    pub async fn database(&self) -> TestDatabase {
        let database = self.empty_database().await;
        llmplane::db::migrate(&database.owner_url).await.unwrap();
        database
    }

    /// A new database that nobody has migrated.
    pub async fn empty_database(&self) -> TestDatabase {
        let name = format!("test_{}", unique());
        let url = |role, database: &str| {
            postgres::url(self.state_dir(), role, database)
                .unwrap()
                .unwrap()
        };
        let superuser_url = url(Role::Superuser, "postgres");
        let mut connection = PgConnection::connect(&superuser_url).await.unwrap();
        let statement = format!("CREATE DATABASE {name} OWNER llmplane_owner");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
        TestDatabase {
            owner_url: url(Role::Owner, &name),
            controller_url: url(Role::Controller, &name),
            api_url: url(Role::Api, &name),
            superuser_url,
            name,
        }
    }

    /// The kubectl of this control plane's version.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, args: &[&str]) -> Output {
        self.kubectl_with_input(args, "").await
    }

    /// Runs kubectl as the administrator with something on its standard input.
    pub async fn kubectl_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut child = tokio::process::Command::new(&self.kubectl)
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// Has the apiserver judge manifests, as strictly as it can, without keeping any.
    pub async fn takes(&self, what: &str, manifests: &str) {
        let judge = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        let judged = self.kubectl_with_input(&judge, manifests).await;
        let said = String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success(), "{what}: {said}");
        assert!(!said.contains("Warning"), "{what}: {said}");
    }

    /// Which process a component is now.
    pub fn process(&self, component: Component) -> ProcessRecord {
        let record = process::running(self.state_dir(), component).unwrap();
        record.unwrap_or_else(|| panic!("{component} does not run"))
    }

    /// Kills a component and waits until it is gone.
    pub async fn kill(&self, component: Component) {
        let record = self.process(component);
        record.signal(Signal::SIGKILL).unwrap();
        eventually("a killed process is gone", async || !record.is_alive()).await;
    }

    /// Stops a component where it is: its connections stay open and nothing answers.
    pub fn pause(&self, component: Component) {
        pause(Pid::from_raw(self.process(component).pid));
    }

    /// Lets a paused component go on.
    pub fn resume(&self, component: Component) {
        self.process(component).signal(Signal::SIGCONT).unwrap();
    }

    /// Ends kube-apiserver and starts it again: every watch breaks, nothing is lost.
    pub async fn restart_apiserver(&self) {
        self.kill(Component::ApiServer).await;
        self.heal().await;
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let dir = self.options.state_dir.clone();
        on_a_thread(async move {
            let _ = down(&dir, true).await;
        });
    }
}

/// A namespace that is deleted with this value.
pub struct TestNamespace {
    pub name: String,
    kubeconfig: PathBuf,
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let (name, kubeconfig) = (self.name.clone(), self.kubeconfig.clone());
        on_a_thread(async move {
            let api: Api<Namespace> = Api::all(client(&kubeconfig).await);
            let _ = api.delete(&name, &DeleteParams::default()).await;
        });
    }
}

/// A database that is dropped with this value. The addresses hold passwords.
pub struct TestDatabase {
    pub name: String,
    pub owner_url: String,
    pub controller_url: String,
    pub api_url: String,
    pub superuser_url: String,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, url) = (self.name.clone(), self.superuser_url.clone());
        on_a_thread(async move {
            if let Ok(mut connection) = PgConnection::connect(&url).await {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let _ = connection.execute(AssertSqlSafe(statement)).await;
            }
        });
    }
}

/// Waits for a condition, for a minute at most.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The first folder that no other test process uses: two runs at once get a plane each.
fn free_slot() -> (PathBuf, File) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for number in 0..64 {
        let lock = File::create(root.join(format!("plane-{number}.lock"))).unwrap();
        if lock.try_lock().is_ok() {
            return (root.join(format!("plane-{number}")), lock);
        }
    }
    panic!("all 64 folders for test planes are in use");
}

async fn client(kubeconfig: &Path) -> kube::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = llmplane::config::cluster::direct(kubeconfig).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}

fn report(line: &str) {
    eprintln!("{line}");
}

/// For `Drop`, which cannot wait: on a runtime of its own, to its end or 30 s.
fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _ =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), work).await });
    });
    let _ = thread.join();
}
