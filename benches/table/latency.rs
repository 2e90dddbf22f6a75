//! Latency of config reads at half of what the server can answer.

use std::time::Duration;

use anyhow::Result;

use crate::accounts::{self, Agents};
use crate::bare::Bare;
use crate::figures::{Times, time};
use crate::load::{self, Target, Window};
use crate::plane::Plane;
use crate::process::{Process, processor_time};
use crate::processors;
use crate::report::{Figure, Report};
use crate::routes::{self, Route};
use crate::stalls::{Stalls, Watch};

/// How long a server is saturated, and how long before, unmeasured.
const SATURATED: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_secs(1);
/// How long latency is measured, and how long the same load goes on before, unmeasured.
const PACED: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(3);
/// What is left out as a whole where a processor stood still.
const WINDOW: Duration = Duration::from_millis(100);

const BAR: Duration = Duration::from_millis(1);

/// Measures all routes, each beside the bare handler: on one processor the server runs before all
/// else, on another the generator. All else has what they leave of both.
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
    let servers = [(api.address()?, api.pid()?), (bare.address, bare.pid()?)];
    let pairs = Route::all().map(|route| {
        servers.map(|(address, process)| Server {
            target: route.target(address, &agents.tokens),
            process,
        })
    });
    let generate = move || {
        let used = processors::first_and_last()?;
        processors::on_last(|| {
            let precedes = precedes && processors::precede_others()?;
            if !precedes {
                eprintln!("run as root to let servers and generator run before all else");
            }
            let both = |[api, bare]: &[Server; 2]| compare(api, bare, &used);
            let compared: Result<Vec<_>> = pairs.iter().map(both).collect();
            Ok((precedes, compared?))
        })
    };
    let (precedes, compared) = tokio::task::spawn_blocking(generate).await??;
    for (route, both) in Route::all().iter().zip(compared) {
        report.add(both.figure(route.what, precedes));
    }
    Ok(())
}

/// What both sides do at the same pace.
struct Both {
    per_second: f64,
    api: Measured,
    bare: Measured,
}

impl Both {
    fn figure(&self, what: &str, precedes: bool) -> Figure {
        let others = match precedes {
            true => "",
            false => {
                "; servers and generator shared their processors with all else, for only root may change that"
            }
        };
        Figure {
            what: format!("{what}: latency at half of its saturation"),
            bar: format!("p99 at most {} while no processor stands still", time(BAR)),
            measured: format!(
                "{} at {:.0} a second (the bare handler: {}{others})",
                self.api.words(),
                self.per_second,
                self.bare.words(),
            ),
            kept: Some(self.api.counted().quantile(0.99) <= BAR),
        }
    }
}

/// One of the two sides.
struct Server {
    target: Target,
    process: i32,
}

fn compare(api: &Server, bare: &Server, processors: &[usize]) -> Result<Both> {
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
        api: Measured::of(api, per_second, processors)?,
        bare: Measured::of(bare, per_second, processors)?,
    })
}

/// What one side did.
struct Measured {
    /// All that was asked.
    all: Times,
    /// What was asked while every processor ran, and its share of the time; none where that is not
    /// known, or less than half.
    undisturbed: Option<(Times, f64)>,
    /// The share of the time that the worst processor stood still.
    stood_still: Option<f64>,
    /// The share of its processor that the server took.
    busy: f64,
}

impl Measured {
    fn of(server: &Server, per_second: f64, processors: &[usize]) -> Result<Self> {
        load::paced(&server.target, per_second, SETTLED, WINDOW)?;
        let watch = Watch::begin(processors);
        let before = processor_time(server.process)?;
        let windows = load::paced(&server.target, per_second, PACED, WINDOW)?;
        let taken = processor_time(server.process)? - before;
        let stalls = watch.end()?;
        let (left_out, left): (Vec<_>, Vec<_>) = windows.iter().partition(|window| {
            let felt = |stalls: &Stalls| stalls.are_felt_in(window.begin, window.end);
            stalls.as_ref().is_some_and(felt)
        });
        say_slow(&left, "");
        say_slow(&left_out, ", left out");
        let share = left.len() as f64 / windows.len() as f64;
        let undisturbed = (stalls.is_some() && share >= 0.5).then(|| {
            let times = left.into_iter().map(|window| &window.times);
            (Times::of_all(times), share)
        });
        Ok(Self {
            all: Times::of_all(windows.iter().map(|window| &window.times)),
            undisturbed,
            stood_still: stalls.map(|stalls| stalls.share),
            busy: taken.div_duration_f64(PACED),
        })
    }

    /// What the bar is held against.
    fn counted(&self) -> &Times {
        self.undisturbed
            .as_ref()
            .map_or(&self.all, |(times, _)| times)
    }

    fn words(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let busy = percent(self.busy);
        let still = self.stood_still.map_or_else(
            || "not known how long a processor stood still".to_owned(),
            |share| format!("a processor stood still for {}", percent(share)),
        );
        match &self.undisturbed {
            Some((times, share)) => format!(
                "{} in {} of the time; in all of it {}; busy {busy}, {still}",
                times.words(),
                percent(*share),
                self.all.words()
            ),
            None => format!(
                "{} in all of the time; busy {busy}, {still}",
                self.all.words()
            ),
        }
    }
}

/// Says which windows are beyond the bar, for whoever looks for the cause.
fn say_slow(windows: &[&Window], what: &str) {
    for Window { from, times, .. } in windows {
        if times.quantile(0.99) > BAR {
            eprintln!("  {:.1} s: {}{what}", from.as_secs_f64(), times.words());
        }
    }
}
