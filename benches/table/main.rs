//! The performance table: every figure that llmplane is held to, measured in one run, each beside
//! what it is compared with.
//!
//! `make bench` runs it on a control plane of its own and writes `docs/performance.md`. It ends
//! with 1 where a bar is missed. Nothing here is a test: a busy machine makes a figure worse, not
//! the program wrong.

mod accounts;
mod bare;
mod beside;
mod callers;
mod cold_start;
mod failover;
mod figures;
mod fleet;
mod keys;
mod latency;
mod load;
mod memory;
mod peers;
mod plane;
mod process;
mod processors;
mod reads;
mod report;
mod revocation;
mod rewrap;
mod routes;
#[path = "../../tests/support/sealed_fleet.rs"]
#[allow(dead_code)]
mod sealed_fleet;
mod snapshot;
mod stalls;
mod vendor;
mod visible;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use cold_start::Started;
use report::Report;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Resources of the cold start where nothing else is asked for.
const RESOURCES: usize = 2_000;

/// Measures llmplane, prints a table and writes docs/performance.md
#[derive(Debug, Parser)]
struct Args {
    /// Resources of the cold start; with 10,000 the bar of 60 s applies as it is written
    #[arg(long, default_value_t = RESOURCES)]
    resources: usize,
    /// Seconds in which nothing may be written after the cold start
    #[arg(long, env = "LLMPLANE_BENCH_IDLE_SECONDS", default_value_t = 300)]
    idle_seconds: u64,
    /// Only these parts; of the others the file keeps what it says
    #[arg(long, value_delimiter = ',', value_name = "PART,...")]
    only: Vec<Part>,
    /// The file to write
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md"))]
    file: PathBuf,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs as the handler that reads are compared with, answering from this folder.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

/// A part of the run, in the order of the page. The cold start always takes place, for the others read
/// what it made. Memory is weighed after the idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Snapshot,
    ColdStart,
    Idle,
    Memory,
    Reads,
    Keys,
    Peers,
    Callers,
    Visible,
    Watch,
    Polling,
    Changes,
    Failover,
    Revocation,
    Rewrap,
    Latency,
}

impl Part {
    /// The title under which the page has it.
    fn title(self) -> &'static str {
        match self {
            Self::Snapshot => "One change in the snapshot",
            Self::ColdStart => "Cold start",
            Self::Idle => "Nothing to do",
            Self::Memory => "Memory",
            Self::Reads => "Config reads",
            Self::Keys => "Keys",
            Self::Peers => "Beside others",
            Self::Callers => "New callers",
            Self::Visible => "Changes made visible",
            Self::Watch => "Open streams",
            Self::Polling => "Agents that poll",
            Self::Changes => "Reads beside changes",
            Self::Failover => "Failover",
            Self::Revocation => "Revocation",
            Self::Rewrap => "Rotation of the key-encryption key",
            Self::Latency => "Latency of config reads",
        }
    }
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(folder) = &args.bare {
        runtime.block_on(bare::serve(folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // What was started ends with the values that hold it.
        tokio::select! {
            report = run(&args) => report,
            _ = terminated.recv() => anyhow::bail!("terminated"),
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })?;
    print!("{}", report.tables());
    let order: Vec<_> = Part::value_variants()
        .iter()
        .map(|part| part.title())
        .collect();
    report.write(&args.file, &order)?;
    println!("\nwritten to {}", args.file.display());
    Ok(match report.kept() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn run(args: &Args) -> Result<Report> {
    let mut report = Report::new(args.resources, args.idle_seconds);
    if args.wants(Part::Snapshot) {
        report.begin(Part::Snapshot.title());
        snapshot::measure(&mut report)?;
    }
    if args.only == [Part::Snapshot] {
        return Ok(report);
    }
    let plane = plane::Plane::start("bench-plane").await?;
    let measured = measure(args, &plane, &mut report).await;
    plane.end().await?;
    measured?;
    Ok(report)
}

async fn measure(args: &Args, plane: &plane::Plane, report: &mut Report) -> Result<()> {
    let vendors = vendor::Vendors::start().await?;
    let fleet = fleet::Fleet::of(args.resources, vendors.urls());
    report.begin(Part::ColdStart.title());
    let mut started: Started = cold_start::measure(plane, &fleet, report).await?;
    // What a process keeps shows once it has rested: the allocator gives back what was used in a burst.
    if args.wants(Part::Idle) || args.wants(Part::Memory) {
        report.begin(Part::Idle.title());
        cold_start::stay_idle(plane, args.idle_seconds, report).await?;
        report.begin(Part::Memory.title());
        cold_start::weigh(plane, &started, report).await?;
    }
    let agents = accounts::Agents::make(plane).await?;
    if args.wants(Part::Reads) {
        report.begin(Part::Reads.title());
        reads::measure(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Keys) {
        report.begin(Part::Keys.title());
        keys::measure(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Peers) {
        report.begin(Part::Peers.title());
        peers::measure(plane, &agents, report).await?;
    }
    if args.wants(Part::Callers) {
        report.begin(Part::Callers.title());
        callers::measure(plane, &started.api, report).await?;
    }
    if args.wants(Part::Visible) {
        report.begin(Part::Visible.title());
        visible::measure(plane, &fleet, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Watch) {
        report.begin(Part::Watch.title());
        beside::streams(plane, &agents, report).await?;
    }
    if args.wants(Part::Polling) {
        report.begin(Part::Polling.title());
        beside::polling(plane, &started.api, report).await?;
    }
    if args.wants(Part::Changes) {
        report.begin(Part::Changes.title());
        beside::changes(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Failover) {
        report.begin(Part::Failover.title());
        started = failover::measure(plane, started, &agents, report).await?;
    }
    if args.wants(Part::Revocation) {
        report.begin(Part::Revocation.title());
        revocation::measure(plane, &started.api, &vendors.urls()[0], report).await?;
    }
    if args.wants(Part::Rewrap) {
        report.begin(Part::Rewrap.title());
        rewrap::measure(plane, report).await?;
    }
    // Last: its generator runs before all else until this program ends.
    if args.wants(Part::Latency) {
        report.begin(Part::Latency.title());
        latency::measure(plane, &started.api, &agents, report).await?;
    }
    Ok(())
}
