//! Deciding whether a key may leave, by what the database holds at this moment, and recording it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Type};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::audit_log::AuditActor;
use crate::crd::words::words;
use crate::db::types::{MaybeTime, column_words};
use crate::db::{Db, DbError, Revision, WriteTx};

/// A key that someone asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DisclosureRequest {
    /// Who asks.
    #[serde(flatten)]
    pub actor: AuditActor,
    /// UID of the credential.
    #[serde(rename = "object_uid")]
    pub credential_uid: Uuid,
    /// Namespace of the credential, for the audit where it is gone.
    pub namespace: String,
    /// Name of the credential, likewise.
    pub name: String,
    /// The version of the key that was opened.
    pub credential_version: i32,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Why, in the caller's words; at most 256 characters, no NUL.
    pub purpose: Option<String>,
    /// Anything further: an object.
    pub detail: serde_json::Value,
}

/// What the database decided about a key, and recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct DisclosureVerdict {
    /// Whether the key may leave, and if not why.
    pub verdict: Verdict,
    /// Until when it may be used: the credential's expiry, or the end of the grace of a former
    /// version. `None`: nobody set an end.
    pub valid_until: Option<Timestamp>,
    /// Seconds until the quota's next period begins; with [`Verdict::QuotaExhausted`] alone.
    pub retry_after_seconds: Option<i32>,
}

/// Whether a key may leave.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum Verdict {
    /// It may.
    Disclosed,
    /// The credential is not there any more.
    Gone,
    /// The credential, or its provider, is switched off.
    Disabled,
    /// The credential's time is up.
    Expired,
    /// This version, or this key, is not in use any more: another one is, or none.
    Superseded,
    /// The credential's condition `Valid` is False.
    Invalid,
    /// As many keys were given out in this period as its quota allows.
    QuotaExhausted,
    /// The database was restored, and no controller has compared it with the cluster since.
    NotSweptYet,
}

words!(Verdict);
column_words!(Verdict);

impl Db {
    /// Decides about these keys and records each answer, in one transaction; the answers are in the
    /// order of the requests. No key may leave before this has returned, nor where it fails.
    ///
    /// # Errors
    ///
    /// [`DbError::Unstorable`] where a value of one of the requests is refused: none is recorded then.
    /// [`DbError::Unavailable`]: whether they were recorded is unknown.
    pub async fn record_disclosures(
        &self,
        requests: &[DisclosureRequest],
    ) -> Result<Vec<DisclosureVerdict>, DbError> {
        let verdicts = self
            .in_time(async {
                Ok(sqlx::query_as!(
                    DisclosureVerdict,
                    r#"SELECT verdict AS "verdict!: Verdict", valid_until AS "valid_until!: MaybeTime",
                              retry_after_seconds
                       FROM llmplane_fn.record_disclosures($1) ORDER BY item"#,
                    Json(requests) as _,
                )
                .fetch_all(&self.pool)
                .await?)
            })
            .await?;
        match verdicts.len() == requests.len() {
            true => Ok(verdicts),
            false => Err(DbError::Other(format!(
                "{} disclosures were asked for, and {} decided about",
                requests.len(),
                verdicts.len()
            ))),
        }
    }
}

impl WriteTx {
    /// Says that all credentials were compared with the cluster in this very database: keys may
    /// leave it. After a restore it is another database, and none may until this is called again.
    /// `committed` is the newest revision that this process wrote: a database that holds an older one
    /// was put back, and is not marked. Answers whether that is news.
    pub async fn database_mark_swept(&mut self, committed: Revision) -> Result<bool, DbError> {
        let marked = sqlx::query!(
            // A database that was put back under this controller holds an older revision than it wrote.
            "INSERT INTO swept_database AS s (marker) SELECT llmplane_fn.database_marker()
             WHERE (SELECT revision FROM feed) >= $1
             ON CONFLICT (only_row) DO UPDATE SET marker = excluded.marker WHERE s.marker <> excluded.marker",
            committed.0,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        if marked > 0 {
            self.wrote();
        }
        Ok(marked > 0)
    }
}

impl Db {
    /// Whether all credentials were compared with the cluster in this very database, so that keys may
    /// leave it. For the controller's account.
    pub async fn database_is_swept(&self) -> Result<bool, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM swept_database
                       WHERE marker = llmplane_fn.database_marker()) AS "is_swept!""#
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }
}
