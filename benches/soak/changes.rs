//! Changes at a steady pace: most rename a model, some make one, some take one away. A change that fails is tried
//! again until the kube-apiserver has taken it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use kube::api::DeleteParams;
use llmplane::crd::Kind;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::fleet::{self, Fleet};

/// One in so many changes makes a model, and one takes one away.
const MAKES: u32 = 20;
/// How long a change is tried.
const TRIED_FOR: Duration = Duration::from_secs(120);

/// Namespace and name of a model.
pub type Place = (String, String);

/// What a model must be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its display name; none where it was taken away.
    pub name: Option<String>,
    /// When the kube-apiserver took the change.
    pub since: Instant,
}

/// What is declared, change by change.
pub struct Changes {
    models: Mutex<HashMap<Place, Wanted>>,
    /// Being changed: one change of a model at a time, so that it is known which came last.
    busy: Mutex<HashMap<Place, ()>>,
    /// The newest changes, for the readers.
    recent: Mutex<Vec<Place>>,
    sites: Vec<(String, usize)>,
    made: AtomicUsize,
    tried_again: AtomicUsize,
}

impl Changes {
    pub fn of(fleet: &Fleet) -> Self {
        let now = Instant::now();
        let mut models = HashMap::new();
        for site in fleet.sites() {
            for number in 0..site.models {
                let wanted = Wanted {
                    name: Some("As declared".to_owned()),
                    since: now,
                };
                models.insert((site.name.clone(), fleet::model_name(number)), wanted);
            }
        }
        let sites = fleet
            .sites()
            .iter()
            .map(|site| (site.name.clone(), site.models));
        Self {
            models: Mutex::new(models),
            busy: Mutex::default(),
            recent: Mutex::default(),
            sites: sites.collect(),
            made: AtomicUsize::new(0),
            tried_again: AtomicUsize::new(0),
        }
    }

    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    pub fn tried_again(&self) -> usize {
        self.tried_again.load(Ordering::Relaxed)
    }

    /// What all models must be.
    pub fn all(&self) -> HashMap<Place, Wanted> {
        self.models.lock().clone()
    }

    /// A model that was changed of late, what it must be, unless it is being changed now.
    pub fn some_recent(&self) -> Option<(Place, Wanted)> {
        let recent = self.recent.lock();
        let place = recent
            .get(rand::rng().random_range(0..recent.len().max(1)))?
            .clone();
        drop(recent);
        let wanted = self.wanted(&place)?;
        Some((place, wanted))
    }

    /// The newest change.
    pub fn newest(&self) -> Option<(Place, Wanted)> {
        let place = self.recent.lock().last()?.clone();
        let wanted = self.models.lock().get(&place)?.clone();
        Some((place, wanted))
    }

    /// What a model must be; none while that is being changed.
    pub fn wanted(&self, place: &Place) -> Option<Wanted> {
        if self.busy.lock().contains_key(place) {
            return None;
        }
        self.models.lock().get(place).cloned()
    }

    fn note(&self, place: Place, name: Option<String>) {
        let wanted = Wanted {
            name,
            since: Instant::now(),
        };
        self.models.lock().insert(place.clone(), wanted);
        self.busy.lock().remove(&place);
        let mut recent = self.recent.lock();
        recent.push(place);
        // Those of half a minute or so.
        let beyond = recent.len().saturating_sub(600);
        recent.drain(..beyond);
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// The next change: which model of which number, and its display name.
    fn next(&self, count: usize) -> Option<(Place, usize, Option<String>)> {
        let mut random = rand::rng();
        let (namespace, models) = self.sites[random.random_range(0..self.sites.len())].clone();
        let marker = Some(format!("Change {count}"));
        let (number, name) = match random.random_range(0..MAKES) {
            // Numbers behind the declared ones come and go.
            0 => (models + random.random_range(0..models), marker),
            1 => (models + random.random_range(0..models), None),
            _ => (random.random_range(0..models), marker),
        };
        let place = (namespace, fleet::model_name(number));
        if name.is_none()
            && self
                .models
                .lock()
                .get(&place)
                .is_none_or(|it| it.name.is_none())
        {
            return None;
        }
        let mut busy = self.busy.lock();
        if busy.contains_key(&place) {
            return None;
        }
        busy.insert(place.clone(), ());
        Some((place, number, name))
    }
}

/// Makes changes until it is told to stop; then what is under way is brought to its end.
pub async fn make(
    changes: Arc<Changes>,
    client: kube::Client,
    every: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way: JoinSet<Result<()>> = JoinSet::new();
    let mut count = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = under_way.join_next() => ended??,
            _ = pace.tick() => {
                if let Some(change) = changes.next(count) {
                    count += 1;
                    under_way.spawn(apply(changes.clone(), client.clone(), change));
                }
            }
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    Ok(())
}

async fn apply(
    changes: Arc<Changes>,
    client: kube::Client,
    (place, number, name): (Place, usize, Option<String>),
) -> Result<()> {
    let deadline = Instant::now() + TRIED_FOR;
    loop {
        let tried = match &name {
            Some(name) => {
                let spec = fleet::model_spec(number, name);
                fleet::apply(&client, Kind::Model, &place.0, &place.1, spec).await
            }
            None => delete(&client, &place).await,
        };
        match tried {
            Ok(()) => {
                changes.note(place, name);
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => {
                changes.tried_again.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// One that is gone by now was taken away by an attempt of which nobody heard.
async fn delete(client: &kube::Client, (namespace, name): &Place) -> Result<(), kube::Error> {
    let api = fleet::api(client, Kind::Model, namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
