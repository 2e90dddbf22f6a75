//! What callers of `POST /resolve` ask for, counted in memory and added to the database's counts by day.
//! No answer waits for it, and it takes a bounded part of the memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, DbError, NeedCount};
use crate::resolve::{Request, Tier};

/// Time between two additions to the database.
const FLUSH_PERIOD: Duration = Duration::from_secs(5);
/// Different needs that wait at most; requests for others are counted together.
const MAX_WAITING: usize = 2000;
/// Needs that one statement adds.
const MAX_BATCH: usize = 500;
/// Bytes of a need with its namespaces at most; the database has the same bound.
const MAX_BYTES: usize = 2048;
/// How long the end of the process waits for what is left.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What is asked for, and where; none: what is counted together.
type Asked = Option<(Vec<Tier>, Request)>;

#[derive(Debug, Default)]
struct Waiting {
    /// As it was asked, so that what is asked again is found without writing it out.
    by_request: HashMap<Vec<Tier>, HashMap<Request, i64>>,
    /// Different requests among these.
    different: usize,
    /// Requests that found no place among these.
    together: i64,
}

/// Requests that wait to be added to the database's counts; a clone shares them.
#[derive(Clone, Debug, Default)]
pub struct NeedLog(Arc<Mutex<Waiting>>);

impl NeedLog {
    /// Counts a request.
    pub fn note(&self, tiers: &[Tier], request: &Request) {
        self.0.lock().add(tiers, request, 1);
    }

    /// Adds what was counted to the database every few seconds, until the last caller was `served`; then what
    /// is left, if the database takes it in time.
    pub async fn run(self, db: Db, served: CancellationToken) {
        let mut flush = tokio::time::interval(FLUSH_PERIOD);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = served.cancelled() => break,
                _ = flush.tick() => {
                    if let Err(error) = self.flush(&db).await {
                        tracing::debug!(%error, "counts of what is asked for wait for the database");
                    }
                }
            }
        }
        match tokio::time::timeout(LAST_WORDS, self.flush(&db)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the last counts of what was asked for are not stored");
            }
            Err(_) => {
                tracing::warn!("the last counts of what was asked for could not be stored in time");
            }
        }
    }

    /// Adds all that waits; what the database does not take waits again.
    async fn flush(&self, db: &Db) -> Result<(), DbError> {
        let waiting = std::mem::take(&mut *self.0.lock());
        let mut counts = waiting.into_counts();
        while !counts.is_empty() {
            let rest = counts.split_off(counts.len().min(MAX_BATCH));
            let rows: Vec<NeedCount> = counts.iter().map(row).collect();
            if let Err(error) = db.needs_count(&rows).await {
                let mut waiting = self.0.lock();
                for (asked, count) in counts.into_iter().chain(rest) {
                    waiting.add_again(asked, count);
                }
                return Err(error);
            }
            counts = rest;
        }
        Ok(())
    }
}

impl Waiting {
    fn add(&mut self, tiers: &[Tier], request: &Request, count: i64) {
        let known = self.by_request.get_mut(tiers);
        if let Some(waiting) = known.and_then(|requests| requests.get_mut(request)) {
            *waiting += count;
            return;
        }
        let is_full = self.different >= MAX_WAITING;
        if is_full || namespaces(tiers).len() + request.canonical().len() > MAX_BYTES {
            self.together += count;
            return;
        }
        let requests = self.by_request.entry(tiers.to_vec()).or_default();
        requests.insert(request.clone(), count);
        self.different += 1;
    }

    fn add_again(&mut self, asked: Asked, count: i64) {
        match asked {
            Some((tiers, request)) => self.add(&tiers, &request, count),
            None => self.together += count,
        }
    }

    fn into_counts(self) -> Vec<(Asked, i64)> {
        let together = (self.together > 0).then_some((None, self.together));
        let by_request = self.by_request.into_iter().flat_map(|(tiers, requests)| {
            let requests = requests.into_iter();
            requests.map(move |(request, count)| (Some((tiers.clone(), request)), count))
        });
        by_request.chain(together).collect()
    }
}

fn row((asked, count): &(Asked, i64)) -> NeedCount {
    // Both were written as JSON.
    let read = |text: String| serde_json::from_str::<Value>(&text).ok();
    let asked = asked.as_ref();
    NeedCount {
        namespaces: asked.and_then(|(tiers, _)| read(namespaces(tiers))),
        need: asked.and_then(|(_, request)| read(request.canonical())),
        count: *count,
    }
}

/// The namespaces that are looked in, as lists of which a later one counts where an earlier one has nothing.
fn namespaces(tiers: &[Tier]) -> String {
    let lists: Vec<Vec<&str>> = tiers
        .iter()
        .map(|tier| match tier {
            Tier::All => vec!["*"],
            Tier::Namespaces(names) => names.iter().map(|name| &**name).collect(),
        })
        .collect();
    serde_json::to_string(&lists).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Wanted;

    fn named(name: &str) -> Request {
        Request {
            wanted: Wanted::Named(name.to_owned()),
            with_key: false,
        }
    }

    fn counts(log: &NeedLog) -> Vec<NeedCount> {
        let waiting = std::mem::take(&mut *log.0.lock());
        waiting.into_counts().iter().map(row).collect()
    }

    #[test]
    fn requests_for_one_thing_in_one_place_are_counted_together() {
        let log = NeedLog::default();
        let team = [Tier::Namespaces(vec!["team".into()])];
        let two = [
            Tier::Namespaces(vec!["team".into()]),
            Tier::Namespaces(vec!["a".into(), "b".into()]),
        ];
        for _ in 0..3 {
            log.note(&team, &named("m"));
        }
        log.note(&two, &named("m"));
        log.note(&[Tier::All], &named("m"));
        let mut told: Vec<(String, i64)> = (counts(&log).into_iter())
            .map(|row| (row.namespaces.unwrap_or_default().to_string(), row.count))
            .collect();
        told.sort();
        let expected = [
            (r#"[["*"]]"#, 1),
            (r#"[["team"],["a","b"]]"#, 1),
            (r#"[["team"]]"#, 3),
        ];
        assert_eq!(told, expected.map(|(at, count)| (at.to_owned(), count)));
        assert!(counts(&log).is_empty());
    }

    #[test]
    fn beyond_the_bounds_requests_are_counted_and_none_is_lost() {
        let log = NeedLog::default();
        let team = [Tier::Namespaces(vec!["team".into()])];
        for number in 0..MAX_WAITING + 5 {
            log.note(&team, &named(&format!("m{number}")));
        }
        log.note(&team, &named("m0"));
        log.note(&team, &named(&"m".repeat(MAX_BYTES)));
        let counts = counts(&log);
        assert_eq!(counts.len(), MAX_WAITING + 1);
        let all: i64 = counts.iter().map(|row| row.count).sum();
        assert_eq!(all, MAX_WAITING as i64 + 7);
        let together = counts.iter().find(|row| row.need.is_none());
        assert_eq!(together.map(|row| row.count), Some(6));
    }
}
