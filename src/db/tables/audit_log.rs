//! Who used which key, and who changed what. Rows are added by the database's own functions; no
//! account but the owner can change or remove one.

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::{Db, DbError};

/// A row of the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Order within the log.
    pub seq: i64,
    /// What was done.
    pub action: String,
    /// Who did it: the Kubernetes user name.
    pub actor: String,
    /// Namespace of the object.
    pub namespace: Option<String>,
    /// Kind of the object.
    pub kind: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// UID of the object.
    pub object_uid: Option<Uuid>,
    /// Version of the key.
    pub credential_version: Option<i32>,
    /// Fingerprint of the key.
    pub fingerprint: Option<String>,
    /// Why, in the caller's words.
    pub purpose: Option<String>,
    /// What came of it.
    pub result: String,
    /// Anything further.
    pub detail: serde_json::Value,
}

impl Db {
    /// The rows before `before` (exclusive), or the newest, newest first.
    pub async fn audit_rows(
        &self,
        before: Option<(Timestamp, i64)>,
        limit: i64,
    ) -> Result<Vec<AuditRow>, DbError> {
        let (at, seq) = before.map_or((None, None), |(at, seq)| (Some(at), Some(seq)));
        self.in_time(async {
            Ok(sqlx::query_as!(
            AuditRow,
            r#"SELECT at, seq, action, actor, namespace, kind, name, object_uid, credential_version,
                      fingerprint, purpose, result, detail
               FROM audit_log
               WHERE $1::timestamptz IS NULL OR (at, seq) < ($1, $2::bigint)
               ORDER BY at DESC, seq DESC LIMIT $3"#,
            at.map(jiff_sqlx::Timestamp::from),
            seq,
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
        })
        .await
    }
}
