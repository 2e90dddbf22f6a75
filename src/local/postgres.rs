//! PostgreSQL from the system's programs, which `programs` finds: its data folder, its roles, its
//! health.

mod programs;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::error::{LocalError, Result};
use super::launch::{Context, Durability};
use super::process::{self, Spec};
use super::state::{Component, State, StateDir, random_hex};
pub use programs::find;
pub(super) use programs::find_for;

/// The database that llmplane uses, and its three roles.
const DATABASE: &str = "llmplane";
const OWNER: &str = "llmplane_owner";
const CONTROLLER: &str = "llmplane_controller";
const API: &str = "llmplane_api";
const SUPERUSER: &str = "postgres";

/// Where root's data folders are: of a parent that only root can change, and that nothing ages.
const OUTSIDE: &str = "/var/lib/llmplane";
/// What the name of a data folder outside the state folder begins with.
const OUTSIDE_PREFIX: &str = "llmplane-postgres-";
/// How long what is left of a killed server has to end.
const LEFTOVERS_END_WITHIN: Duration = Duration::from_secs(30);

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Owns the database and migrates it.
    Owner,
    /// The controller's.
    Controller,
    /// The read API's.
    Api,
    /// PostgreSQL's own administrator, who makes roles and databases.
    Superuser,
}

impl Context {
    /// The address of a database, with a role's password in it.
    pub(super) fn database_url_of(&self, role: Role, database: &str) -> String {
        let secrets = &self.secrets;
        let (user, password) = match role {
            Role::Owner => (OWNER, &secrets.owner_password),
            Role::Controller => (CONTROLLER, &secrets.controller_password),
            Role::Api => (API, &secrets.api_password),
            Role::Superuser => (SUPERUSER, &secrets.postgres_password),
        };
        let port = self.state.ports.postgres;
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// The address of llmplane's database, with a role's password in it.
    pub(super) fn database_url(&self, role: Role) -> String {
        self.database_url_of(role, DATABASE)
    }
}

/// The address of a database of the plane in `dir`, with a role's password in it; none where no plane
/// was made there.
///
/// # Errors
/// When the folder's files cannot be read.
pub fn url(dir: &StateDir, role: Role, database: &str) -> Result<Option<String>> {
    Ok(Context::find(dir)?.map(|ctx| ctx.database_url_of(role, database)))
}

/// Where a new plane keeps its data and who PostgreSQL runs as: the caller, in the state folder;
/// for root another user, whom the state folder's mode locks out, hence a folder elsewhere, with a
/// name that nobody could know before.
pub(super) fn placement(dir: &StateDir) -> Result<(PathBuf, Option<String>)> {
    if !Uid::effective().is_root() {
        return Ok((dir.path().join("postgres"), None));
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find(|name| matches!(User::from_name(name), Ok(Some(_))))
        .ok_or(LocalError::NoUnprivilegedUser)?;
    let name = format!("{}{}", outside_prefix(dir), random_hex(8));
    Ok((Path::new(OUTSIDE).join(name), Some(user.to_owned())))
}

/// What the names of one plane's folders outside begin with: where its state is damaged they are
/// still found.
fn outside_prefix(dir: &StateDir) -> String {
    let path = fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    format!("{OUTSIDE_PREFIX}{}-", hex::encode(&digest[..8]))
}

/// Makes the parent of root's data folders, which others may pass through and not change.
fn ensure_outside() -> Result<()> {
    let path = Path::new(OUTSIDE);
    let failed = || LocalError::io("create", path);
    match fs::DirBuilder::new().mode(0o711).create(path) {
        Ok(()) => {
            // Whatever the caller's umask is.
            let passable = fs::Permissions::from_mode(0o711);
            fs::set_permissions(path, passable).map_err(failed())?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed()(error)),
    }
    let meta = fs::symlink_metadata(path).map_err(failed())?;
    if meta.is_dir() && meta.uid() == 0 && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(LocalError::UnsafeFolder {
        path: path.to_owned(),
        reason: "is no folder that root alone can change",
    })
}

/// Whether a plane has its cluster of databases.
pub(super) fn is_initialized(state: &State) -> bool {
    let dir = &state.postgres_dir;
    dir.join("data").join("PG_VERSION").is_file() && !dir.join("pw").exists()
}

/// Refuses a data folder that somebody else put where ours was.
fn check_owner(path: &Path, user: Option<(Uid, Gid)>) -> Result<()> {
    let owner = user.map_or_else(Uid::effective, |(uid, _)| uid);
    let meta = fs::symlink_metadata(path).map_err(LocalError::io("look at", path))?;
    if meta.is_dir() && meta.uid() == owner.as_raw() && meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(LocalError::UnsafeFolder {
        path: path.to_owned(),
        reason: "is not the data folder that was made for PostgreSQL",
    })
}

fn os_user(state: &State) -> Result<Option<(Uid, Gid)>> {
    let Some(name) = &state.postgres_user else {
        return Ok(None);
    };
    match User::from_name(name) {
        Ok(Some(user)) => Ok(Some((user.uid, user.gid))),
        _ => Err(LocalError::NoUnprivilegedUser),
    }
}

/// Makes the cluster of databases where there is none yet, for passwords only.
pub(super) async fn initialize(
    ctx: &Context,
    programs: &Path,
    durability: Durability,
) -> Result<()> {
    let dir = &ctx.state.postgres_dir;
    let user = os_user(&ctx.state)?;
    if is_initialized(&ctx.state) {
        check_owner(dir, user)?;
        return remove_stale_lock(ctx).await;
    }
    if user.is_some() {
        ensure_outside()?;
    }
    // Has to be new: what somebody else made there is not ours to use, nor to give away.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(dir)
        .map_err(LocalError::io("create", dir))?;
    let password_file = dir.join("pw");
    write_private(&password_file, ctx.secrets.postgres_password.as_bytes())?;
    if let Some((uid, gid)) = user {
        // The folder last: from then on its new owner can replace what is in it.
        for path in [&password_file, dir] {
            std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .map_err(LocalError::io("give away", path))?;
        }
    }
    let mut command = tokio::process::Command::new(programs.join("initdb"));
    command
        .arg("--pgdata")
        .arg(dir.join("data"))
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", "C"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    process::mark(command.as_std_mut(), &ctx.dir);
    if durability == Durability::Throwaway {
        command.arg("--no-sync");
    }
    if let Some((uid, gid)) = user {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    let output = command.output().await.map_err(|source| LocalError::Spawn {
        component: Component::Postgres,
        source,
    })?;
    if !output.status.success() {
        return Err(LocalError::CommandFailed {
            program: "initdb",
            outcome: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::remove_file(&password_file).map_err(LocalError::io("remove", &password_file))
}

/// Removes PostgreSQL's own lock file where no process of it is left. It names a process id, which
/// after a reboot may be somebody else's, and which after a crash stays taken where nobody reaps.
async fn remove_stale_lock(ctx: &Context) -> Result<()> {
    // Elsewhere PostgreSQL is left to judge its lock file by itself.
    if !cfg!(target_os = "linux") || process::running(&ctx.dir, Component::Postgres)?.is_some() {
        return Ok(());
    }
    let data = ctx.state.postgres_dir.join("data");
    let data = fs::canonicalize(&data).map_err(LocalError::io("find", data))?;
    let start = Instant::now();
    // Every process of a server works in its data folder; a killed server's others end by themselves.
    while process::any_works_in(&data) {
        if start.elapsed() > LEFTOVERS_END_WITHIN {
            // PostgreSQL itself then says who is in the way.
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = data.join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(LocalError::io("remove", path)),
    }
}

fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(LocalError::io("write", path))
}

/// The server, on loopback alone and without a socket file.
pub(super) fn server(ctx: &Context, programs: &Path, durability: Durability) -> Result<Spec> {
    let dir = &ctx.state.postgres_dir;
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "max_connections=300".to_owned(),
        format!("port={}", ctx.state.ports.postgres),
        // What fails is logged without its text: it may hold a password.
        "log_min_error_statement=panic".to_owned(),
    ];
    if durability == Durability::Throwaway {
        settings.extend(
            [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ]
            .map(str::to_owned),
        );
    }
    let mut command = Command::new(programs.join("postgres"));
    command
        .env_clear()
        .current_dir(dir)
        .arg("-D")
        .arg(dir.join("data"));
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    Ok(Spec {
        component: Component::Postgres,
        command,
        user: os_user(&ctx.state)?,
        depends_on: ctx.digest(),
    })
}

/// Whether the server answers a query.
///
/// # Errors
/// Why not, in a few words.
pub(super) async fn health(ctx: &Context) -> Result<(), String> {
    let url = ctx.database_url_of(Role::Superuser, "postgres");
    let probe = async {
        let mut connection = PgConnection::connect(&url).await?;
        connection.execute("SELECT 1").await?;
        connection.close().await
    };
    probe.await.map_err(|error: sqlx::Error| error.to_string())
}

/// Makes the three roles, each with its password, and the database where they are missing.
///
/// # Errors
/// [`LocalError::Database`]; its text holds no password.
pub(super) async fn ensure_roles(ctx: &Context) -> Result<()> {
    let failed = |action| move |source| LocalError::Database { action, source };
    let url = ctx.database_url_of(Role::Superuser, "postgres");
    let mut admin = PgConnection::connect(&url)
        .await
        .map_err(failed("connect"))?;
    let roles = [
        (OWNER, &ctx.secrets.owner_password),
        (CONTROLLER, &ctx.secrets.controller_password),
        (API, &ctx.secrets.api_password),
    ];
    for (role, password) in roles {
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(role)
                .fetch_one(&mut admin)
                .await
                .map_err(failed("look for a role"))?;
        if !exists {
            // Names are constants, passwords hexadecimal digits; CREATE ROLE takes no parameters.
            let statement = format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'");
            admin
                .execute(AssertSqlSafe(statement))
                .await
                .map_err(failed("create a role"))?;
        }
    }
    // An answer with a key waits for its audit row, and 503 within 2 s is better than no answer.
    for setting in ["lock_timeout = '500ms'", "statement_timeout = '1500ms'"] {
        let statement = format!("ALTER ROLE {API} SET {setting}");
        admin
            .execute(AssertSqlSafe(statement))
            .await
            .map_err(failed("set the API's timeouts"))?;
    }
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut admin)
            .await
            .map_err(failed("look for the database"))?;
    if !exists {
        let statement = format!("CREATE DATABASE {DATABASE} OWNER {OWNER}");
        admin
            .execute(AssertSqlSafe(statement))
            .await
            .map_err(failed("create the database"))?;
    }
    admin.close().await.map_err(failed("disconnect"))
}

/// Removes the data, wherever it is; a folder outside only where it looks like one of ours.
pub(super) fn remove_data(state: &State, dir: &StateDir) -> Result<()> {
    let path = &state.postgres_dir;
    let ours = path.starts_with(dir.path())
        || path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(OUTSIDE_PREFIX));
    // A link would lead elsewhere.
    let is_folder = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    if !ours || !is_folder {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(LocalError::io("remove", path))
}

/// Removes root's data folders of a plane whose state cannot be read any more.
pub(super) fn remove_unknown_data(dir: &StateDir) -> Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let prefix = outside_prefix(dir);
    let entries = fs::read_dir(OUTSIDE).into_iter().flatten().flatten();
    for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(&prefix)) {
        let path = entry.path();
        fs::remove_dir_all(&path).map_err(LocalError::io("remove", &path))?;
    }
    Ok(())
}
