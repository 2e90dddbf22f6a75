//! What is written of the audit: rows that are appended, anchors of the chain's head, and the removal of old rows.

use serde::Serialize;
use sqlx::types::Json;

use super::{AuditAction, AuditActor, AuditHead, AuditObject};
use crate::db::{Db, DbError, WriteTx};

/// A row to be appended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEntry {
    /// What was done.
    pub action: AuditAction,
    /// What came of it, in one word: `Done`, or the reason of a refusal.
    pub result: String,
    /// Who did it.
    #[serde(flatten)]
    pub actor: AuditActor,
    /// What with.
    #[serde(flatten)]
    pub object: AuditObject,
    /// Why, in the caller's words; at most 256 characters.
    pub purpose: Option<String>,
    /// How many equal requests it stands for; at least 1.
    pub count: i32,
    /// Anything further: an object.
    pub detail: serde_json::Value,
}

impl Db {
    /// Moves rows that committed transactions left into the chain, at most `batch`. Answers how many.
    pub async fn audit_flush(&self, batch: i32) -> Result<i32, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT llmplane_fn.flush_audit_outbox($1) AS "moved!""#,
                batch
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }

    /// Appends these rows, in order, in one transaction. Answers the last one's position.
    pub async fn audit_append(&self, entries: &[AuditEntry]) -> Result<i64, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT llmplane_fn.append_audit($1) AS "seq!""#,
                Json(entries) as _,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }
}

impl WriteTx {
    /// Leaves these rows to be appended, in order, once the transaction is committed; see
    /// [`Db::audit_flush`].
    pub async fn audit_append(&mut self, entries: &[AuditEntry]) -> Result<(), DbError> {
        for entry in entries {
            sqlx::query!(
                "INSERT INTO audit_outbox (entry) VALUES ($1)",
                Json(entry) as _,
            )
            .execute(&mut *self.tx)
            .await?;
            self.wrote();
        }
        Ok(())
    }

    /// Leaves a row for the audit of each key version that checks used on the days (UTC) that have
    /// ended since this was last called. Answers how many.
    pub async fn audit_checks(&mut self) -> Result<u64, DbError> {
        let told = sqlx::query_scalar!(r#"SELECT llmplane_fn.audit_checks() AS "told!""#)
            .fetch_one(&mut *self.tx)
            .await?;
        if told > 0 {
            self.wrote();
        }
        Ok(u64::try_from(told).unwrap_or_default())
    }

    /// Stores what the head of the chain is at this moment. One that is there stays.
    pub async fn audit_anchor_insert(
        &mut self,
        head: &AuditHead,
        mac: &[u8],
    ) -> Result<(), DbError> {
        sqlx::query!(
            "INSERT INTO audit_anchors (seq, hash, mac) VALUES ($1, $2, $3) ON CONFLICT (seq) DO NOTHING",
            head.seq,
            head.hash,
            mac,
        )
        .execute(&mut *self.tx)
        .await?;
        self.wrote();
        Ok(())
    }

    /// Removes rows that are older than the table `retention` says (400 days unless an administrator
    /// changed it), at most `batch` of them beside whole months. Answers whether there are more.
    pub async fn audit_prune(&mut self, batch: i32) -> Result<bool, DbError> {
        let more = sqlx::query_scalar!(r#"SELECT llmplane_fn.prune_audit($1) AS "more!""#, batch)
            .fetch_one(&mut *self.tx)
            .await?;
        self.wrote();
        Ok(more)
    }
}
