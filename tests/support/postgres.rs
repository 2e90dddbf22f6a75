//! A PostgreSQL of a test's own, for what the shared one cannot show: another configuration, or a
//! server on which there are no roles yet.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use llmplane::local::postgres;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::plane::{TestDatabase, eventually};
use super::process::pause;

/// A running server that trusts whoever connects from this machine; it goes when dropped.
pub struct PrivatePostgres {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
}

impl PrivatePostgres {
    /// Starts a server with these settings beside the usual ones, and these files (name, content)
    /// in its data folder.
    pub async fn start(settings: &[&str], files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = unprivileged();
        if let Some(user) = &user {
            chown(folder.path(), Some(user.uid.as_raw()), None).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = program("initdb", user.as_ref(), folder.path());
        initdb.arg("-D").arg(&data);
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        assert!(initdb.status().unwrap().success());
        for (name, content) in files {
            let path = data.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, user.as_ref().map(|user| user.uid.as_raw()), None).unwrap();
        }
        let port = free_port();
        let mut postgres = Self {
            folder,
            port,
            settings: settings.iter().map(ToString::to_string).collect(),
            server: None,
        };
        postgres.start_again().await;
        postgres
    }

    /// Stops it as a crash would; what was committed is there when it starts again.
    pub fn stop(&mut self) {
        if self.server.is_some() {
            self.go_on();
        }
        let Some(mut server) = self.server.take() else {
            return;
        };
        // Immediate shutdown: the postmaster takes its children with it.
        let pid = Pid::from_raw(server.id().cast_signed());
        let _ = kill(pid, Signal::SIGQUIT);
        let _ = server.wait();
    }

    /// Makes it stall: connections stay open, new ones are taken up by the kernel, and nothing ever
    /// answers.
    pub fn stall(&self) {
        let (postmaster, backends) = self.processes();
        // First the one that makes the others.
        pause(postmaster);
        for backend in backends.chain(self.processes().1) {
            pause(backend);
        }
    }

    /// Lets it go on after it stalled.
    pub fn go_on(&self) {
        let (postmaster, backends) = self.processes();
        for process in backends.chain([postmaster]) {
            let _ = kill(process, Signal::SIGCONT);
        }
    }

    /// The postmaster and its children, each of which leads a process group of its own.
    fn processes(&self) -> (Pid, impl Iterator<Item = Pid> + use<>) {
        let server = self.server.as_ref().expect("it runs");
        let postmaster = server.id();
        let children = fs::read_dir("/proc").unwrap().filter_map(move |entry| {
            let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            // PID (name) STATE PPID ...
            let (_, after) = stat.rsplit_once(')')?;
            let parent: u32 = after.split_whitespace().nth(1)?.parse().ok()?;
            let pid: i32 = stat.split_whitespace().next()?.parse().ok()?;
            (parent == postmaster).then(|| Pid::from_raw(pid))
        });
        (Pid::from_raw(postmaster.cast_signed()), children)
    }

    /// Starts it after a stop, on the same port, and waits until it answers.
    pub async fn start_again(&mut self) {
        let user = unprivileged();
        let mut server = program("postgres", user.as_ref(), self.folder.path());
        server
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-F", "-p"])
            .arg(self.port.to_string());
        for setting in ["listen_addresses=localhost", "unix_socket_directories="] {
            server.args(["-c", setting]);
        }
        for setting in &self.settings {
            server.args(["-c", setting]);
        }
        self.server = Some(server.spawn().unwrap());
        let url = self.url("localhost", "postgres", "");
        eventually("PostgreSQL answers", async || {
            PgConnection::connect(&url).await.is_ok()
        })
        .await;
    }

    /// Its folder, which a caller may put files into.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of its database `postgres` for a user, with a query such as `?sslmode=...`.
    pub fn url(&self, host: &str, user: &str, query: &str) -> String {
        format!("postgres://{user}@{host}:{}/postgres{query}", self.port)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A file system of its own of so many MiB, in memory; it goes when dropped.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may mount none.
    pub fn mount(mebibytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={mebibytes}m,mode=0700"))
            .arg("llmplane-test")
            .arg(folder.path())
            .stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        let disk = is_mounted.then(|| Self(folder))?;
        if let Some(user) = unprivileged() {
            chown(disk.0.path(), Some(user.uid.as_raw()), None).unwrap();
        }
        Some(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever has files on it may be ending still.
        let unmount = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
        assert!(unmount.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// One of PostgreSQL's programs, of the same version as the server, for this database. The server's
/// may be found by a link from elsewhere; the others are beside what it leads to.
pub fn tool(name: &str, database: &TestDatabase) -> Command {
    let found = postgres::find().unwrap().join("postgres");
    let folder = found.canonicalize().unwrap();
    let url = database
        .superuser_url
        .replace("/postgres?", &format!("/{}?", database.name));
    let mut command = Command::new(folder.with_file_name(name));
    command.arg(format!("--dbname={url}"));
    command
}

/// PostgreSQL refuses to run as root.
fn unprivileged() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).unwrap());
    Some(user.expect("an unprivileged user"))
}

/// A port that nobody listens on: the listener that found it is closed again.
fn free_port() -> u16 {
    let listener = llmplane::local::ports::bind_free().unwrap();
    listener.local_addr().unwrap().port()
}

fn program(name: &str, user: Option<&User>, folder: &Path) -> Command {
    let mut command = Command::new(postgres::find().unwrap().join(name));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
