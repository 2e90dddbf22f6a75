//! What agents are told: while things change and fail, and at the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use llmplane::local::postgres::Role;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::changes::{Changes, Place};
use crate::faults::Faults;
use crate::figures::{Times, time};
use crate::fleet::{self, Fleet};
use crate::parts::Parts;
use crate::report::{Figure, Report};

/// After how long an answer may no longer say what was before.
const STALE_AFTER: Duration = Duration::from_secs(5);
/// Time between two questions.
const EVERY: Duration = Duration::from_millis(50);
/// One question in so many asks for a key.
const KEYS: usize = 20;
/// How long what is declared may take at the end until it is served.
const SERVED_WITHIN: Duration = Duration::from_secs(120);
/// Numbers of the API's processes.
const REPLICAS: [usize; 2] = [2, 3];
/// What is told of at most.
const TOLD: usize = 10;

/// Asks, and counts.
pub struct Reader {
    token: String,
    client: reqwest::Client,
    asked: AtomicUsize,
    /// No answer while nothing failed.
    unanswered: Mutex<Vec<String>>,
    /// Older than they may be.
    stale: Mutex<Vec<String>>,
    keys: AtomicUsize,
    took: Mutex<Vec<Duration>>,
}

impl Reader {
    pub fn new(token: String) -> Self {
        Self {
            token,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap_or_default(),
            asked: AtomicUsize::new(0),
            unanswered: Mutex::default(),
            stale: Mutex::default(),
            keys: AtomicUsize::new(0),
            took: Mutex::default(),
        }
    }

    pub fn tell(&self, report: &mut Report) {
        let asked = self.asked.load(Ordering::Relaxed);
        let times = Times::new(std::mem::take(&mut self.took.lock()));
        let (unanswered, stale) = (self.unanswered.lock(), self.stale.lock());
        for told in unanswered.iter().chain(stale.iter()).take(TOLD) {
            eprintln!("  {told}");
        }
        report.add(Figure {
            what: format!(
                "answers that say what was before, {} after a change",
                time(STALE_AFTER)
            ),
            bar: "0 while nothing fails".to_owned(),
            measured: format!("{} of {asked}", stale.len()),
            kept: Some(stale.is_empty()),
        });
        report.add(Figure {
            what: "requests without an answer".to_owned(),
            bar: "0 while nothing fails".to_owned(),
            measured: format!(
                "{} of {asked}; answers take {}",
                unanswered.len(),
                times.words()
            ),
            kept: Some(unanswered.is_empty()),
        });
    }

    /// A model as a replica has it; none where it has none.
    async fn model(&self, base: &str, (namespace, name): &Place) -> Result<Option<Value>> {
        let url = format!("{base}/models/{name}?namespace={namespace}");
        let answer = self.client.get(url).bearer_auth(&self.token).send().await?;
        if answer.status() == 404 {
            return Ok(None);
        }
        Ok(Some(taken(answer).await?))
    }

    /// A key of the namespace; whether it was given.
    async fn key(&self, base: &str, (namespace, _): &Place) -> Result<bool> {
        let body = json!({ "model": fleet::model_name(0), "with_secret": true, "purpose": "soak" });
        let request = self
            .client
            .post(format!("{base}/resolve?namespace={namespace}"));
        let answer = request.bearer_auth(&self.token).json(&body).send().await?;
        let answer = taken(answer).await?;
        let is_given = answer["targets"][0]["secret"]["api_key"].is_string();
        if is_given {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        Ok(is_given)
    }
}

/// What was answered; an error that holds the problem's own words where it is one.
async fn taken(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let body: Value = answer.json().await?;
    if !status.is_success() {
        bail!("{status}: {} {}", body["type"], body["detail"]);
    }
    Ok(body)
}

/// Asks both replicas in turn until it is told to stop.
pub async fn ask(
    reader: Arc<Reader>,
    parts: Arc<Parts>,
    changes: Arc<Changes>,
    faults: Arc<Faults>,
    stop: CancellationToken,
) -> Result<()> {
    let mut pace = tokio::time::interval(EVERY);
    for number in 0.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = pace.tick() => {}
        }
        let Some((place, wanted)) = changes.some_recent() else {
            continue;
        };
        let base = parts.base(REPLICAS[number % REPLICAS.len()]).await?;
        let quiet = faults.quiet_since();
        let begun = Instant::now();
        reader.asked.fetch_add(1, Ordering::Relaxed);
        let failed = match number.is_multiple_of(KEYS) {
            true => match reader.key(&base, &place).await {
                Ok(true) => None,
                Ok(false) => Some("no key was given".to_owned()),
                Err(error) => Some(error.to_string()),
            },
            false => match reader.model(&base, &place).await {
                Ok(found) => {
                    reader.took.lock().push(begun.elapsed());
                    judge(
                        &reader,
                        &changes,
                        &faults,
                        (&place, &wanted.name),
                        wanted.since,
                        begun,
                        found,
                    );
                    None
                }
                Err(error) => Some(error.to_string()),
            },
        };
        let is_quiet = quiet.is_some() && faults.quiet_since() == quiet;
        if let Some(failed) = failed
            && is_quiet
        {
            reader.unanswered.lock().push(format!("{base}: {failed}"));
        }
    }
    Ok(())
}

/// An answer is stale where change and last fault were over long before the question, and it shows another state.
fn judge(
    reader: &Reader,
    changes: &Changes,
    faults: &Faults,
    (place, name): (&Place, &Option<String>),
    changed: Instant,
    begun: Instant,
    found: Option<Value>,
) {
    let Some(over) = faults.quiet_since() else {
        return;
    };
    let settled = changed.max(over.unwrap_or(changed)) + STALE_AFTER;
    let found = found.map(|row| row["display_name"].as_str().unwrap_or_default().to_owned());
    // Where it was changed again meanwhile, or is about to be, it may say either.
    let is_last = changes
        .wanted(place)
        .is_some_and(|now| now.since == changed);
    if begun > settled && is_last && found != *name {
        let told = format!(
            "{}/{} is {found:?}, and should be {name:?}",
            place.0, place.1
        );
        reader.stale.lock().push(told);
    }
}

/// Waits until both replicas show the newest change.
pub async fn show_a_change(parts: &Parts, changes: &Changes, deadline: Instant) -> Result<()> {
    let before = changes.made();
    let reader = Reader::new(parts.token().to_owned());
    // One that was made since.
    while changes.made() <= before {
        parts.keep_running().await?;
        if Instant::now() > deadline {
            bail!("no change is taken by the kube-apiserver");
        }
        tokio::time::sleep(EVERY).await;
    }
    for number in REPLICAS {
        loop {
            parts.keep_running().await?;
            let base = parts.base(number).await?;
            let newest = changes.newest().context("there was a change")?;
            let shown = reader.model(&base, &newest.0).await;
            let name = shown
                .ok()
                .map(|row| row.and_then(|row| row["display_name"].as_str().map(str::to_owned)));
            if name.is_some_and(|name| name == newest.1.name) {
                break;
            }
            if Instant::now() > deadline {
                bail!("{base} does not show {newest:?}");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
    Ok(())
}

/// Waits until both replicas give a key.
pub async fn give_a_key(
    reader: &Reader,
    parts: &Parts,
    changes: &Changes,
    deadline: Instant,
) -> Result<()> {
    for number in REPLICAS {
        loop {
            parts.keep_running().await?;
            let base = parts.base(number).await?;
            let place = changes.newest().context("there was a change")?.0;
            let given = reader.key(&base, &place).await;
            if matches!(given, Ok(true)) {
                break;
            }
            if Instant::now() > deadline {
                bail!("{base} gives no key: {given:?}");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
    Ok(())
}

/// Everything that is declared against everything that both replicas serve, and against the statuses.
pub async fn compare(
    reader: &Reader,
    parts: &Parts,
    changes: &Changes,
    fleet: &Fleet,
) -> Result<Figure> {
    let wanted: HashMap<Place, String> = changes
        .all()
        .into_iter()
        .filter_map(|(place, wanted)| Some((place, wanted.name?)))
        .collect();
    let deadline = Instant::now() + SERVED_WITHIN;
    let others = loop {
        let mut others = Vec::new();
        for number in REPLICAS {
            let served = served(reader, &parts.base(number).await?).await?;
            others.extend(differences(&wanted, &served));
        }
        others.extend(unready(parts, fleet).await?);
        if others.is_empty() || Instant::now() > deadline {
            break others;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for told in others.iter().take(TOLD) {
        eprintln!("  {told}");
    }
    Ok(Figure {
        what: format!(
            "{} models at the end: lost, left over, or other than declared",
            wanted.len()
        ),
        bar: "0 at both replicas, and all Ready".to_owned(),
        measured: others.len().to_string(),
        kept: Some(others.is_empty()),
    })
}

async fn served(reader: &Reader, base: &str) -> Result<HashMap<Place, String>> {
    let (mut all, mut cursor) = (HashMap::new(), String::new());
    loop {
        let url = format!("{base}/models?namespace=*&limit=1000{cursor}");
        let answer = reader
            .client
            .get(url)
            .bearer_auth(&reader.token)
            .send()
            .await?;
        let page: Value = answer.error_for_status()?.json().await?;
        for row in page["items"].as_array().context("a list has items")? {
            let word = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            all.insert((word("namespace"), word("name")), word("display_name"));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

fn differences(wanted: &HashMap<Place, String>, served: &HashMap<Place, String>) -> Vec<String> {
    let lost = wanted
        .iter()
        .filter_map(|(place, name)| match served.get(place) {
            Some(found) if found == name => None,
            found => Some(format!("{place:?} is {found:?}, and should be {name:?}")),
        });
    let beyond = served.keys().filter(|place| !wanted.contains_key(*place));
    lost.chain(beyond.map(|place| format!("{place:?} is there, and should not be")))
        .collect()
}

/// Models whose status is not Ready in their generation.
async fn unready(parts: &Parts, fleet: &Fleet) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for site in fleet.sites() {
        let api = fleet::api(&parts.plane.client, llmplane::crd::Kind::Model, &site.name);
        for object in api.list(&Default::default()).await? {
            let status = &object.data["status"];
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "True");
            let observed = status["observedGeneration"].as_i64() == object.metadata.generation;
            if ready.next().is_none() || !observed {
                let name = object.metadata.name.unwrap_or_default();
                found.push(format!("{}/{name} is not Ready", site.name));
            }
        }
    }
    Ok(found)
}

/// Each key that was given has its row, and the chain of rows is whole.
pub async fn audit(reader: &Reader, parts: &Parts) -> Result<Vec<Figure>> {
    let given = i64::try_from(reader.keys.load(Ordering::Relaxed))?;
    let url = parts.plane.database_url(Role::Owner)?;
    let mut connection = PgConnection::connect(&url).await?;
    let rows: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_log WHERE action = 'Disclose' AND result = 'Disclosed'",
    )
    .fetch_one(&mut connection)
    .await?;
    let verified = tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(["audit", "verify"])
        .env_clear()
        .env("DATABASE_URL", parts.plane.database_url(Role::Api)?)
        .env(
            "LLMPLANE_KEYRING_DIR",
            parts.plane.options.state_dir.keyring(),
        )
        .output()
        .await?;
    Ok(vec![
        Figure {
            what: "keys given out, and their rows in the audit".to_owned(),
            bar: "no fewer rows than keys".to_owned(),
            measured: format!("{given} keys, {rows} rows"),
            kept: Some(rows >= given && given > 0),
        },
        Figure {
            what: "llmplane audit verify".to_owned(),
            bar: "the chain is whole".to_owned(),
            measured: String::from_utf8_lossy(&verified.stdout)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
            kept: Some(verified.status.success()),
        },
    ])
}
