//! Endurance: many resources, two controllers and two API replicas, changes all the time, and a fault every minute.
//!
//! `make soak` runs it on a control plane of its own and writes its table into `docs/performance.md`. It ends with 1
//! where something was lost, an answer was stale, or a part did not come back.

mod answers;
mod changes;
mod faults;
#[path = "../table/figures.rs"]
#[allow(dead_code)]
mod figures;
mod fleet;
mod memory;
mod parts;
#[path = "../table/plane.rs"]
#[allow(dead_code)]
mod plane;
#[path = "../table/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../table/report.rs"]
#[allow(dead_code)]
mod report;
#[path = "../table/vendor.rs"]
mod vendor;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use answers::Reader;
use changes::Changes;
use faults::Faults;
use figures::time;
use fleet::Fleet;
use memory::Memory;
use parts::Parts;
use report::{Figure, Report};

/// Runs llmplane through changes and faults, prints a table and writes it into docs/performance.md
#[derive(Debug, Parser)]
struct Args {
    /// For how long things change and fail
    #[arg(long, env = "SOAK_MINUTES", default_value_t = 60)]
    minutes: u64,
    /// How many resources there are
    #[arg(long, env = "SOAK_RESOURCES", default_value_t = 10_000)]
    resources: usize,
    /// In how many namespaces
    #[arg(long, env = "SOAK_NAMESPACES", default_value_t = 200)]
    namespaces: usize,
    /// Changes a second
    #[arg(long, env = "SOAK_CHANGES_PER_SECOND", default_value_t = 20)]
    changes_per_second: u32,
    /// Seconds between two faults
    #[arg(long, env = "SOAK_FAULT_SECONDS", default_value_t = 60)]
    fault_seconds: u64,
    /// The file to write the table into; without it only a run of the usual size writes docs/performance.md
    #[arg(long, env = "SOAK_FILE")]
    file: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn is_usual(&self) -> bool {
        let size = (self.minutes, self.resources, self.namespaces);
        size == (60, 10_000, 200) && (self.changes_per_second, self.fault_seconds) == (20, 60)
    }

    fn file(&self) -> Option<PathBuf> {
        let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
        self.file
            .clone()
            .or_else(|| self.is_usual().then(|| PathBuf::from(usual)))
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // What was started ends with the values that hold it.
        tokio::select! {
            report = run(&args) => report,
            _ = terminated.recv() => anyhow::bail!("terminated"),
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })?;
    print!("\n{}", report.tables());
    if let Some(file) = args.file() {
        report.write_endurance(&file, &method(&args))?;
        println!("\nwritten to {}", file.display());
    }
    Ok(match report.kept() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn method(args: &Args) -> String {
    include_str!("method.md")
        .replace("MINUTES", &args.minutes.to_string())
        .replace("RESOURCES", &args.resources.to_string())
        .replace("NAMESPACES", &args.namespaces.to_string())
        .replace("CHANGES", &args.changes_per_second.to_string())
        .replace("FAULT_SECONDS", &args.fault_seconds.to_string())
}

async fn run(args: &Args) -> Result<Report> {
    let plane = Arc::new(plane::Plane::start("soak-plane").await?);
    let measured = soak(args, &plane).await;
    plane.end().await?;
    measured
}

async fn soak(args: &Args, plane: &Arc<plane::Plane>) -> Result<Report> {
    let mut report = Report::new(args.resources, 0);
    report.begin("Endurance");
    let vendors = vendor::Vendors::start().await?;
    let fleet = Fleet::of(args.resources, args.namespaces, vendors.urls());
    eprintln!(
        "applying {} resources in {} namespaces",
        fleet.len(),
        args.namespaces
    );
    fleet.apply(&plane.client).await?;
    let token = fleet::reader(&plane.client).await?;
    let parts = Arc::new(Parts::start(plane.clone(), token.clone()).await?);
    eprintln!("waiting until all of it is in force");
    parts.show(fleet.models()).await?;

    let changes = Arc::new(Changes::of(&fleet));
    let faults = Arc::new(Faults::default());
    let memory = Arc::new(Memory::default());
    let reader = Arc::new(Reader::new(token));
    let stop = CancellationToken::new();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let every = Duration::from_secs(1) / args.changes_per_second;
    tasks.spawn(changes::make(
        changes.clone(),
        plane.client.clone(),
        every,
        stop.clone(),
    ));
    tasks.spawn(answers::ask(
        reader.clone(),
        parts.clone(),
        changes.clone(),
        faults.clone(),
        stop.clone(),
    ));
    tasks.spawn(memory::sample(memory.clone(), parts.clone(), stop.clone()));
    tasks.spawn(faults::strike(
        faults.clone(),
        parts.clone(),
        changes.clone(),
        reader.clone(),
        Duration::from_secs(args.fault_seconds),
        stop.clone(),
    ));
    let ended = tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(60 * args.minutes)) => Ok(()),
        Some(ended) = tasks.join_next() => match ended {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => Err(anyhow::anyhow!("a task of the run ended by itself")),
            Err(error) => Err(error.into()),
        },
    };
    stop.cancel();
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    ended?;

    eprintln!("the end: comparing what is declared with what is served");
    let lost = answers::compare(&reader, &parts, &changes, &fleet).await?;
    let audit = answers::audit(&reader, &parts).await?;
    tell(&changes, &faults, &reader, &mut report);
    report.add(lost);
    audit.into_iter().for_each(|figure| report.add(figure));
    memory.tell(&mut report);
    parts.tell(&mut report);
    Ok(report)
}

fn tell(changes: &Changes, faults: &Faults, reader: &Reader, report: &mut Report) {
    report.add(Figure {
        what: "changes made".to_owned(),
        bar: String::new(),
        measured: format!("{} ({} tried again)", changes.made(), changes.tried_again()),
        kept: None,
    });
    for (fault, count, longest) in faults.longest() {
        report.add(Figure {
            what: format!(
                "{fault}, {count} times: until every part works, a change shows and a key is given"
            ),
            bar: format!("at most {}", time(faults::BAR)),
            measured: format!("{} at the longest", time(longest)),
            kept: Some(longest <= faults::BAR),
        });
    }
    reader.tell(report);
}
