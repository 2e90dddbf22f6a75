//! What the audit tells of writes.
//!
//! A row that says `Requested` is committed before the cluster is asked for anything, and another with
//! the outcome once that is known; both carry the same `request` in their detail. So a write cannot be
//! missing from the audit, whatever dies when: a request without an outcome tells that the process
//! ended in between, and the cluster's own audit tells the rest. One row behind the write could be
//! lost, and one before it would tell of what may not have happened. Where the first cannot be written
//! nothing is changed.
//!
//! Before all that the write is tried: what the cluster refuses is no write. The audit is told of it as of
//! refused keys, equal ones as one row, so that nobody who may change nothing fills it.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Write;
use super::refusal::Refused;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;
use crate::db::{AuditAction, AuditActor, AuditEntry, AuditObject};
use crate::keys::disclose::RefusalDraft;

/// How often an outcome is tried to be written, a second apart, while PostgreSQL is away.
const ATTEMPTS: u32 = 60;

/// A write that the audit was told of.
pub struct Record {
    state: ApiState,
    entry: AuditEntry,
}

impl Record {
    /// Tells the audit that something is about to be done.
    ///
    /// # Errors
    ///
    /// 503 where it takes no row: nothing may be done then.
    pub async fn begin(
        state: &ApiState,
        caller: &Caller,
        action: AuditAction,
        object: AuditObject,
        mut detail: Map<String, Value>,
    ) -> Result<Self, Problem> {
        let request = Uuid::new_v4().to_string();
        detail.insert("request".to_owned(), request.into());
        let entry = AuditEntry {
            action,
            result: "Requested".to_owned(),
            actor: AuditActor::clone(caller.audit_actor()),
            object,
            purpose: None,
            count: 1,
            detail: detail.into(),
        };
        let asked = std::slice::from_ref(&entry);
        state.db.audit_append(asked).await.map_err(|error| {
            tracing::warn!(%error, "a write cannot be audited");
            Problem::new(
                ProblemType::AuditUnavailable,
                "the audit takes no row now, and nothing is changed without one; try again",
            )
        })?;
        let state = state.clone();
        Ok(Self { state, entry })
    }

    /// Adds to what the outcome's row tells.
    pub fn note(&mut self, name: &str, value: impl Into<Value>) {
        if let Value::Object(detail) = &mut self.entry.detail {
            detail.insert(name.to_owned(), value.into());
        }
    }

    /// Tells the audit what came of it, in one word; of which object, where that was not known before.
    /// Where PostgreSQL is away this goes on in the background.
    pub async fn end(mut self, result: &str, uid: Option<Uuid>) {
        self.entry.result = result.to_owned();
        self.entry.object.object_uid = self.entry.object.object_uid.or(uid);
        if self.tried().await {
            return;
        }
        tokio::spawn(async move {
            for _ in 1..ATTEMPTS {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if self.tried().await {
                    return;
                }
            }
            tracing::error!(
                request = self.entry.detail["request"].as_str(),
                result = self.entry.result,
                "the outcome of a write could not be audited within a minute"
            );
        });
    }

    async fn tried(&self) -> bool {
        let entry = std::slice::from_ref(&self.entry);
        let written = self.state.db.audit_append(entry).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "the outcome of a write cannot be audited yet");
        }
        written.is_ok()
    }
}

impl Write {
    /// Tells the audit of what the cluster refused when it was tried; nobody waits for that. What it did
    /// not answer, or only tried for the caller, is no refusal.
    pub fn note_refusal(&self, action: AuditAction, object: AuditObject, refused: &Refused) {
        let unanswered = matches!(
            refused,
            Refused::Busy(_) | Refused::WebhookFailed(_) | Refused::Failed(_) | Refused::Unanswered
        );
        if self.params.dry_run || unanswered {
            return;
        }
        self.state.writes.refusals.note(RefusalDraft {
            actor: AuditActor::clone(self.caller.audit_actor()),
            action,
            object,
            result: refused.word(),
            purpose: None,
        });
    }
}

/// A write of one object, as the audit tells it.
pub struct Recorded<'a> {
    /// What is done.
    pub action: AuditAction,
    /// To which kind.
    pub kind: Kind,
    /// In which namespace.
    pub namespace: &'a str,
    /// To which object.
    pub name: &'a str,
    /// Its UID, where it is there.
    pub uid: Option<Uuid>,
    /// Names of the fields that change.
    pub fields: Vec<&'static str>,
}

/// What the audit is told of a write that was done.
#[derive(Default)]
pub struct WriteOutcome {
    /// The object's UID, where it was not known before.
    pub uid: Option<Uuid>,
    /// Names of the fields that were changed, where these may be others than those of the request: somebody
    /// may have changed the object in between.
    pub fields: Option<Vec<&'static str>>,
}

impl Recorded<'_> {
    /// Tries it, and does it, before and after telling the audit; `work` is told whether it is to try.
    /// A dry run is no write, and not told.
    ///
    /// # Errors
    ///
    /// 503 where the audit takes no row.
    pub async fn run<T, W>(
        self,
        write: &Write,
        work: impl Fn(bool) -> W,
        outcome: impl Fn(&T) -> WriteOutcome,
    ) -> Result<Result<T, Refused>, Problem>
    where
        W: Future<Output = Result<T, Refused>>,
    {
        let tried = self.tried(write, work(true).await);
        if write.params.dry_run || tried.is_err() {
            return Ok(tried);
        }
        self.done(write, work(false), outcome).await
    }

    /// Does what was tried, before and after telling the audit.
    ///
    /// # Errors
    ///
    /// 503 where the audit takes no row.
    pub async fn done<T>(
        self,
        write: &Write,
        work: impl Future<Output = Result<T, Refused>>,
        outcome: impl Fn(&T) -> WriteOutcome,
    ) -> Result<Result<T, Refused>, Problem> {
        let mut record = self.begin(write).await?;
        let worked = work.await;
        match &worked {
            Ok(done) => {
                let WriteOutcome { uid, fields } = outcome(done);
                if let Some(fields) = fields {
                    record.note("fields", fields);
                }
                record.end("Done", uid).await;
            }
            Err(refused) => record.end(refused.word(), None).await,
        }
        Ok(worked)
    }

    /// What was tried; the audit is told of what was refused.
    pub fn tried<T>(&self, write: &Write, tried: Result<T, Refused>) -> Result<T, Refused> {
        if let Err(refused) = &tried {
            write.note_refusal(self.action, self.object(), refused);
        }
        tried
    }

    fn object(&self) -> AuditObject {
        AuditObject {
            namespace: Some(self.namespace.to_owned()),
            kind: Some(self.kind.kubernetes().to_owned()),
            name: Some(self.name.to_owned()),
            object_uid: self.uid,
            ..AuditObject::default()
        }
    }

    /// Tells the audit that it is about to be done.
    ///
    /// # Errors
    ///
    /// 503 where the audit takes no row.
    pub async fn begin(&self, write: &Write) -> Result<Record, Problem> {
        let object = self.object();
        let mut detail = Map::new();
        if !self.fields.is_empty() {
            detail.insert("fields".to_owned(), self.fields.clone().into());
        }
        if write.force {
            detail.insert("force".to_owned(), true.into());
        }
        Record::begin(&write.state, &write.caller, self.action, object, detail).await
    }
}
