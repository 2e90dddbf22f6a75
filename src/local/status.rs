//! What of a local plane runs, and where to reach it.

use std::path::PathBuf;

use serde::Serialize;

use super::error::Result;
use super::launch::Context;
use super::postgres::Role;
use super::process;
use super::state::{Component, StateDir};

/// A plane's state and addresses; what does not run has none.
#[derive(Clone, Serialize)]
pub struct Status {
    /// Whether etcd, kube-apiserver, kube-controller-manager and PostgreSQL all work.
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
}

/// Looks at a process that runs and does not answer.
const LOOKS: usize = 3;

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
        }),
    }
}

pub(super) async fn status_of(ctx: &Context) -> Result<Status> {
    let (etcd, apiserver, manager, postgres, controller, api) = tokio::join!(
        works(ctx, Component::Etcd),
        works(ctx, Component::ApiServer),
        works(ctx, Component::ControllerManager),
        works(ctx, Component::Postgres),
        works(ctx, Component::Controller),
        works(ctx, Component::Api),
    );
    let ports = &ctx.state.ports;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let keyring = ctx.dir.keyring();
    Ok(Status {
        running: etcd && apiserver && manager && postgres,
        state_dir: ctx.dir.path().to_owned(),
        kubeconfig: apiserver.then(|| ctx.dir.kubeconfig()),
        database_url: postgres.then(|| ctx.database_url(Role::Owner)),
        keyring_dir: keyring.is_dir().then_some(keyring),
        api_url: api.then(|| url(ports.api)),
        api_admin_url: api.then(|| url(ports.api_admin)),
        controller_admin_url: controller.then(|| url(ports.controller_admin)),
    })
}

/// Whether the process of our record runs and answers as it should. On a machine that is busy one
/// may be late once.
async fn works(ctx: &Context, component: Component) -> bool {
    for _ in 0..LOOKS {
        if !matches!(process::running(&ctx.dir, component), Ok(Some(_))) {
            return false;
        }
        if ctx.health(component).await.is_ok() {
            return true;
        }
    }
    false
}
