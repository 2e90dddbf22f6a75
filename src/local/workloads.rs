//! llmplane's own processes: migration, controller, read API, each as it would run in a cluster.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bootstrap::SYSTEM_NAMESPACE;
use super::error::{LocalError, Result};
use super::launch::Context;
use super::postgres::Role;
use super::process::{self, Spec};
use super::state::Component;

/// Vendors' addresses that are allowed beyond public ones: models served on this machine.
const LOOPBACK: &str = "127.0.0.0/8,::1/128";

/// What the user's own environment may say to llmplane's processes. All the rest, above all where they
/// listen and who they are, is the plane's to say; a change of one of these starts them anew.
const PASSED_ON: [&str; 10] = [
    "RUST_LOG",
    "LLMPLANE_LOG_FORMAT",
    "LLMPLANE_HTTPS_PROXY",
    "LLMPLANE_NAMESPACES",
    "LLMPLANE_SHARED_NAMESPACES",
    "LLMPLANE_TOKEN_SERVICES",
    "LLMPLANE_MODEL_SYNC_LIMIT",
    "LLMPLANE_MODEL_SYNC_WRITES_PER_SECOND",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A file that is named relative to the caller's folder, which is not theirs.
const CATALOG: &str = "LLMPLANE_CATALOG";

/// Brings the schema up to date, to its end.
pub(super) async fn migrate(ctx: &Context, executable: &Path) -> Result<()> {
    let mut command = Command::new(executable);
    command
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", ctx.database_url(Role::Owner));
    process::mark(&mut command, &ctx.dir);
    let output = tokio::process::Command::from(command)
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
        .env_clear()
        .envs(passed_on())
        .env("KUBECONFIG", ctx.dir.kubeconfig_of(component))
        .env("LLMPLANE_KEYRING_DIR", ctx.dir.keyring());
    command
}

fn passed_on() -> Vec<(&'static str, OsString)> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let catalog = set(CATALOG).and_then(|path| std::path::absolute(path).ok());
    PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name, set(name)?)))
        .chain(catalog.map(|path| (CATALOG, path.into_os_string())))
        .collect()
}

fn spec(ctx: &Context, component: Component, command: Command) -> Spec {
    Spec {
        component,
        command,
        user: None,
        depends_on: ctx.digest(),
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
