//! The processes: two controllers and two API replicas on one control plane. What ends is started again, as a
//! cluster would.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use llmplane::local::state::Component;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use tokio::sync::RwLock;

use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};

/// How long everything that is declared may take until it is in force.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(900);
/// How long a controller may take to take the lead.
const LEADS_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// Names of the processes; the first two are controllers.
pub const NAMES: [&str; 4] = ["controller-1", "controller-2", "api-1", "api-2"];

/// All processes.
pub struct Parts {
    pub plane: Arc<Plane>,
    token: String,
    processes: [RwLock<(Process, Instant)>; 4],
    starts: AtomicUsize,
    ended_by_themselves: AtomicUsize,
}

impl Parts {
    /// Starts them.
    pub async fn start(plane: Arc<Plane>, token: String) -> Result<Self> {
        let start = |number| anyhow::Ok(RwLock::new((start(&plane, number, 0)?, Instant::now())));
        let processes = [start(0)?, start(1)?, start(2)?, start(3)?];
        Ok(Self {
            plane: plane.clone(),
            token,
            processes,
            starts: AtomicUsize::new(0),
            ended_by_themselves: AtomicUsize::new(0),
        })
    }

    /// Waits until both replicas serve so many models, all of them available.
    pub async fn show(&self, models: usize) -> Result<()> {
        let deadline = Instant::now() + IN_FORCE_WITHIN;
        for number in [2, 3] {
            self.processes[number].write().await.0.ready().await?;
            while self.available(number).await? < models {
                if Instant::now() > deadline {
                    bail!(
                        "{} of {models} models are available",
                        self.available(number).await?
                    );
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }

    /// How many models a replica serves as available.
    async fn available(&self, number: usize) -> Result<usize> {
        let base = self.base(number).await?;
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let url = format!("{base}/models?namespace=*&limit=1000{cursor}");
            let answer = reqwest::Client::new()
                .get(url)
                .bearer_auth(&self.token)
                .send()
                .await?;
            let page: serde_json::Value = answer.error_for_status()?.json().await?;
            let items = page["items"].as_array().context("a list has items")?;
            count += items
                .iter()
                .filter(|row| row["availability"]["state"] == "available")
                .count();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(count),
            }
        }
    }

    /// The reader's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where an API replica answers.
    pub async fn base(&self, number: usize) -> Result<String> {
        let address = self.processes[number].read().await.0.address()?;
        Ok(format!("http://{address}/api/v1"))
    }

    /// Since when a process runs, and how much of its memory is resident; none where it has ended.
    pub async fn resident(&self, number: usize) -> Option<(Instant, u64)> {
        let process = self.processes[number].read().await;
        Some((process.1, process.0.resident().ok()?))
    }

    /// Which controller leads: the number of its process.
    pub async fn leader(&self) -> Result<usize> {
        let deadline = Instant::now() + LEADS_WITHIN;
        loop {
            for number in [0, 1] {
                let metrics = self.processes[number].read().await.0.metrics().await;
                let leads = |text: String| text.lines().any(|line| line == "llmplane_leading 1");
                if metrics.is_ok_and(leads) {
                    return Ok(number);
                }
            }
            if Instant::now() > deadline {
                bail!("no controller leads");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills a process, and starts it again.
    pub async fn kill(&self, number: usize) -> Result<()> {
        let mut process = self.processes[number].write().await;
        process.0.signal(Signal::SIGKILL)?;
        process.0.ended().await?;
        self.restart(number, &mut process)
    }

    fn restart(&self, number: usize, process: &mut (Process, Instant)) -> Result<()> {
        let time = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        *process = (start(&self.plane, number, time)?, Instant::now());
        Ok(())
    }

    /// Starts what has ended by itself.
    pub async fn keep_running(&self) -> Result<()> {
        for (number, name) in NAMES.iter().enumerate() {
            let mut process = self.processes[number].write().await;
            if process.0.has_ended()? {
                eprintln!("{name} ended by itself");
                self.ended_by_themselves.fetch_add(1, Ordering::Relaxed);
                self.restart(number, &mut process)?;
            }
        }
        Ok(())
    }

    /// Kills a part of the control plane. [`Self::heal`] starts it again.
    pub fn kill_component(&self, component: Component) -> Result<()> {
        let folder = &self.plane.options.state_dir;
        let record = llmplane::local::process::running(folder, component)?;
        Ok(record.context("it runs")?.signal(Signal::SIGKILL)?)
    }

    /// Starts again what does not run of the control plane.
    pub async fn heal(&self) -> Result<()> {
        let quiet = |_: &str| {};
        llmplane::local::up(&self.plane.options, &quiet, std::future::pending()).await?;
        Ok(())
    }

    /// Waits until each process says that it is ready; those that end meanwhile are started again.
    pub async fn ready(&self, deadline: Instant) -> Result<()> {
        for (number, name) in NAMES.iter().enumerate() {
            loop {
                self.keep_running().await?;
                let answer = self.processes[number].read().await.0.admin("/readyz").await;
                if answer.is_ok_and(|status| status == StatusCode::OK) {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("{name} is not ready");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    pub fn tell(&self, report: &mut Report) {
        let count = self.ended_by_themselves.load(Ordering::Relaxed);
        report.add(Figure {
            what: "processes that ended by themselves, and were started again".to_owned(),
            bar: String::new(),
            measured: count.to_string(),
            kept: None,
        });
    }
}

fn start(plane: &Plane, number: usize, time: usize) -> Result<Process> {
    // Each start has a log of its own.
    let name = format!("{}-{time}", NAMES[number]);
    match number {
        0 | 1 => plane.controller(&name),
        _ => plane.api(&name),
    }
}
