//! Which key-encryption keys (KEKs) wrap the stored versions, how far moving them under the active
//! one has come, and which of those keys are lost.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::credential::VersionState;
use crate::db::types::MaybeTime;
use crate::db::{Db, DbError, LiveObject, SealedVersion, WriteTx};

/// A stored version's wrapped data key, and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedVersion {
    /// The credential.
    pub credential_uid: Uuid,
    /// The version.
    pub version: i32,
    /// The credential's namespace.
    pub namespace: String,
    /// The credential's name.
    pub name: String,
    /// The data key, wrapped.
    pub wrapped_key: Vec<u8>,
}

impl fmt::Debug for WrappedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedVersion")
            .field("credential_uid", &self.credential_uid)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A data key that was wrapped anew, and the wrap that it is to replace.
#[derive(Clone, PartialEq, Eq)]
pub struct NewWrap {
    /// The credential.
    pub credential_uid: Uuid,
    /// The version.
    pub version: i32,
    /// The wrap as it was read.
    pub old: Vec<u8>,
    /// The wrap under the new key.
    pub new: Vec<u8>,
}

impl fmt::Debug for NewWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewWrap")
            .field("credential_uid", &self.credential_uid)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A stored version with its sealed material, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The credential's namespace.
    pub namespace: String,
    /// The credential's name.
    pub name: String,
    /// Fingerprint of the key, as the row has it.
    pub fingerprint: String,
    /// The sealed material.
    pub sealed: SealedVersion,
}

/// A version under a key-encryption key, and what is said of its credential.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyUnder {
    /// The credential's namespace.
    pub namespace: String,
    /// The credential's name.
    pub name: String,
    /// The version.
    pub version: i32,
    /// Its state.
    pub state: VersionState,
    /// Until when it may be used, where that is decided.
    pub grace_until: Option<Timestamp>,
    /// The credential's conditions.
    pub conditions: Vec<Condition>,
}

/// How many stored versions a key-encryption key wraps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekUse {
    /// The key's id, as it is stored.
    pub kek_id: String,
    /// Versions under it, without destroyed ones.
    pub versions: i64,
}

/// How far re-wrapping has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrapState {
    /// The key that the controller knows as the active one.
    pub active_kek: String,
    /// Since when, by the database's clock.
    pub active_since: Timestamp,
    /// When re-wrapping under it began; `None` where it did not yet.
    pub started_at: Option<Timestamp>,
    /// When nothing was left to be re-wrapped; `None` while something is.
    pub ended_at: Option<Timestamp>,
    /// Versions that were re-wrapped since it began.
    pub rewrapped: i64,
}

impl RewrapState {
    /// Whether it has begun and not ended.
    pub fn is_under_way(&self) -> bool {
        self.started_at.is_some() && self.ended_at.is_none()
    }
}

impl Db {
    /// Ids of the key-encryption keys that wrap any version, in order. It takes a look-up for each of
    /// them, however many versions there are.
    pub async fn keks_in_use(&self) -> Result<Vec<String>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"WITH RECURSIVE used AS (
                       (SELECT kek_id FROM credential_versions WHERE state <> 'Destroyed' AND kek_id >= ''
                        ORDER BY kek_id LIMIT 1)
                       UNION ALL
                       SELECT (SELECT v.kek_id FROM credential_versions v
                               WHERE v.state <> 'Destroyed' AND v.kek_id > used.kek_id
                               ORDER BY v.kek_id LIMIT 1)
                       FROM used WHERE used.kek_id IS NOT NULL
                   )
                   SELECT kek_id AS "kek_id!" FROM used WHERE kek_id IS NOT NULL"#,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// How many versions each key-encryption key wraps, in the order of the keys' ids. It counts all.
    pub async fn kek_uses(&self) -> Result<Vec<KekUse>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                KekUse,
                r#"SELECT kek_id, count(*) AS "versions!" FROM credential_versions
                   WHERE state <> 'Destroyed' GROUP BY kek_id ORDER BY kek_id"#,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// Versions that this key wraps, in the order of credential and version, from behind `after` on;
    /// at most `limit`.
    pub async fn wrapped_versions(
        &self,
        kek_id: &str,
        after: Option<(Uuid, i32)>,
        limit: i64,
    ) -> Result<Vec<WrappedVersion>, DbError> {
        let (uid, version) = after.unwrap_or((Uuid::nil(), 0));
        self.in_time(async {
            Ok(sqlx::query_as!(
                WrappedVersion,
                r#"SELECT v.credential_uid, v.version, c.namespace, c.name, v.wrapped_key AS "wrapped_key!"
                   FROM credential_versions v JOIN credentials c ON c.uid = v.credential_uid
                   WHERE v.kek_id = $1 AND v.state <> 'Destroyed' AND (v.credential_uid, v.version) > ($2, $3)
                   ORDER BY v.credential_uid, v.version LIMIT $4"#,
                kek_id,
                uid,
                version,
                limit,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// Every version that has its sealed material, in the order of credential and version, from behind
    /// `after` on; at most `limit`.
    pub async fn stored_keys(
        &self,
        after: Option<(Uuid, i32)>,
        limit: i64,
    ) -> Result<Vec<StoredKey>, DbError> {
        let (uid, version) = after.unwrap_or((Uuid::nil(), 0));
        self.in_time(async {
            let rows = sqlx::query!(
                r#"SELECT v.credential_uid, v.version, c.namespace, c.name, v.fingerprint, v.kek_id,
                          v.wrapped_key AS "wrapped_key!", v.payload AS "payload!"
                   FROM credential_versions v JOIN credentials c ON c.uid = v.credential_uid
                   WHERE v.state <> 'Destroyed' AND (v.credential_uid, v.version) > ($1, $2)
                   ORDER BY v.credential_uid, v.version LIMIT $3"#,
                uid,
                version,
                limit,
            )
            .fetch_all(&self.pool)
            .await?;
            let stored = rows.into_iter().map(|row| StoredKey {
                namespace: row.namespace,
                name: row.name,
                fingerprint: row.fingerprint,
                sealed: SealedVersion {
                    credential_uid: row.credential_uid,
                    version: row.version,
                    kek_id: row.kek_id,
                    wrapped_key: row.wrapped_key,
                    payload: row.payload,
                },
            });
            Ok(stored.collect())
        })
        .await
    }

    /// The versions under this key, by namespace, name and number.
    pub async fn keys_under(&self, kek_id: &str) -> Result<Vec<KeyUnder>, DbError> {
        self.in_time(async {
            let rows = sqlx::query!(
                r#"SELECT c.namespace, c.name, v.version, v.state AS "state: VersionState",
                          v.grace_until AS "grace_until: jiff_sqlx::Timestamp",
                          c.conditions AS "conditions: Json<Vec<Condition>>"
                   FROM credential_versions v JOIN credentials c ON c.uid = v.credential_uid
                   WHERE v.kek_id = $1 AND v.state <> 'Destroyed'
                   ORDER BY c.namespace, c.name, v.version"#,
                kek_id,
            )
            .fetch_all(&self.pool)
            .await?;
            let under = rows.into_iter().map(|row| KeyUnder {
                namespace: row.namespace,
                name: row.name,
                version: row.version,
                state: row.state,
                grace_until: row.grace_until.map(Into::into),
                conditions: row.conditions.0,
            });
            Ok(under.collect())
        })
        .await
    }

    /// The credentials that have a version under this key.
    pub async fn credentials_under(&self, kek_id: &str) -> Result<Vec<LiveObject>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                LiveObject,
                "SELECT c.uid, c.namespace, c.name FROM credentials c
                 WHERE c.uid IN (SELECT credential_uid FROM credential_versions
                                 WHERE kek_id = $1 AND state <> 'Destroyed')
                 ORDER BY c.namespace, c.name",
                kek_id,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// How far re-wrapping has come; `None` before the first controller that knew of it.
    pub async fn rewrap_state(&self) -> Result<Option<RewrapState>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                RewrapState,
                r#"SELECT active_kek, active_since, started_at AS "started_at!: MaybeTime",
                          ended_at AS "ended_at!: MaybeTime", rewrapped
                   FROM rewrap"#,
            )
            .fetch_optional(&self.pool)
            .await?)
        })
        .await
    }

    /// Whether the active key has been the active one for longer than any write may take that was begun
    /// under the one before it.
    pub async fn rewrap_is_settled(&self) -> Result<bool, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT NOT EXISTS (
                       SELECT FROM rewrap WHERE active_since > now() - interval '1 minute') AS "is_settled!""#,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }

    /// Whether this key-encryption key was ever the active one.
    pub async fn kek_was_active(&self, kek_id: &str) -> Result<bool, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM known_keks WHERE kek_id = $1) AS "was_active!""#,
                kek_id,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }

    /// Ids of the key-encryption keys that were declared lost and still wrap something.
    pub async fn lost_keks(&self) -> Result<Vec<String>, DbError> {
        self.in_time(async {
            Ok(
                sqlx::query_scalar!("SELECT kek_id FROM lost_keks ORDER BY kek_id")
                    .fetch_all(&self.pool)
                    .await?,
            )
        })
        .await
    }

    /// Declares a key-encryption key lost: the controller seals anew what it wraps. An operator's word,
    /// as a request for a check is a caller's; no leadership is needed for it.
    pub async fn kek_lose(&self, kek_id: &str) -> Result<(), DbError> {
        self.in_time(async {
            sqlx::query!(
                "INSERT INTO lost_keks (kek_id) VALUES ($1) ON CONFLICT DO NOTHING",
                kek_id,
            )
            .execute(&self.pool)
            .await?;
            Ok(())
        })
        .await
    }
}

impl WriteTx {
    /// Notes which key is active. Where it is another than before, re-wrapping begins anew. Answers
    /// whether it is.
    pub async fn rewrap_activate(&mut self, kek_id: &str) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            "INSERT INTO rewrap AS r (active_kek) VALUES ($1)
             ON CONFLICT (only_row) DO UPDATE SET active_kek = excluded.active_kek, active_since = now(),
                 started_at = NULL, ended_at = NULL, rewrapped = 0
             WHERE r.active_kek <> excluded.active_kek",
            kek_id,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        let new = self.kek_note(kek_id).await?;
        if changed || new {
            self.wrote();
        }
        Ok(changed)
    }

    /// Notes that something was sealed under this key-encryption key. Answers whether that is news.
    pub(in crate::db) async fn kek_note(&mut self, kek_id: &str) -> Result<bool, DbError> {
        let noted = sqlx::query!(
            "INSERT INTO known_keks (kek_id) VALUES ($1) ON CONFLICT DO NOTHING",
            kek_id,
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(noted.rows_affected() > 0)
    }

    /// Notes that re-wrapping begins, unless it has begun and not ended. Answers whether it does.
    pub async fn rewrap_start(&mut self) -> Result<bool, DbError> {
        let started = sqlx::query!(
            "UPDATE rewrap SET started_at = now(), ended_at = NULL, rewrapped = 0
             WHERE started_at IS NULL OR ended_at IS NOT NULL",
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if started {
            self.wrote();
        }
        Ok(started)
    }

    /// Notes that nothing is left to be re-wrapped. Answers how many were, or `None` where it had not
    /// begun or has ended before.
    pub async fn rewrap_end(&mut self) -> Result<Option<i64>, DbError> {
        let rewrapped = sqlx::query_scalar!(
            "UPDATE rewrap SET ended_at = now() WHERE started_at IS NOT NULL AND ended_at IS NULL
             RETURNING rewrapped",
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        if rewrapped.is_some() {
            self.wrote();
        }
        Ok(rewrapped)
    }

    /// Puts data keys that were wrapped anew, from the key `from` to the key `to`, in the place of the
    /// wraps that were read. A row that is no more as it was read, or that somebody else is writing,
    /// is left to them. Nobody sees a difference, so that it takes no revision. Answers how many were
    /// replaced.
    pub async fn wraps_replace(
        &mut self,
        from: &str,
        to: &str,
        wraps: &[NewWrap],
    ) -> Result<u64, DbError> {
        let uids: Vec<Uuid> = wraps.iter().map(|wrap| wrap.credential_uid).collect();
        let versions: Vec<i32> = wraps.iter().map(|wrap| wrap.version).collect();
        let old: Vec<Vec<u8>> = wraps.iter().map(|wrap| wrap.old.clone()).collect();
        let new: Vec<Vec<u8>> = wraps.iter().map(|wrap| wrap.new.clone()).collect();
        let replaced = sqlx::query!(
            r#"WITH wanted AS (
                   SELECT * FROM unnest($3::uuid[], $4::integer[], $5::bytea[], $6::bytea[])
                       AS w (uid, version, old_wrap, new_wrap)
               ), held AS (
                   SELECT v.credential_uid, v.version, w.new_wrap
                   FROM wanted w JOIN credential_versions v ON v.credential_uid = w.uid AND v.version = w.version
                   WHERE v.kek_id = $1 AND v.wrapped_key = w.old_wrap AND v.state <> 'Destroyed'
                   FOR NO KEY UPDATE OF v SKIP LOCKED
               )
               UPDATE credential_versions v SET kek_id = $2, wrapped_key = held.new_wrap
               FROM held WHERE v.credential_uid = held.credential_uid AND v.version = held.version"#,
            from,
            to,
            &uids,
            &versions,
            &old,
            &new,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        if replaced > 0 {
            sqlx::query!(
                "UPDATE rewrap SET rewrapped = rewrapped + $1",
                i64::try_from(replaced).unwrap_or(i64::MAX),
            )
            .execute(&mut *self.tx)
            .await?;
            self.wrote();
        }
        Ok(replaced)
    }

    /// Forgets that a key-encryption key was declared lost.
    pub async fn lost_kek_remove(&mut self, kek_id: &str) -> Result<(), DbError> {
        sqlx::query!("DELETE FROM lost_keks WHERE kek_id = $1", kek_id)
            .execute(&mut *self.tx)
            .await?;
        self.wrote();
        Ok(())
    }
}
