//! Who used which key, and who changed what. Rows are added by the database's own functions, each
//! chained to the one before it; no account but the owner can change or remove one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::crd::words::words;
use crate::db::{Db, DbError, WriteTx};

/// Who did something, as the kube-apiserver's TokenReview names him.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditActor {
    /// The user name, for example `system:serviceaccount:team-a:agent`.
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
    /// The token's id (`authentication.kubernetes.io/credential-id`).
    pub token_id: Option<String>,
}

impl AuditActor {
    /// What the controller does by itself.
    pub fn controller() -> Self {
        Self {
            actor: "llmplane-controller".to_owned(),
            ..Self::default()
        }
    }
}

/// What a row of the audit is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditObject {
    /// Namespace of the object.
    pub namespace: Option<String>,
    /// Kind of the object, for example `LlmCredential`.
    pub kind: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// UID of the object.
    pub object_uid: Option<Uuid>,
    /// Version of the key.
    pub credential_version: Option<i32>,
    /// Fingerprint of the key.
    pub fingerprint: Option<String>,
}

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

/// What can be done that the audit tells.
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
pub enum AuditAction {
    /// A key was asked for.
    Disclose,
    /// Keys were used by checks; one row for many.
    Check,
    /// A new version of a key took over.
    Rotate,
    /// Key material was destroyed.
    Revoke,
    /// Key versions were wrapped under another key-encryption key.
    Rewrap,
    /// Another key-encryption key became the active one.
    KeyringActivate,
    /// Someone asked whose key a string is.
    WhoseKey,
    /// The audit was read or exported.
    Read,
    /// Rows older than the retention were removed.
    Prune,
    /// An object was created through the API.
    Create,
    /// An object was changed through the API.
    Update,
    /// An object was deleted through the API.
    Delete,
    /// Objects were imported through the API.
    Import,
}

words!(AuditAction);

/// A row of the audit.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// When, by the database's clock; never before the row before it.
    pub at: Timestamp,
    /// Position in the chain: 1 for the first.
    pub seq: i64,
    /// What was done: a word of [`AuditAction`], or of a later release.
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
            Ok(sqlx::query_as!(
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
            .fetch_all(&self.pool)
            .await?)
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
