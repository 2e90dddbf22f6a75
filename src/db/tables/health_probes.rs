//! Every check that was made, for history and for the scheduler after a restart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::crd::words::words;
use crate::db::types::column_words;
use crate::db::{Db, DbError, WriteTx};

/// What was checked.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum CheckKind {
    /// Whether an endpoint answers.
    Probe,
    /// Whether the vendor takes a key, at one endpoint.
    Validation,
    /// Reading the vendor's model list, at one endpoint.
    ModelList,
    /// Whether a model answers.
    ModelTest,
    /// Whether the vendor exchanges a ServiceAccount's token.
    Exchange,
}

words!(CheckKind);
column_words!(CheckKind);

/// A check to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewProbe {
    /// When it ended.
    pub checked_at: Timestamp,
    /// The object that was checked.
    pub subject: Uuid,
    /// What was checked.
    pub kind: CheckKind,
    /// The endpoint at which, where that is not the subject.
    pub endpoint_uid: Option<Uuid>,
    /// Fingerprint of the key that was used.
    pub fingerprint: Option<String>,
    /// What was found: a reason of a condition.
    pub reason: String,
    /// Whether it passed; `None`: it proved nothing.
    pub success: Option<bool>,
    /// In our words.
    pub message: String,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// HTTP status of the vendor's answer, if there was one.
    pub http_status: Option<i32>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
}

/// A check that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeRow {
    /// Order among checks that ended at the same moment.
    pub id: i64,
    /// When it ended.
    pub checked_at: Timestamp,
    /// The object that was checked.
    pub subject: Uuid,
    /// What was checked.
    pub kind: CheckKind,
    /// The endpoint at which, where that is not the subject.
    pub endpoint_uid: Option<Uuid>,
    /// Fingerprint of the key that was used.
    pub fingerprint: Option<String>,
    /// What was found.
    pub reason: String,
    /// Whether it passed; `None`: it proved nothing.
    pub success: Option<bool>,
    /// In our words.
    pub message: String,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// HTTP status of the vendor's answer, if there was one.
    pub http_status: Option<i32>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
}

impl ProbeRow {
    /// Where the history goes on after this row.
    pub fn cursor(&self) -> ProbeCursor {
        ProbeCursor {
            checked_at: self.checked_at,
            id: self.id,
        }
    }
}

/// A place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeCursor {
    /// Time of the last row seen.
    pub checked_at: Timestamp,
    /// Its id.
    pub id: i64,
}

/// The newest check of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// The object that was checked.
    pub subject: Uuid,
    /// What was checked.
    pub kind: CheckKind,
    /// The endpoint at which, where that is not the subject.
    pub endpoint_uid: Option<Uuid>,
    /// Fingerprint of the key that was used.
    pub fingerprint: Option<String>,
    /// When it ended.
    pub checked_at: Timestamp,
    /// What was found.
    pub reason: String,
    /// Whether it passed; `None`: it proved nothing.
    pub success: Option<bool>,
}

impl WriteTx {
    /// Records a check. It takes no revision.
    pub async fn health_probe_insert(&mut self, probe: &NewProbe) -> Result<(), DbError> {
        sqlx::query!(
            r#"INSERT INTO health_probes (checked_at, subject, kind, endpoint_uid, fingerprint,
                   reason, success, message, latency_ms, http_status, request_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
            jiff_sqlx::Timestamp::from(probe.checked_at),
            probe.subject,
            probe.kind.as_str(),
            probe.endpoint_uid,
            probe.fingerprint,
            probe.reason,
            probe.success,
            probe.message,
            probe.latency_ms,
            probe.http_status,
            probe.request_id,
        )
        .execute(&mut *self.tx)
        .await?;
        self.wrote();
        Ok(())
    }
}

impl Db {
    /// Checks of one kind of an object, newest first, from after `cursor` on.
    pub async fn check_history(
        &self,
        subject: Uuid,
        kind: CheckKind,
        cursor: Option<ProbeCursor>,
        limit: i64,
    ) -> Result<Vec<ProbeRow>, DbError> {
        let after = cursor.map(|cursor| jiff_sqlx::Timestamp::from(cursor.checked_at));
        self.in_time(async {
            Ok(sqlx::query_as!(
            ProbeRow,
            r#"SELECT id, checked_at, subject, kind AS "kind: CheckKind", endpoint_uid, fingerprint,
                      reason, success, message, latency_ms, http_status, request_id
               FROM health_probes
               WHERE subject = $1 AND kind = $2
                 AND ($3::timestamptz IS NULL OR (checked_at, id) < ($3, $4::bigint))
               ORDER BY checked_at DESC, id DESC LIMIT $5"#,
            subject,
            kind.as_str(),
            after,
            cursor.map(|cursor| cursor.id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
        })
        .await
    }

    /// Probes of an endpoint, newest first, from after `cursor` on.
    pub async fn health_history(
        &self,
        endpoint: Uuid,
        cursor: Option<ProbeCursor>,
        limit: i64,
    ) -> Result<Vec<ProbeRow>, DbError> {
        self.check_history(endpoint, CheckKind::Probe, cursor, limit)
            .await
    }

    /// The newest check of every target (kind, endpoint, fingerprint) of these objects.
    ///
    /// It skips from target to target in the index, so that it costs by targets, not by checks.
    pub async fn last_checks(&self, subjects: &[Uuid]) -> Result<Vec<LastCheck>, DbError> {
        self.in_time(async { Ok(sqlx::query_as!(
            LastCheck,
            r#"WITH RECURSIVE target AS (
                   SELECT s.subject, first.* FROM unnest($1::uuid[]) AS s (subject)
                   CROSS JOIN LATERAL (
                       SELECT kind, coalesce(endpoint_uid, '00000000-0000-0000-0000-000000000000'::uuid) AS endpoint,
                              coalesce(fingerprint, '') AS fingerprint
                       FROM health_probes p WHERE p.subject = s.subject
                       ORDER BY p.subject, 1, 2, 3 LIMIT 1) AS first
                 UNION ALL
                   SELECT target.subject, following.* FROM target
                   CROSS JOIN LATERAL (
                       SELECT kind, coalesce(endpoint_uid, '00000000-0000-0000-0000-000000000000'::uuid) AS endpoint,
                              coalesce(fingerprint, '') AS fingerprint
                       FROM health_probes p
                       WHERE p.subject = target.subject
                         AND (kind, coalesce(endpoint_uid, '00000000-0000-0000-0000-000000000000'::uuid), coalesce(p.fingerprint, ''))
                             > (target.kind, target.endpoint, target.fingerprint)
                       ORDER BY p.subject, 1, 2, 3 LIMIT 1) AS following
               )
               SELECT newest.subject AS "subject!", newest.kind AS "kind!: CheckKind",
                      newest.endpoint_uid, newest.fingerprint, newest.checked_at AS "checked_at!",
                      newest.reason AS "reason!", newest.success
               FROM target CROSS JOIN LATERAL (
                   SELECT * FROM health_probes p
                   WHERE p.subject = target.subject AND p.kind = target.kind
                     AND coalesce(p.endpoint_uid, '00000000-0000-0000-0000-000000000000'::uuid) = target.endpoint
                     AND coalesce(p.fingerprint, '') = target.fingerprint
                   ORDER BY p.checked_at DESC LIMIT 1) AS newest"#,
            subjects,
        )
        .fetch_all(&self.pool)
        .await?) }).await
    }
}
