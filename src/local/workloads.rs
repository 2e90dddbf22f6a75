//! llmplane's own processes: migration, controller, read API, each as it would run in a cluster.

use std::path::Path;
use std::process::{Command, Stdio};

use super::bootstrap::SYSTEM_NAMESPACE;
use super::error::{LocalError, Result};
use super::launch::Context;
use super::postgres::Role;
use super::process::Spec;
use super::state::Component;

/// Vendors' addresses that are allowed beyond public ones: models served on this machine.
const LOOPBACK: &str = "127.0.0.0/8,::1/128";

/// Brings the schema up to date, to its end.
pub(super) async fn migrate(ctx: &Context, executable: &Path) -> Result<()> {
    let output = tokio::process::Command::new(executable)
        .arg("migrate")
        .env("DATABASE_URL", ctx.database_url(Role::Owner))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(LocalError::io("run", executable))?;
    if output.status.success() {
        return Ok(());
    }
    Err(LocalError::CommandFailed {
        program: "llmplane migrate",
        outcome: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The controller, under its own identities in cluster and database.
pub(super) fn controller(ctx: &Context, executable: &Path) -> Spec {
    let ports = &ctx.state.ports;
    let mut command = workload(ctx, executable, "controller", Component::Controller);
    command
        .env("DATABASE_URL", ctx.database_url(Role::Controller))
        .env("LLMPLANE_ADMIN_LISTEN", loopback(ports.controller_admin))
        .env("LLMPLANE_LEASE_NAMESPACE", SYSTEM_NAMESPACE)
        .env("LLMPLANE_ALLOW_CIDRS", allowed_addresses());
    spec(ctx, Component::Controller, command)
}

/// The read API, under its own identities in cluster and database.
pub(super) fn api(ctx: &Context, executable: &Path) -> Spec {
    let ports = &ctx.state.ports;
    let mut command = workload(ctx, executable, "api", Component::Api);
    command
        .env("DATABASE_URL", ctx.database_url(Role::Api))
        .env("LLMPLANE_LISTEN", loopback(ports.api))
        .env("LLMPLANE_ADMIN_LISTEN", loopback(ports.api_admin));
    spec(ctx, Component::Api, command)
}

fn workload(ctx: &Context, executable: &Path, subcommand: &str, component: Component) -> Command {
    let mut command = Command::new(executable);
    command
        .arg(subcommand)
        .current_dir(ctx.dir.path())
        .env("KUBECONFIG", ctx.dir.kubeconfig_of(component))
        .env("LLMPLANE_KEYRING_DIR", ctx.dir.keyring());
    command
}

fn spec(ctx: &Context, component: Component, command: Command) -> Spec {
    Spec {
        component,
        command,
        user: None,
        depends_on: ctx.ports_digest(),
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Loopback, and what the user's own environment allows.
fn allowed_addresses() -> String {
    match std::env::var("LLMPLANE_ALLOW_CIDRS") {
        Ok(more) if !more.trim().is_empty() => format!("{LOOPBACK},{more}"),
        _ => LOOPBACK.to_owned(),
    }
}
