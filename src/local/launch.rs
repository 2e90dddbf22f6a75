//! Starting and stopping a local plane: which child when, and what happens when one fails.

use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config::cluster;
use crate::encryption::kek;

use super::binaries::Binaries;
use super::error::{LocalError, Result};
use super::pki::Pki;
use super::process::{self, Lifetime, Spec};
use super::state::{Component, Ports, Secrets, State, StateDir};
use super::status::{self, Status};
use super::{bootstrap, kubernetes, postgres, workloads};

/// How long a fresh child has to become healthy: a cold cache on a busy laptop takes its time.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long a child that already runs may be unhealthy before it is replaced.
const HEAL_WITHIN: Duration = Duration::from_secs(10);
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
}

impl Context {
    /// The plane of a folder, made new where there is none; ports that somebody took are replaced.
    fn prepare(dir: &StateDir) -> Result<Self> {
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
        }))
    }

    /// All ports: where one changes, whoever knew it has to start anew.
    pub(super) fn ports_digest(&self) -> String {
        format!("{:?}", self.state.ports)
    }

    /// Whether a component does its work now.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub(super) async fn health(&self, component: Component) -> Result<(), String> {
        let ports = &self.state.ports;
        match component {
            Component::Etcd => kubernetes::etcd_health(self).await,
            Component::ApiServer => kubernetes::apiserver_health(self).await,
            Component::ControllerManager => kubernetes::controller_manager_health(self).await,
            Component::Postgres => postgres::health(self).await,
            Component::Controller => kubernetes::admin_port_health(ports.controller_admin).await,
            Component::Api => kubernetes::admin_port_health(ports.api_admin).await,
        }
    }
}

/// One run of `up`, with what it started so far.
struct Launch<'a> {
    options: &'a Options,
    ctx: &'a Context,
    started: &'a Mutex<Vec<Component>>,
    report: &'a (dyn Fn(&str) + Sync),
}

/// Brings a plane up and returns when all of it is ready. What runs already and is healthy stays.
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
pub(super) async fn up_or_kill(
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
        let started = started
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let dir = &options.state_dir;
        let stop = async {
            for &component in started.iter().rev() {
                if let Err(error) = process::stop(dir, component).await {
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
    let binaries = Binaries::find(report).await?;
    for _ in 1..ATTEMPTS {
        match bring_all_up(options, &binaries, started, report).await {
            // The next attempt chooses others.
            Err(LocalError::PortTaken { component }) => {
                report(&format!("a port of {component} was taken meanwhile"));
            }
            outcome => return outcome,
        }
    }
    bring_all_up(options, &binaries, started, report).await
}

async fn bring_all_up(
    options: &Options,
    binaries: &Binaries,
    started: &Mutex<Vec<Component>>,
    report: &(dyn Fn(&str) + Sync),
) -> Result<Status> {
    let dir = &options.state_dir;
    let ctx = &Context::prepare(dir)?;
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
        bootstrap::apply_manifests(&client(dir).await?).await
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
    if !options.plane_only {
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
    kek::create(&path)?;
    Ok(())
}

impl Launch<'_> {
    /// Leaves a healthy child that was started just so, and starts it anew otherwise.
    async fn ensure(&self, make: &(dyn Fn() -> Result<Spec> + Sync)) -> Result<()> {
        let spec = make()?;
        let component = spec.component;
        let dir = &self.ctx.dir;
        if let Some(record) = process::running(dir, component)? {
            if process::is_current(&record, &spec)
                && self.wait_ready(component, HEAL_WITHIN).await.is_ok()
            {
                return Ok(());
            }
            (self.report)(&format!("replacing {component}"));
            process::stop(dir, component).await?;
        }
        (self.report)(&format!("starting {component}"));
        self.note(component);
        let mut spec = spec;
        for _ in 1..ATTEMPTS {
            process::spawn(dir, spec, self.options.lifetime)?;
            match self.wait_ready(component, START_WITHIN).await {
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
        self.wait_ready(component, START_WITHIN).await
    }

    /// From here on a failure stops this component.
    fn note(&self, component: Component) {
        self.started
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(component);
    }

    async fn wait_ready(&self, component: Component, within: Duration) -> Result<()> {
        let dir = &self.ctx.dir;
        let start = Instant::now();
        loop {
            let outcome = self.ctx.health(component).await;
            // The process first: another plane's, on a port that this one lost, proves nothing.
            if process::running(dir, component)?.is_none() {
                return Err(LocalError::Died {
                    component,
                    log: dir.log(component),
                    tail: process::log_tail(dir, component),
                });
            }
            match outcome {
                Ok(()) => return Ok(()),
                Err(reason) if start.elapsed() > within => {
                    return Err(LocalError::NotReady {
                        component,
                        waited: within,
                        reason,
                        log: dir.log(component),
                        tail: process::log_tail(dir, component),
                    });
                }
                Err(_) => tokio::time::sleep(POLL).await,
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
pub(super) async fn down_and_report(
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
        match process::stop(dir, component).await {
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
