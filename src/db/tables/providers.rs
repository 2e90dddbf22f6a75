//! Providers.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::provider::ModelSync;
use crate::crd::{Kind, ProviderType};
use crate::db::types::{Jsonb, MaybeTime, Word};
use crate::db::{Db, DbError, StoredCheck, UpsertedRow, WriteTx};

/// A provider as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderRow {
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
    /// Whether it is in force.
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
    /// The vendor or protocol.
    pub type_: ProviderType,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Name of the endpoint that is tried first.
    pub default_endpoint: Option<String>,
    /// How the vendor's model list is read.
    pub model_sync: ModelSync,
    /// When the vendor's list was last taken over and something changed.
    pub last_synced_at: Option<Timestamp>,
    /// What the last sync concluded.
    pub sync_verdict: Option<StoredCheck>,
}

/// What the reconciler derives for a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderUpsert {
    /// See [`ProviderRow::uid`]; the others likewise.
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
    pub type_: ProviderType,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub default_endpoint: Option<String>,
    pub model_sync: ModelSync,
}

macro_rules! select {
    ($connection:expr, $($tail:tt)+) => {
        sqlx::query_as!(
            ProviderRow,
            r#"SELECT uid, namespace, name, generation, enabled, is_active,
                      conditions AS "conditions: Jsonb<Vec<Condition>>", verified_generation,
                      last_handled_reconcile_at, created_at, updated_at,
                      deleted_at AS "deleted_at!: MaybeTime", revision,
                      type AS "type_: ProviderType", display_name, description, default_endpoint,
                      model_sync AS "model_sync: Jsonb<ModelSync>",
                      last_synced_at AS "last_synced_at!: MaybeTime",
                      sync_verdict AS "sync_verdict!: Jsonb<Option<StoredCheck>>"
               FROM providers "# + $($tail)+
        )
        .fetch_all($connection)
        .await?
    };
}

pub(in crate::db) async fn by_uid(
    connection: &mut PgConnection,
    uids: &[Uuid],
) -> Result<Vec<ProviderRow>, DbError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(select!(connection, "WHERE uid = ANY ($1)", uids))
}

pub(in crate::db) async fn all(
    connection: &mut PgConnection,
    include_deleted: bool,
) -> Result<Vec<ProviderRow>, DbError> {
    Ok(select!(
        connection,
        "WHERE $1 OR deleted_at IS NULL",
        include_deleted
    ))
}

impl Db {
    /// A provider, deleted or not.
    pub async fn provider_row(&self, uid: Uuid) -> Result<Option<ProviderRow>, DbError> {
        Ok(self.provider_rows_by_uid(&[uid]).await?.pop())
    }

    /// These providers, deleted or not, in no order.
    pub async fn provider_rows_by_uid(&self, uids: &[Uuid]) -> Result<Vec<ProviderRow>, DbError> {
        self.in_time(async { by_uid(&mut *self.pool.acquire().await?, uids).await })
            .await
    }

    /// All providers, in no order.
    pub async fn provider_rows_all(
        &self,
        include_deleted: bool,
    ) -> Result<Vec<ProviderRow>, DbError> {
        self.in_time(async { all(&mut *self.pool.acquire().await?, include_deleted).await })
            .await
    }
}

impl WriteTx {
    /// Stores a provider; answers what that did. Another live one of the same
    /// name is marked as deleted first.
    pub async fn provider_upsert(&mut self, row: &ProviderUpsert) -> Result<UpsertedRow, DbError> {
        let stored = sqlx::query!(
            r#"WITH gone AS (
                   UPDATE providers SET deleted_at = now(), updated_at = now(), is_active = false
                   WHERE namespace = $2 AND name = $3 AND uid <> $1 AND deleted_at IS NULL
                   RETURNING uid
               ), stored AS (
                   INSERT INTO providers AS t (uid, namespace, name, generation, enabled, is_active,
                       conditions, verified_generation, last_handled_reconcile_at, created_at, type,
                       display_name, description, default_endpoint, model_sync)
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
                   FROM (SELECT count(*) AS count FROM gone) AS namesakes WHERE count >= 0
                   ON CONFLICT (uid) DO UPDATE SET
                       namespace = excluded.namespace, name = excluded.name,
                       generation = excluded.generation, enabled = excluded.enabled,
                       is_active = excluded.is_active, conditions = excluded.conditions,
                       verified_generation = excluded.verified_generation,
                       last_handled_reconcile_at = excluded.last_handled_reconcile_at,
                       created_at = excluded.created_at, updated_at = now(), deleted_at = NULL,
                       type = excluded.type, display_name = excluded.display_name,
                       description = excluded.description,
                       default_endpoint = excluded.default_endpoint, model_sync = excluded.model_sync
                   WHERE (t.namespace, t.name, t.generation, t.enabled, t.is_active, t.conditions,
                          t.verified_generation, t.last_handled_reconcile_at, t.created_at,
                          t.deleted_at, t.type, t.display_name, t.description, t.default_endpoint,
                          t.model_sync)
                       IS DISTINCT FROM
                         (excluded.namespace, excluded.name, excluded.generation, excluded.enabled,
                          excluded.is_active, excluded.conditions, excluded.verified_generation,
                          excluded.last_handled_reconcile_at, excluded.created_at,
                          NULL::timestamptz, excluded.type, excluded.display_name,
                          excluded.description, excluded.default_endpoint, excluded.model_sync)
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
            row.type_.word(),
            row.display_name,
            row.description,
            row.default_endpoint,
            Json(&row.model_sync) as _,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        self.removed(Kind::Provider, &stored.replaced).await?;
        if stored.changed {
            self.changed(Kind::Provider, row.uid);
        }
        Ok(UpsertedRow {
            changed: stored.changed,
            replaced: stored.replaced,
            ..UpsertedRow::default()
        })
    }

    /// Notes what a sync concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn provider_sync_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            r#"UPDATE providers SET sync_verdict = $2
               WHERE uid = $1 AND (sync_verdict -> 'reason', sync_verdict -> 'message', sync_verdict -> 'generation')
                   IS DISTINCT FROM ($2::jsonb -> 'reason', $2 -> 'message', $2 -> 'generation')"#,
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

    /// Notes when the vendor's list was taken over and something changed: visible.
    pub async fn provider_synced(&mut self, uid: Uuid, at: Timestamp) -> Result<(), DbError> {
        let found = sqlx::query!(
            "UPDATE providers SET last_synced_at = $2, updated_at = now() WHERE uid = $1",
            uid,
            at.to_sqlx(),
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        if found > 0 {
            self.changed(Kind::Provider, uid);
        }
        Ok(())
    }
}
