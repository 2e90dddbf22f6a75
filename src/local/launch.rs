//! Starting and stopping a local plane: which child when, and what happens when one fails.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::config::cluster;
use crate::encryption::kek;

use super::binaries::Binaries;
use super::error::{LocalError, Result};
use super::node::{self, Host, Node};
use super::pki::Pki;
use super::ports::is_listened_on;
use super::process::{self, Lifetime, Spec};
use super::state::{Component, Ports, Secrets, State, StateDir};
use super::status::{self, Status};
use super::{bootstrap, kubernetes, postgres, workloads};

/// How long a child that lives may take to become ready, whether it was started just now or found
/// running. One that ends is noticed at once, so that only a machine that is very busy, or a child
/// that hangs, takes so long.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// How long one answer to a health check is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a child is waited for in silence, and then between two reports.
const SILENT_FOR: Duration = Duration::from_secs(5);
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How often a child that ends while it starts is started again: a port may have been taken in
/// between, or a killed PostgreSQL's last processes still hold its memory.
const ATTEMPTS: u32 = 3;
const POLL: Duration = Duration::from_millis(50);

/// Whether the data must outlive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every write reaches the disk before it counts.
    Durable,
    /// For tests: nothing waits for the disk.
    Throwaway,
}

/// What `up` is to bring up.
#[derive(Debug, Clone)]
pub struct Options {
    pub state_dir: StateDir,
    /// Without llmplane's own controller and API.
    pub plane_only: bool,
    /// Without anything of llmplane's in the cluster, for the chart or `manifests/` to install: implies
    /// `plane_only`.
    pub empty: bool,
    /// With a node, so that pods run.
    pub node: bool,
    pub durability: Durability,
    pub lifetime: Lifetime,
    /// The llmplane program that runs as controller and API.
    pub executable: PathBuf,
}

/// One plane with all that is known of it.
pub(super) struct Context {
    pub dir: StateDir,
    pub state: State,
    pub secrets: Secrets,
    pub pki: Pki,
    /// Where it has one.
    pub node: Option<Node>,
}

impl Context {
    /// The plane of a folder, made new where there is none; ports that somebody took are replaced.
    fn prepare(dir: &StateDir, with_node: bool) -> Result<Self> {
        let ports = |error| LocalError::io("find a free port for", dir.path())(error);
        let mut state = match dir.load()? {
            Some(state) => state,
            None => {
                let (postgres_dir, postgres_user) = postgres::placement(dir)?;
                State {
                    ports: Ports::pick().map_err(ports)?,
                    postgres_dir,
                    postgres_user,
                }
            }
        };
        if !postgres::is_initialized(&state) {
            // Also what an interrupted attempt left.
            postgres::remove_data(&state, dir)?;
            (state.postgres_dir, state.postgres_user) = postgres::placement(dir)?;
        }
        for component in Component::ALL {
            if process::running(dir, component)?.is_none() {
                state.ports.replace_taken(component).map_err(ports)?;
            }
        }
        dir.save(&state)?;
        Ok(Self {
            dir: dir.clone(),
            state,
            secrets: dir.secrets_or_generate()?,
            pki: Pki::ensure(dir)?,
            node: Node::prepare(dir, with_node)?,
        })
    }

    /// The plane of a folder where one was made.
    pub(super) fn find(dir: &StateDir) -> Result<Option<Self>> {
        let (Some(state), Some(secrets)) = (dir.load()?, dir.secrets()?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            dir: dir.clone(),
            state,
            secrets,
            pki: Pki::locate(dir),
            node: Node::find(dir)?,
        }))
    }

    /// All ports and kube-apiserver's authority: where one changes, whoever knew it has to start anew.
    pub(super) fn digest(&self) -> String {
        let ca = std::fs::read(&self.pki.ca).unwrap_or_default();
        let ca = hex::encode(&Sha256::digest(ca)[..8]);
        format!("{:?} {ca}", self.state.ports)
    }

    /// Whether a component says within that time that it does its work. One that is late may be
    /// paused, or the machine busy: this tells nothing about whether it runs.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub(super) async fn health(
        &self,
        component: Component,
        within: Duration,
    ) -> Result<(), String> {
        let ports = &self.state.ports;
        let answer = async {
            match component {
                Component::Etcd => kubernetes::etcd_health(self).await,
                Component::ApiServer => kubernetes::apiserver_health(self).await,
                Component::ControllerManager => kubernetes::controller_manager_health(self).await,
                Component::Postgres => postgres::health(self).await,
                Component::Controller => {
                    kubernetes::admin_port_health(ports.controller_admin).await
                }
                Component::Api => kubernetes::admin_port_health(ports.api_admin).await,
                Component::Node => node::health(self).await,
            }
        };
        match tokio::time::timeout(within, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", within.as_secs())),
        }
    }

    /// Whether a process listens on each port of a component. The kernel takes connections for a
    /// process that is paused or late.
    pub(super) async fn holds_ports(&self, component: Component) -> bool {
        for port in self.state.ports.numbers(component) {
            if !is_listened_on(port).await {
                return false;
            }
        }
        true
    }
}

/// One run of `up`, with what it started so far.
struct Launch<'a> {
    options: &'a Options,
    ctx: &'a Context,
    started: &'a Mutex<Vec<Component>>,
    report: &'a (dyn Fn(&str) + Sync),
}

/// Brings a plane up and returns when all of it is ready. What runs already as it should stays, however
/// late it answers.
///
/// When it fails, or `cancelled` completes first, everything that this call started is stopped.
///
/// # Errors
/// Any [`LocalError`]; [`LocalError::Interrupted`] when cancelled.
pub async fn up(
    options: &Options,
    report: &(dyn Fn(&str) + Sync),
    cancelled: impl Future<Output = ()>,
) -> Result<Status> {
    up_or_kill(options, report, cancelled, std::future::pending()).await
}

/// [`up`], but where `at_once` completes while something is being stopped, it is killed instead.
pub(crate) async fn up_or_kill(
    options: &Options,
    report: &(dyn Fn(&str) + Sync),
    cancelled: impl Future<Output = ()>,
    at_once: impl Future<Output = ()>,
) -> Result<Status> {
    // Another part of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let started = Mutex::new(Vec::new());
    let mut lock: Option<File> = None;
    let outcome = tokio::select! {
        outcome = bring_up(options, &started, report, &mut lock) => outcome,
        () = cancelled => Err(LocalError::Interrupted),
    };
    if outcome.is_err() {
        let started = started.into_inner();
        let dir = &options.state_dir;
        let stop = async {
            for &component in started.iter().rev() {
                if let Err(error) = process::stop(dir, component, report).await {
                    report(&error.to_string());
                }
            }
        };
        let killed = tokio::select! {
            () = stop => false,
            () = at_once => true,
        };
        for &component in started.iter().filter(|_| killed) {
            if let Err(error) = process::kill_at_once(dir, component).await {
                report(&error.to_string());
            }
        }
    }
    drop(lock);
    outcome
}

async fn bring_up(
    options: &Options,
    started: &Mutex<Vec<Component>>,
    report: &(dyn Fn(&str) + Sync),
    lock: &mut Option<File>,
) -> Result<Status> {
    let dir = &options.state_dir;
    *lock = Some(dir.lock(report).await?);
    process::stop_leftovers(dir).await?;
    postgres::find()?;
    // Once started it belongs to the plane until `down`.
    let with_node = options.node || dir.process_record(Component::Node).exists();
    let host = with_node.then(|| Host::find(dir)).transpose()?;
    let binaries = Binaries::find(report).await?;
    let node = match host {
        Some(host) => Some((host, node::programs(report).await?)),
        None => None,
    };
    let programs = Programs { binaries, node };
    for _ in 1..ATTEMPTS {
        match bring_all_up(options, &programs, started, report).await {
            // The next attempt chooses others.
            Err(LocalError::PortTaken { component }) => {
                report(&format!("a port of {component} was taken meanwhile"));
            }
            outcome => return outcome,
        }
    }
    bring_all_up(options, &programs, started, report).await
}

/// What the plane is made of, beside PostgreSQL's programs.
struct Programs {
    binaries: Binaries,
    /// Where it has a node: what that needs of this machine, and the folder with its programs.
    node: Option<(Host, PathBuf)>,
}

async fn bring_all_up(
    options: &Options,
    programs: &Programs,
    started: &Mutex<Vec<Component>>,
    report: &(dyn Fn(&str) + Sync),
) -> Result<Status> {
    let dir = &options.state_dir;
    let ctx = &Context::prepare(dir, programs.node.is_some())?;
    let binaries = &programs.binaries;
    let postgres_programs = postgres::find_for(&ctx.state)?;
    kubernetes::write_configuration(ctx)?;

    let launch = Launch {
        options,
        ctx,
        started,
        report,
    };
    let cluster = async {
        launch
            .ensure(&|| Ok(kubernetes::etcd(ctx, binaries, options.durability)))
            .await?;
        launch
            .ensure(&|| Ok(kubernetes::apiserver(ctx, binaries)))
            .await?;
        launch
            .ensure(&|| Ok(kubernetes::controller_manager(ctx, binaries)))
            .await?;
        if options.empty {
            return Ok(());
        }
        bootstrap::apply_manifests(&client(dir).await?, dir).await
    };
    let database = async {
        postgres::initialize(ctx, &postgres_programs, options.durability).await?;
        launch
            .ensure(&|| postgres::server(ctx, &postgres_programs, options.durability))
            .await?;
        postgres::ensure_roles(ctx).await
    };
    tokio::try_join!(cluster, database)?;
    ensure_keyring(dir)?;
    if let (Some(node), Some((host, folder))) = (&ctx.node, &programs.node) {
        launch.ensure_node(node, host, folder).await?;
    }
    if !options.plane_only && !options.empty {
        workloads::migrate(ctx, &options.executable).await?;
        launch
            .ensure(&|| Ok(workloads::controller(ctx, &options.executable)))
            .await?;
        launch
            .ensure(&|| Ok(workloads::api(ctx, &options.executable)))
            .await?;
    }
    status::status_of(ctx).await
}

/// A client with the administrator's identity.
async fn client(dir: &StateDir) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(dir.kubeconfig()).map_err(Box::new)?;
    let config = cluster::direct(kubeconfig).await?;
    kube::Client::try_from(config).map_err(|source| LocalError::Kubernetes {
        action: "make a client".to_owned(),
        source: Box::new(source),
    })
}

fn ensure_keyring(dir: &StateDir) -> Result<()> {
    let path = dir.keyring();
    if path.join("active").is_file() {
        return Ok(());
    }
    kek::folder::create(&path)?;
    Ok(())
}

impl Launch<'_> {
    /// Leaves a child that runs and was started just so, and waits until it is ready; starts it anew
    /// otherwise. A process that lives and holds its ports is never replaced for being late.
    async fn ensure(&self, make: &(dyn Fn() -> Result<Spec> + Sync)) -> Result<()> {
        let spec = make()?;
        let component = spec.component;
        let dir = &self.ctx.dir;
        if let Some(record) = process::running(dir, component)? {
            if !process::is_current(&record, &spec) {
                (self.report)(&format!(
                    "replacing {component}: its program, settings or ports have changed"
                ));
            } else {
                match self.wait_ready(component).await {
                    Err(LocalError::Died { .. }) => {}
                    Err(LocalError::NotReady { .. }) if !self.ctx.holds_ports(component).await => {
                        (self.report)(&format!(
                            "replacing {component}: process {} does not listen on its port",
                            record.pid
                        ));
                    }
                    outcome => return outcome,
                }
            }
            process::stop(dir, component, self.report).await?;
        }
        (self.report)(&format!("starting {component}"));
        self.note(component);
        let mut spec = spec;
        for _ in 1..ATTEMPTS {
            process::spawn(dir, spec, self.options.lifetime)?;
            match self.wait_ready(component).await {
                Err(LocalError::Died { .. }) if self.ctx.state.ports.any_taken(component) => {
                    return Err(LocalError::PortTaken { component });
                }
                Err(LocalError::Died { .. }) => {
                    tokio::time::sleep(Duration::from_millis(500)).await
                }
                outcome => return outcome,
            }
            spec = make()?;
        }
        process::spawn(dir, spec, self.options.lifetime)?;
        self.wait_ready(component).await
    }

    /// The same for the node, whose cluster has to know it first.
    async fn ensure_node(&self, node: &Node, host: &Host, programs: &Path) -> Result<()> {
        let ctx = self.ctx;
        node::write_configuration(ctx, node, host)?;
        let client = client(&ctx.dir).await?;
        node::apply_objects(&client, node).await?;
        if process::running(&ctx.dir, Component::Node)?.is_none() {
            node::clean_up(&ctx.dir).await?;
            node::forget(&client).await?;
        }
        let executable = &self.options.executable;
        self.ensure(&|| Ok(node::supervisor(ctx, node, host, programs, executable)))
            .await
    }

    /// From here on a failure stops this component.
    fn note(&self, component: Component) {
        self.started.lock().push(component);
    }

    /// Waits until a component is ready, and says what it waits for.
    async fn wait_ready(&self, component: Component) -> Result<()> {
        let dir = &self.ctx.dir;
        let start = Instant::now();
        let mut next_report = SILENT_FOR;
        let mut reason = "no answer yet".to_owned();
        let mut health = Box::pin(self.ctx.health(component, ANSWER_WITHIN));
        loop {
            let answer = tokio::time::timeout(POLL, &mut health).await;
            // The process first: another plane's, on a port that this one lost, proves nothing.
            let Some(process) = process::running(dir, component)? else {
                return Err(LocalError::Died {
                    component,
                    log: dir.log(component),
                    tail: process::log_tail(dir, component),
                });
            };
            match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(why)) => {
                    reason = why;
                    tokio::time::sleep(POLL).await;
                    health = Box::pin(self.ctx.health(component, ANSWER_WITHIN));
                }
                Err(_) => {}
            }
            let waited = start.elapsed();
            if waited > READY_WITHIN {
                return Err(LocalError::NotReady {
                    component,
                    pid: process.pid,
                    waited,
                    reason,
                    log: dir.log(component),
                    tail: process::log_tail(dir, component),
                });
            }
            if waited > next_report {
                next_report = waited + REPORT_EVERY;
                let pid = process.pid;
                (self.report)(&format!(
                    "waiting for {component} (process {pid}): {reason}"
                ));
            }
        }
    }
}

/// Stops every child of a plane; with `purge` removes its data, too. What cannot be stopped, or read,
/// does not keep it from the rest.
///
/// # Errors
/// When a child does not end, or the state cannot be removed.
pub async fn down(dir: &StateDir, purge: bool) -> Result<()> {
    down_and_report(dir, purge, &|_| {}).await
}

/// [`down`], saying what it waits for.
pub(crate) async fn down_and_report(
    dir: &StateDir,
    purge: bool,
    report: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let _lock = dir.lock(report).await?;
    let mut failed = Vec::new();
    for component in Component::ALL.into_iter().rev() {
        match process::stop(dir, component, report).await {
            Ok(()) => {}
            // Whatever it named carries the plane's mark.
            Err(LocalError::DamagedState { path, .. }) if cfg!(target_os = "linux") => {
                report(&format!("{} is damaged, and removed", path.display()));
                failed.extend(process::remove_record(&path).err());
            }
            Err(error) => failed.push(error),
        }
    }
    failed.extend(process::stop_leftovers(dir).await.err());
    failed.extend(node::clean_up(dir).await.err());
    if !failed.is_empty() {
        return Err(LocalError::NotAllStopped(failed));
    }
    if purge {
        match dir.load() {
            Ok(Some(state)) => postgres::remove_data(&state, dir)?,
            Ok(None) => {}
            Err(_) => postgres::remove_unknown_data(dir)?,
        }
        dir.remove()?;
    }
    Ok(())
}
