//! The audit's row before the key: for all who ask at once one commit. What is stored is read and opened,
//! recorded, and only then released.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::Span;
use uuid::Uuid;

use super::{
    DisclosedKey, DisclosureMetrics, KeyRequest, LateKeyring, Refusal, RefusalDraft, RefusalLog,
    WantedKey,
};
use crate::db::{CurrentKey, Db, DbError, DisclosureRequest, DisclosureVerdict, RequestedKey};
use crate::encryption::{Fingerprint, KeyringHandle, Payload, SecretFields};
use crate::keys::destinations::key_allowed;
use crate::keys::open::open_stored;

/// How long a batch may take in all. PostgreSQL ends its statement after 1.5 s, so that what became
/// of it is known in time.
const BATCH_TIMEOUT: Duration = Duration::from_millis(1700);
/// How many requests of a batch may be refused by themselves, one after the other, before the rest counts as
/// refused too.
pub(super) const REFUSED_IN_A_ROW: usize = 8;
/// Time between two calls for the controller about the same credential.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Credentials that are remembered as told of.
const TOLD: u64 = 10_000;

/// Where stored keys are read and disclosures recorded.
pub trait Ledger: Send + Sync + 'static {
    /// What is stored of the versions in use of these credentials; those that are deleted, or have
    /// none, are left out.
    fn current_keys(
        &self,
        credentials: &[Uuid],
    ) -> impl Future<Output = Result<Vec<CurrentKey>, DbError>> + Send;

    /// Decides about these keys and records each answer, in one transaction.
    fn record(
        &self,
        requests: &[DisclosureRequest],
    ) -> impl Future<Output = Result<Vec<DisclosureVerdict>, DbError>> + Send;

    /// Asks the controller to look at a credential, if that can be done.
    fn request_check(&self, credential: Uuid) -> impl Future<Output = ()> + Send;

    /// What stands for the `fingerprint.key` that stored fingerprints were made with, if that is known.
    fn keyring_check(&self) -> impl Future<Output = Result<Option<Vec<u8>>, DbError>> + Send;
}

impl Ledger for Db {
    async fn current_keys(&self, credentials: &[Uuid]) -> Result<Vec<CurrentKey>, DbError> {
        Db::current_keys(self, credentials).await
    }

    async fn record(
        &self,
        requests: &[DisclosureRequest],
    ) -> Result<Vec<DisclosureVerdict>, DbError> {
        self.record_disclosures(requests).await
    }

    async fn request_check(&self, credential: Uuid) {
        if let Err(error) = self.check_request(credential, "llmplane-api").await {
            tracing::debug!(%credential, %error, "the controller cannot be asked to look at a key");
        }
    }

    async fn keyring_check(&self) -> Result<Option<Vec<u8>>, DbError> {
        Db::keyring_check(self).await
    }
}

/// A request that waits for its answer. Dropping it without one tells the caller that the audit is
/// not available.
pub(super) struct Job {
    pub request: Arc<KeyRequest>,
    pub answer: oneshot::Sender<Result<DisclosedKey, Refusal>>,
    /// The span that it was asked in: of several that share a transaction, that is the first one's.
    pub span: Span,
    /// Whether its key was replaced once already while it was being asked for.
    pub superseded: bool,
}

/// A request whose key is open.
struct Opened {
    job: Job,
    fields: SecretFields,
    row: DisclosureRequest,
}

/// Why a stored key was not opened, with a word for the metrics.
enum NotOpened {
    /// The row is at fault.
    Row(&'static str),
    /// The keyring is, for now; and why.
    Keyring(&'static str, String),
}

/// A key that may go where it is asked for, and its row.
struct Released {
    fields: SecretFields,
    row: Arc<RequestedKey>,
}

/// Why a request does not get as far as the audit.
type Unopened = (Refusal, Option<&'static str>);

/// Works off batches.
pub(super) struct Batcher<L> {
    ledger: L,
    keyring: LateKeyring,
    refusals: RefusalLog,
    metrics: DisclosureMetrics,
    told: Cache<Uuid, ()>,
    /// Whether the last batch could not be recorded.
    lost: AtomicBool,
}

impl<L: Ledger> Batcher<L> {
    pub(super) fn new(
        ledger: L,
        keyring: LateKeyring,
        refusals: RefusalLog,
        metrics: DisclosureMetrics,
    ) -> Self {
        Self {
            ledger,
            keyring,
            refusals,
            metrics,
            told: Cache::builder()
                .max_capacity(TOLD)
                .time_to_live(TOLD_AGAIN_AFTER)
                .build(),
            lost: AtomicBool::new(false),
        }
    }

    /// Answers these requests; those whose key was replaced meanwhile come back, to be tried once
    /// more. Whoever has gone is left out: nothing is recorded of a key that nobody gets.
    pub(super) async fn run(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        jobs.retain(|job| !job.answer.is_closed());
        if jobs.is_empty() {
            return Vec::new();
        }
        let deadline = Instant::now() + BATCH_TIMEOUT;
        let mut asked: Vec<Uuid> = jobs.iter().map(|job| job.request.key.credential).collect();
        asked.sort_unstable();
        asked.dedup();
        let stored = match in_time(deadline, self.ledger.current_keys(&asked)).await {
            Ok(stored) => stored,
            Err(error) => {
                self.fail(jobs, &error);
                return Vec::new();
            }
        };
        let opened = self.open(jobs, stored, deadline).await;
        if opened.is_empty() {
            return Vec::new();
        }
        self.metrics.batch.observe(opened.len() as f64);
        match self.record(&opened, deadline).await {
            Ok(verdicts) => self.release(opened, verdicts),
            Err(error) if error.is_outage() || opened.len() == 1 => {
                self.fail(opened.into_iter().map(|one| one.job), &error);
                Vec::new()
            }
            // Nothing of it was stored, and what is wrong with one request is not the others' fault.
            Err(error) => self.in_halves(opened, error, deadline).await,
        }
    }

    /// Opens what is stored, once for each credential, and refuses what must not go where it is
    /// asked for.
    async fn open(
        &self,
        jobs: Vec<Job>,
        stored: Vec<CurrentKey>,
        deadline: Instant,
    ) -> Vec<Opened> {
        let stored: HashMap<Uuid, CurrentKey> = stored
            .into_iter()
            .map(|key| (key.sealed.credential_uid, key))
            .collect();
        let mut payloads = HashMap::new();
        // By address: all of a batch are there before the first is dropped.
        let mut known: HashMap<usize, Result<Released, Unopened>> = HashMap::new();
        let mut opened = Vec::with_capacity(jobs.len());
        for job in jobs {
            let wanted = &job.request.key;
            let released = match known.entry(Arc::as_ptr(wanted).addr()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let stored = stored.get(&wanted.credential);
                    place.insert(
                        self.release_one(wanted, stored, &mut payloads, deadline)
                            .await,
                    )
                }
            };
            match released {
                Ok(released) => opened.push(Opened {
                    fields: released.fields.clone(),
                    row: DisclosureRequest {
                        actor: job.request.actor.clone(),
                        key: released.row.clone(),
                        purpose: job.request.purpose.clone(),
                    },
                    job,
                }),
                Err((refusal, reason)) => {
                    if let Some(reason) = *reason {
                        self.metrics.unopened(reason);
                    }
                    self.refuse(job, refusal.clone());
                }
            }
        }
        opened
    }

    /// The key of one credential for one endpoint, if it may go there.
    async fn release_one(
        &self,
        wanted: &WantedKey,
        stored: Option<&CurrentKey>,
        payloads: &mut HashMap<(Uuid, String, String), Result<Payload, Unopened>>,
        deadline: Instant,
    ) -> Result<Released, Unopened> {
        let key = stored.ok_or((Refusal::Gone, None))?;
        // Opened as the very credential that the caller has the right to use: a row that was moved to
        // another name does not open.
        let as_which = (
            wanted.credential,
            wanted.namespace.clone(),
            wanted.name.clone(),
        );
        let payload = match payloads.entry(as_which) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.open_one(wanted, key, deadline).await),
        };
        let payload = payload.as_ref().map_err(Clone::clone)?;
        let (type_, hosts) = (&payload.provider_type, &payload.allowed_hosts);
        key_allowed(type_, hosts, wanted.vendor, &wanted.url)
            .map_err(|why| (Refusal::HostNotAllowed(why), None))?;
        Ok(Released {
            fields: payload.fields.clone(),
            row: Arc::new(RequestedKey {
                credential_uid: wanted.credential,
                namespace: wanted.namespace.clone(),
                name: wanted.name.clone(),
                credential_version: key.sealed.version,
                fingerprint: key.fingerprint.clone(),
                detail: wanted.detail.clone(),
            }),
        })
    }

    async fn open_one(
        &self,
        wanted: &WantedKey,
        key: &CurrentKey,
        deadline: Instant,
    ) -> Result<Payload, Unopened> {
        let uid = wanted.credential;
        let (namespace, name) = (&wanted.namespace, &wanted.name);
        let opened = timeout_at(deadline, self.open_stored(wanted, key)).await;
        let error = match opened.unwrap_or_else(|_| Err(late())) {
            Ok(payload) => return Ok(payload),
            Err(error) => error,
        };
        let is_news = !self.told.contains_key(&uid);
        self.told.insert(uid, ());
        match error {
            NotOpened::Row(reason) => {
                if is_news {
                    tracing::error!(%namespace, %name, reason, "a stored key does not authenticate: its row in the database was changed or moved");
                    self.ledger.request_check(uid).await;
                }
                Err((Refusal::Unreadable, Some(reason)))
            }
            NotOpened::Keyring(reason, why) => {
                if is_news {
                    tracing::error!(%namespace, %name, %why, "a stored key cannot be opened now");
                }
                Err((Refusal::KeyringUnavailable, Some(reason)))
            }
        }
    }

    async fn open_stored(
        &self,
        wanted: &WantedKey,
        key: &CurrentKey,
    ) -> Result<Payload, NotOpened> {
        let keyring = self.keyring.get().ok_or_else(|| {
            NotOpened::Keyring("kek-unavailable", "the keyring is not open yet".to_owned())
        })?;
        let (namespace, name) = (&wanted.namespace, &wanted.name);
        let opened = open_stored(keyring, namespace, name, key.sealed.clone()).await;
        let payload = opened.map_err(|error| match error.is_of_the_row() {
            true => NotOpened::Row(error.reason()),
            false => NotOpened::Keyring(error.reason(), error.to_string()),
        })?;
        let fingerprint_key = keyring
            .fingerprint_key()
            .map_err(|error| NotOpened::Keyring("fingerprint-key", error.to_string()))?;
        let fingerprint = Fingerprint::of(&fingerprint_key, wanted.credential, &payload.fields);
        // The audit names the key by its fingerprint, which must be this key's.
        match fingerprint.to_string() == key.fingerprint {
            true => Ok(payload),
            false => Err(self.other_fingerprint(keyring).await),
        }
    }

    /// Whose fault a fingerprint is that is not the stored one: the keyring's, where its `fingerprint.key`
    /// is not the one that stored fingerprints were made with, else the row's.
    async fn other_fingerprint(&self, keyring: &KeyringHandle) -> NotOpened {
        let of_keyring = |why: String| NotOpened::Keyring("fingerprint-key", why);
        match self.ledger.keyring_check().await {
            Ok(Some(check)) => keyring.expect(check),
            Ok(None) => {}
            Err(error) => return of_keyring(error.to_string()),
        }
        match keyring.fingerprint_key() {
            Ok(_) => NotOpened::Row("fingerprint"),
            Err(error) => of_keyring(error.to_string()),
        }
    }

    async fn record(
        &self,
        opened: &[Opened],
        deadline: Instant,
    ) -> Result<Vec<DisclosureVerdict>, DbError> {
        let rows: Vec<DisclosureRequest> = opened.iter().map(|one| one.row.clone()).collect();
        let begun = Instant::now();
        let recorded = in_time(deadline, self.ledger.record(&rows)).await;
        self.metrics
            .recording
            .observe(begun.elapsed().as_secs_f64());
        recorded
    }

    /// Gives each key to who asked for it, where the database lets it go; all others are wiped.
    fn release(&self, opened: Vec<Opened>, verdicts: Vec<DisclosureVerdict>) -> Vec<Job> {
        if self.lost.swap(false, Ordering::Relaxed) {
            tracing::info!("the audit log takes rows again; keys are given out");
        }
        let mut again = Vec::new();
        for (one, decided) in opened.into_iter().zip(verdicts) {
            let Opened {
                mut job,
                fields,
                row,
            } = one;
            match Refusal::of(decided.verdict, decided.retry_after_seconds) {
                None => {
                    self.metrics.ended(decided.verdict.as_str());
                    let key = DisclosedKey {
                        fields,
                        version: row.key.credential_version,
                        valid_until: decided.valid_until,
                    };
                    // Whoever has gone meanwhile gets nothing; the row stands all the same.
                    let _ = job.answer.send(Ok(key));
                }
                Some(Refusal::Superseded) if !job.superseded => {
                    job.superseded = true;
                    again.push(job);
                }
                // Recorded by the database.
                Some(refusal) => {
                    self.metrics.ended(refusal.word());
                    let _ = job.answer.send(Err(refusal));
                }
            }
        }
        again
    }

    /// Records a batch that was refused in halves, and what is refused of them in halves again, until those that the
    /// database does not take stand by themselves: what a few spoil costs the others few commits.
    async fn in_halves(
        &self,
        opened: Vec<Opened>,
        mut error: DbError,
        deadline: Instant,
    ) -> Vec<Job> {
        let (mut again, mut in_a_row) = (Vec::new(), 0);
        let mut waiting = halves(opened);
        while in_a_row < REFUSED_IN_A_ROW && !error.is_outage() {
            let Some(part) = waiting.pop() else { break };
            match self.record(&part, deadline).await {
                Ok(verdicts) => {
                    in_a_row = 0;
                    again.extend(self.release(part, verdicts));
                }
                Err(refused) => {
                    error = refused;
                    if part.len() > 1 {
                        waiting.extend(halves(part));
                    } else {
                        in_a_row += 1;
                        self.fail(part.into_iter().map(|one| one.job), &error);
                    }
                }
            }
        }
        let left = waiting.into_iter().rev().flatten();
        self.fail(left.map(|one| one.job), &error);
        again
    }

    /// No row, no key.
    fn fail(&self, jobs: impl IntoIterator<Item = Job>, error: &DbError) {
        for job in jobs {
            // Said once: one line for each request would bury it.
            if !self.lost.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "the audit log takes no rows; no key is given out");
            }
            self.refuse(job, Refusal::AuditUnavailable);
        }
    }

    /// Refuses a request that the database has recorded nothing of.
    fn refuse(&self, job: Job, refusal: Refusal) {
        let Job {
            request, answer, ..
        } = job;
        let result = refusal.word();
        if answer.send(Err(refusal)).is_ok() {
            self.metrics.ended(result);
            self.refusals.note(RefusalDraft::of(&request, result));
        }
    }
}

/// The second half of these and the first, which is the next to be taken from the end.
fn halves<T>(mut all: Vec<T>) -> Vec<Vec<T>> {
    let second = all.split_off(all.len().div_ceil(2));
    vec![second, all]
}

fn late() -> NotOpened {
    let why = "the source of key-encryption keys does not answer in time";
    NotOpened::Keyring("kek-unavailable", why.to_owned())
}

async fn in_time<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(DbError::Unavailable("no answer in time".to_owned())))
}
