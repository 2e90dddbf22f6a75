//! What a resource's status, row and answer say in the end depends on what is declared, and not on how
//! it came there: every path is walked while something fails, and its end is compared with that of the
//! same declaration in a namespace where nothing was before. `make test-paths` runs it, for it takes
//! its time.

mod declaration;
mod site;
#[allow(dead_code, unused_imports, reason = "the behaviour tests use the rest")]
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use declaration::{Declaration, Path, fields, paths};
use futures::{StreamExt, stream};
use kube::CustomResourceExt;
use llmplane::{
    crd::{LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider},
    db::{Db, DbOptions},
    local::state::Component,
};
use serde_json::Value;
use site::Site;
use support::{plane::Plane, process::Process, world::World};

/// Namespaces that are changed or looked at at once.
const AT_ONCE: usize = 16;
/// How long what is declared at first may take until nothing moves.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);
/// How long all ends of one fault may take.
const ENDS_WITHIN: Duration = Duration::from_secs(240);
/// For how long an end must be as it is before it is taken for one.
const STANDS_FOR: Duration = Duration::from_secs(6);
/// The same of a fresh declaration: that nothing will come of it is said after half a minute.
const FRESH_STANDS_FOR: Duration = Duration::from_secs(45);

/// What fails while paths are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    ControllerKilled,
    ControllerPaused,
    DatabaseStopped,
    ApiserverStopped,
}

const FAULTS: [Fault; 5] = [
    Fault::Nothing,
    Fault::ControllerKilled,
    Fault::ControllerPaused,
    Fault::DatabaseStopped,
    Fault::ApiserverStopped,
];

/// A plane with one controller for all namespaces.
struct Stage {
    plane: &'static Plane,
    hub: World,
    controller: Process,
}

impl Stage {
    async fn new() -> Self {
        let plane: &'static Plane = Box::leak(Box::new(Plane::private().await));
        let hub = World::on(plane, "hub").await;
        let controller = everywhere(&hub);
        controller.ready().await;
        Self {
            plane,
            hub,
            controller,
        }
    }

    async fn db(&self) -> Db {
        let options = DbOptions::new("paths");
        Db::connect(&self.hub.database.owner_url, &options)
            .await
            .unwrap()
    }

    async fn site(&self, declared: &Declaration) -> Site {
        Site::new(self.plane, &self.hub.database, declared).await
    }

    /// Something fails; the rest is declared meanwhile where that can be, else afterwards.
    async fn strike(&mut self, fault: Fault, sites: &mut [Site], ways: &[&Path]) {
        match fault {
            Fault::Nothing => declare_rest(sites, ways).await,
            Fault::ControllerKilled => {
                self.controller.kill().await;
                declare_rest(sites, ways).await;
                self.controller = everywhere(&self.hub);
            }
            Fault::ControllerPaused => {
                self.controller.pause();
                declare_rest(sites, ways).await;
                self.controller.resume();
            }
            Fault::DatabaseStopped => {
                self.plane.kill(Component::Postgres).await;
                declare_rest(sites, ways).await;
                self.plane.heal().await;
            }
            Fault::ApiserverStopped => {
                self.plane.restart_apiserver().await;
                declare_rest(sites, ways).await;
            }
        }
    }

    /// Starts the controller again where it has ended, as a cluster would: one that finds commits of its
    /// own lost ends itself.
    fn keep_running(&mut self) {
        if !self.controller.runs() {
            self.controller = everywhere(&self.hub);
        }
    }
}

fn everywhere(hub: &World) -> Process {
    Process::controller(hub, &[("LLMPLANE_NAMESPACES", "")])
}

async fn declare_step(sites: &mut [Site], ways: &[&Path], step: usize) {
    stream::iter(sites.iter_mut().zip(ways))
        .for_each_concurrent(AT_ONCE, async |(site, way)| {
            if let Some(next) = way.steps.get(step) {
                site.declare(next).await;
            }
        })
        .await;
}

async fn declare_rest(sites: &mut [Site], ways: &[&Path]) {
    let longest = ways.iter().map(|way| way.steps.len()).max().unwrap_or(0);
    for step in 1..longest {
        declare_step(sites, ways, step).await;
    }
}

/// What each namespace has come to. PostgreSQL has until the deadline to be there again.
async fn outcomes(sites: &[Site], db: &Db, deadline: Instant) -> Vec<Value> {
    // PostgreSQL may have come back a moment ago.
    let rows = loop {
        match db.read_all().await {
            Ok(all) => break all.rows,
            Err(error) if !error.is_transient() => panic!("{error}"),
            Err(error) if Instant::now() > deadline => {
                panic!("PostgreSQL still gives no rows at the deadline: {error}")
            }
            Err(_) => tokio::time::sleep(STANDS_FOR).await,
        }
    };
    stream::iter(sites)
        .map(|site| site.outcome(&rows))
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn all_observed(sites: &[Site]) -> bool {
    stream::iter(sites)
        .map(Site::is_observed)
        .buffered(AT_ONCE)
        .all(async |observed| observed)
        .await
}

/// Waits until nothing moves for so long, and every object says something.
async fn settled(stage: &mut Stage, sites: &[Site], db: &Db, stands: Duration) -> Vec<Value> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    let mut before = outcomes(sites, db, deadline).await;
    loop {
        tokio::time::sleep(stands).await;
        stage.keep_running();
        let now = outcomes(sites, db, deadline).await;
        if now == before && all_observed(sites).await {
            return now;
        }
        if Instant::now() > deadline {
            let moving = now
                .iter()
                .zip(&before)
                .filter(|(now, before)| now != before);
            for (now, before) in moving {
                eprintln!("still moves: {}", difference(now, before));
            }
            return now;
        }
        before = now;
    }
}

/// Waits until each end is the wanted one and stays so; answers the paths of which it is not.
async fn ends(
    stage: &mut Stage,
    sites: &[Site],
    ways: &[&Path],
    wanted: &[&Value],
    db: &Db,
) -> Vec<String> {
    let deadline = Instant::now() + ENDS_WITHIN;
    let mut stood = 0;
    loop {
        stage.keep_running();
        let found = outcomes(sites, db, deadline).await;
        let others: Vec<String> = (ways.iter().zip(&found).zip(wanted))
            .filter(|((_, found), wanted)| found != *wanted)
            .map(|((way, found), wanted)| format!("{}: {}", way.name, difference(found, wanted)))
            .collect();
        stood = if others.is_empty() { stood + 1 } else { 0 };
        if stood == 2 || Instant::now() > deadline {
            return others;
        }
        tokio::time::sleep(STANDS_FOR).await;
    }
}

/// The places in which two documents differ.
fn difference(found: &Value, wanted: &Value) -> String {
    fn walk(path: &str, a: &Value, b: &Value, into: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let names: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
                for name in names {
                    walk(&format!("{path}.{name}"), &a[name], &b[name], into);
                }
            }
            (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
                for (n, (a, b)) in x.iter().zip(y).enumerate() {
                    walk(&format!("{path}[{n}]"), a, b, into);
                }
            }
            _ if a != b => into.push(format!("{path} is {a}, and fresh {b}")),
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk("", found, wanted, &mut all);
    all.join("\n    ")
}

#[test]
fn every_field_is_walked() {
    let crds = [
        LlmProvider::crd(),
        LlmEndpoint::crd(),
        LlmCredential::crd(),
        LlmModel::crd(),
        LlmModelClass::crd(),
    ];
    let walked: BTreeSet<(String, String)> = (fields().into_iter())
        .map(|(kind, _, field, _)| (kind.to_owned(), field.to_owned()))
        // A provider's type never changes; it is made again with another.
        .chain([("LlmProvider".to_owned(), "type".to_owned())])
        .collect();
    let mut all = BTreeSet::new();
    for crd in crds {
        let kind = crd.spec.names.kind.clone();
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let fields = schema["properties"]["spec"]["properties"].as_object();
        all.extend(
            fields
                .unwrap()
                .keys()
                .map(|field| (kind.clone(), field.clone())),
        );
    }
    assert_eq!(walked, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_the_same_whatever_the_path_and_whatever_fails() {
    let mut stage = Stage::new().await;
    let only = std::env::var("LLMPLANE_PATHS").unwrap_or_default();
    let paths: Vec<Path> = (paths().into_iter())
        .filter(|path| path.name.contains(&only))
        .collect();
    let ways: Vec<&Path> = paths.iter().collect();
    let mut ends_declared: Vec<&Declaration> = Vec::new();
    for way in &ways {
        if !ends_declared.contains(&way.end()) {
            ends_declared.push(way.end());
        }
    }
    let db = stage.db().await;
    eprintln!("{} paths to {} ends", ways.len(), ends_declared.len());
    let fresh: Vec<Value> = {
        let sites = made(&stage, &ends_declared).await;
        settled(&mut stage, &sites, &db, FRESH_STANDS_FOR).await
    };
    let wanted: Vec<&Value> = (ways.iter())
        .map(|way| {
            &fresh[ends_declared
                .iter()
                .position(|end| *end == way.end())
                .unwrap()]
        })
        .collect();
    let from: Vec<&Declaration> = ways.iter().map(|way| &way.from).collect();
    let mut others = Vec::new();
    for fault in FAULTS {
        let begun = Instant::now();
        let mut sites = made(&stage, &from).await;
        settled(&mut stage, &sites, &db, STANDS_FOR).await;
        declare_step(&mut sites, &ways, 0).await;
        stage.strike(fault, &mut sites, &ways).await;
        let different = ends(&mut stage, &sites, &ways, &wanted, &db).await;
        eprintln!(
            "{fault:?}: {} differ, after {:?}",
            different.len(),
            begun.elapsed()
        );
        different.iter().for_each(|one| eprintln!("  {one}"));
        others.extend(different.iter().map(|one| format!("{fault:?}: {one}")));
    }
    assert!(
        others.is_empty(),
        "{} ends differ:\n{}",
        others.len(),
        others.join("\n")
    );
}

async fn made(stage: &Stage, declared: &[&Declaration]) -> Vec<Site> {
    stream::iter(declared)
        .map(|declared| stage.site(declared))
        .buffered(AT_ONCE)
        .collect()
        .await
}
