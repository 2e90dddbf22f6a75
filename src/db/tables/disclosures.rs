//! Deciding whether a key may leave, by what the database holds at this moment, and recording it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::audit_log::AuditActor;
use crate::crd::words::words;
use crate::db::{Db, DbError, Revision, WriteTx};

/// A key that someone asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct DisclosureRequest {
    /// Who asks.
    pub actor: Arc<AuditActor>,
    /// For what. Requests that share it are decided about as one.
    pub key: Arc<RequestedKey>,
    /// Why, in the caller's words; at most 256 characters, no NUL.
    pub purpose: Option<String>,
}

/// A version of a key, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestedKey {
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
    /// Anything further: an object.
    pub detail: serde_json::Value,
}

/// What the database decided about a key, and recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
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

impl Db {
    /// Decides about these keys and records each answer, in one transaction; the answers are in the
    /// order of the requests. No key may leave before this has returned, nor where it fails.
    ///
    /// # Errors
    ///
    /// [`DbError::Unstorable`] where a value of one of the requests is refused: none is recorded then.
    /// [`DbError::Unavailable`]: whether they were recorded is unknown, or what was decided cannot be read.
    pub async fn record_disclosures(
        &self,
        requests: &[DisclosureRequest],
    ) -> Result<Vec<DisclosureVerdict>, DbError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(requests)?;
        let of = |column: fn(&AuditActor) -> Option<&str>| -> Vec<Option<&str>> {
            requests.iter().map(|one| column(&one.actor)).collect()
        };
        let decided = self
            .in_time(async {
                Ok(sqlx::query!(
                    r#"SELECT decision_of AS "decision_of!", verdicts AS "verdicts!",
                              valid_until AS "valid_until!: Vec<Option<jiff_sqlx::Timestamp>>",
                              retry_after_seconds AS "retry_after_seconds!: Vec<Option<i32>>"
                       FROM llmplane_fn.record_disclosures($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
                    Json(&batch.keys) as _,
                    Json(&batch.teams) as _,
                    batch.key_of.as_slice(),
                    batch.team_of.as_slice(),
                    of(|actor| Some(&actor.actor)) as _,
                    of(|actor| actor.actor_uid.as_deref()) as _,
                    of(|actor| actor.pod.as_deref()) as _,
                    of(|actor| actor.pod_uid.as_deref()) as _,
                    of(|actor| actor.node.as_deref()) as _,
                    of(|actor| actor.token_id.as_deref()) as _,
                    requests
                        .iter()
                        .map(|one| one.purpose.as_deref())
                        .collect::<Vec<_>>() as _,
                )
                .fetch_one(&self.pool)
                .await?)
            })
            .await
            .map_err(|error| match error {
                DbError::Unreadable(why) => unknown(requests.len(), &why),
                other => other,
            })?;
        let decision = |place: usize| {
            Some(DisclosureVerdict {
                verdict: Verdict::parse(decided.verdicts.get(place)?)?,
                valid_until: (*decided.valid_until.get(place)?).map(Into::into),
                retry_after_seconds: *decided.retry_after_seconds.get(place)?,
            })
        };
        let decisions: Option<Vec<_>> = (0..decided.verdicts.len()).map(decision).collect();
        let verdicts = decisions.and_then(|decisions| {
            let of = decided.decision_of.iter();
            let verdicts = of.map(|place| place_of(&decisions, *place).copied());
            verdicts.collect::<Option<Vec<_>>>()
        });
        match verdicts {
            Some(verdicts) if verdicts.len() == requests.len() => Ok(verdicts),
            _ => Err(unknown(requests.len(), "a word of another release")),
        }
    }
}

/// What cannot be read was committed all the same: nobody may ask for it to be recorded once more.
fn unknown(requests: usize, why: &str) -> DbError {
    DbError::Unavailable(format!(
        "{requests} disclosures were recorded, and what was decided about them cannot be read: {why}"
    ))
}

/// What is at this place, from 1 on.
fn place_of<T>(all: &[T], place: i32) -> Option<&T> {
    all.get(usize::try_from(place).ok()?.checked_sub(1)?)
}

/// What is the same in many requests, once, and the places of each request's own in it, from 1 on.
struct Batch<'a> {
    keys: Vec<&'a RequestedKey>,
    teams: Vec<&'a [String]>,
    key_of: Vec<i32>,
    team_of: Vec<i32>,
}

impl<'a> Batch<'a> {
    fn of(requests: &'a [DisclosureRequest]) -> Result<Self, DbError> {
        let (mut keys, mut teams) = (Places::default(), Places::default());
        let mut places = (Vec::new(), Vec::new());
        for request in requests {
            places
                .0
                .push(keys.of(Arc::as_ptr(&request.key), &*request.key)?);
            let team = request.actor.actor_groups.as_slice();
            places.1.push(teams.of(team, team)?);
        }
        Ok(Self {
            keys: keys.all,
            teams: teams.all,
            key_of: places.0,
            team_of: places.1,
        })
    }
}

/// Different values, in the order in which they came, by what tells them apart.
struct Places<K, V> {
    all: Vec<V>,
    by: HashMap<K, i32>,
}

impl<K, V> Default for Places<K, V> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            by: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V> Places<K, V> {
    /// The place of a value, from 1 on.
    fn of(&mut self, key: K, value: V) -> Result<i32, DbError> {
        match self.by.entry(key) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(place) => {
                self.all.push(value);
                let number = i32::try_from(self.all.len());
                let number =
                    number.map_err(|_| DbError::Other("too many requests at once".to_owned()))?;
                Ok(*place.insert(number))
            }
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
