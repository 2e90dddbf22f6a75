//! Who was given which version of a key: from holder to holder by the index of these, not through all that each was
//! ever given, and so many at once that the answer does not depend on how many there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::rows::Readable;
use super::{AuditAction, AuditFilter};
use crate::db::{Db, DbError};

/// Holders of a version that are looked up at once.
const AT_ONCE: i32 = 2000;
/// How many times they are, for who does not wait for all.
const TIMES: usize = 4;

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

/// Holders of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CredentialHolders {
    /// One for each user and pod, the latest first.
    pub holders: Vec<CredentialHolder>,
    /// Whether there are more than these.
    pub is_partial: bool,
}

/// A holder as it is stored, with its place in the index.
struct StoredHolder {
    actor: String,
    pod: Option<String>,
    pod_uid: Option<String>,
    node: Option<String>,
    version: i32,
    fingerprint: Option<String>,
    purpose: Option<String>,
    last_at: Readable<jiff_sqlx::Timestamp>,
    seq: i64,
}

/// A version, a user and a pod's UID: whatever is behind it in the order of the index was looked up.
struct Place(i64, String, String);

/// Holders by user and pod, each with what it was given last.
#[derive(Default)]
struct Gathered(HashMap<(String, Option<String>), CredentialHolder>);

impl From<StoredHolder> for CredentialHolder {
    fn from(row: StoredHolder) -> Self {
        let last_at = row.last_at.or_note("at", &mut Vec::new());
        Self {
            actor: row.actor,
            pod: row.pod,
            pod_uid: row.pod_uid,
            node: row.node,
            version: row.version,
            fingerprint: row.fingerprint.unwrap_or_default(),
            purpose: row.purpose,
            last_at: last_at.map_or(Timestamp::UNIX_EPOCH, Into::into),
            seq: row.seq,
        }
    }
}

impl Gathered {
    fn extend(&mut self, holders: impl IntoIterator<Item = CredentialHolder>) {
        for holder in holders {
            let who = (holder.actor.clone(), holder.pod_uid.clone());
            match self.0.entry(who) {
                Entry::Occupied(mut known) if known.get().seq < holder.seq => {
                    known.insert(holder);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => {
                    place.insert(holder);
                }
            }
        }
    }

    /// The latest, at most so many.
    fn latest(self, limit: usize, is_partial: bool) -> CredentialHolders {
        let mut holders: Vec<_> = self.0.into_values().collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.seq));
        let is_partial = is_partial || holders.len() > limit;
        holders.truncate(limit);
        CredentialHolders {
            holders,
            is_partial,
        }
    }
}

impl Db {
    /// Everyone who was given a credential's key, or this version of it, with what each was given last: the latest
    /// first.
    pub async fn all_holders(
        &self,
        credential: Uuid,
        version: Option<i32>,
    ) -> Result<Vec<CredentialHolder>, DbError> {
        let (gathered, _) = self.holders(credential, version, usize::MAX).await?;
        Ok(gathered.latest(usize::MAX, false).holders)
    }

    /// Who was given a credential's key last, or this version of it: of holders without number those that are found
    /// soon, with all of whom the newest rows tell.
    pub async fn latest_holders(
        &self,
        credential: Uuid,
        version: Option<i32>,
        limit: usize,
    ) -> Result<CredentialHolders, DbError> {
        let (mut gathered, is_whole) = self.holders(credential, version, TIMES).await?;
        if !is_whole {
            gathered.extend(self.newest_holders(credential, version).await?);
        }
        Ok(gathered.latest(limit, !is_whole))
    }

    /// Holders, looked up so many times at most; and whether these are all.
    async fn holders(
        &self,
        credential: Uuid,
        version: Option<i32>,
        times: usize,
    ) -> Result<(Gathered, bool), DbError> {
        let versions = version.map_or(i32::MIN..=i32::MAX, |version| version..=version);
        let newest = i64::from(*versions.end()) + 1;
        let mut place = Place(newest, String::new(), String::new());
        let mut gathered = Gathered::default();
        for _ in 0..times {
            let found = self.holders_behind(credential, &versions, &place).await?;
            let Some(last) = found.last() else {
                return Ok((gathered, true));
            };
            let is_last = found.len() < usize::try_from(AT_ONCE).unwrap_or_default();
            let held_by = last.pod_uid.clone().unwrap_or_default();
            place = Place(last.version.into(), last.actor.clone(), held_by);
            gathered.extend(found);
            if is_last {
                return Ok((gathered, true));
            }
        }
        Ok((gathered, false))
    }

    /// Holders of each version with the last time, from this place on: the newest version's first.
    async fn holders_behind(
        &self,
        credential: Uuid,
        versions: &RangeInclusive<i32>,
        Place(version, actor, held_by): &Place,
    ) -> Result<Vec<CredentialHolder>, DbError> {
        self.in_time(async {
            let found = sqlx::query_as!(
                StoredHolder,
                r#"WITH RECURSIVE holder AS (
                       (SELECT credential_version, actor, coalesce(pod_uid, '') AS held_by, seq, at, 1 AS nth
                        FROM audit_log
                        WHERE object_uid = $1 AND action = 'Disclose' AND result = 'Disclosed'
                          AND credential_version >= $2
                          AND (credential_version, actor, coalesce(pod_uid, '')) < ($3::bigint, $4::text, $5::text)
                        ORDER BY credential_version DESC, actor DESC, coalesce(pod_uid, '') DESC, seq DESC LIMIT 1)
                       UNION ALL
                       SELECT n.*, h.nth + 1 FROM holder h CROSS JOIN LATERAL (
                           SELECT credential_version, actor, coalesce(pod_uid, '') AS held_by, seq, at
                           FROM audit_log
                           WHERE object_uid = $1 AND action = 'Disclose' AND result = 'Disclosed'
                             AND credential_version >= $2
                             AND (credential_version, actor, coalesce(pod_uid, ''))
                                 < (h.credential_version, h.actor, h.held_by)
                           ORDER BY credential_version DESC, actor DESC, coalesce(pod_uid, '') DESC, seq DESC LIMIT 1) n
                       WHERE h.nth < $6)
                   SELECT l.actor, l.pod, l.pod_uid, l.node, l.credential_version AS "version!", l.fingerprint,
                          l.purpose, l.at AS "last_at: Readable<jiff_sqlx::Timestamp>", l.seq
                   FROM holder h JOIN audit_log l ON l.seq = h.seq AND l.at = h.at
                   ORDER BY l.credential_version DESC, l.actor DESC, coalesce(l.pod_uid, '') DESC"#,
                credential,
                versions.start(),
                version,
                actor,
                held_by,
                AT_ONCE,
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(found.into_iter().map(CredentialHolder::from).collect())
        })
        .await
    }

    /// Those of whom the newest rows about a credential tell.
    async fn newest_holders(
        &self,
        credential: Uuid,
        version: Option<i32>,
    ) -> Result<Vec<CredentialHolder>, DbError> {
        let filter = AuditFilter {
            action: Some(AuditAction::Disclose.as_str().to_owned()),
            result: Some("Disclosed".to_owned()),
            object_uid: Some(credential),
            credential_version: version,
            ..AuditFilter::default()
        };
        let newest = self.audit_page(&filter, None, usize::MAX, Duration::ZERO);
        let newest = newest.await?;
        let holders = newest.rows.into_iter().filter_map(|row| {
            Some(CredentialHolder {
                actor: row.actor,
                pod: row.pod,
                pod_uid: row.pod_uid,
                node: row.node,
                version: row.credential_version?,
                fingerprint: row.fingerprint.unwrap_or_default(),
                purpose: row.purpose,
                last_at: row.at,
                seq: row.seq,
            })
        });
        Ok(holders.collect())
    }
}
