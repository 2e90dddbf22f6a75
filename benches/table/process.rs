//! A process under measurement: whether it is ready, what it uses, and how it ends.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// The unit of times in `/proc/PID/stat`: Linux's USER_HZ, whatever the kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;
/// How long a process may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running process; it is killed when this is dropped.
pub struct Process {
    child: Child,
    admin: SocketAddr,
    listen: Option<SocketAddr>,
}

impl Process {
    /// Starts it; what it says goes to a file.
    pub fn start(
        mut command: Command,
        admin: SocketAddr,
        listen: Option<SocketAddr>,
        log: &Path,
    ) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            admin,
            listen,
        })
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{}/readyz", self.admin);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("a process ended before it was ready: {status}");
            }
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{url} does not say that it is ready");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where it answers.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listen.context("this process serves no API")
    }

    /// What it counts.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("http://{}/metrics", self.admin);
        Ok(reqwest::get(url).await?.text().await?)
    }

    /// Status of a path of its admin port.
    #[allow(dead_code, reason = "the endurance run asks")]
    pub async fn admin(&self, path: &str) -> Result<reqwest::StatusCode> {
        let url = format!("http://{}{path}", self.admin);
        Ok(reqwest::get(url).await?.status())
    }

    /// Whether it has ended.
    #[allow(dead_code, reason = "the endurance run asks")]
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Its id.
    pub fn pid(&self) -> Result<i32> {
        let id = self.child.id().context("the process has ended")?;
        Ok(i32::try_from(id)?)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.pid()?), signal)?)
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<()> {
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        Ok(())
    }

    /// Bytes of memory that are resident.
    pub fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.context("a process has VmRSS")?.trim();
        let kibibytes: u64 = words.trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

/// Time that a process has spent on a processor, its kernel's part included.
pub fn processor_time(pid: i32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; the fields begin after its closing parenthesis.
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("/proc/PID/stat has a name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}
