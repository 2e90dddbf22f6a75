//! A controller that meets a cluster full of resources, and what it does once all are in force.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::stream::{BoxStream, SelectAll, StreamExt, select_all};
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::watcher::{self, Event, watcher};
use llmplane::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmProvider};
use llmplane::db::{Db, DbOptions};
use llmplane::local::postgres::Role;
use llmplane::snapshot::Snapshot;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::figures::{mebibytes, time};
use crate::fleet::{self, Fleet, WATCHED};
use crate::memory::retained;
use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};
use crate::writes::{Writes, sum};

/// Longest wait for all resources to be in force.
const WITHIN: Duration = Duration::from_secs(600);
/// It has come to rest when it wrote nothing for this long.
const REST: Duration = Duration::from_secs(5);
/// The bar for [`BAR_RESOURCES`]; fewer have so much less.
const BAR: Duration = Duration::from_secs(60);
const BAR_RESOURCES: f64 = 10_000.0;
const BAR_WRITES: f64 = 1.2;
const BAR_RESIDENT: u64 = 60 << 20;

/// What the other parts of the run go on with.
pub struct Started {
    pub controller: Process,
    pub api: Process,
}

/// Applies everything, starts controller and API, and measures until all of it is in force.
pub async fn measure(plane: &Plane, fleet: &Fleet, report: &mut Report) -> Result<Started> {
    eprintln!("applying {} resources", fleet.len());
    fleet.apply(plane).await?;
    let mut seen = Seen::watch(plane);
    seen.listed().await?;
    let before = Writes::now(plane).await?;
    eprintln!("cold start");
    let start = Instant::now();
    let mut controller = plane.controller("one")?;
    let mut api = plane.api("api")?;
    seen.ready(fleet.len()).await?;
    api.ready().await?;
    shown(&api, fleet).await?;
    let took = start.elapsed();
    controller.ready().await?;
    drop(seen);

    let share = fleet.len() as f64 / BAR_RESOURCES;
    let bar = BAR.mul_f64(share);
    report.add(Figure {
        what: format!(
            "cold start: {} resources Ready, and in the read API",
            fleet.len()
        ),
        bar: format!("at most {}", time(bar)),
        measured: time(took),
        kept: Some(took <= bar),
    });
    let writes = at_rest(plane).await?.since(&before);
    let each = writes.total() as f64 / fleet.len() as f64;
    eprint!("{writes}");
    report.add(Figure {
        what: "cold start: writes of llmplane.dev for each resource".to_owned(),
        bar: format!("at most {BAR_WRITES}"),
        measured: format!("{each:.2} ({} in all)", writes.total()),
        kept: Some(each <= BAR_WRITES),
    });
    Ok(Started { controller, api })
}

/// Waits until the read API has all models.
async fn shown(api: &Process, fleet: &Fleet) -> Result<()> {
    let models = fleet.objects.iter().filter(|o| o.kind == Kind::Model);
    let models = models.count() as f64;
    let deadline = Instant::now() + WITHIN;
    while sum(&api.metrics().await?, "llmplane_api_snapshot_models") < models {
        if Instant::now() > deadline {
            bail!("the read API does not show all models");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The writes, once nothing is written any more.
async fn at_rest(plane: &Plane) -> Result<Writes> {
    let deadline = Instant::now() + WITHIN;
    let mut last = Writes::now(plane).await?;
    loop {
        tokio::time::sleep(REST).await;
        let now = Writes::now(plane).await?;
        if now.total() == last.total() {
            return Ok(now);
        }
        if Instant::now() > deadline {
            bail!("the controller does not come to rest");
        }
        last = now;
    }
}

/// Watches that nothing is written for this long while nothing is changed.
pub async fn stay_idle(plane: &Plane, seconds: u64, report: &mut Report) -> Result<()> {
    eprintln!("{seconds} idle seconds");
    let db = database(plane).await?;
    let (before, revision) = (Writes::now(plane).await?, db.feed_state().await?.revision);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, last) = (Writes::now(plane).await?, db.feed_state().await?.revision);
    db.close().await;
    let written = after.since(&before);
    eprint!("{written}");
    let revisions = last.0 - revision.0;
    report.add(Figure {
        what: format!("writes in {seconds} idle seconds"),
        bar: "0 of llmplane.dev, 0 revisions".to_owned(),
        measured: format!("{} of llmplane.dev, {revisions} revisions", written.total()),
        kept: Some(written.total() == 0 && revisions == 0),
    });
    Ok(())
}

/// Compares the memory of both processes with what they have to keep.
pub async fn weigh(plane: &Plane, started: &Started, report: &mut Report) -> Result<()> {
    let db = database(plane).await?;
    let all = db.read_all().await?;
    db.close().await;
    let (snapshot, kept) = retained(|| Snapshot::full(&all.rows, all.revision));
    drop(snapshot?);
    report.add(weighed("read API", started.api.resident()?, kept));

    let mut kept = 0;
    kept += decoded::<LlmProvider>(plane, Kind::Provider).await?;
    kept += decoded::<LlmEndpoint>(plane, Kind::Endpoint).await?;
    kept += decoded::<LlmCredential>(plane, Kind::Credential).await?;
    kept += decoded::<LlmModel>(plane, Kind::Model).await?;
    report.add(weighed("controller", started.controller.resident()?, kept));
    Ok(())
}

fn weighed(who: &str, resident: u64, kept: u64) -> Figure {
    let bar = BAR_RESIDENT + 2 * kept;
    Figure {
        what: format!("resident memory of the {who}"),
        bar: format!("60 MiB and twice what it keeps: {}", mebibytes(bar)),
        measured: format!("{} (keeps {})", mebibytes(resident), mebibytes(kept)),
        kept: Some(resident <= bar),
    }
}

/// Bytes that all objects of a kind take, as the controller holds them.
async fn decoded<K: DeserializeOwned>(plane: &Plane, kind: Kind) -> Result<u64> {
    let api: Api<DynamicObject> = Api::all_with(plane.client.clone(), &fleet::resource(kind));
    let mut values: Vec<Value> = Vec::new();
    for mut object in api.list(&ListParams::default()).await? {
        object.metadata.managed_fields = None;
        values.push(serde_json::to_value(object)?);
    }
    let (objects, bytes) = retained(|| {
        let decode = |value: &Value| serde_json::from_value(value.clone());
        values.iter().map(decode).collect::<Result<Vec<K>, _>>()
    });
    drop(objects?);
    Ok(bytes)
}

async fn database(plane: &Plane) -> Result<Db> {
    let url = plane.database_url(Role::Controller)?;
    Ok(Db::connect(&url, &DbOptions::new("bench")).await?)
}

/// What a user with watches on the four kinds sees.
struct Seen {
    events: SelectAll<BoxStream<'static, (Kind, watcher::Result<Event<DynamicObject>>)>>,
    ready: HashSet<(Kind, String, String)>,
    lists: usize,
}

impl Seen {
    fn watch(plane: &Plane) -> Self {
        let watches = Kind::ALL.map(|kind| {
            let api = Api::all_with(plane.client.clone(), &fleet::resource(kind));
            let events = watcher(api, watcher::Config::default());
            events.map(move |event| (kind, event)).boxed()
        });
        Self {
            events: select_all(watches),
            ready: HashSet::new(),
            lists: 0,
        }
    }

    /// Waits until every list is complete.
    async fn listed(&mut self) -> Result<()> {
        while self.lists < Kind::ALL.len() {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits until so many objects are in force.
    async fn ready(&mut self, count: usize) -> Result<()> {
        let waited = tokio::time::timeout(WITHIN, async {
            while self.ready.len() < count {
                self.next().await?;
            }
            anyhow::Ok(())
        });
        match waited.await {
            Ok(waited) => waited,
            Err(_) => bail!("{} of {count} resources are Ready", self.ready.len()),
        }
    }

    async fn next(&mut self) -> Result<()> {
        let (kind, event) = self.events.next().await.context("a watch goes on")?;
        match event? {
            Event::InitDone => self.lists += 1,
            Event::Apply(object) | Event::InitApply(object) => self.take(kind, &object),
            Event::Init | Event::Delete(_) => {}
        }
        Ok(())
    }

    fn take(&mut self, kind: Kind, object: &DynamicObject) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name)
        else {
            return;
        };
        if !WATCHED.contains(&namespace.as_str()) {
            return;
        }
        let key = (kind, namespace.clone(), name.clone());
        match is_ready(object) {
            true => self.ready.insert(key),
            false => self.ready.remove(&key),
        };
    }
}

/// Whether it is Ready in the generation that it has.
fn is_ready(object: &DynamicObject) -> bool {
    let status = &object.data["status"];
    let conditions = status["conditions"].as_array();
    status["observedGeneration"].as_i64() == object.metadata.generation
        && conditions.is_some_and(|conditions| {
            let is = |wanted: &str| {
                let found = conditions.iter().find(|c| c["type"] == wanted);
                found.is_some_and(|condition| condition["status"] == "True")
            };
            is("Ready") && is("Synced")
        })
}
