//! What is read of the audit: rows as they are asked for, who holds which key, the chain's head and its anchors; and
//! all of it as it was at one moment.

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::{Db, DbError};

/// A row of the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// When, by the database's clock; never before the row before it.
    pub at: Timestamp,
    /// Position in the chain: 1 for the first.
    pub seq: i64,
    /// What was done: a word of [`AuditAction`](super::AuditAction), or of a later release.
    pub action: String,
    /// What came of it.
    pub result: String,
    /// Who did it: the Kubernetes user name.
    pub actor: String,
    /// The user's UID.
    pub actor_uid: Option<String>,
    /// The user's groups.
    pub actor_groups: Vec<String>,
    /// The pod that the token is bound to.
    pub pod: Option<String>,
    /// UID of that pod.
    pub pod_uid: Option<String>,
    /// The node that the pod runs on.
    pub node: Option<String>,
    /// The token's id.
    pub token_id: Option<String>,
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
    /// How many equal requests it stands for.
    pub count: i32,
    /// Anything further: the text of a JSON object, as it was hashed.
    pub detail: String,
    /// Hash of the row before it, 32 bytes.
    pub previous_hash: Vec<u8>,
    /// SHA-256 of this row.
    pub hash: Vec<u8>,
}

/// Which rows are asked for. What is `None` leaves out nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditFilter {
    /// Rows about this namespace.
    pub namespace: Option<String>,
    /// Rows with this action.
    pub action: Option<String>,
    /// Rows with this result.
    pub result: Option<String>,
    /// Rows of this user.
    pub actor: Option<String>,
    /// Rows about objects of this kind.
    pub kind: Option<String>,
    /// Rows about objects of this name.
    pub name: Option<String>,
    /// Rows about this object.
    pub object_uid: Option<Uuid>,
    /// Rows about this version of a key.
    pub credential_version: Option<i32>,
    /// Rows from this moment on.
    pub since: Option<Timestamp>,
    /// Rows before this moment.
    pub until: Option<Timestamp>,
}

/// Someone who was given a key, and which version of it last.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialHolder {
    /// The user name.
    pub actor: String,
    /// The pod that its token was bound to; none: a token of no pod.
    pub pod: Option<String>,
    /// UID of that pod.
    pub pod_uid: Option<String>,
    /// The node that the pod ran on.
    pub node: Option<String>,
    /// The version that it was given last.
    pub version: i32,
    /// Fingerprint of that version.
    pub fingerprint: String,
    /// Why, in its words, that last time.
    pub purpose: Option<String>,
    /// When that was.
    pub last_at: Timestamp,
    /// The row of the audit that says so.
    pub seq: i64,
}

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
    /// Rows before the position `before` (exclusive), or the newest, newest first.
    pub async fn audit_rows(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditRow>, DbError> {
        self.in_time(async {
            // By the index of what is asked for: a plan for any filter would go through all that was ever recorded.
            let begin = "BEGIN; SET LOCAL plan_cache_mode = 'force_custom_plan'";
            let mut tx = self.pool.begin_with(begin).await?;
            let rows = sqlx::query_as!(
                AuditRow,
                r#"SELECT at, seq, action, result, actor, actor_uid, actor_groups, pod, pod_uid, node, token_id,
                          namespace, kind, name, object_uid, credential_version, fingerprint, purpose, count,
                          detail::text AS "detail!", previous_hash, hash
                   FROM audit_log
                   WHERE ($1::bigint IS NULL OR seq < $1)
                     AND ($2::text IS NULL OR namespace = $2)
                     AND ($3::text IS NULL OR action = $3)
                     AND ($4::text IS NULL OR result = $4)
                     AND ($5::text IS NULL OR actor = $5)
                     AND ($6::text IS NULL OR kind = $6)
                     AND ($7::text IS NULL OR name = $7)
                     AND ($8::uuid IS NULL OR object_uid = $8)
                     AND ($9::timestamptz IS NULL OR at >= $9)
                     AND ($10::timestamptz IS NULL OR at < $10)
                     AND ($12::integer IS NULL OR credential_version = $12)
                   ORDER BY seq DESC LIMIT $11"#,
                before,
                filter.namespace,
                filter.action,
                filter.result,
                filter.actor,
                filter.kind,
                filter.name,
                filter.object_uid,
                filter.since.map(jiff_sqlx::Timestamp::from) as _,
                filter.until.map(jiff_sqlx::Timestamp::from) as _,
                limit,
                filter.credential_version,
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
    }

    /// The audit as it is at one moment, for who reads all of it.
    pub async fn audit_reader(&self) -> Result<AuditReader, DbError> {
        self.in_time(async {
            let mut tx = self.pool.begin().await?;
            sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                .execute(&mut *tx)
                .await?;
            Ok(AuditReader { tx })
        })
        .await
    }

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

    /// Who was given which version of a credential's key last: one row for each user and pod, the
    /// latest first; at most `limit`.
    pub async fn credential_holders(
        &self,
        credential: Uuid,
        limit: i64,
    ) -> Result<Vec<CredentialHolder>, DbError> {
        self.in_time(async {
            // From holder to holder, not through all that each was ever given.
            Ok(sqlx::query_as!(
                CredentialHolder,
                r#"WITH RECURSIVE holder AS (
                       (SELECT actor, coalesce(pod_uid, '') AS held_by, seq FROM audit_log
                        WHERE object_uid = $1 AND action = 'Disclose' AND result = 'Disclosed'
                        ORDER BY actor, coalesce(pod_uid, ''), seq DESC LIMIT 1)
                       UNION ALL
                       SELECT n.actor, n.held_by, n.seq FROM holder h CROSS JOIN LATERAL (
                           SELECT actor, coalesce(pod_uid, '') AS held_by, seq FROM audit_log
                           WHERE object_uid = $1 AND action = 'Disclose' AND result = 'Disclosed'
                             AND (actor, coalesce(pod_uid, '')) > (h.actor, h.held_by)
                           ORDER BY actor, coalesce(pod_uid, ''), seq DESC LIMIT 1) n)
                   SELECT l.actor, l.pod, l.pod_uid, l.node, l.credential_version AS "version!",
                          l.fingerprint AS "fingerprint!", l.purpose, l.at AS "last_at", l.seq
                   FROM holder h JOIN audit_log l ON l.seq = h.seq
                   ORDER BY l.seq DESC LIMIT $2"#,
                credential,
                limit,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }
}

/// One state of the audit, whatever is appended or removed meanwhile. To be read on without a
/// pause: the server ends a transaction that is idle for 5 s.
pub struct AuditReader {
    tx: sqlx::Transaction<'static, sqlx::Postgres>,
}

impl AuditReader {
    /// The newest row's position and hash.
    pub async fn head(&mut self) -> Result<AuditHead, DbError> {
        Ok(
            sqlx::query_as!(AuditHead, "SELECT seq, hash FROM audit_head")
                .fetch_one(&mut *self.tx)
                .await?,
        )
    }

    /// Rows behind the position `after` (exclusive), oldest first: `limit`, and all others that have the
    /// position of the last one, for nothing but the chain itself says that there is one of each.
    pub async fn rows(&mut self, after: i64, limit: i64) -> Result<Vec<AuditRow>, DbError> {
        Ok(sqlx::query_as!(
            AuditRow,
            r#"SELECT at, seq, action, result, actor, actor_uid, actor_groups, pod, pod_uid, node, token_id,
                      namespace, kind, name, object_uid, credential_version, fingerprint, purpose, count,
                      detail::text AS "detail!", previous_hash, hash
               FROM audit_log WHERE seq > $1 ORDER BY seq FETCH FIRST ($2::bigint) ROWS WITH TIES"#,
            after,
            limit,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// The anchors behind this position (exclusive), oldest first.
    pub async fn anchors(&mut self, after: i64, limit: i64) -> Result<Vec<AuditAnchor>, DbError> {
        Ok(sqlx::query_as!(
            AuditAnchor,
            "SELECT seq, hash, mac, at FROM audit_anchors WHERE seq > $1 ORDER BY seq LIMIT $2",
            after,
            limit,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }
}
