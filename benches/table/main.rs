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
    /// Only these parts; the file is then not written
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

/// A part of the run. The cold start always takes place, for the others read what it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Idle,
    Reads,
    Keys,
    Peers,
    Callers,
    Visible,
    Watch,
    Polling,
    Changes,
    Failover,
    Rewrap,
    Latency,
    Snapshot,
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
    print!("\n{}", report.table());
    if args.only.is_empty() {
        report.write(&args.file)?;
        println!("\nwritten to {}", args.file.display());
    }
    Ok(match report.kept() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn run(args: &Args) -> Result<Report> {
    let mut report = Report::new(args.resources, args.idle_seconds);
    if args.wants(Part::Snapshot) {
        snapshot::measure(&mut report)?;
    }
    if args.only == [Part::Snapshot] {
        return Ok(report);
    }
    let plane = plane::Plane::start().await?;
    let measured = measure(args, &plane, &mut report).await;
    plane.end().await?;
    measured?;
    Ok(report)
}

async fn measure(args: &Args, plane: &plane::Plane, report: &mut Report) -> Result<()> {
    let vendors = vendor::Vendors::start().await?;
    let fleet = fleet::Fleet::of(args.resources, vendors.urls());
    let mut started: Started = cold_start::measure(plane, &fleet, report).await?;
    if args.wants(Part::Idle) {
        cold_start::stay_idle(plane, args.idle_seconds, report).await?;
    }
    cold_start::weigh(plane, &started, report).await?;
    let agents = accounts::Agents::make(plane).await?;
    if args.wants(Part::Reads) {
        reads::measure(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Keys) {
        keys::measure(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Peers) {
        peers::measure(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Callers) {
        callers::measure(plane, &started.api, report).await?;
    }
    if args.wants(Part::Visible) {
        visible::measure(plane, &fleet, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Watch) {
        beside::streams(plane, &agents, report).await?;
    }
    if args.wants(Part::Polling) {
        beside::polling(plane, &started.api, report).await?;
    }
    if args.wants(Part::Changes) {
        beside::changes(plane, &started.api, &agents, report).await?;
    }
    if args.wants(Part::Failover) {
        started = failover::measure(plane, started, &agents, report).await?;
    }
    if args.wants(Part::Rewrap) {
        rewrap::measure(plane, report).await?;
    }
    // Last: its generator runs before all else until this program ends.
    if args.wants(Part::Latency) {
        latency::measure(plane, &started.api, &agents, report).await?;
    }
    Ok(())
}
