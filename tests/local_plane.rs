//! `llmplane local`: what runs after it, who can reach it, and what is left when it is over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use llmplane::local::binaries::Binaries;
use llmplane::local::process;
use llmplane::local::state::{Component, StateDir};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStderr;

use crate::support::plane::{Plane, eventually};

const CLUSTER: [Component; 4] = [
    Component::Etcd,
    Component::ApiServer,
    Component::ControllerManager,
    Component::Postgres,
];

/// The program on a state folder of its own, which is purged in the end.
struct Cli {
    folder: tempfile::TempDir,
    program: PathBuf,
    ordinary_user: bool,
}

impl Cli {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_llmplane")),
            ordinary_user: false,
        }
    }

    fn state(&self) -> StateDir {
        StateDir::new(&self.folder.path().join("a state")).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = if self.ordinary_user {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&self.program);
            command
                .env("HOME", self.folder.path())
                .env("KUBEBUILDER_ASSETS", self.folder.path());
            command
        } else {
            Command::new(&self.program)
        };
        command
            .arg("local")
            .args(&args[..1])
            .arg("--state-dir")
            .arg(self.state().path())
            .args(&args[1..]);
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it, to read what it says meanwhile.
    fn start(&self, args: &[&str]) -> Started {
        let mut command = tokio::process::Command::from(self.command(args));
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Started { child, lines }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn up(&self) {
        self.succeed(&["up", "--plane-only", "--throwaway"]);
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.succeed(&["status", "--output", "json"])).unwrap()
    }

    fn pids(&self) -> Vec<Option<i32>> {
        let pid = |component| {
            process::running(&self.state(), component)
                .unwrap()
                .map(|record| record.pid)
        };
        CLUSTER.into_iter().map(pid).collect()
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.succeed(&[&["kubectl", "--"], args].concat())
    }

    fn postgres_dir(&self) -> Option<PathBuf> {
        Some(self.state().load().ok()??.postgres_dir)
    }

    /// Every process that has one of this plane's folders in its command line.
    fn processes(&self) -> Vec<String> {
        let folders = [Some(self.state().path().to_owned()), self.postgres_dir()];
        let folders: Vec<String> = folders
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
            .filter(|line| folders.iter().any(|folder| line.contains(folder.as_str())))
            .collect()
    }
}

/// A command that runs.
struct Started {
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Started {
    /// Waits until it says this, and returns all that it said until then.
    async fn says(&mut self, text: &str) -> Vec<String> {
        let mut said = Vec::new();
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                said.push(line);
                if said.last().is_some_and(|line| line.contains(text)) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(Duration::from_secs(120), read).await;
        assert_eq!(found, Ok(true), "{text:?} is not in {said:?}");
        said
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        let _ = self.run(&["down", "--purge"]);
    }
}

#[test]
fn up_is_a_no_op_when_all_runs_down_keeps_the_data_and_purge_removes_it() {
    let cli = Cli::new();
    assert_eq!(cli.status()["running"], false);

    cli.up();
    let first = cli.pids();
    assert!(first.iter().all(Option::is_some), "{first:?}");
    cli.kubectl(&["create", "configmap", "kept"]);
    let status = cli.status();

    cli.up();
    assert_eq!(cli.pids(), first, "a second `up` starts nothing");
    assert_eq!(cli.status(), status);

    cli.succeed(&["down"]);
    assert_eq!(cli.processes(), Vec::<String>::new());
    let stopped = cli.status();
    assert_eq!(
        (&stopped["running"], &stopped["kubeconfig"]),
        (&false.into(), &serde_json::Value::Null)
    );

    cli.up();
    cli.kubectl(&["get", "configmap", "kept"]);
    assert_eq!(cli.status(), status, "addresses stay the same between runs");

    let postgres_dir = cli.postgres_dir().unwrap();
    assert!(postgres_dir.exists());
    cli.succeed(&["down", "--purge"]);
    assert!(!postgres_dir.exists());
    assert!(!cli.state().path().exists());
    assert_eq!(cli.processes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_up_waits_for_what_lives_and_answers_late_and_replaces_nothing() {
    let cli = Cli::new();
    cli.up();
    let first = cli.pids();
    for component in CLUSTER {
        let process = process::running(&cli.state(), component).unwrap().unwrap();
        process.signal(Signal::SIGSTOP).unwrap();

        assert_eq!(
            cli.status()["running"],
            true,
            "{component}: late is not stopped"
        );
        let status = cli.succeed(&["status"]);
        let late = format!("{component} (process {}) lives", process.pid);
        assert!(status.contains(&late), "{status}");

        let mut up = cli.start(&["up", "--plane-only", "--throwaway"]);
        let waits = format!("waiting for {component} (process {})", process.pid);
        let said = up.says(&waits).await;
        process.signal(Signal::SIGCONT).unwrap();
        assert!(up.child.wait().await.unwrap().success());
        assert_eq!(cli.pids(), first, "{component}: {said:?}");
    }
}

#[test]
fn another_shells_environment_neither_replaces_nor_changes_what_runs() {
    let cli = Cli::new();
    let all = || {
        let pid = |component| process::running(&cli.state(), component).unwrap();
        let parts = Component::ALL
            .into_iter()
            .filter(|it| *it != Component::Node);
        let pids = parts.map(|component| pid(component).map(|record| record.pid));
        pids.collect::<Vec<_>>()
    };
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&std::env::var("HOME").unwrap()).join(".cache"));
    let up = |environment: &[(&str, &str)]| {
        let mut command = cli.command(&["up", "--throwaway"]);
        command
            .env("XDG_CACHE_HOME", &cache)
            .envs(environment.iter().copied());
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    };
    up(&[("HTTPS_PROXY", "http://u:hunter2@127.0.0.1:1")]);
    let first = all();
    assert!(first.iter().all(Option::is_some), "{first:?}");
    let path = format!("{}:/nowhere", std::env::var("PATH").unwrap());
    up(&[
        ("PATH", &path),
        ("HOME", "/"),
        ("LLMPLANE_TLS_CERT", "/nowhere/cert"),
        ("LLMPLANE_TLS_KEY", "/nowhere/key"),
        ("LLMPLANE_AUDIENCE", "another"),
    ]);
    assert_eq!(all(), first);
    up(&[("RUST_LOG", "debug")]);
    let logging = all();
    assert_eq!(logging[..4], first[..4]);
    assert_ne!(logging[4..], first[4..], "what they are told is heeded");
}

#[test]
fn down_ends_what_no_record_names_and_goes_on_over_damaged_ones() {
    let cli = Cli::new();
    cli.up();
    fs::remove_file(cli.state().process_record(Component::Etcd)).unwrap();
    for component in [Component::ApiServer, Component::Postgres] {
        fs::write(cli.state().process_record(component), "{").unwrap();
    }
    cli.succeed(&["down"]);
    assert_eq!(cli.processes(), Vec::<String>::new());

    cli.up();
    let postgres_dir = cli.postgres_dir().unwrap();
    fs::write(cli.state().path().join("state.json"), "{").unwrap();
    cli.succeed(&["down", "--purge"]);
    assert!(!postgres_dir.exists());
    assert!(!cli.state().path().exists());
}

#[tokio::test]
async fn a_killed_up_leaves_nothing_that_down_does_not_find() {
    let cli = Cli::new();
    for component in CLUSTER {
        let mut up = cli
            .command(&["up", "--plane-only", "--throwaway"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The log is there just before the process, and that just before its record.
        let log = cli.state().log(component);
        eventually("the component is being started", async || log.exists()).await;
        up.kill().unwrap();
        up.wait().unwrap();
        let postgres_dir = cli.postgres_dir();
        cli.succeed(&["down", "--purge"]);
        assert_eq!(cli.processes(), Vec::<String>::new(), "{component}");
        assert!(postgres_dir.is_none_or(|dir| !dir.exists()), "{component}");
    }
    cli.up();
    assert_eq!(cli.status()["running"], true);
}

#[test]
fn a_data_folder_that_was_put_in_place_of_the_plane_s_is_refused() {
    let cli = Cli::new();
    cli.up();
    cli.succeed(&["down"]);
    let dir = cli.postgres_dir().unwrap();
    let elsewhere = dir.with_added_extension("moved");
    fs::rename(&dir, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &dir).unwrap();
    let output = cli.run(&["up", "--plane-only", "--throwaway"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("is not the data folder"), "{stderr}");
    fs::remove_file(&dir).unwrap();
    // Where there is none any more, the next start makes one by another name for root.
    cli.up();
    if Uid::effective().is_root() {
        assert_ne!(cli.postgres_dir(), Some(dir));
    }
    fs::remove_dir_all(elsewhere).unwrap();
}

#[test]
fn a_state_folder_that_cannot_be_ours_is_refused() {
    let cli = Cli::new();
    let refused = |path: &Path, why: &str| {
        let mut command = Command::new(&cli.program);
        command.args(["local", "up", "--plane-only", "--state-dir"]);
        let output = command.arg(path).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(why), "{stderr}");
    };
    refused(&cli.folder.path().join("a:b"), "colon");
    if Uid::effective().is_root() {
        let others = cli.folder.path().join("others");
        fs::create_dir(&others).unwrap();
        std::os::unix::fs::chown(&others, Some(65534), Some(65534)).unwrap();
        refused(&others, "belongs to another user");
        let link = cli.folder.path().join("link");
        std::os::unix::fs::symlink(cli.folder.path().join("target"), &link).unwrap();
        fs::create_dir(cli.folder.path().join("target")).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
        refused(&link, "belongs to another user");
    }
}

#[tokio::test]
async fn whoever_waits_for_another_command_says_so() {
    let cli = Cli::new();
    cli.state().create().unwrap();
    let lock = fs::File::create(cli.state().path().join("lock")).unwrap();
    lock.lock().unwrap();
    fs::write(cli.state().path().join("lock"), "4711\n").unwrap();
    let mut down = cli.start(&["down"]);
    let said = down.says("waiting for another").await;
    assert!(said[0].contains("4711"), "{said:?}");
    drop(lock);
    assert!(down.child.wait().await.unwrap().success());
}

#[test]
fn status_as_json_has_exactly_the_documented_fields_and_null_for_what_does_not_run() {
    let cli = Cli::new();
    cli.up();
    let status = cli.status();
    let mut fields: Vec<&str> = status
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let documented = [
        "api_admin_url",
        "api_url",
        "controller_admin_url",
        "database_url",
        "keyring_dir",
        "kubeconfig",
        "node",
        "running",
        "state_dir",
    ];
    assert_eq!(fields, documented);
    assert_eq!(status["running"], true);
    assert_eq!(
        status["state_dir"],
        cli.state().path().display().to_string()
    );
    for field in ["kubeconfig", "keyring_dir"] {
        assert!(
            Path::new(status[field].as_str().unwrap()).exists(),
            "{field}"
        );
    }
    assert!(
        status["database_url"]
            .as_str()
            .unwrap()
            .starts_with("postgres://llmplane_owner:")
    );
    for field in ["api_url", "api_admin_url", "controller_admin_url"] {
        assert!(status[field].is_null(), "{field}");
    }
}

#[test]
fn killed_children_are_started_again_with_their_data_and_the_others_left_alone() {
    let cli = Cli::new();
    cli.up();
    cli.kubectl(&["create", "configmap", "kept"]);
    let before = cli.pids();
    for component in [Component::Etcd, Component::Postgres] {
        let record = process::running(&cli.state(), component).unwrap().unwrap();
        record.signal(Signal::SIGKILL).unwrap();
    }
    cli.up();
    let after = cli.pids();
    assert!(after.iter().all(Option::is_some), "{after:?}");
    assert_ne!((before[0], before[3]), (after[0], after[3]));
    assert_eq!(cli.status()["running"], true);
    cli.kubectl(&["get", "configmap", "kept"]);
}

#[tokio::test]
async fn an_interrupted_start_leaves_no_process() {
    let cli = Cli::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut up = cli
            .command(&["up", "--plane-only", "--throwaway"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let record = cli.state().process_record(Component::ApiServer);
        eventually("kube-apiserver is being started", async || record.exists()).await;
        kill(Pid::from_raw(i32::try_from(up.id()).unwrap()), signal).unwrap();
        let outcome = tokio::task::spawn_blocking(move || up.wait().unwrap())
            .await
            .unwrap();
        assert_eq!(outcome.code(), Some(1), "{signal}");
        assert_eq!(cli.processes(), Vec::<String>::new(), "{signal}");
    }
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_process_and_says_what_the_child_said() {
    let cli = Cli::new();
    let real = Binaries::find(&|_| {}).await.unwrap();
    let assets = cli.folder.path().join("assets");
    fs::create_dir(&assets).unwrap();
    for (name, program) in [
        ("etcd", &real.etcd),
        ("kube-controller-manager", &real.controller_manager),
        ("kubectl", &real.kubectl),
    ] {
        std::os::unix::fs::symlink(program, assets.join(name)).unwrap();
    }
    let broken = assets.join("kube-apiserver");
    fs::write(&broken, "#!/bin/sh\necho out of order >&2\nexit 3\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();

    let output = cli
        .command(&["up", "--plane-only", "--throwaway"])
        .env("KUBEBUILDER_ASSETS", &assets)
        .output()
        .unwrap();

    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("kube-apiserver ended while starting"),
        "{stderr}"
    );
    assert!(stderr.contains("out of order"), "{stderr}");
    assert_eq!(cli.processes(), Vec::<String>::new());
}

#[test]
fn an_ordinary_user_can_run_it() {
    let mut cli = Cli::new();
    if Uid::effective().is_root() {
        // Everything where that user can read it; the folders of root's own may be closed.
        let binaries = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(Binaries::find(&|_| {}))
            .unwrap();
        for (source, name) in [
            (&cli.program, "llmplane"),
            (&binaries.etcd, "etcd"),
            (&binaries.apiserver, "kube-apiserver"),
            (&binaries.controller_manager, "kube-controller-manager"),
            (&binaries.kubectl, "kubectl"),
        ] {
            let target = cli.folder.path().join(name);
            fs::copy(source, &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::chown(cli.folder.path(), Some(65534), Some(65534)).unwrap();
        cli.program = cli.folder.path().join("llmplane");
        cli.ordinary_user = true;
    }
    let output = cli.run(&["up", "--node"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("no node can run here: it needs root"),
        "{stderr}"
    );
    assert!(stderr.contains("run this with sudo"), "{stderr}");
    assert_eq!(cli.status()["running"], false);
    cli.up();
    assert_eq!(cli.status()["running"], true);
    let state = cli.state().load().unwrap().unwrap();
    assert!(state.postgres_dir.starts_with(cli.state().path()));
    assert_eq!(state.postgres_user, None);
    cli.succeed(&["down", "--purge"]);
    assert!(!cli.state().path().exists());
}

#[test]
fn a_command_for_a_node_that_is_not_there_says_what_starts_one() {
    let cli = Cli::new();
    let output = cli.run(&["node", "--", "true"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("`llmplane local up --node` starts one"),
        "{stderr}"
    );
}

#[test]
fn a_folder_with_other_content_is_neither_used_nor_purged() {
    let cli = Cli::new();
    let letter = cli.state().path().join("letter.txt");
    fs::create_dir(cli.state().path()).unwrap();
    fs::write(&letter, "dear reader").unwrap();
    let output = cli.run(&["up", "--plane-only"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--state-dir"));
    cli.succeed(&["down", "--purge"]);
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear reader");
}

#[test]
fn without_any_control_plane_one_error_names_the_three_ways_out() {
    let cli = Cli::new();
    let output = cli
        .command(&["up", "--plane-only"])
        .env_remove("KUBEBUILDER_ASSETS")
        .env("XDG_CACHE_HOME", cli.folder.path())
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    for way in ["KUBEBUILDER_ASSETS", "install Go", "KUBECONFIG"] {
        assert!(stderr.contains(way), "{stderr}");
    }
}

#[test]
fn a_cache_folder_that_cannot_be_made_ends_in_the_error_that_names_the_ways_out() {
    let cli = Cli::new();
    let output = cli
        .command(&["up", "--plane-only"])
        .env_remove("KUBEBUILDER_ASSETS")
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", "/proc/nowhere")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["/proc/nowhere", "KUBEBUILDER_ASSETS", "KUBECONFIG"] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[tokio::test]
async fn a_private_plane_takes_its_faults_alone_and_goes_with_the_test() {
    let plane = Plane::private().await;
    let path = plane.state_dir().path().to_owned();
    let namespace = plane.namespace("kept").await;
    plane.pause(Component::ApiServer);
    let unanswered = plane
        .kubectl(&["get", "namespaces", "--request-timeout=1s"])
        .await;
    assert!(!unanswered.status.success());
    plane.resume(Component::ApiServer);
    plane.restart_apiserver().await;
    let found = plane.kubectl(&["get", "namespace", &namespace.name]).await;
    assert!(found.status.success());
    let processes = CLUSTER.map(|component| plane.process(component));
    drop(namespace);
    drop(plane);
    assert!(processes.iter().all(|process| !process.is_alive()));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_test_database_has_the_schema_and_its_three_users() {
    let database = Plane::shared().await.database().await;
    for url in [
        &database.owner_url,
        &database.controller_url,
        &database.api_url,
    ] {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let name: String = sqlx::query_scalar("SELECT current_database()::text")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(name, database.name);
    }
}
