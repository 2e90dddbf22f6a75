//! Rows of the audit, as they are asked for: so many looked at in a page, whatever they are asked for by.

use std::ops::Range;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgValueRef;
use sqlx::{Decode, Executor, Postgres};
use uuid::Uuid;

use super::{AuditAnchor, AuditHead};
use crate::db::{Db, DbError};

/// Rows that are looked at for a page, at most.
const LOOKED_AT: i64 = 5000;

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
    /// Columns that hold what no row was written with, so that it cannot be read: someone edited them. Each
    /// counts as empty, a time as Unix' first second.
    pub unreadable: Vec<&'static str>,
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

/// Rows that were asked for, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditRows {
    /// Those that are what was asked for.
    pub rows: Vec<AuditRow>,
    /// Position before which there are further rows to look at; none: all were.
    pub next: Option<i64>,
}

/// A column that may hold what cannot be read.
pub(super) struct Readable<T>(Option<T>);

impl<'r, T: Decode<'r, Postgres>> Decode<'r, Postgres> for Readable<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(T::decode(value).ok()))
    }
}

impl<T> Readable<T> {
    /// What it holds. What cannot be read is noted by its column's name.
    pub(super) fn or_note(
        self,
        column: &'static str,
        unreadable: &mut Vec<&'static str>,
    ) -> Option<T> {
        if self.0.is_none() {
            unreadable.push(column);
        }
        self.0
    }
}

/// A row as it is stored. Of columns that someone may have edited into what their type does not hold here (a
/// time without end, a NULL in a list) the rest of the row can be read.
struct StoredRow {
    at: Readable<jiff_sqlx::Timestamp>,
    seq: i64,
    action: Readable<String>,
    result: Readable<String>,
    actor: Readable<String>,
    actor_uid: Option<String>,
    actor_groups: Readable<Vec<String>>,
    pod: Option<String>,
    pod_uid: Option<String>,
    node: Option<String>,
    token_id: Option<String>,
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    object_uid: Option<Uuid>,
    credential_version: Option<i32>,
    fingerprint: Option<String>,
    purpose: Option<String>,
    count: Readable<i32>,
    detail: Readable<String>,
    previous_hash: Readable<Vec<u8>>,
    hash: Readable<Vec<u8>>,
    /// Whether it is what is asked for.
    matches: bool,
    /// Whether it is the last that is looked at.
    is_last: bool,
}

impl From<StoredRow> for AuditRow {
    fn from(row: StoredRow) -> Self {
        let mut unreadable = Vec::new();
        let odd = &mut unreadable;
        Self {
            at: row
                .at
                .or_note("at", odd)
                .map_or(Timestamp::UNIX_EPOCH, Into::into),
            seq: row.seq,
            action: row.action.or_note("action", odd).unwrap_or_default(),
            result: row.result.or_note("result", odd).unwrap_or_default(),
            actor: row.actor.or_note("actor", odd).unwrap_or_default(),
            actor_uid: row.actor_uid,
            actor_groups: (row.actor_groups)
                .or_note("actor_groups", odd)
                .unwrap_or_default(),
            pod: row.pod,
            pod_uid: row.pod_uid,
            node: row.node,
            token_id: row.token_id,
            namespace: row.namespace,
            kind: row.kind,
            name: row.name,
            object_uid: row.object_uid,
            credential_version: row.credential_version,
            fingerprint: row.fingerprint,
            purpose: row.purpose,
            count: row.count.or_note("count", odd).unwrap_or_default(),
            detail: row.detail.or_note("detail", odd).unwrap_or_default(),
            previous_hash: (row.previous_hash)
                .or_note("previous_hash", odd)
                .unwrap_or_default(),
            hash: row.hash.or_note("hash", odd).unwrap_or_default(),
            unreadable,
        }
    }
}

/// The rows of `audit_log` from the newest that is asked for on. Each order is an index's own, and what bounds the
/// rows is said by the same columns, so that no plan goes by another index and passes over others' rows.
macro_rules! rows_looked_at {
    ($order:tt, $bounds:tt, $filter:expr, $span:expr, $limit:expr $(, $key:expr)?) => {
        sqlx::query_as!(
            StoredRow,
            r#"SELECT at AS "at: Readable<jiff_sqlx::Timestamp>", seq, action AS "action: Readable<String>",
                      result AS "result: Readable<String>", actor AS "actor: Readable<String>", actor_uid,
                      actor_groups AS "actor_groups: Readable<Vec<String>>", pod, pod_uid, node, token_id,
                      namespace, kind, name, object_uid, credential_version, fingerprint, purpose,
                      count AS "count: Readable<i32>", detail::text AS "detail!: Readable<String>",
                      previous_hash AS "previous_hash: Readable<Vec<u8>>", hash AS "hash: Readable<Vec<u8>>",
                      matches AS "matches!", nth = $1 AS "is_last!"
               FROM (SELECT l.*, row_number() OVER (ORDER BY "# + $order + r#") AS nth,
                         coalesce(($5::text IS NULL OR action = $5) AND ($6::text IS NULL OR result = $6)
                             AND ($7::text IS NULL OR actor = $7) AND ($8::text IS NULL OR kind = $8)
                             AND ($9::text IS NULL OR name = $9) AND ($10::text IS NULL OR namespace = $10)
                             AND ($11::integer IS NULL OR credential_version = $11), false) AS matches
                     FROM audit_log l WHERE "# + $bounds + r#"
                     ORDER BY "# + $order + r#" LIMIT $1) looked_at
               WHERE matches OR nth = $1
               ORDER BY "# + $order + r#" LIMIT $2"#,
            LOOKED_AT,
            $limit,
            $span.start,
            $span.end,
            $filter.action,
            $filter.result,
            $filter.actor,
            $filter.kind,
            $filter.name,
            $filter.namespace,
            $filter.credential_version,
            $($key,)?
        )
    };
}

/// A page of what was looked at.
fn page(stored: Vec<StoredRow>, limit: usize) -> AuditRows {
    let stopped_at = stored.last().filter(|row| row.is_last).map(|row| row.seq);
    let matching = stored.into_iter().filter(|row| row.matches);
    let mut rows: Vec<AuditRow> = matching.map(AuditRow::from).collect();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(last) if has_more => Some(last.seq),
        _ => stopped_at,
    };
    AuditRows { rows, next }
}

impl Db {
    /// Rows before the position `before` (exclusive), or the newest, newest first: at most `limit`. It looks at 5000
    /// rows of the object, of the namespace, or of all, and for as long as `look_for` at 5000 more where the page is
    /// not full yet: there may be none here, and others before.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: usize,
        look_for: Duration,
    ) -> Result<AuditRows, DbError> {
        let begun = Instant::now();
        let mut span = self.audit_span(filter, before).await?;
        let mut rows = Vec::new();
        loop {
            let found = self.looked_at(filter, &span, limit - rows.len()).await?;
            rows.extend(found.rows);
            match found.next {
                Some(next) if rows.len() < limit && begun.elapsed() < look_for => span.end = next,
                next => return Ok(AuditRows { rows, next }),
            }
        }
    }

    /// The same, for who may wait until all were looked at.
    pub async fn audit_rows(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, DbError> {
        let page = self.audit_page(filter, before, limit, Duration::MAX);
        Ok(page.await?.rows)
    }

    /// The positions to look at.
    async fn audit_span(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
    ) -> Result<Range<i64>, DbError> {
        let mut span = i64::MIN..before.unwrap_or(i64::MAX);
        if let Some(until) = filter.until {
            span.end = span.end.min(self.audit_position_at(until).await?);
        }
        if let Some(since) = filter.since {
            span.start = self.audit_position_at(since).await?;
        }
        Ok(span)
    }

    /// Rows of these positions, of the newest 5000 that are looked at: at most `limit`.
    async fn looked_at(
        &self,
        filter: &AuditFilter,
        span: &Range<i64>,
        limit: usize,
    ) -> Result<AuditRows, DbError> {
        // One more than asked for tells whether there are others.
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.in_time(async {
            let pool = &self.pool;
            let stored = if let Some(uid) = filter.object_uid {
                rows_looked_at!(
                    "object_uid DESC, seq DESC",
                    "(object_uid, seq) < ($12::uuid, $4::bigint) AND (object_uid, seq) >= ($12::uuid, $3::bigint)",
                    filter,
                    span,
                    most,
                    uid
                )
                .fetch_all(pool)
                .await?
            } else if filter.namespace.is_some() {
                rows_looked_at!(
                    "namespace DESC, seq DESC",
                    "(namespace, seq) < ($10::text, $4::bigint) AND (namespace, seq) >= ($10::text, $3::bigint)",
                    filter,
                    span,
                    most
                )
                .fetch_all(pool)
                .await?
            } else {
                rows_looked_at!(
                    "seq DESC",
                    "seq < $4::bigint AND seq >= $3::bigint",
                    filter,
                    span,
                    most
                )
                .fetch_all(pool)
                .await?
            };
            Ok(page(stored, limit))
        })
        .await
    }

    /// Position of the first row of this moment or later; behind the newest one, where there is none. Times do not go
    /// back within the chain.
    async fn audit_position_at(&self, moment: Timestamp) -> Result<i64, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"WITH RECURSIVE search (low, high) AS (
                       SELECT coalesce((SELECT seq FROM audit_log ORDER BY seq LIMIT 1), 1), (SELECT seq + 1 FROM audit_head)
                       UNION ALL
                       SELECT CASE WHEN probe.at < $1 THEN probe.seq + 1 ELSE s.low END,
                           CASE WHEN probe.at < $1 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
                       FROM search s LEFT JOIN LATERAL (
                           SELECT at, seq FROM audit_log
                           WHERE seq >= s.low + (s.high - s.low) / 2 AND seq < s.high
                           ORDER BY seq LIMIT 1) probe ON true
                       WHERE s.low < s.high)
                   SELECT low AS "low!" FROM search WHERE low >= high"#,
                jiff_sqlx::Timestamp::from(moment) as _,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }

    /// Rows behind the position `after` (exclusive), oldest first: at most `limit`.
    pub async fn audit_rows_after(&self, after: i64, limit: i64) -> Result<Vec<AuditRow>, DbError> {
        self.in_time(async { rows_after(&self.pool, after, limit).await })
            .await
    }

    /// The audit as it is at one moment, for who reads all of it.
    pub async fn audit_reader(&self) -> Result<AuditReader, DbError> {
        self.in_time(async {
            let mut tx = self.pool.begin().await?;
            sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                .execute(&mut *tx)
                .await?;
            // Before anything is read: rows that go with their table are gone for every transaction.
            tx.execute("LOCK TABLE audit_log IN ACCESS SHARE MODE")
                .await?;
            Ok(AuditReader { tx })
        })
        .await
    }
}

/// Rows behind a position, oldest first: `limit`, and all others that have the position of the last one, for nothing
/// but the chain itself says that there is one of each.
async fn rows_after(
    executor: impl sqlx::PgExecutor<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditRow>, DbError> {
    let rows = sqlx::query_as!(
        StoredRow,
        r#"SELECT at AS "at: Readable<jiff_sqlx::Timestamp>", seq, action AS "action: Readable<String>",
                  result AS "result: Readable<String>", actor AS "actor: Readable<String>", actor_uid,
                  actor_groups AS "actor_groups: Readable<Vec<String>>", pod, pod_uid, node, token_id,
                  namespace, kind, name, object_uid, credential_version, fingerprint, purpose,
                  count AS "count: Readable<i32>", detail::text AS "detail!: Readable<String>",
                  previous_hash AS "previous_hash: Readable<Vec<u8>>", hash AS "hash: Readable<Vec<u8>>",
                  true AS "matches!", false AS "is_last!"
           FROM audit_log WHERE seq > $1 ORDER BY seq FETCH FIRST ($2::bigint) ROWS WITH TIES"#,
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(AuditRow::from).collect())
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
    /// position of the last one.
    pub async fn rows(&mut self, after: i64, limit: i64) -> Result<Vec<AuditRow>, DbError> {
        rows_after(&mut *self.tx, after, limit).await
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
