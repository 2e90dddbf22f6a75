//! Endpoints.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::Kind;
use crate::crd::endpoint::{Header, HealthCheck};
use crate::crd::reasons::Reason;
use crate::db::types::{Jsonb, MaybeTime};
use crate::db::{Db, DbError, LastPassed, StoredCheck, UpsertedRow, WriteTx};

/// An endpoint as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// UID of the object.
    pub uid: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The generation that this row was derived from.
    pub generation: i64,
    /// `spec.enabled`.
    pub enabled: bool,
    /// Whether it is in force: its own switch, its provider's, and nothing wrong.
    pub is_active: bool,
    /// Its conditions, as in its status.
    pub conditions: Vec<Condition>,
    /// The last generation whose check passed.
    pub verified_generation: Option<i64>,
    /// The last request for a reconcile that was answered.
    pub last_handled_reconcile_at: Option<String>,
    /// The object's creation.
    pub created_at: Timestamp,
    /// When something visible last changed.
    pub updated_at: Timestamp,
    /// When it was found deleted.
    pub deleted_at: Option<Timestamp>,
    /// Revision of its last change.
    pub revision: i64,
    /// Its provider.
    pub provider_uid: Uuid,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// The URL in force.
    pub base_url: String,
    /// API version that the vendor wants in its calls.
    pub api_version: Option<String>,
    /// The vendor's name of the region.
    pub region: Option<String>,
    /// Seconds that a client should wait for a connection.
    pub timeout_connect: i32,
    /// Seconds that a client should wait for an answer.
    pub timeout_read: i32,
    /// Further attempts that a client should make.
    pub retry_count: i32,
    /// Milliseconds between two attempts.
    pub retry_interval_ms: i32,
    /// Headers that every call needs; not secret.
    pub headers: Vec<Header>,
    /// Failover order: lower is tried first.
    pub priority: i32,
    /// Whether it is the one of its provider that is tried first.
    pub is_default: bool,
    /// PEM certificates that sign its own.
    pub ca_bundle: Option<String>,
    /// A hash of what calls to it are made with: a check that was made with others says nothing.
    pub check_inputs: String,
    /// How it is probed.
    pub health_check: HealthCheck,
    /// What its probes concluded.
    pub verdict: Option<StoredCheck>,
    /// What the last reading of its model list concluded.
    pub list_verdict: Option<StoredCheck>,
}

/// What the reconciler derives for an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointUpsert {
    /// See [`EndpointRow::uid`]; the others likewise.
    pub uid: Uuid,
    pub namespace: String,
    pub name: String,
    pub generation: i64,
    pub enabled: bool,
    pub is_active: bool,
    pub conditions: Vec<Condition>,
    pub verified_generation: Option<i64>,
    pub last_handled_reconcile_at: Option<String>,
    pub created_at: Timestamp,
    pub provider_uid: Uuid,
    pub display_name: Option<String>,
    pub base_url: String,
    pub api_version: Option<String>,
    pub region: Option<String>,
    pub timeout_connect: i32,
    pub timeout_read: i32,
    pub retry_count: i32,
    pub retry_interval_ms: i32,
    pub headers: Vec<Header>,
    pub priority: i32,
    pub is_default: bool,
    pub ca_bundle: Option<String>,
    pub check_inputs: String,
    pub health_check: HealthCheck,
}

macro_rules! select {
    ($connection:expr, $($tail:tt)+) => {
        sqlx::query_as!(
            EndpointRow,
            r#"SELECT uid, namespace, name, generation, enabled, is_active,
                      conditions AS "conditions: Jsonb<Vec<Condition>>", verified_generation,
                      last_handled_reconcile_at, created_at, updated_at,
                      deleted_at AS "deleted_at!: MaybeTime", revision, provider_uid, display_name,
                      base_url, api_version, region, timeout_connect, timeout_read, retry_count,
                      retry_interval_ms, headers AS "headers: Jsonb<Vec<Header>>", priority,
                      is_default, ca_bundle, check_inputs, health_check AS "health_check: Jsonb<HealthCheck>",
                      verdict AS "verdict!: Jsonb<Option<StoredCheck>>",
                      list_verdict AS "list_verdict!: Jsonb<Option<StoredCheck>>"
               FROM endpoints "# + $($tail)+
        )
        .fetch_all($connection)
        .await?
    };
}

pub(in crate::db) async fn by_uid(
    connection: &mut PgConnection,
    uids: &[Uuid],
) -> Result<Vec<EndpointRow>, DbError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(select!(connection, "WHERE uid = ANY ($1)", uids))
}

pub(in crate::db) async fn all(
    connection: &mut PgConnection,
    include_deleted: bool,
) -> Result<Vec<EndpointRow>, DbError> {
    Ok(select!(
        connection,
        "WHERE $1 OR deleted_at IS NULL",
        include_deleted
    ))
}

impl EndpointRow {
    /// What the last reading of its model list concluded, if that was made with what it has now.
    pub fn list_verdict_here(&self) -> Option<&StoredCheck> {
        let verdict = self.list_verdict.as_ref();
        verdict.filter(|verdict| verdict.is_of(&self.check_inputs))
    }

    /// The reading of the model list that was read whole last, if that was made with what it has now.
    pub fn list_read_here(&self) -> Option<LastPassed> {
        let verdict = self.list_verdict.as_ref()?;
        let read = match verdict.reason {
            Reason::SyncSucceeded => LastPassed {
                at: verdict.since,
                inputs: verdict.inputs.clone(),
                key: verdict.key.clone(),
            },
            _ => verdict.last_passed.clone()?,
        };
        let here = !self.check_inputs.is_empty() && read.inputs == self.check_inputs;
        here.then_some(read)
    }
}

impl Db {
    /// An endpoint, deleted or not.
    pub async fn endpoint_row(&self, uid: Uuid) -> Result<Option<EndpointRow>, DbError> {
        Ok(self.endpoint_rows_by_uid(&[uid]).await?.pop())
    }

    /// These endpoints, deleted or not, in no order.
    pub async fn endpoint_rows_by_uid(&self, uids: &[Uuid]) -> Result<Vec<EndpointRow>, DbError> {
        self.in_time(async { by_uid(&mut *self.pool.acquire().await?, uids).await })
            .await
    }

    /// The live endpoints of these providers, in no order.
    pub async fn endpoint_rows_of_providers(
        &self,
        providers: &[Uuid],
    ) -> Result<Vec<EndpointRow>, DbError> {
        self.in_time(async {
            let connection = &mut *self.pool.acquire().await?;
            Ok(select!(
                connection,
                "WHERE provider_uid = ANY ($1) AND coalesce(deleted_at, 'infinity') = 'infinity'",
                providers
            ))
        })
        .await
    }

    /// All endpoints, in no order.
    pub async fn endpoint_rows_all(
        &self,
        include_deleted: bool,
    ) -> Result<Vec<EndpointRow>, DbError> {
        self.in_time(async { all(&mut *self.pool.acquire().await?, include_deleted).await })
            .await
    }
}

impl WriteTx {
    /// Stores an endpoint; answers what that did. Another live one of the same
    /// name is marked as deleted first.
    pub async fn endpoint_upsert(&mut self, row: &EndpointUpsert) -> Result<UpsertedRow, DbError> {
        let stored = sqlx::query!(
            r#"WITH gone AS (
                   UPDATE endpoints SET deleted_at = now(), updated_at = now(), is_active = false
                   WHERE namespace = $2 AND name = $3 AND uid <> $1 AND deleted_at IS NULL
                   RETURNING uid
               ), stored AS (
                   INSERT INTO endpoints AS t (uid, namespace, name, generation, enabled, is_active, conditions,
                       verified_generation, last_handled_reconcile_at, created_at, provider_uid,
                       display_name, base_url, api_version, region, timeout_connect, timeout_read,
                       retry_count, retry_interval_ms, headers, priority, is_default, ca_bundle,
                       health_check, check_inputs)
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                           $18, $19, $20, $21, $22, $23, $24, $25
                   FROM (SELECT count(*) AS count FROM gone) AS namesakes WHERE count >= 0
                   ON CONFLICT (uid) DO UPDATE SET
                       namespace = excluded.namespace, name = excluded.name,
                       generation = excluded.generation, enabled = excluded.enabled,
                       is_active = excluded.is_active, conditions = excluded.conditions,
                       verified_generation = excluded.verified_generation,
                       last_handled_reconcile_at = excluded.last_handled_reconcile_at,
                       created_at = excluded.created_at, provider_uid = excluded.provider_uid,
                       display_name = excluded.display_name, base_url = excluded.base_url,
                       api_version = excluded.api_version, region = excluded.region,
                       timeout_connect = excluded.timeout_connect, timeout_read = excluded.timeout_read,
                       retry_count = excluded.retry_count,
                       retry_interval_ms = excluded.retry_interval_ms, headers = excluded.headers,
                       priority = excluded.priority, is_default = excluded.is_default,
                       ca_bundle = excluded.ca_bundle, health_check = excluded.health_check,
                       check_inputs = excluded.check_inputs,
                       updated_at = now(), deleted_at = NULL
                   WHERE (t.namespace, t.name, t.generation, t.enabled, t.is_active, t.conditions,
                          t.verified_generation, t.last_handled_reconcile_at, t.created_at,
                          t.provider_uid, t.display_name, t.base_url, t.api_version, t.region,
                          t.timeout_connect, t.timeout_read, t.retry_count, t.retry_interval_ms,
                          t.headers, t.priority, t.is_default, t.ca_bundle, t.health_check,
                          t.check_inputs, t.deleted_at)
                       IS DISTINCT FROM
                         (excluded.namespace, excluded.name, excluded.generation, excluded.enabled,
                          excluded.is_active, excluded.conditions, excluded.verified_generation,
                          excluded.last_handled_reconcile_at, excluded.created_at,
                          excluded.provider_uid, excluded.display_name, excluded.base_url,
                          excluded.api_version, excluded.region, excluded.timeout_connect,
                          excluded.timeout_read, excluded.retry_count, excluded.retry_interval_ms,
                          excluded.headers, excluded.priority, excluded.is_default, excluded.ca_bundle,
                          excluded.health_check, excluded.check_inputs, NULL::timestamptz)
                   RETURNING 1
               )
               SELECT EXISTS (SELECT FROM stored) AS "changed!",
                      ARRAY (SELECT uid FROM gone) AS "replaced!""#,
            row.uid,
            row.namespace,
            row.name,
            row.generation,
            row.enabled,
            row.is_active,
            Json(&row.conditions) as _,
            row.verified_generation,
            row.last_handled_reconcile_at,
            row.created_at.to_sqlx(),
            row.provider_uid,
            row.display_name,
            row.base_url,
            row.api_version,
            row.region,
            row.timeout_connect,
            row.timeout_read,
            row.retry_count,
            row.retry_interval_ms,
            Json(&row.headers) as _,
            row.priority,
            row.is_default,
            row.ca_bundle,
            Json(&row.health_check) as _,
            row.check_inputs,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        self.removed(Kind::Endpoint, &stored.replaced).await?;
        if stored.changed {
            self.changed(Kind::Endpoint, row.uid);
        }
        Ok(UpsertedRow {
            changed: stored.changed,
            replaced: stored.replaced,
            ..UpsertedRow::default()
        })
    }

    /// Notes what the probes concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn endpoint_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            r#"UPDATE endpoints SET verdict = $2
               WHERE uid = $1 AND (verdict -> 'reason', verdict -> 'message',
                                   verdict -> 'generation', verdict -> 'inputs')
                   IS DISTINCT FROM ($2::jsonb -> 'reason', $2 -> 'message', $2 -> 'generation', $2 -> 'inputs')"#,
            uid,
            Json(verdict) as _,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.wrote();
        }
        Ok(changed)
    }

    /// Notes what reading the model list concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn endpoint_list_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            r#"UPDATE endpoints SET list_verdict = $2
               WHERE uid = $1 AND (list_verdict -> 'reason', list_verdict -> 'message',
                                   list_verdict -> 'generation', list_verdict -> 'inputs', list_verdict -> 'key')
                   IS DISTINCT FROM ($2::jsonb -> 'reason', $2 -> 'message', $2 -> 'generation', $2 -> 'inputs', $2 -> 'key')"#,
            uid,
            Json(verdict) as _,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.wrote();
        }
        Ok(changed)
    }
}
