//! The chain's head and its anchors, and whose rows a name means.

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::{Db, DbError};

/// The newest row of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Its position; 0 before the first.
    pub seq: i64,
    /// Its hash, 32 bytes.
    pub hash: Vec<u8>,
}

/// What the chain's head was at a moment, sealed with a key that the database does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAnchor {
    /// Position of the head.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// HMAC of both.
    pub mac: Vec<u8>,
    /// When it was made.
    pub at: Timestamp,
}

impl Db {
    /// The newest row's position and hash.
    pub async fn audit_head(&self) -> Result<AuditHead, DbError> {
        self.in_time(async {
            Ok(
                sqlx::query_as!(AuditHead, "SELECT seq, hash FROM audit_head")
                    .fetch_one(&self.pool)
                    .await?,
            )
        })
        .await
    }

    /// The hash of the row at this position, and the oldest position that is there.
    pub async fn audit_hash_at(&self, seq: i64) -> Result<(Option<Vec<u8>>, Option<i64>), DbError> {
        self.in_time(async {
            let found = sqlx::query!(
                "SELECT (SELECT hash FROM audit_log WHERE seq = $1 LIMIT 1) AS hash,
                        (SELECT seq FROM audit_log ORDER BY seq LIMIT 1) AS oldest",
                seq,
            )
            .fetch_one(&self.pool)
            .await?;
            Ok((found.hash, found.oldest))
        })
        .await
    }

    /// The newest anchor.
    pub async fn audit_anchor_newest(&self) -> Result<Option<AuditAnchor>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                AuditAnchor,
                "SELECT seq, hash, mac, at FROM audit_anchors ORDER BY seq DESC LIMIT 1",
            )
            .fetch_optional(&self.pool)
            .await?)
        })
        .await
    }

    /// UID of the credential of this name: the live one, else the one that was deleted last.
    pub async fn credential_uid(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Uuid>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT coalesce(
                       (SELECT uid FROM credentials WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL),
                       (SELECT uid FROM credentials WHERE namespace COLLATE "C" = $1 AND name COLLATE "C" = $2
                            AND deleted_at IS NOT NULL ORDER BY deleted_at DESC LIMIT 1))"#,
                namespace,
                name,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }
}
