//! Latency of config reads at half of what the server can answer.

use std::time::Duration;

use anyhow::Result;

use crate::accounts::{self, Agents};
use crate::bare::Bare;
use crate::figures::{Times, median, time};
use crate::load::{self, Target};
use crate::plane::Plane;
use crate::process::{Process, processor_time};
use crate::processors;
use crate::report::{Figure, Report};
use crate::routes::{self, Route};

/// How long a server is saturated, and how long before, unmeasured.
const SATURATED: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_secs(1);
/// How long latency is measured, and how long the same load goes on before, unmeasured.
const PACED: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(3);
/// What is also told apart. What a server does by itself (renewing callers, polling the feed, being
/// probed) it does in every window; what its host does to a virtual machine spoils some.
const WINDOW: Duration = Duration::from_secs(2);
/// How long the machine's own stalls are counted, and what counts as one.
const WATCHED: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_micros(500);

const BAR: Duration = Duration::from_millis(1);

/// Measures all routes, each beside the bare handler: with a processor for the generator, and another
/// on which the server runs before all else.
pub async fn measure(
    plane: &Plane,
    warm: &Process,
    agents: &Agents,
    report: &mut Report,
) -> Result<()> {
    let answers = routes::capture(warm.address()?, agents.one()).await?;
    let mut api = processors::on_first(|| plane.api("api-on-one"))?;
    api.ready().await?;
    let bare = processors::on_first(|| Bare::start(&answers))?;
    let bare = bare.listening().await?;
    let mut precedes = true;
    for server in [api.pid()?, bare.pid()?] {
        precedes &= processors::precede(server)?;
    }
    if !precedes {
        eprintln!("run as root to let the servers run before all else on their processor");
    }
    let servers = [(api.address()?, api.pid()?), (bare.address, bare.pid()?)];
    let pairs = Route::all().map(|route| {
        servers.map(|(address, process)| Server {
            target: Target::new(address, &route.path, &agents.tokens),
            process,
        })
    });
    let generate = move || {
        let stalled = processors::stalled(WATCHED, STALL)?;
        processors::leave_last()?;
        processors::hurry()?;
        let compared: Result<Vec<Both>> =
            processors::on_last(|| pairs.iter().map(|[api, bare]| compare(api, bare)).collect());
        Ok::<_, anyhow::Error>((stalled, compared?))
    };
    let (stalled, compared) = tokio::task::spawn_blocking(generate).await??;
    let machine = Machine { precedes, stalled };
    for (route, both) in Route::all().iter().zip(compared) {
        report.add(both.figure(route.what, &machine));
    }
    Ok(())
}

/// What it was measured on.
struct Machine {
    /// Whether the servers were allowed to run before all else on their processor.
    precedes: bool,
    /// The share of its time that a processor stood still while all were at work.
    stalled: f64,
}

impl Machine {
    fn words(&self) -> String {
        let others = match self.precedes {
            true => "",
            false => {
                "the servers shared their processor with all else, for only root may change that; "
            }
        };
        format!(
            "{others}with all at work, a processor stood still for {:.1} % of the time",
            self.stalled * 100.0
        )
    }
}

/// What both sides do at the same pace.
struct Both {
    per_second: f64,
    api: Windows,
    bare: Windows,
}

impl Both {
    fn figure(&self, what: &str, machine: &Machine) -> Figure {
        Figure {
            what: format!("{what}: latency at half of its saturation"),
            bar: format!("p99 at most {}", time(BAR)),
            measured: format!(
                "{} at {:.0} a second (the bare handler: {}; {})",
                self.api.words(),
                self.per_second,
                self.bare.words(),
                machine.words()
            ),
            kept: Some(self.api.all.quantile(0.99) <= BAR),
        }
    }
}

/// One of the two sides.
struct Server {
    target: Target,
    process: i32,
}

fn compare(api: &Server, bare: &Server) -> Result<Both> {
    eprintln!("latency");
    let asked = &api.target;
    load::saturate(asked, WARM_UP)?;
    let per_second = load::saturate(asked, SATURATED)? / 2.0;
    // Those who came together are forgotten together; then each comes at a time of its own, as agents
    // do.
    std::thread::sleep(accounts::REMEMBERED + Duration::from_secs(1));
    let one_by_one = asked.requests.len() as f64 / accounts::REMEMBERED.as_secs_f64();
    load::paced(asked, one_by_one, accounts::REMEMBERED, WINDOW)?;
    Ok(Both {
        per_second,
        api: Windows::of(api, per_second)?,
        bare: Windows::of(bare, per_second)?,
    })
}

/// What one side did, as a whole and window by window.
struct Windows {
    all: Times,
    each: Vec<Times>,
    /// The share of its processor that the server took.
    busy: f64,
}

impl Windows {
    fn of(server: &Server, per_second: f64) -> Result<Self> {
        load::paced(&server.target, per_second, SETTLED, WINDOW)?;
        let before = processor_time(server.process)?;
        let each = load::paced(&server.target, per_second, PACED, WINDOW)?;
        let taken = processor_time(server.process)? - before;
        Ok(Self {
            all: Times::of_all(&each),
            each,
            busy: taken.div_duration_f64(PACED),
        })
    }

    fn words(&self) -> String {
        let of = |window: &Times| window.quantile(0.99).as_secs_f64();
        let windows: Vec<f64> = self.each.iter().map(of).collect();
        let worst = windows.iter().copied().fold(0.0, f64::max);
        format!(
            "{}, busy {:.0} %; of windows {} in the middle and {} at worst",
            self.all.words(),
            self.busy * 100.0,
            time(Duration::from_secs_f64(median(&windows))),
            time(Duration::from_secs_f64(worst))
        )
    }
}
