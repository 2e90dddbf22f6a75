//! Latency of reads while something else goes on, beside the same reads alone: open streams, changes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::header::ETAG;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::accounts::{self, Agents};
use crate::figures::{Times, mebibytes, time};
use crate::fleet::{self, AGENTS, MODELS, Object};
use crate::load::{self, Target};
use crate::plane::Plane;
use crate::process::{Process, processor_time};
use crate::report::{Figure, Report};
use crate::writes::{reviews, sum};

/// Streams, and agents that poll.
const MANY: usize = 1_000;
/// Time between two polls of an agent.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// Reads a second whose latency is measured.
const READS_PER_SECOND: f64 = 500.0;
/// How long each side is measured, and how long before, unmeasured.
const MEASURED: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_millis(100);
/// Time between two changes: 20 a second, and one a second.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_secs(1);
/// How long streams may take to be open.
const OPEN_WITHIN: Duration = Duration::from_secs(60);

/// Memory of an open stream, and reads beside a thousand of them, with a change each second on both
/// sides.
pub async fn streams(plane: &Plane, agents: &Agents, report: &mut Report) -> Result<()> {
    eprintln!("{MANY} streams");
    let settings = [
        ("LLMPLANE_MAX_WATCHES", "4096"),
        ("LLMPLANE_MAX_CONNECTIONS", "4096"),
    ];
    let mut api = plane.api_with("api-watched", &settings)?;
    api.ready().await?;
    let reads = reads(&api, agents)?;
    let alone = latency(plane, &reads, Some(SELDOM)).await?;
    let before = api.resident()?;
    let mut streams = open(&api, agents).await?;
    let with = latency(plane, &reads, Some(SELDOM)).await?;
    let each = api.resident()?.saturating_sub(before) / MANY as u64;
    let open = sum(&api.metrics().await?, "llmplane_api_watches");
    ensure!(open as usize == MANY, "{open} streams are open");
    streams.abort_all();
    report.add(told(
        format!("resident memory of an open stream, of {MANY}"),
        format!("{:.1} KiB", each as f64 / 1024.0),
    ));
    report.add(told(
        format!("reads beside {MANY} open streams, with a change each second"),
        against(&with, &alone),
    ));
    Ok(())
}

/// What agents cost that ask again and again for what has not changed.
pub async fn polling(plane: &Plane, api: &Process, report: &mut Report) -> Result<()> {
    eprintln!("{MANY} agents that poll");
    let (address, path) = (api.address()?, "/api/v1/models");
    let tokens = accounts::tokens(plane, "poller", MANY).await?;
    let request = reqwest::Client::new().get(format!("http://{address}{path}"));
    let answer = request.bearer_auth(&tokens[0]).send().await?;
    let etag = answer.headers().get(ETAG).context("a list has an ETag")?;
    let target = Target::conditional(address, path, etag.to_str()?, &tokens);
    let per_second = MANY as f64 / POLL_EVERY.as_secs_f64();
    // Everybody, slowly at first: whoever is known is asked about in the background.
    paced(&target, per_second / 4.0, POLL_EVERY * 4).await?;
    paced(&target, per_second, POLL_EVERY).await?;
    let (used, asked) = (processor_time(api.pid()?)?, reviews(plane).await?);
    let times = paced(&target, per_second, MEASURED).await?;
    let used = (processor_time(api.pid()?)? - used).div_duration_f64(MEASURED);
    let asked = (reviews(plane).await? - asked) as f64 / MEASURED.as_secs_f64();
    report.add(told(
        format!(
            "{MANY} agents that ask every {} s with If-None-Match",
            POLL_EVERY.as_secs()
        ),
        format!(
            "{}; {:.1} % of a processor; {asked:.0} reviews a second by the kube-apiserver",
            times.words(),
            used * 100.0
        ),
    ));
    Ok(())
}

/// Reads while 20 models change each second.
pub async fn changes(
    plane: &Plane,
    api: &Process,
    agents: &Agents,
    report: &mut Report,
) -> Result<()> {
    eprintln!("reads beside changes");
    let reads = reads(api, agents)?;
    let idle = latency(plane, &reads, None).await?;
    let busy = latency(plane, &reads, Some(OFTEN)).await?;
    let models = sum(&api.metrics().await?, "llmplane_api_snapshot_models");
    report.add(told(
        format!("reads of {models:.0} models, 20 of which change each second"),
        against(&busy, &idle),
    ));
    Ok(())
}

/// A figure that nothing is promised of.
fn told(what: String, measured: String) -> Figure {
    Figure {
        what,
        bar: "told".to_owned(),
        measured,
        kept: None,
    }
}

fn against(with: &Times, without: &Times) -> String {
    format!(
        "{} ({} without; p99 {:.2} times)",
        with.words(),
        without.words(),
        with.quantile(0.99).as_secs_f64() / without.quantile(0.99).as_secs_f64().max(1e-9),
    )
}

fn reads(api: &Process, agents: &Agents) -> Result<Target> {
    let path = format!("/api/v1/models/{}", fleet::model_name("provider-0", 7));
    Ok(Target::new(api.address()?, &path, &agents.tokens))
}

/// Latency of reads while models change at this pace, if at all.
async fn latency(plane: &Plane, reads: &Target, every: Option<Duration>) -> Result<Times> {
    let mut changing = JoinSet::new();
    if let Some(every) = every {
        let client = plane.client.clone();
        changing.spawn(async move { change(client, every).await });
    }
    paced(reads, READS_PER_SECOND, SETTLED).await?;
    tokio::select! {
        times = paced(reads, READS_PER_SECOND, MEASURED) => times,
        Some(ended) = changing.join_next() => {
            ended??;
            anyhow::bail!("nothing changes any more");
        }
    }
}

async fn paced(target: &Target, per_second: f64, during: Duration) -> Result<Times> {
    let target = target.clone();
    let paced = move || load::paced(&target, per_second, during, WINDOW);
    let windows = tokio::task::spawn_blocking(paced).await??;
    Ok(Times::of_all(windows.iter().map(|window| &window.times)))
}

/// Changes one model after another, until it is dropped.
async fn change(client: kube::Client, every: Duration) -> Result<()> {
    let mut ticks = tokio::time::interval(every);
    let mut applies: JoinSet<Result<()>> = JoinSet::new();
    for number in 0.. {
        ticks.tick().await;
        while let Some(applied) = applies.try_join_next() {
            applied??;
        }
        let object = Object {
            kind: llmplane::crd::Kind::Model,
            namespace: AGENTS,
            name: fleet::model_name("provider-0", number % MODELS),
            spec: fleet::model_spec("provider-0", number % MODELS, &format!("Beside {number}")),
        };
        let client = client.clone();
        applies.spawn(async move { fleet::apply(&client, &object).await });
    }
    Ok(())
}

/// Streams of changes, each read to its end and on a connection of its own.
async fn open(api: &Process, agents: &Agents) -> Result<JoinSet<Result<()>>> {
    let address = api.address()?;
    let mut streams = JoinSet::new();
    for number in 0..MANY {
        let token = &agents.tokens[number % agents.tokens.len()];
        let request = format!(
            "GET /api/v1/watch?kind=LlmModel HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let mut socket = TcpStream::connect(address).await?;
        streams.spawn(async move {
            socket.write_all(request.as_bytes()).await?;
            let mut buffer = vec![0; 16 << 10];
            while socket.read(&mut buffer).await? > 0 {}
            Ok(())
        });
    }
    let opened = async {
        while (sum(&api.metrics().await?, "llmplane_api_watches") as usize) < MANY {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let opened = tokio::time::timeout(OPEN_WITHIN, opened).await;
    opened.with_context(|| format!("{MANY} streams are open within {}", time(OPEN_WITHIN)))??;
    eprintln!("  the server holds {}", mebibytes(api.resident()?));
    Ok(streams)
}
