//! Refusals of callers whom we know, of keys and of writes, on their way into the audit: those that are
//! alike are written as one row, nobody waits for them, and they take a bounded part of the memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DisclosureMetrics, KeyRequest};
use crate::crd::Kind;
use crate::db::{AuditAction, AuditActor, AuditEntry, AuditObject, Db, DbError};

/// How long equal refusals are gathered before they are written.
const WINDOW: Duration = Duration::from_secs(10);
/// Time between two looks after refusals whose window is over.
const LOOK: Duration = Duration::from_secs(1);
/// Most different refusals that wait.
const MAX_WAITING: usize = 10_000;
/// Most rows that are written at once.
const MAX_ROWS: usize = 200;
/// How long the end of the process waits for what is left.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A refusal that the audit is to tell.
#[derive(Clone, Debug)]
pub struct RefusalDraft {
    /// Who was refused.
    pub actor: AuditActor,
    /// What was asked for.
    pub action: AuditAction,
    /// What it is about.
    pub object: AuditObject,
    /// Why, in one word.
    pub result: &'static str,
    /// Why the caller asked, in its own words.
    pub purpose: Option<String>,
}

impl RefusalDraft {
    /// The refusal of this request.
    pub(super) fn of(request: &KeyRequest, result: &'static str) -> Self {
        let key = &request.key;
        let credential = (key.credential, &*key.namespace, &*key.name);
        Self {
            purpose: request.purpose.clone(),
            ..Self::of_key(AuditActor::clone(&request.actor), Some(credential), result)
        }
    }

    /// The refusal of a key: of which credential (its UID, namespace and name), where it is about one.
    pub fn of_key(
        actor: AuditActor,
        credential: Option<(Uuid, &str, &str)>,
        result: &'static str,
    ) -> Self {
        Self {
            actor,
            action: AuditAction::Disclose,
            object: AuditObject {
                namespace: credential.map(|(_, namespace, _)| namespace.to_owned()),
                kind: Some(Kind::Credential.kubernetes().to_owned()),
                name: credential.map(|(.., name)| name.to_owned()),
                object_uid: credential.map(|(uid, ..)| uid),
                ..AuditObject::default()
            },
            result,
            purpose: None,
        }
    }

    /// Names of what is not there are endless: refusals of writes are alike whatever they are about.
    /// Those of keys are about credentials that are there.
    fn alike(&self) -> Alike {
        let is_key = self.action == AuditAction::Disclose;
        Alike {
            actor: self.actor.clone(),
            action: self.action,
            kind: self.object.kind.clone(),
            object: is_key.then(|| (self.object.object_uid, self.object.name.clone())),
            result: self.result,
        }
    }

    /// Leaves of what it is about, and of why, what is so of another one too.
    fn join(&mut self, other: &Self) {
        if self.purpose != other.purpose {
            self.purpose = None;
        }
        let other = &other.object;
        if self.object == *other {
            return;
        }
        let namespace = self.object.namespace.take();
        self.object = AuditObject {
            namespace: namespace.filter(|it| other.namespace.as_ref() == Some(it)),
            kind: self.object.kind.take(),
            ..AuditObject::default()
        };
    }
}

/// What makes two refusals alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    actor: AuditActor,
    action: AuditAction,
    kind: Option<String>,
    object: Option<(Option<Uuid>, Option<String>)>,
    result: &'static str,
}

/// Refusals that are alike.
#[derive(Clone, Debug)]
struct Gathered {
    draft: RefusalDraft,
    count: i32,
    first: Timestamp,
    last: Timestamp,
    since: Instant,
}

/// Refusals that wait to be written; a clone shares them.
#[derive(Clone)]
pub struct RefusalLog {
    waiting: Arc<Mutex<HashMap<Alike, Gathered>>>,
    metrics: DisclosureMetrics,
}

impl RefusalLog {
    /// An empty log.
    pub fn new(metrics: DisclosureMetrics) -> Self {
        Self {
            waiting: Arc::default(),
            metrics,
        }
    }

    /// Notes the refusal of a key, which is counted with what became of other requests for keys.
    pub fn note_key(&self, draft: RefusalDraft) {
        self.metrics.ended(draft.result);
        self.note(draft);
    }

    /// Notes a refusal. One that finds too many others waiting is counted, and written nowhere.
    pub fn note(&self, draft: RefusalDraft) {
        let alike = draft.alike();
        let now = Timestamp::now();
        self.put(
            alike,
            Gathered {
                draft,
                count: 1,
                first: now,
                last: now,
                since: Instant::now(),
            },
        );
    }

    fn put(&self, alike: Alike, gathered: Gathered) {
        let mut waiting = self.waiting.lock();
        let full = waiting.len() >= MAX_WAITING;
        match waiting.entry(alike) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.draft.join(&gathered.draft);
                known.count = known.count.saturating_add(gathered.count);
                known.first = known.first.min(gathered.first);
                known.last = known.last.max(gathered.last);
                known.since = known.since.min(gathered.since);
            }
            Entry::Vacant(_) if full => {
                let count = u64::try_from(gathered.count).unwrap_or_default();
                self.metrics.untold.inc_by(count);
            }
            Entry::Vacant(place) => {
                place.insert(gathered);
            }
        }
    }

    /// Writes what has waited long enough, until the token is cancelled; then what is left, if the
    /// database takes it at once.
    pub async fn run(self, db: Db, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = look.tick() => self.write(&db, WINDOW).await,
            }
        }
        let written = tokio::time::timeout(LAST_WORDS, self.write(&db, Duration::ZERO)).await;
        if written.is_err() {
            tracing::warn!("the last refusals could not be written to the audit in time");
        }
    }

    /// Writes what has waited at least this long.
    async fn write(&self, db: &Db, waited: Duration) {
        let ripe = self.take(waited);
        for rows in ripe.chunks(MAX_ROWS) {
            if let Err(error) = self.append(db, rows).await {
                tracing::debug!(%error, "refusals wait for the audit");
            }
        }
    }

    /// Writes these rows, and one by one where one of them cannot be stored. What the database cannot
    /// take now waits again.
    async fn append(&self, db: &Db, rows: &[(Alike, Gathered)]) -> Result<(), DbError> {
        let entries: Vec<_> = rows.iter().map(|(_, gathered)| gathered.entry()).collect();
        let error = match db.audit_append(&entries).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match (&error, rows) {
            (DbError::Unstorable(_), [(_, gathered)]) => {
                tracing::error!(%error, "a refusal cannot be written to the audit");
                let count = u64::try_from(gathered.count).unwrap_or_default();
                self.metrics.untold.inc_by(count);
                Ok(())
            }
            (DbError::Unstorable(_), _) => {
                for (place, row) in rows.iter().enumerate() {
                    let one = Box::pin(self.append(db, std::slice::from_ref(row))).await;
                    if one.is_err() {
                        self.put_back(&rows[place + 1..]);
                        return one;
                    }
                }
                Ok(())
            }
            _ => {
                self.put_back(rows);
                Err(error)
            }
        }
    }

    fn put_back(&self, rows: &[(Alike, Gathered)]) {
        for (alike, gathered) in rows {
            self.put(alike.clone(), gathered.clone());
        }
    }

    fn take(&self, waited: Duration) -> Vec<(Alike, Gathered)> {
        let mut waiting = self.waiting.lock();
        let ripe = |_: &Alike, gathered: &mut Gathered| gathered.since.elapsed() >= waited;
        waiting.extract_if(ripe).collect()
    }
}

impl Gathered {
    fn entry(&self) -> AuditEntry {
        let draft = self.draft.clone();
        let detail = match self.count {
            1 => json!({}),
            _ => json!({ "first": self.first, "last": self.last }),
        };
        AuditEntry {
            action: draft.action,
            result: draft.result.to_owned(),
            actor: draft.actor,
            object: draft.object,
            purpose: draft.purpose,
            count: self.count,
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(actor: &str, result: &'static str) -> RefusalDraft {
        let actor = AuditActor {
            actor: actor.to_owned(),
            ..AuditActor::default()
        };
        RefusalDraft::of_key(actor, Some((Uuid::nil(), "team", "key")), result)
    }

    #[test]
    fn refused_writes_are_one_row_that_names_what_they_have_in_common() {
        let log = RefusalLog::new(DisclosureMetrics::default());
        let note = |actor: &str, namespace: &str, name: String| {
            let mut draft = draft(actor, "Forbidden");
            draft.action = AuditAction::Create;
            draft.object.namespace = Some(namespace.to_owned());
            draft.object.name = Some(name);
            log.note(draft);
        };
        for number in 0..1000 {
            note("a", "team", format!("m{number}"));
            note("b", ["x", "y"][number % 2], "m".to_owned());
        }
        note("c", "team", "m".to_owned());
        note("c", "team", "m".to_owned());
        let mut rows: Vec<_> = (log.take(Duration::ZERO).iter())
            .map(|(_, gathered)| gathered.entry())
            .map(|row| (row.count, row.object.namespace, row.object.name))
            .collect();
        rows.sort();
        let row = |count, namespace: Option<&str>, name: Option<&str>| {
            (count, namespace.map(str::to_owned), name.map(str::to_owned))
        };
        assert_eq!(
            rows,
            [
                row(2, Some("team"), Some("m")),
                row(1000, None, None),
                row(1000, Some("team"), None),
            ]
        );
    }

    #[test]
    fn refusals_that_are_alike_are_one_row_that_counts_them() {
        let log = RefusalLog::new(DisclosureMetrics::default());
        for _ in 0..1000 {
            log.note(draft("a", "Forbidden"));
        }
        log.note(draft("b", "Forbidden"));
        log.note(draft("a", "HostNotAllowed"));
        assert!(log.take(WINDOW).is_empty(), "their window is not over");
        let mut rows: Vec<_> = (log.take(Duration::ZERO).iter())
            .map(|(_, gathered)| gathered.entry())
            .map(|row| (row.actor.actor, row.result, row.count))
            .collect();
        rows.sort();
        let row = |actor: &str, result: &str, count| (actor.to_owned(), result.to_owned(), count);
        assert_eq!(
            rows,
            [
                row("a", "Forbidden", 1000),
                row("a", "HostNotAllowed", 1),
                row("b", "Forbidden", 1)
            ]
        );
        assert!(log.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_purpose_that_not_all_of_them_gave_is_told_of_none() {
        let of = |purposes: &[Option<&str>]| {
            let log = RefusalLog::new(DisclosureMetrics::default());
            for purpose in purposes {
                log.note(RefusalDraft {
                    purpose: purpose.map(str::to_owned),
                    ..draft("a", "Forbidden")
                });
            }
            let [(_, gathered)] = &log.take(Duration::ZERO)[..] else {
                panic!("they are alike");
            };
            gathered.draft.purpose.clone()
        };
        assert_eq!(of(&[Some("x"), Some("x")]), Some("x".to_owned()));
        assert_eq!(of(&[Some("x"), Some("y")]), None);
        assert_eq!(of(&[Some("x"), None]), None);
    }

    #[test]
    fn beyond_the_bound_refusals_are_counted_and_those_that_are_known_still_gathered() {
        let log = RefusalLog::new(DisclosureMetrics::default());
        for number in 0..MAX_WAITING + 5 {
            log.note(draft(&number.to_string(), "Forbidden"));
        }
        log.note(draft("7", "Forbidden"));
        assert_eq!(log.metrics.untold.get(), 5);
        let rows = log.take(Duration::ZERO);
        assert_eq!(rows.len(), MAX_WAITING);
        let twice = rows.iter().find(|(alike, _)| alike.actor.actor == "7");
        assert_eq!(twice.expect("it was noted").1.count, 2);
    }
}
