//! Config reads against a bare handler that returns the same bytes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::accounts::Agents;
use crate::bare::{Answer, Bare};
use crate::figures::{Times, median};
use crate::fleet::{self, MODELS};
use crate::load::{self, Target};
use crate::plane::Plane;
use crate::process::{Process, processor_time};
use crate::processors;
use crate::report::{Figure, Report};
use crate::writes;

/// Rounds of each side; the sides take turns.
const ROUNDS: usize = 7;
/// How long each side of a round takes.
const ROUND: Duration = Duration::from_secs(2);
/// How long a server is warmed up.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long latency is measured, and how long the same load goes on before.
const PACED: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(3);
/// How long an answer of the kube-apiserver counts in the read API.
const AUTH_KEPT: Duration = Duration::from_secs(10);
/// How long the machine's own stalls are counted, and what counts as one.
const WATCHED: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_micros(500);
/// How long the calls of a warm server are counted; shorter than what it remembers.
const WARM: Duration = Duration::from_secs(6);
/// Headers that hyper writes by itself.
const HOPS: [&str; 2] = ["date", "content-length"];

const BAR_RATIO: f64 = 0.8;
const BAR_P99: Duration = Duration::from_millis(1);

/// A route under measurement.
struct Route {
    what: &'static str,
    pattern: &'static str,
    path: String,
}

fn routes() -> [Route; 3] {
    let model = fleet::model_name("provider-0", 7);
    [
        Route {
            what: "GET /models/{id}",
            pattern: "/api/v1/models/{id}",
            path: format!("/api/v1/models/{model}"),
        },
        Route {
            what: "GET /models, 100 of them",
            pattern: "/api/v1/models",
            path: "/api/v1/models".to_owned(),
        },
        Route {
            what: "GET /models/by-capability, 20 of them",
            pattern: "/api/v1/models/by-capability/{capability}",
            path: "/api/v1/models/by-capability/FunctionCalling".to_owned(),
        },
    ]
}

/// Both sides of a route.
struct Sides {
    api: Target,
    bare: Target,
    api_pid: i32,
    bare_pid: i32,
}

/// What one side did in one round.
struct Round {
    per_second: f64,
    /// Processor time of the server for one answer.
    cost: Duration,
}

/// Measures all routes, and that a warm server asks nobody.
pub async fn measure(
    plane: &Plane,
    api: &Process,
    agents: &Agents,
    report: &mut Report,
) -> Result<()> {
    let address = api.address()?;
    let mut answers = Vec::new();
    for route in routes() {
        answers.push(capture(address, &route, agents.one()).await?);
    }
    ensure_rows(&answers[1].body, MODELS)?;
    let bare = Bare::start(&answers)?.listening().await?;
    for route in routes() {
        eprintln!("{}: {ROUNDS} rounds", route.what);
        let sides = Sides {
            api: Target::new(address, &route.path, &agents.tokens),
            bare: Target::new(bare.address, &route.path, &agents.tokens),
            api_pid: api.pid()?,
            bare_pid: bare.pid()?,
        };
        report.add(sides.share(route.what).await?);
    }
    drop(bare);
    latencies(plane, agents, &answers, report).await?;
    warm(plane, api, agents, report).await
}

/// What the API answers, for the other side to repeat.
async fn capture(address: SocketAddr, route: &Route, token: &str) -> Result<Answer> {
    let url = format!("http://{address}{}", route.path);
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send();
    let answer = answer.await?.error_for_status()?;
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| !HOPS.contains(&name.as_str()))
        .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
        .collect::<Result<_>>()?;
    Ok(Answer {
        route: route.pattern.to_owned(),
        headers,
        body: answer.text().await?,
    })
}

fn ensure_rows(body: &str, count: usize) -> Result<()> {
    let list: serde_json::Value = serde_json::from_str(body)?;
    let rows = list["items"].as_array().context("a list has items")?.len();
    ensure!(rows == count, "the list has {rows} rows instead of {count}");
    Ok(())
}

impl Sides {
    /// What the API's part of the bare handler's answers is.
    async fn share(self, what: &str) -> Result<Figure> {
        let rounds = tokio::task::spawn_blocking(move || self.take_turns()).await??;
        let ratios: Vec<f64> = rounds
            .iter()
            .map(|(api, bare)| api.per_second / bare.per_second)
            .collect();
        let ratio = median(&ratios);
        let of = |pick: &dyn Fn(&(Round, Round)) -> f64| {
            median(&rounds.iter().map(pick).collect::<Vec<_>>())
        };
        Ok(Figure {
            what: format!("{what}: share of the bare handler's answers a second"),
            bar: format!("at least {BAR_RATIO}"),
            measured: format!(
                "{ratio:.2} ({:.0} against {:.0} a second; {:.1} against {:.1} µs of processor an answer)",
                of(&|r| r.0.per_second),
                of(&|r| r.1.per_second),
                of(&|r| r.0.cost.as_secs_f64() * 1e6),
                of(&|r| r.1.cost.as_secs_f64() * 1e6),
            ),
            kept: Some(ratio >= BAR_RATIO),
        })
    }

    fn take_turns(&self) -> Result<Vec<(Round, Round)>> {
        load::saturate(&self.bare, WARM_UP)?;
        load::saturate(&self.api, WARM_UP)?;
        let mut rounds = Vec::with_capacity(ROUNDS);
        for number in 0..ROUNDS {
            // Whoever goes first in one round goes second in the next.
            let one = |api: bool| match api {
                true => round(&self.api, self.api_pid),
                false => round(&self.bare, self.bare_pid),
            };
            let (first, second) = (one(number % 2 == 0)?, one(number % 2 == 1)?);
            rounds.push(match number % 2 {
                0 => (first, second),
                _ => (second, first),
            });
        }
        Ok(rounds)
    }
}

/// Latency of both sides at half of what the API can answer, with a processor for the server and one
/// for the generator.
async fn latencies(
    plane: &Plane,
    agents: &Agents,
    answers: &[Answer],
    report: &mut Report,
) -> Result<()> {
    let mut api = processors::on_first(|| plane.api("api-on-one"))?;
    api.ready().await?;
    let bare = processors::on_first(|| Bare::start(answers))?;
    let bare = bare.listening().await?;
    let stalled = tokio::task::spawn_blocking(|| processors::stalled(WATCHED, STALL)).await??;
    for route in routes() {
        eprintln!("{}: latency", route.what);
        let api = Target::new(api.address()?, &route.path, &agents.tokens);
        let bare = Target::new(bare.address, &route.path, &agents.tokens);
        let generate = move || {
            load::saturate(&api, WARM_UP)?;
            let half = load::saturate(&api, ROUND)? / 2.0;
            // Those who came together are forgotten together; then each comes at a time of its own,
            // as agents do.
            std::thread::sleep(AUTH_KEPT + Duration::from_secs(1));
            let one_by_one = api.requests.len() as f64 / AUTH_KEPT.as_secs_f64();
            load::paced(&api, one_by_one, AUTH_KEPT)?;
            Ok((half, paced(&api, half)?, paced(&bare, half)?))
        };
        let measured = tokio::task::spawn_blocking(|| processors::on_last(generate));
        let (half, own, bare): (f64, Times, Times) = measured.await??;
        report.add(Figure {
            what: format!("{}: latency at half of its saturation", route.what),
            bar: "p99 at most 1 ms".to_owned(),
            measured: format!(
                "{} at {half:.0} a second (the bare handler: {}; a processor without work stood still for {:.1} % of the time)",
                own.words(),
                bare.words(),
                stalled * 100.0
            ),
            kept: Some(own.quantile(0.99) <= BAR_P99),
        });
    }
    Ok(())
}

fn paced(target: &Target, per_second: f64) -> Result<Times> {
    load::paced(target, per_second, SETTLED)?;
    load::paced(target, per_second, PACED)
}

fn round(target: &Target, pid: i32) -> Result<Round> {
    let before = processor_time(pid)?;
    let per_second = load::saturate(target, ROUND)?;
    let answers = per_second * ROUND.as_secs_f64();
    Ok(Round {
        per_second,
        cost: (processor_time(pid)? - before).div_f64(answers.max(1.0)),
    })
}

/// What a server was seen to ask.
struct Calls {
    reviews: u64,
    transactions: i64,
    answers: f64,
}

impl Calls {
    async fn now(plane: &Plane, api: &Process) -> Result<Self> {
        Ok(Self {
            reviews: writes::reviews(plane).await?,
            transactions: plane.transactions().await?,
            answers: writes::sum(
                &api.metrics().await?,
                "llmplane_api_request_duration_seconds_count",
            ),
        })
    }
}

/// Calls while all callers are known, beside those of as long a time without a single request.
async fn warm(plane: &Plane, api: &Process, agents: &Agents, report: &mut Report) -> Result<()> {
    eprintln!("a warm server's calls");
    tokio::time::sleep(AUTH_KEPT + Duration::from_secs(1)).await;
    let quiet = Calls::now(plane, api).await?;
    tokio::time::sleep(WARM).await;
    let quiet_after = Calls::now(plane, api).await?;

    let route = &routes()[1];
    let target = Target::new(api.address()?, &route.path, &agents.tokens);
    let again = target.clone();
    tokio::task::spawn_blocking(move || load::saturate(&again, WARM_UP)).await??;
    let before = Calls::now(plane, api).await?;
    tokio::task::spawn_blocking(move || load::saturate(&target, WARM)).await??;
    let after = Calls::now(plane, api).await?;

    let reviews = after.reviews - before.reviews;
    let idle = quiet_after.transactions - quiet.transactions;
    let transactions = after.transactions - before.transactions;
    let answers = after.answers - before.answers;
    // The feed is polled every two seconds whoever reads, and health checks write.
    let for_reads = (transactions - idle).max(0);
    report.add(Figure {
        what: "calls for reads of known callers".to_owned(),
        bar: "0 to the kube-apiserver, 0 to PostgreSQL".to_owned(),
        measured: format!(
            "{reviews} reviews; {transactions} transactions with {answers:.0} answers, {idle} in as long a time without"
        ),
        kept: Some(reviews == 0 && (for_reads as f64) < answers / 1000.0),
    });
    Ok(())
}
