//! The re-wrap: after another key-encryption key (KEK) became the active one, every stored version is
//! moved under it, in the background and a little at a time.
//!
//! The work that is left is what the database says: versions under another KEK than the active one. So
//! it goes on after a crash, with another leader, or towards a third KEK, wherever it was. A version is
//! readable throughout: both KEKs are there, and its wrap is replaced in one statement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::controller::{
    error::{Class, Error},
    runtime::{
        context::Context,
        leader,
        metrics::RewrapLabel,
        object_key::{ObjectKey, Wake},
    },
    status::events::{self, EventDraft},
};
use crate::crd::Kind;
use crate::db::{AuditAction, AuditActor, AuditEntry, AuditObject, WrappedVersion};
use crate::encryption::{KekId, KekSource};
use crate::keys::rewrap::{RewrappedBatch, rewrap_batch};

/// Time between two looks at what is left.
const POLL: Duration = Duration::from_secs(5);
/// Time between two passes over versions that could not be moved, while the keyring stays as it is.
const RETRY_PERIOD: Duration = Duration::from_secs(60);
/// Versions of one transaction.
const BATCH: i64 = 100;
/// Least pause between two transactions. It lasts at least as long as the transaction before it, so that
/// the database is at most half busy with this.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// How re-wrapping goes about it.
#[derive(Clone, Debug)]
pub struct RewrapSettings {
    /// For how long a KEK must have been known as the active one before anything is moved under it.
    pub settling: Duration,
    /// Namespace of the Lease that Events are about; `None` where there is no Lease.
    pub lease_namespace: Option<String>,
}

/// Looks after it until `stop`.
///
/// # Errors
/// What must end the process.
pub async fn run(
    context: Arc<Context>,
    settings: RewrapSettings,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut rewrap = Rewrap {
        context: &context,
        settings,
        active: None,
        told_stale: None,
        under_way: false,
        missing: BTreeMap::new(),
        rests: None,
    };
    loop {
        let wait = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            looked = rewrap.look() => match looked {
                Ok(wait) => wait,
                Err(error) if error.class() == Class::Fatal => return Err(error),
                Err(error) => {
                    match &error {
                        Error::Db(lost) if lost.is_outage() => tracing::debug!(%error, "re-wrapping waits for the database"),
                        _ => tracing::warn!(%error, "re-wrapping did not get through; it is tried again"),
                    }
                    POLL
                }
            },
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Rewrap<'a> {
    context: &'a Context,
    settings: RewrapSettings,
    /// The active KEK, as the database has it noted.
    active: Option<KekId>,
    /// The KEK that an earlier leader had and this keyring lacks, as was told last.
    told_stale: Option<String>,
    /// Whether it has begun and not ended, as the database has it noted.
    under_way: bool,
    /// Versions under KEKs that the keyring lacks, by KEK, as was told last.
    missing: BTreeMap<String, i64>,
    /// Until when no further pass is made, and what it must be as it was for that.
    rests: Option<(Instant, Circumstances)>,
}

/// What a pass that left something behind depended on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Circumstances {
    to: KekId,
    known: Vec<KekId>,
    lost: Vec<String>,
}

impl Rewrap<'_> {
    fn keks(&self) -> &dyn KekSource {
        self.context.keyring.keks()
    }

    /// Moves what there is to be moved; answers when to look again.
    async fn look(&mut self) -> Result<Duration, Error> {
        let active = self.keks().active().await?;
        let used = self.context.db.keks_in_use().await?;
        if !self.note_active(active.id, &used).await? {
            self.count_missing().await?;
            return Ok(POLL);
        }
        let to = active.id.to_string();
        let others: Vec<String> = used.into_iter().filter(|kek| *kek != to).collect();
        let lost = self.lost(&others).await?;
        if others.is_empty() {
            self.end(active.id).await?;
            return Ok(POLL);
        }
        let left = self.count(&to).await?;
        let settles = self.settings.settling.saturating_sub(active.known_for);
        if !settles.is_zero() {
            return Ok(settles.min(POLL));
        }
        let now = Circumstances {
            to: active.id,
            known: self.keks().ids().await?,
            lost,
        };
        let rests = self.rests.as_ref();
        if rests.is_some_and(|(until, of)| *of == now && *until > Instant::now()) {
            return Ok(POLL);
        }
        self.rests = None;
        if self.pass(&now, left).await? == Pass::Complete {
            self.rests = Some((Instant::now() + RETRY_PERIOD, now));
        }
        // What is left is looked at again at once: where it is nothing, that is the end.
        Ok(Duration::ZERO)
    }

    /// Notes which KEK is active, and takes up from the database what an earlier leader had begun.
    /// `false`: this process's keyring is older than that leader's, and must not undo what it did.
    async fn note_active(&mut self, active: KekId, used: &[String]) -> Result<bool, Error> {
        if self.active == Some(active) {
            return Ok(true);
        }
        if let Some(newer) = self.newer(used).await? {
            if self.told_stale.replace(newer.clone()).as_ref() != Some(&newer) {
                tracing::warn!(kek = %newer, active = %active, "nothing is re-wrapped: the controller before this one knew another key-encryption key as the active one, stored keys are under it, and this keyring lacks it; put its file there, or where it is lost for good use `llmplane keyring forget --lost`");
            }
            return Ok(false);
        }
        let (context, kek) = (self.context, active.to_string());
        let changed = context.db.write_unversioned(context.epoch, move |tx| {
            Box::pin(async move {
                let changed = tx.rewrap_activate(&kek).await?;
                if changed {
                    let detail = serde_json::json!({ "kek": kek });
                    tx.audit_append(&[done(AuditAction::KeyringActivate, detail)])
                        .await?;
                }
                Ok(changed)
            })
        });
        if changed.await? {
            tracing::info!(kek = %active, "stored versions are to be under this key-encryption key");
        }
        let state = context.db.rewrap_state().await?;
        self.under_way = state.is_some_and(|state| state.is_under_way());
        self.active = Some(active);
        Ok(true)
    }

    /// The KEK that was active for an earlier leader, where something is under it, this keyring lacks it,
    /// and nobody has declared it lost.
    async fn newer(&self, used: &[String]) -> Result<Option<String>, Error> {
        let db = &self.context.db;
        let Some(before) = db.rewrap_state().await?.map(|state| state.active_kek) else {
            return Ok(None);
        };
        let is_there = match before.parse() {
            Ok(id) => self.keks().contains(&id).await?,
            Err(_) => true,
        };
        if is_there || !used.contains(&before) || db.lost_keks().await?.contains(&before) {
            return Ok(None);
        }
        Ok(Some(before))
    }

    /// The KEKs that were declared lost, as far as something is under them and they are not there.
    async fn lost(&self, others: &[String]) -> Result<Vec<String>, Error> {
        let context = self.context;
        let mut lost = Vec::new();
        for kek in context.db.lost_keks().await? {
            let is_there = match kek.parse() {
                Ok(id) => self.keks().contains(&id).await?,
                Err(_) => false,
            };
            if others.contains(&kek) && !is_there {
                lost.push(kek);
                continue;
            }
            let removed = kek.clone();
            let write = context.db.write_unversioned(context.epoch, move |tx| {
                Box::pin(async move { tx.lost_kek_remove(&removed).await })
            });
            write.await?;
            match is_there {
                true => {
                    tracing::info!(%kek, "a key-encryption key that was declared lost is there; it counts as lost no more")
                }
                false => {
                    tracing::info!(%kek, "nothing is stored any more under a key-encryption key that is lost")
                }
            }
        }
        Ok(lost)
    }

    /// Counts what is under KEKs that the keyring lacks.
    async fn count_missing(&self) -> Result<(), Error> {
        let known = self.keks().ids().await?;
        let uses = self.context.db.kek_uses().await?.into_iter();
        let missing = uses.filter(|used| !used.kek_id.parse().is_ok_and(|id| known.contains(&id)));
        let versions = missing.map(|used| used.versions).sum();
        self.context.metrics.versions_without_kek.set(versions);
        Ok(())
    }

    /// Counts what is under other KEKs than the active one.
    async fn count(&self, to: &str) -> Result<BTreeMap<String, i64>, Error> {
        let uses = self.context.db.kek_uses().await?.into_iter();
        let left: BTreeMap<String, i64> = uses
            .filter(|used| used.kek_id != to)
            .map(|used| (used.kek_id, used.versions))
            .collect();
        self.context
            .metrics
            .rewrap_remaining
            .set(left.values().sum());
        Ok(left)
    }

    /// Goes once through all that is left.
    async fn pass(
        &mut self,
        now: &Circumstances,
        left: BTreeMap<String, i64>,
    ) -> Result<Pass, Error> {
        let mut missing = BTreeMap::new();
        for (from, count) in left {
            let id: Option<KekId> = from.parse().ok();
            match id {
                Some(id) if now.known.contains(&id) => {
                    self.begin(now.to, count).await?;
                    if self.move_all(id, now.to).await? == Pass::Overtaken {
                        return Ok(Pass::Overtaken);
                    }
                }
                Some(_) => {
                    if now.lost.contains(&from) {
                        self.hand_over(&from).await?;
                    }
                    missing.insert(from, count);
                }
                // No KEK has such an id: the row was edited.
                None => self.tell_of_credentials(&from).await?,
            }
        }
        self.tell_missing(missing, &now.lost);
        Ok(Pass::Complete)
    }

    /// Moves every version from one KEK to another; but for those that do not authenticate, and those
    /// that somebody else is writing.
    async fn move_all(&self, from: KekId, to: KekId) -> Result<Pass, Error> {
        let (context, from_text) = (self.context, from.to_string());
        let mut after: Option<(Uuid, i32)> = None;
        loop {
            // Nothing is moved under a KEK that is not the active one any more.
            if self.keks().active().await?.id != to {
                return Ok(Pass::Overtaken);
            }
            let began = Instant::now();
            let rows = context.db.wrapped_versions(&from_text, after, BATCH);
            let rows = rows.await?;
            let Some(last) = rows.last() else {
                return Ok(Pass::Complete);
            };
            after = Some((last.credential_uid, last.version));
            let batch = rewrap_batch(self.keks(), (from, to), rows).await?;
            self.store(batch, &from_text, to).await?;
            tokio::time::sleep(began.elapsed().max(MIN_PAUSE)).await;
        }
    }

    async fn store(&self, batch: RewrappedBatch, from: &str, to: KekId) -> Result<(), Error> {
        let (context, metrics) = (self.context, &self.context.metrics);
        let RewrappedBatch { wraps, refused } = batch;
        let (count, from, to) = (wraps.len() as u64, from.to_owned(), to.to_string());
        let replaced = match count {
            0 => 0,
            _ => {
                let write = context.db.write_unversioned(context.epoch, move |tx| {
                    Box::pin(async move { tx.wraps_replace(&from, &to, &wraps).await })
                });
                write.await?
            }
        };
        metrics
            .rewrap_remaining
            .dec_by(i64::try_from(replaced).unwrap_or(0));
        let counted = |result, by| {
            metrics
                .rewrapped
                .get_or_create(&RewrapLabel { result })
                .inc_by(by);
        };
        counted("rewrapped", replaced);
        counted("overtaken", count - replaced);
        counted("refused", refused.len() as u64);
        for (row, why) in refused {
            let WrappedVersion {
                namespace,
                name,
                version,
                ..
            } = row;
            tracing::error!(%namespace, %name, version, %why, "a stored key cannot be re-wrapped; the others go on");
            // Its reconcile seals it anew from its Secret, and tells of it.
            self.wake(&namespace, &name);
        }
        Ok(())
    }

    fn wake(&self, namespace: &str, name: &str) {
        let key = ObjectKey::new(Kind::Credential, namespace, name);
        self.context.waker.wake(Wake::now(key));
    }

    /// Has all credentials with a version under this KEK reconciled, which tells of what does not open.
    async fn tell_of_credentials(&self, kek: &str) -> Result<(), Error> {
        for credential in self.context.db.credentials_under(kek).await? {
            self.wake(&credential.namespace, &credential.name);
        }
        Ok(())
    }

    /// A KEK is lost: the reconciles of what is under it seal it anew from its Secret.
    async fn hand_over(&self, kek: &str) -> Result<(), Error> {
        tracing::warn!(%kek, "a key-encryption key was declared lost: what is stored under it is sealed anew from its Secret");
        self.tell_of_credentials(kek).await
    }

    /// Tells of versions whose KEK is not there, when that changes.
    fn tell_missing(&mut self, missing: BTreeMap<String, i64>, lost: &[String]) {
        let metrics = &self.context.metrics;
        metrics.versions_without_kek.set(missing.values().sum());
        if self.missing == missing {
            return;
        }
        for (kek, versions) in missing.iter().filter(|(kek, _)| !lost.contains(kek)) {
            tracing::error!(%kek, versions, "the keyring lacks a key-encryption key that stored versions need: put its file back; where it is lost for good, `llmplane keyring forget --lost` has them sealed anew from their Secrets");
        }
        self.missing = missing;
    }

    async fn begin(&mut self, to: KekId, count: i64) -> Result<(), Error> {
        if self.under_way {
            return Ok(());
        }
        let context = self.context;
        let started = context.db.write_unversioned(context.epoch, |tx| {
            Box::pin(async move { tx.rewrap_start().await })
        });
        if started.await? {
            tracing::info!(kek = %to, versions = count, "re-wraps stored versions under the active key-encryption key");
            self.announce(
                "RewrapStarted",
                format!("stored versions of keys are re-wrapped under key-encryption key {to}"),
            );
        }
        self.under_way = true;
        Ok(())
    }

    async fn end(&mut self, to: KekId) -> Result<(), Error> {
        self.context.metrics.rewrap_remaining.set(0);
        self.tell_missing(BTreeMap::new(), &[]);
        if !self.under_way {
            return Ok(());
        }
        let (context, kek) = (self.context, to.to_string());
        let ended = context.db.write_unversioned(context.epoch, move |tx| {
            Box::pin(async move {
                let ended = tx.rewrap_end().await?;
                if let Some(rewrapped) = ended {
                    let detail = serde_json::json!({ "kek": kek, "versions": rewrapped });
                    tx.audit_append(&[done(AuditAction::Rewrap, detail)])
                        .await?;
                }
                Ok(ended)
            })
        });
        if let Some(rewrapped) = ended.await? {
            tracing::info!(kek = %to, rewrapped, "every stored version is under the active key-encryption key");
            self.announce("RewrapEnded", format!("every stored version of a key is under key-encryption key {to}; {rewrapped} were re-wrapped"));
        }
        self.under_way = false;
        Ok(())
    }

    /// Publishes an Event about the controller's Lease, where there is one; nobody waits for it.
    fn announce(&self, reason: &str, note: String) {
        let Some(namespace) = self.settings.lease_namespace.clone() else {
            return;
        };
        let draft = EventDraft {
            warning: false,
            reason: reason.to_owned(),
            note,
            apart: true,
        };
        tokio::spawn(announce(self.context.client.clone(), namespace, draft));
    }
}

/// A row of the audit for what the controller did by itself.
fn done(action: AuditAction, detail: serde_json::Value) -> AuditEntry {
    AuditEntry {
        action,
        result: "Done".to_owned(),
        actor: AuditActor::controller(),
        object: AuditObject::default(),
        purpose: None,
        count: 1,
        detail,
    }
}

async fn announce(client: Client, namespace: String, draft: EventDraft) {
    match leader::lease_reference(&client, &namespace).await {
        Ok(lease) => events::announce(client, &lease, draft).await,
        Err(error) => tracing::debug!(%error, "an Event about the Lease was not published"),
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// It came to the end of what there was.
    Complete,
    /// Another KEK became the active one meanwhile.
    Overtaken,
}
