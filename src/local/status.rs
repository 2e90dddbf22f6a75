//! What of a local plane runs, and where to reach it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::error::Result;
use super::launch::Context;
use super::node;
use super::postgres::Role;
use super::process;
use super::state::{Component, StateDir};

/// A plane's state and addresses; what does not run has none. A process that lives and holds its ports
/// runs, however late it answers.
#[derive(Clone, Serialize)]
pub struct Status {
    /// Whether etcd, kube-apiserver, kube-controller-manager and PostgreSQL all run.
    pub running: bool,
    pub state_dir: PathBuf,
    /// The administrator's.
    pub kubeconfig: Option<PathBuf>,
    /// The owner's, with the password in it, hence no `Debug`.
    pub database_url: Option<String>,
    pub keyring_dir: Option<PathBuf>,
    pub api_url: Option<String>,
    pub api_admin_url: Option<String>,
    pub controller_admin_url: Option<String>,
    pub node: Option<NodeStatus>,
    /// What runs and is not ready: the component, its process and the reason.
    #[serde(skip)]
    pub unready: Vec<(Component, i32, String)>,
    /// What was started once and does not run.
    #[serde(skip)]
    pub ended: Vec<Component>,
}

/// A node that runs, and where its pods find what runs beside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// The Node object's name.
    pub name: String,
    /// Its own address.
    pub address: String,
    /// PostgreSQL's host and port, to pods.
    pub database: String,
}

/// How long an answer is waited for before a process counts as one that is not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Looks at the plane of a folder; starts and changes nothing.
///
/// # Errors
/// When the folder's files cannot be read.
pub async fn status(dir: &StateDir) -> Result<Status> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Context::find(dir)? {
        Some(ctx) => status_of(&ctx).await,
        None => Ok(Status {
            running: false,
            state_dir: dir.path().to_owned(),
            kubeconfig: None,
            database_url: None,
            keyring_dir: None,
            api_url: None,
            api_admin_url: None,
            controller_admin_url: None,
            node: None,
            unready: Vec::new(),
            ended: Vec::new(),
        }),
    }
}

pub(super) async fn status_of(ctx: &Context) -> Result<Status> {
    let looks = Component::ALL.map(|component| look(ctx, component));
    let looks = futures::future::join_all(looks).await;
    let found = |component: Component| {
        let mut all = Component::ALL.into_iter().zip(&looks);
        all.find(|(it, _)| *it == component).map(|(_, look)| look)
    };
    let runs = |component| {
        let runs = |look: &Look| matches!(look, Look::Ready | Look::Unready { listens: true, .. });
        found(component).is_some_and(runs)
    };
    let unready = |(component, look): (Component, &Look)| match look {
        Look::Unready { pid, reason, .. } => Some((component, *pid, reason.clone())),
        _ => None,
    };
    let ports = &ctx.state.ports;
    let url = |component, port: u16| runs(component).then(|| format!("http://127.0.0.1:{port}"));
    let keyring = ctx.dir.keyring();
    Ok(Status {
        running: CLUSTER.into_iter().all(runs),
        state_dir: ctx.dir.path().to_owned(),
        kubeconfig: runs(Component::ApiServer).then(|| ctx.dir.kubeconfig()),
        database_url: runs(Component::Postgres).then(|| ctx.database_url(Role::Owner)),
        keyring_dir: keyring.is_dir().then_some(keyring),
        api_url: url(Component::Api, ports.api),
        api_admin_url: url(Component::Api, ports.api_admin),
        controller_admin_url: url(Component::Controller, ports.controller_admin),
        node: (ctx.node.as_ref())
            .filter(|_| runs(Component::Node))
            .map(|node| NodeStatus {
                name: node::NAME.to_owned(),
                address: node.link.node().to_string(),
                database: node.link.postgres().to_string(),
            }),
        unready: Component::ALL
            .into_iter()
            .zip(&looks)
            .filter_map(unready)
            .collect(),
        ended: Component::ALL
            .into_iter()
            .zip(&looks)
            .filter(|(_, look)| matches!(look, Look::Ended))
            .map(|(component, _)| component)
            .collect(),
    })
}

/// What makes a cluster with its database.
const CLUSTER: [Component; 4] = [
    Component::Etcd,
    Component::ApiServer,
    Component::ControllerManager,
    Component::Postgres,
];

/// What a look at a component found.
enum Look {
    /// Never started, or stopped.
    Stopped,
    /// Its record names a process that is gone.
    Ended,
    /// Its process lives, and does not say that it is ready.
    Unready {
        pid: i32,
        reason: String,
        /// Whether it holds its ports: until then it starts.
        listens: bool,
    },
    /// It runs and says that it is ready.
    Ready,
}

async fn look(ctx: &Context, component: Component) -> Look {
    let process = match process::running(&ctx.dir, component) {
        Ok(Some(process)) => process,
        _ if ctx.dir.process_record(component).exists() => return Look::Ended,
        _ => return Look::Stopped,
    };
    let Err(reason) = ctx.health(component, ANSWER_WITHIN).await else {
        return Look::Ready;
    };
    if !process.is_alive() {
        return Look::Ended;
    }
    Look::Unready {
        pid: process.pid,
        reason,
        listens: ctx.holds_ports(component).await,
    }
}
