//! Config reads against a bare handler that returns the same bytes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::accounts::{self, Agents};
use crate::bare::Bare;
use crate::figures::median;
use crate::fleet::MODELS;
use crate::load::{self, Target};
use crate::plane::Plane;
use crate::process::{Process, processor_time};
use crate::report::{Figure, Report};
use crate::routes::{self, Route};
use crate::writes;

/// Rounds of each side; the sides take turns.
const ROUNDS: usize = 7;
/// How long each side of a round takes.
const ROUND: Duration = Duration::from_secs(2);
/// How long a server is warmed up.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the calls of a warm server are counted; shorter than what it remembers.
const WARM: Duration = Duration::from_secs(6);

const BAR_RATIO: f64 = 0.8;

/// Both sides of a route.
pub struct Sides {
    pub api: Target,
    pub bare: Target,
    pub api_pid: i32,
    pub bare_pid: i32,
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
    let answers = routes::capture(address, agents.one()).await?;
    ensure_rows(&answers[1].body, MODELS)?;
    let bare = Bare::start(&answers)?.listening().await?;
    for route in Route::all() {
        eprintln!("{}: {ROUNDS} rounds", route.what);
        let sides = Sides {
            api: route.target(address, &agents.tokens),
            bare: route.target(bare.address, &agents.tokens),
            api_pid: api.pid()?,
            bare_pid: bare.pid()?,
        };
        report.add(sides.share(route.what, BAR_RATIO).await?);
    }
    drop(bare);
    warm(plane, api, agents, report).await
}

fn ensure_rows(body: &str, count: usize) -> Result<()> {
    let list: serde_json::Value = serde_json::from_str(body)?;
    let rows = list["items"].as_array().context("a list has items")?.len();
    ensure!(rows == count, "the list has {rows} rows instead of {count}");
    Ok(())
}

impl Sides {
    /// What the API's part of the bare handler's answers is, and whether it is this at least.
    pub async fn share(self, what: &str, bar: f64) -> Result<Figure> {
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
            bar: format!("at least {bar}"),
            measured: format!(
                "{ratio:.2} ({:.0} against {:.0} a second; {:.1} against {:.1} µs of processor an answer)",
                of(&|r| r.0.per_second),
                of(&|r| r.1.per_second),
                of(&|r| r.0.cost.as_secs_f64() * 1e6),
                of(&|r| r.1.cost.as_secs_f64() * 1e6),
            ),
            kept: Some(ratio >= bar),
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
    tokio::time::sleep(accounts::REMEMBERED + Duration::from_secs(1)).await;
    let quiet = Calls::now(plane, api).await?;
    tokio::time::sleep(WARM).await;
    let quiet_after = Calls::now(plane, api).await?;

    let route = &Route::all()[1];
    let target = route.target(api.address()?, &agents.tokens);
    let again = target.clone();
    tokio::task::spawn_blocking(move || load::saturate(&again, WARM_UP)).await??;
    let before = Calls::now(plane, api).await?;
    tokio::task::spawn_blocking(move || load::saturate(&target, WARM)).await??;
    let after = Calls::now(plane, api).await?;

    let reviews = after.reviews - before.reviews;
    let idle = quiet_after.transactions - quiet.transactions;
    let transactions = after.transactions - before.transactions;
    let answers = after.answers - before.answers;
    // The feed is polled every two seconds whoever reads, and health checks write: two counts of such
    // things differ by chance, by three times the root of their sum at most.
    let for_reads = (transactions - idle).max(0);
    let scatter = 3.0 * ((idle + transactions).max(1) as f64).sqrt();
    report.add(Figure {
        what: "calls for reads of known callers".to_owned(),
        bar: "0 to the kube-apiserver, no more to PostgreSQL than without reads".to_owned(),
        measured: format!(
            "{reviews} reviews; {transactions} transactions with {answers:.0} answers, {idle} in as long a time without"
        ),
        kept: Some(reviews == 0 && (for_reads as f64) <= scatter),
    });
    Ok(())
}
