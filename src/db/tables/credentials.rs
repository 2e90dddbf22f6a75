//! Credentials.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::Kind;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, Validation};
use crate::db::types::{Jsonb, MaybeTime, Word};
use crate::db::{Db, DbError, UpsertedRow, WriteTx};

/// A credential as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialRow {
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
    /// The endpoints it is for; empty: all of its provider's.
    pub endpoint_uids: Vec<Uuid>,
    /// Name shown to people.
    pub alias: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// How much may be used in a period.
    pub quota_limit: Option<i64>,
    /// Of what.
    pub quota_unit: Option<QuotaUnit>,
    /// In which period.
    pub quota_period: Option<QuotaPeriod>,
    /// Order among the provider's credentials: lower is tried first.
    pub priority: i32,
    /// Seconds that a replaced key stays usable.
    pub grace_seconds: i32,
    /// How its key is checked.
    pub validation: Validation,
    /// Name of the Secret that holds the key.
    pub secret_name: String,
    /// UID of the Secret that was read.
    pub secret_uid: Option<String>,
    /// Version of the Secret that was read.
    pub secret_resource_version: Option<String>,
    /// The key in force, masked.
    pub masked_key: Option<String>,
    /// Fingerprint of the key in force.
    pub fingerprint: Option<String>,
    /// Version of the key in force.
    pub version: Option<i32>,
}

/// What the reconciler derives for a credential.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialUpsert {
    /// See [`CredentialRow::uid`]; the others likewise.
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
    pub endpoint_uids: Vec<Uuid>,
    pub alias: Option<String>,
    pub description: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub quota_limit: Option<i64>,
    pub quota_unit: Option<QuotaUnit>,
    pub quota_period: Option<QuotaPeriod>,
    pub priority: i32,
    pub grace_seconds: i32,
    pub validation: Validation,
    pub secret_name: String,
    pub secret_uid: Option<String>,
    pub secret_resource_version: Option<String>,
    pub masked_key: Option<String>,
    pub fingerprint: Option<String>,
    pub version: Option<i32>,
}

macro_rules! select {
    ($connection:expr, $($tail:tt)+) => {
        sqlx::query_as!(
            CredentialRow,
            r#"SELECT uid, namespace, name, generation, enabled, is_active,
                      conditions AS "conditions: Jsonb<Vec<Condition>>", verified_generation,
                      last_handled_reconcile_at, created_at, updated_at,
                      deleted_at AS "deleted_at!: MaybeTime", revision, provider_uid, endpoint_uids,
                      alias, description, expires_at AS "expires_at!: MaybeTime", quota_limit,
                      quota_unit AS "quota_unit: QuotaUnit",
                      quota_period AS "quota_period: QuotaPeriod", priority, grace_seconds,
                      validation AS "validation: Jsonb<Validation>", secret_name, secret_uid,
                      secret_resource_version, masked_key, fingerprint, version
               FROM credentials "# + $($tail)+
        )
        .fetch_all($connection)
        .await?
    };
}

pub(in crate::db) async fn by_uid(
    connection: &mut PgConnection,
    uids: &[Uuid],
) -> Result<Vec<CredentialRow>, DbError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(select!(connection, "WHERE uid = ANY ($1)", uids))
}

pub(in crate::db) async fn all(
    connection: &mut PgConnection,
    include_deleted: bool,
) -> Result<Vec<CredentialRow>, DbError> {
    Ok(select!(
        connection,
        "WHERE $1 OR deleted_at IS NULL",
        include_deleted
    ))
}

impl Db {
    /// A credential, deleted or not.
    pub async fn credential_row(&self, uid: Uuid) -> Result<Option<CredentialRow>, DbError> {
        Ok(self.credential_rows_by_uid(&[uid]).await?.pop())
    }

    /// These credentials, deleted or not, in no order.
    pub async fn credential_rows_by_uid(
        &self,
        uids: &[Uuid],
    ) -> Result<Vec<CredentialRow>, DbError> {
        self.in_time(async { by_uid(&mut *self.pool.acquire().await?, uids).await })
            .await
    }

    /// The live credentials of these providers, in no order.
    pub async fn credential_rows_of_providers(
        &self,
        providers: &[Uuid],
    ) -> Result<Vec<CredentialRow>, DbError> {
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

    /// All credentials, in no order.
    pub async fn credential_rows_all(
        &self,
        include_deleted: bool,
    ) -> Result<Vec<CredentialRow>, DbError> {
        self.in_time(async { all(&mut *self.pool.acquire().await?, include_deleted).await })
            .await
    }
}

impl WriteTx {
    /// Stores a credential; answers what that did. Another live one of the same
    /// name is marked as deleted first.
    pub async fn credential_upsert(
        &mut self,
        row: &CredentialUpsert,
    ) -> Result<UpsertedRow, DbError> {
        let stored = sqlx::query!(
            r#"WITH gone AS (
                   UPDATE credentials SET deleted_at = now(), updated_at = now(), is_active = false
                   WHERE namespace = $2 AND name = $3 AND uid <> $1 AND deleted_at IS NULL
                   RETURNING uid
               ), stored AS (
                   INSERT INTO credentials AS t (uid, namespace, name, generation, enabled, is_active, conditions,
                       verified_generation, last_handled_reconcile_at, created_at, provider_uid,
                       endpoint_uids, alias, description, expires_at, quota_limit, quota_unit,
                       quota_period, priority, grace_seconds, validation, secret_name, secret_uid,
                       secret_resource_version, masked_key, fingerprint, version)
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                           $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
                   FROM (SELECT count(*) AS count FROM gone) AS namesakes WHERE count >= 0
                   ON CONFLICT (uid) DO UPDATE SET
                       namespace = excluded.namespace, name = excluded.name,
                       generation = excluded.generation, enabled = excluded.enabled,
                       is_active = excluded.is_active, conditions = excluded.conditions,
                       verified_generation = excluded.verified_generation,
                       last_handled_reconcile_at = excluded.last_handled_reconcile_at,
                       created_at = excluded.created_at, provider_uid = excluded.provider_uid,
                       endpoint_uids = excluded.endpoint_uids, alias = excluded.alias,
                       description = excluded.description, expires_at = excluded.expires_at,
                       quota_limit = excluded.quota_limit, quota_unit = excluded.quota_unit,
                       quota_period = excluded.quota_period, priority = excluded.priority,
                       grace_seconds = excluded.grace_seconds, validation = excluded.validation,
                       secret_name = excluded.secret_name, secret_uid = excluded.secret_uid,
                       secret_resource_version = excluded.secret_resource_version,
                       masked_key = excluded.masked_key, fingerprint = excluded.fingerprint,
                       version = excluded.version, updated_at = now(), deleted_at = NULL
                   WHERE (t.namespace, t.name, t.generation, t.enabled, t.is_active, t.conditions,
                          t.verified_generation, t.last_handled_reconcile_at, t.created_at,
                          t.provider_uid, t.endpoint_uids, t.alias, t.description, t.expires_at,
                          t.quota_limit, t.quota_unit, t.quota_period, t.priority, t.grace_seconds,
                          t.validation, t.secret_name, t.secret_uid, t.secret_resource_version,
                          t.masked_key, t.fingerprint, t.version, t.deleted_at)
                       IS DISTINCT FROM
                         (excluded.namespace, excluded.name, excluded.generation, excluded.enabled,
                          excluded.is_active, excluded.conditions, excluded.verified_generation,
                          excluded.last_handled_reconcile_at, excluded.created_at,
                          excluded.provider_uid, excluded.endpoint_uids, excluded.alias,
                          excluded.description, excluded.expires_at, excluded.quota_limit,
                          excluded.quota_unit, excluded.quota_period, excluded.priority,
                          excluded.grace_seconds, excluded.validation, excluded.secret_name,
                          excluded.secret_uid, excluded.secret_resource_version, excluded.masked_key,
                          excluded.fingerprint, excluded.version, NULL::timestamptz)
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
            &row.endpoint_uids,
            row.alias,
            row.description,
            row.expires_at.map(ToSqlx::to_sqlx),
            row.quota_limit,
            row.quota_unit.map(|word| word.word()),
            row.quota_period.map(|word| word.word()),
            row.priority,
            row.grace_seconds,
            Json(&row.validation) as _,
            row.secret_name,
            row.secret_uid,
            row.secret_resource_version,
            row.masked_key,
            row.fingerprint,
            row.version,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        self.removed(Kind::Credential, &stored.replaced).await?;
        if stored.changed {
            self.changed(Kind::Credential, row.uid);
        }
        Ok(UpsertedRow {
            changed: stored.changed,
            replaced: stored.replaced,
            ..UpsertedRow::default()
        })
    }
}
