//! The state folder: where everything of one local plane is, and what is remembered between runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{LocalError, Result};
use super::ports::bind_free;

/// The file that tells a state folder from any other.
const MARKER: &str = "llmplane-local";

/// How long a command waits for another one that works on the same folder.
const LOCK_WAIT: Duration = Duration::from_secs(900);

/// How often, and after which pauses, a port is tried before another takes its place.
const PORT_TRIES: u32 = 100;
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// The children of a local plane, each after those that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    Etcd,
    ApiServer,
    ControllerManager,
    Postgres,
    Controller,
    Api,
    Node,
}

impl Component {
    /// All of them; they stop in the reverse order.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Postgres,
        Self::Controller,
        Self::Api,
        Self::Node,
    ];

    /// The name in file names and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Postgres => "postgres",
            Self::Controller => "llmplane-controller",
            Self::Api => "llmplane-api",
            Self::Node => "node",
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The loopback ports of one plane, kept between runs so that a kubeconfig stays valid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ports {
    pub etcd_client: u16,
    pub etcd_peer: u16,
    pub apiserver: u16,
    pub controller_manager: u16,
    pub postgres: u16,
    pub controller_admin: u16,
    pub api: u16,
    pub api_admin: u16,
}

/// What is remembered between runs and is no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    pub ports: Ports,
    /// Where PostgreSQL keeps its data: outside the state folder where the caller is root, for the
    /// user that PostgreSQL then runs as cannot reach into it.
    pub postgres_dir: PathBuf,
    /// The user that PostgreSQL runs as, where that is another one than the caller.
    pub postgres_user: Option<String>,
}

/// Made once for a state folder; never logged, hence no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    pub admin_token: String,
    pub controller_manager_token: String,
    pub controller_token: String,
    pub api_token: String,
    pub postgres_password: String,
    pub owner_password: String,
    pub controller_password: String,
    pub api_password: String,
}

impl Secrets {
    /// 256 random bits each, in hexadecimal digits, so that no place needs to quote them.
    fn generate() -> Self {
        Self {
            admin_token: random_hex(32),
            controller_manager_token: random_hex(32),
            controller_token: random_hex(32),
            api_token: random_hex(32),
            postgres_password: random_hex(32),
            owner_password: random_hex(32),
            controller_password: random_hex(32),
            api_password: random_hex(32),
        }
    }
}

/// `bytes` random bytes in hexadecimal digits.
pub(super) fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    rand::fill(&mut buffer[..]);
    hex::encode(buffer)
}

/// One local plane's folder, by its absolute path. It is made with mode 0700 by [`StateDir::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Names a folder; touches nothing.
    ///
    /// # Errors
    /// When the working folder cannot be told.
    pub fn new(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path).map_err(LocalError::io("resolve", path))?;
        Ok(Self(absolute))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    /// The kubeconfig of the identity that a component runs under.
    pub fn kubeconfig_of(&self, component: Component) -> PathBuf {
        self.0.join(format!("kubeconfig-{component}"))
    }

    /// The keyring's folder.
    pub fn keyring(&self) -> PathBuf {
        self.0.join("keyring")
    }

    /// Where a component's output goes.
    pub fn log(&self, component: Component) -> PathBuf {
        self.0.join("logs").join(format!("{component}.log"))
    }

    /// Which process a component is.
    pub fn process_record(&self, component: Component) -> PathBuf {
        self.0.join("run").join(format!("{component}.json"))
    }

    /// Makes the folder and its parts; gives an existing one back its mode.
    ///
    /// # Errors
    /// [`LocalError::ForeignStateDir`] where the folder holds something else already.
    pub fn create(&self) -> Result<()> {
        if self.0.as_os_str().as_encoded_bytes().contains(&b':') {
            return Err(LocalError::ColonInPath(self.0.clone()));
        }
        if self.is_foreign() {
            return Err(LocalError::ForeignStateDir(self.0.clone()));
        }
        create_private_dir(&self.0)?;
        let marker = self.0.join(MARKER);
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&marker)
            .map_err(LocalError::io("create", &marker))?;
        for part in ["logs", "run", "pki"] {
            create_private_dir(&self.0.join(part))?;
        }
        Ok(())
    }

    /// Whether a plane was ever made here.
    pub fn exists(&self) -> bool {
        self.0.join(MARKER).is_file()
    }

    fn is_foreign(&self) -> bool {
        !self.exists() && fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Writes a file that only its owner can read, by way of a rename: a reader sees all or nothing.
    pub(super) fn write(&self, name: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let draft = path.with_added_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(LocalError::io("create", &draft))?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(LocalError::io("write", &draft))?;
        fs::rename(&draft, &path).map_err(LocalError::io("replace", &path))
    }

    /// Removes the folder with all that is in it.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(LocalError::io("remove", &self.0)),
        }
    }

    /// Makes the folder where it is missing and waits until no other command works on it, which it
    /// reports; the lock goes with the returned file.
    pub(super) async fn lock(&self, report: &(dyn Fn(&str) + Sync)) -> Result<File> {
        let path = self.0.join("lock");
        loop {
            self.create()?;
            let file = lock_file(&path, report).await?;
            // A purge may have removed the folder while this one waited.
            if is_same_file(&file, &path) {
                return Ok(file);
            }
        }
    }

    /// What was remembered, if a plane was ever made here.
    pub fn load(&self) -> Result<Option<State>> {
        let state: Option<State> = self.read_json("state.json")?;
        Ok(state.map(|state| State {
            postgres_dir: self.0.join(&state.postgres_dir),
            ..state
        }))
    }

    /// Remembers; what is within the folder by a relative path, for the folder may be moved.
    pub(super) fn save(&self, state: &State) -> Result<()> {
        let mut state = state.clone();
        if let Ok(within) = state.postgres_dir.strip_prefix(&self.0) {
            state.postgres_dir = within.to_owned();
        }
        self.write("state.json", &to_json(&state))
    }

    /// This plane's passwords and tokens, if they were made.
    pub fn secrets(&self) -> Result<Option<Secrets>> {
        self.read_json("secrets.json")
    }

    /// This plane's passwords and tokens, made when they are first asked for.
    pub(super) fn secrets_or_generate(&self) -> Result<Secrets> {
        if let Some(secrets) = self.secrets()? {
            return Ok(secrets);
        }
        let secrets = Secrets::generate();
        self.write("secrets.json", &to_json(&secrets))?;
        Ok(secrets)
    }

    pub(super) fn read_json<T: DeserializeOwned>(
        &self,
        name: impl AsRef<Path>,
    ) -> Result<Option<T>> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| LocalError::DamagedState {
                        // The position only: serde's message can quote the value, which may be a secret.
                        reason: format!("line {}, column {}", error.line(), error.column()),
                        path,
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::io("read", path)(error)),
        }
    }
}

/// Serializes plain data.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    // Invariant: the types of this module have string keys and no fallible `Serialize`.
    serde_json::to_vec_pretty(value).expect("plain data serializes")
}

/// Makes a folder, with its parents, that only its owner can enter. One that is there already has to
/// be the caller's, and a link to one as well.
pub(super) fn create_private_dir(path: &Path) -> Result<()> {
    let failed = || LocalError::io("create", path);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed())?;
    let (link, folder) = fs::symlink_metadata(path)
        .and_then(|link| Ok((link, fs::metadata(path)?)))
        .map_err(failed())?;
    let caller = nix::unistd::Uid::effective().as_raw();
    if link.uid() != caller || folder.uid() != caller {
        return Err(LocalError::UnsafeFolder {
            path: path.to_owned(),
            reason: "belongs to another user",
        });
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed())
}

/// Takes the exclusive lock on a file, waiting for it up to 15 minutes (a cold build takes six).
/// Whoever waits reports whom it waits for, once.
pub(super) async fn lock_file(path: &Path, report: &(dyn Fn(&str) + Sync)) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(LocalError::io("open", path))?;
    let start = Instant::now();
    let mut reported = false;
    loop {
        match file.try_lock() {
            Ok(()) => {
                let note = format!("{}\n", std::process::id());
                file.set_len(0)
                    .and_then(|()| file.write_all_at(note.as_bytes(), 0))
                    .map_err(LocalError::io("write", path))?;
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_WAIT => {
                return Err(LocalError::Locked {
                    path: path.to_owned(),
                    waited: start.elapsed(),
                });
            }
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut reported, true) {
                    let holder = fs::read_to_string(path).unwrap_or_default();
                    report(&format!(
                        "waiting for another `llmplane local` (process {})",
                        holder.trim()
                    ));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", path)(error)),
        }
    }
}

/// Whether a port can be bound, now or shortly: the kernel closes a killed process's sockets a little
/// after the process counts as ended.
fn is_free_soon(port: u16) -> bool {
    (0..PORT_TRIES).any(|tried| {
        if tried > 0 {
            std::thread::sleep(PORT_PAUSE);
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    })
}

impl Ports {
    /// Each component's ports.
    fn of(&mut self, component: Component) -> Vec<&mut u16> {
        match component {
            Component::Etcd => vec![&mut self.etcd_client, &mut self.etcd_peer],
            Component::ApiServer => vec![&mut self.apiserver],
            Component::ControllerManager => vec![&mut self.controller_manager],
            Component::Postgres => vec![&mut self.postgres],
            Component::Controller => vec![&mut self.controller_admin],
            Component::Api => vec![&mut self.api, &mut self.api_admin],
            // Its ports are in a network of its own.
            Component::Node => Vec::new(),
        }
    }

    /// A component's port numbers.
    pub(super) fn numbers(&self, component: Component) -> Vec<u16> {
        let mut ports = self.clone();
        ports.of(component).into_iter().map(|port| *port).collect()
    }

    /// Gives a component that does not run another port where its own was taken meanwhile.
    pub(super) fn replace_taken(&mut self, stopped: Component) -> std::io::Result<()> {
        for port in self.of(stopped) {
            if !is_free_soon(*port) {
                *port = bind_free()?.local_addr()?.port();
            }
        }
        Ok(())
    }

    /// Whether somebody else has one of the ports of a component that does not run.
    pub(super) fn any_taken(&self, stopped: Component) -> bool {
        self.numbers(stopped)
            .into_iter()
            .any(|port| !is_free_soon(port))
    }

    /// As many free ports as are needed, each another one.
    pub(super) fn pick() -> std::io::Result<Self> {
        // All are held until the last is known: one may otherwise be drawn twice.
        let listeners = (0..8)
            .map(|_| bind_free())
            .collect::<std::io::Result<Vec<_>>>()?;
        let mut ports = listeners.iter().map(|l| l.local_addr().map(|a| a.port()));
        let mut next = || {
            ports
                .next()
                .unwrap_or_else(|| Err(std::io::ErrorKind::AddrNotAvailable.into()))
        };
        Ok(Self {
            etcd_client: next()?,
            etcd_peer: next()?,
            apiserver: next()?,
            controller_manager: next()?,
            postgres: next()?,
            controller_admin: next()?,
            api: next()?,
            api_admin: next()?,
        })
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(found)) => held.ino() == found.ino() && held.dev() == found.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_folder_moves_with_it() {
        let root = tempfile::tempdir().unwrap();
        let [before, after] = ["before", "after"].map(|name| root.path().join(name));
        let dir = StateDir::new(&before).unwrap();
        dir.create().unwrap();
        let state = State {
            ports: Ports::pick().unwrap(),
            postgres_dir: before.join("postgres"),
            postgres_user: None,
        };
        dir.save(&state).unwrap();
        fs::rename(&before, &after).unwrap();
        let moved = StateDir::new(&after).unwrap().load().unwrap().unwrap();
        assert_eq!(moved.postgres_dir, after.join("postgres"));
    }
}
