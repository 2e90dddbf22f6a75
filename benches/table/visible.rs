//! From an apply to the read API's answer, beside the least that such a way takes: the raw watch
//! event, a commit, a notification.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use llmplane::crd::Kind;
use llmplane::local::postgres::Role;
use parking_lot::{Mutex, MutexGuard};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::accounts::Agents;
use crate::figures::{Times, time};
use crate::fleet::{self, AGENTS, Fleet, MODELS, Object, UNWATCHED};
use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};

/// Changes of each side.
const CHANGES: usize = 500;
/// Time between two changes of a side: 20 a second.
const EVERY: Duration = Duration::from_millis(50);
/// Longest wait for what is under way at the end.
const WITHIN: Duration = Duration::from_secs(20);
const BAR_RATIO: f64 = 3.0;
const BAR_P99: Duration = Duration::from_secs(1);

/// Changes that were applied, and since when they have not been seen.
#[derive(Clone, Default)]
struct Changes(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    pending: HashMap<String, (String, Instant)>,
    seen: Vec<Duration>,
}

impl Changes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }

    fn made(&self, marker: String, name: String, at: Instant) {
        self.lock().pending.insert(marker, (name, at));
    }

    /// Marker and name of all that were not seen.
    fn pending(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let pair =
            |(marker, (name, _)): (&String, &(String, Instant))| (marker.clone(), name.clone());
        inner.pending.iter().map(pair).collect()
    }

    fn seen(&self, marker: &str) {
        let now = Instant::now();
        let mut inner = self.lock();
        if let Some((_, at)) = inner.pending.remove(marker) {
            inner.seen.push(now - at);
        }
    }

    async fn all_seen(&self) -> Result<Times> {
        let deadline = Instant::now() + WITHIN;
        while !self.lock().pending.is_empty() {
            ensure!(
                Instant::now() < deadline,
                "{} changes were never seen",
                self.lock().pending.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Times::new(std::mem::take(&mut self.lock().seen)))
    }
}

/// Measures both, their changes taking turns.
pub async fn measure(
    plane: &Plane,
    fleet: &Fleet,
    api: &Process,
    agents: &Agents,
    report: &mut Report,
) -> Result<()> {
    eprintln!("{CHANGES} changes, and as many of the floor");
    let (own, floor) = (Changes::default(), Changes::default());
    let mut watchers: JoinSet<Result<()>> = JoinSet::new();
    prepare_floor(plane, fleet).await?;
    let listener = listen(&plane.database_url(Role::Owner)?, "llmplane_feed").await?;
    let base = format!("http://{}/api/v1/models", api.address()?);
    watchers.spawn(follow_api(
        listener,
        base,
        agents.one().to_owned(),
        own.clone(),
    ));
    follow_floor(plane, &floor, &mut watchers).await?;

    apply_all(plane, &own, &floor).await?;
    let seen = tokio::select! {
        ended = watchers.join_next() => {
            ended.context("somebody watches")???;
            bail!("a watch ended");
        }
        seen = async { anyhow::Ok((own.all_seen().await?, floor.all_seen().await?)) } => seen,
    };
    let (own, floor) = seen?;
    tell(&own, &floor, report);
    Ok(())
}

fn tell(own: &Times, floor: &Times, report: &mut Report) {
    let ratio = own.quantile(0.5).as_secs_f64() / floor.quantile(0.5).as_secs_f64();
    report.add(Figure {
        what: "apply to visible, against watch event, commit and notification".to_owned(),
        bar: "p50 at most 3 times the floor".to_owned(),
        measured: format!(
            "{ratio:.2} times ({} against {})",
            time(own.quantile(0.5)),
            time(floor.quantile(0.5))
        ),
        kept: Some(ratio <= BAR_RATIO),
    });
    report.add(Figure {
        what: "apply to visible, at 20 changes a second".to_owned(),
        bar: "p99 at most 1 s".to_owned(),
        measured: format!("{} (the floor: {})", own.words(), floor.words()),
        kept: Some(own.quantile(0.99) <= BAR_P99),
    });
}

/// Applies one change of each side in turn, on a schedule that waits for no answer.
async fn apply_all(plane: &Plane, own: &Changes, floor: &Changes) -> Result<()> {
    let mut applies: JoinSet<Result<()>> = JoinSet::new();
    let start = tokio::time::Instant::now();
    for number in 0..CHANGES {
        for (side, changes, namespace) in [(0, own, AGENTS), (1, floor, UNWATCHED)] {
            let due = EVERY * u32::try_from(number)? + EVERY / 2 * side;
            tokio::time::sleep_until(start + due).await;
            let marker = format!("Change {number}");
            let object = model(namespace, number % MODELS, &marker);
            let (client, changes) = (plane.client.clone(), changes.clone());
            applies.spawn(async move {
                changes.made(marker, object.name.clone(), Instant::now());
                fleet::apply(&client, &object).await
            });
        }
    }
    while let Some(applied) = applies.join_next().await {
        applied??;
    }
    Ok(())
}

fn model(namespace: &'static str, number: usize, display_name: &str) -> Object {
    Object {
        kind: Kind::Model,
        namespace,
        name: fleet::model_name("provider-0", number),
        spec: fleet::model_spec("provider-0", number, display_name),
    }
}

/// Asks the API for every change that is under way, whenever a revision is announced.
async fn follow_api(
    mut listener: PgListener,
    base: String,
    token: String,
    changes: Changes,
) -> Result<()> {
    let client = reqwest::Client::new();
    loop {
        let mut told = listener.recv().await?;
        while let Some(later) = listener.next_buffered() {
            told = later;
        }
        let revision = told.payload().to_owned();
        for (marker, name) in changes.pending() {
            let url = format!("{base}/{name}?min_revision={revision}");
            let answer = client.get(url).bearer_auth(&token).send().await?;
            let body = answer.error_for_status()?.text().await?;
            if body.contains(&format!("\"display_name\":\"{marker}\"")) {
                changes.seen(&marker);
            }
        }
    }
}

/// Models of the same names in a namespace that no controller watches, and a table to write to.
async fn prepare_floor(plane: &Plane, fleet: &Fleet) -> Result<()> {
    let models = fleet
        .objects
        .iter()
        .filter(|object| object.namespace == AGENTS);
    for number in 0..models.filter(|object| object.kind == Kind::Model).count() {
        fleet::apply(&plane.client, &model(UNWATCHED, number, "A model")).await?;
    }
    let mut connection = PgConnection::connect(&plane.floor_database_url()?).await?;
    connection
        .execute("CREATE TABLE floor (marker text PRIMARY KEY)")
        .await?;
    Ok(connection.close().await?)
}

/// Commits and notifies for each raw watch event, and notes each notification.
async fn follow_floor(
    plane: &Plane,
    changes: &Changes,
    watchers: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let url = plane.floor_database_url()?;
    let mut listener = listen(&url, "floor").await?;
    let noted = changes.clone();
    watchers.spawn(async move {
        loop {
            noted.seen(listener.recv().await?.payload());
        }
    });
    let mut connection = PgConnection::connect(&url).await?;
    let api = fleet::api(&plane.client, Kind::Model, UNWATCHED);
    let version = api.list(&ListParams::default()).await?.metadata;
    let mut version = version.resource_version.context("a list has a version")?;
    watchers.spawn(async move {
        // The kube-apiserver ends every watch some time: it is taken up where it ended.
        loop {
            let from = version.clone();
            let mut events = api.watch(&WatchParams::default(), &from).await?.boxed();
            while let Some(event) = events.next().await {
                match event? {
                    WatchEvent::Modified(object) => {
                        commit(&mut connection, marker_of(&object)?).await?;
                        version = object.resource_version().unwrap_or(version);
                    }
                    WatchEvent::Error(status) => bail!("the watch failed: {}", status.message),
                    _ => {}
                }
            }
        }
    });
    Ok(())
}

fn marker_of(object: &DynamicObject) -> Result<&str> {
    let marker = object.data["spec"]["displayName"].as_str();
    marker.context("a changed model has a displayName")
}

/// One round trip: the shortest way to a durable row that somebody is told of.
async fn commit(connection: &mut PgConnection, marker: &str) -> Result<()> {
    let statements = format!(
        "BEGIN; INSERT INTO floor VALUES ('{marker}'); SELECT pg_notify('floor', '{marker}'); COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await?;
    Ok(())
}

async fn listen(url: &str, channel: &str) -> Result<PgListener> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(channel).await?;
    Ok(listener)
}
