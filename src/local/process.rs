//! Child processes that outlive the command that started them, and how to find them again.
//!
//! A process is known by its id together with its start time: an id alone may long be another's.

mod leftovers;

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Gid, Pid, Uid};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{LocalError, Result};
use super::state::{Component, StateDir, to_json};
pub(super) use leftovers::{any_works_in, children, stop_leftovers};

/// How long a child has to end by itself before it is killed, also on a machine that is busy.
const TERM_GRACE: Duration = Duration::from_secs(60);
/// How long the kernel has to end a killed child.
const KILL_GRACE: Duration = Duration::from_secs(60);
/// How long a child's end is waited for before that is said.
const SILENT_FOR: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Set for every child, to the state folder that it belongs to. A command that was killed just after
/// it started a child has not recorded it; this is how the next command finds that one.
pub const PLANE: &str = "LLMPLANE_LOCAL_PLANE";

/// How long children live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until `down`: they have a session of their own.
    Detached,
    /// Killed by the kernel with the process that started them, however that one ends.
    WithCaller,
}

/// A process, told apart from a later one of the same id.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProcessRecord {
    pub pid: i32,
    /// Clock ticks between boot and the process's start (field 22 of `/proc/PID/stat`).
    start_time: u64,
    /// The kernel's id of this boot: ids and start times repeat after a reboot.
    boot_id: String,
    /// A digest of what was started: program, arguments, environment.
    fingerprint: String,
}

/// What to start.
pub(super) struct Spec {
    pub component: Component,
    pub command: Command,
    /// The user to become, where the caller is root and the program refuses to be.
    pub user: Option<(Uid, Gid)>,
    /// What else the child depends on, beyond its command line: a change of it replaces the child.
    pub depends_on: String,
}

impl Spec {
    /// A digest that changes whenever a running child would have to be replaced.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |part: &std::ffi::OsStr| {
            digest.update(part.as_encoded_bytes());
            digest.update([0]);
        };
        add(self.command.get_program());
        add(self.depends_on.as_ref());
        // A rebuilt program is another program.
        if let Ok(meta) = fs::metadata(self.command.get_program()) {
            add(format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec()).as_ref());
        }
        self.command.get_args().for_each(&mut add);
        for (name, value) in self.command.get_envs() {
            add(name);
            add(value.unwrap_or_default());
        }
        hex::encode(&digest.finalize()[..8])
    }
}

/// The process that a component was last started as, if it still runs.
pub fn running(dir: &StateDir, component: Component) -> Result<Option<ProcessRecord>> {
    let record: Option<ProcessRecord> = dir.read_json(dir.process_record(component))?;
    Ok(record.filter(ProcessRecord::is_alive))
}

/// Whether a running component was started just as `spec` says.
pub(super) fn is_current(record: &ProcessRecord, spec: &Spec) -> bool {
    record.fingerprint == spec.fingerprint()
}

/// Starts a component, its output going to its log, and records which process it is.
pub(super) fn spawn(dir: &StateDir, mut spec: Spec, lifetime: Lifetime) -> Result<ProcessRecord> {
    let component = spec.component;
    let fingerprint = spec.fingerprint();
    let log_path = dir.log(component);
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(LocalError::io("open", &log_path))?;
    let log_too = log.try_clone().map_err(LocalError::io("open", &log_path))?;
    spec.command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too);
    mark(&mut spec.command, dir);
    detach(&mut spec.command, spec.user, lifetime);

    let child =
        start(spec.command, lifetime).map_err(|source| LocalError::Spawn { component, source })?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let record = ProcessRecord {
        pid,
        start_time: start_time(pid).unwrap_or(0),
        boot_id: boot_id(),
        fingerprint,
    };
    if let Err(error) = dir.write(dir.process_record(component), &to_json(&record)) {
        // What is not recorded could never be stopped again.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        return Err(error);
    }
    Ok(record)
}

/// Says in a child's environment which plane it belongs to.
pub(super) fn mark(command: &mut Command, dir: &StateDir) {
    command.env(PLANE, real_path(dir));
}

fn real_path(dir: &StateDir) -> PathBuf {
    fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned())
}

/// Gives the child a session of its own, private files, and, where asked for, another user and an
/// end with its parent.
fn detach(command: &mut Command, user: Option<(Uid, Gid)>, lifetime: Lifetime) {
    if let Some((uid, gid)) = user {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    // SAFETY: between fork and exec only async-signal-safe system calls are made: setsid, umask
    // and prctl. Nothing allocates or takes a lock.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            #[cfg(target_os = "linux")]
            if lifetime == Lifetime::WithCaller {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            }
            Ok(())
        });
    }
}

type StartRequest = (Command, mpsc::SyncSender<std::io::Result<Child>>);

/// Starts the command; for [`Lifetime::WithCaller`] from a thread that never ends, because the
/// kernel counts the end of the thread that forked, not of the process, as the parent's death.
fn start(mut command: Command, lifetime: Lifetime) -> std::io::Result<Child> {
    static STARTER: OnceLock<mpsc::Sender<StartRequest>> = OnceLock::new();

    if lifetime == Lifetime::Detached {
        return command.spawn();
    }
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<StartRequest>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, outcome) = mpsc::sync_channel(1);
    let gone = |_| std::io::Error::other("the thread that starts processes has ended");
    starter.send((command, answer)).map_err(|_| gone(()))?;
    outcome.recv().map_err(|_| gone(()))?
}

impl ProcessRecord {
    /// Whether this very process runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        // A child of this very process stays a zombie until somebody asks how it ended.
        let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
        self.boot_id == boot_id() && start_time(self.pid) == Some(self.start_time)
    }

    /// Sends a signal, unless the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Err(Errno::ESRCH) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Stops a component, politely first, and waits until it has ended, which it reports where it takes
/// long.
pub(super) async fn stop(
    dir: &StateDir,
    component: Component,
    report: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    if let Some(record) = running(dir, component)? {
        let steps = [
            (polite_signal(component), TERM_GRACE),
            (Signal::SIGKILL, KILL_GRACE),
        ];
        let mut ended = false;
        for (signal, grace) in steps {
            // A paused process takes note of nothing but SIGKILL.
            let _ = record.signal(signal);
            let _ = record.signal(Signal::SIGCONT);
            ended = ends_within(&record, SILENT_FOR).await;
            if !ended {
                let pid = record.pid;
                report(&format!("waiting for {component} (process {pid}) to end"));
                ended = ends_within(&record, grace).await;
            }
            if ended {
                break;
            }
        }
        if !ended {
            return Err(LocalError::Unstoppable {
                component,
                pid: record.pid,
            });
        }
    }
    remove_record(&dir.process_record(component))
}

/// PostgreSQL takes SIGTERM as "when the last client has left"; SIGINT is its fast shutdown.
fn polite_signal(component: Component) -> Signal {
    match component {
        Component::Postgres => Signal::SIGINT,
        _ => Signal::SIGTERM,
    }
}

async fn ends_within(record: &ProcessRecord, grace: Duration) -> bool {
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if !record.is_alive() {
            return true;
        }
        tokio::time::sleep(POLL).await;
    }
    !record.is_alive()
}

/// Kills a component at once and waits until it has ended.
pub(super) async fn kill_at_once(dir: &StateDir, component: Component) -> Result<()> {
    if let Some(record) = running(dir, component)? {
        let _ = record.signal(Signal::SIGKILL);
        if !ends_within(&record, KILL_GRACE).await {
            return Err(LocalError::Unstoppable {
                component,
                pid: record.pid,
            });
        }
    }
    remove_record(&dir.process_record(component))
}

pub(super) fn remove_record(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(LocalError::io("remove", path)),
    }
}

/// The last lines of a component's log, for an error message.
pub(super) fn log_tail(dir: &StateDir, component: Component) -> String {
    const TAIL_BYTES: i64 = 4096;
    const TAIL_LINES: usize = 12;
    let mut bytes = Vec::new();
    if let Ok(mut file) = fs::File::open(dir.log(component)) {
        let _ = file.seek(SeekFrom::End(-TAIL_BYTES));
        let _ = file.read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A process's start in clock ticks since boot; none where there is no such process, or a zombie.
#[cfg(target_os = "linux")]
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

/// The command's name is in brackets and may hold blanks and brackets itself, hence from the last.
#[cfg(target_os = "linux")]
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        // Field 3 was the state; field 22 is 18 further on.
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Elsewhere `ps` tells when a process started and whether it is a zombie.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: i32) -> Option<u64> {
    let output = Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (state, started) = text.trim().split_once(' ')?;
    if state.starts_with('Z') {
        return None;
    }
    let digest = Sha256::digest(started.trim().as_bytes());
    digest
        .first_chunk::<8>()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> String {
    String::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "77 (a ) b) c) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        assert_eq!(parse_start_time(stat), Some(987_654));
    }

    #[test]
    fn a_zombie_does_not_count_as_running() {
        let stat = "77 (etcd) Z 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        assert_eq!(parse_start_time(stat), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_ours() {
        let pid = i32::try_from(std::process::id()).expect("ids are small");
        let own = ProcessRecord {
            pid,
            start_time: start_time(pid).expect("this process runs"),
            boot_id: boot_id(),
            fingerprint: String::new(),
        };
        let earlier = ProcessRecord {
            start_time: own.start_time - 1,
            ..own.clone()
        };
        let before_reboot = ProcessRecord {
            boot_id: "another".to_owned(),
            ..own.clone()
        };
        assert!(own.is_alive());
        assert!(!earlier.is_alive());
        assert!(!before_reboot.is_alive());
    }
}
