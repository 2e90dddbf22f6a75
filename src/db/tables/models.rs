//! Models.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::Kind;
use crate::crd::model::{AvailabilityTest, Lifecycle, ModelCapability, ModelType, Origin};
use crate::db::types::{Jsonb, MaybeTime, Word};
use crate::db::{Db, DbError, StoredCheck, UpsertedRow, WriteTx};

/// A model as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRow {
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
    /// The endpoints that serve it; empty: all of its provider's.
    pub endpoint_uids: Vec<Uuid>,
    /// The vendor's id of the model.
    pub model_id: String,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// The model's version, in the vendor's words.
    pub version: Option<String>,
    /// What kind of model it is.
    pub type_: Option<ModelType>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    pub max_output_tokens: Option<i64>,
    /// ISO 4217 code of the prices' currency.
    pub currency: Option<String>,
    /// Price of 1,000 tokens of prompt: a decimal number.
    pub input_price: Option<String>,
    /// Price of 1,000 tokens of answer: a decimal number.
    pub output_price: Option<String>,
    /// What it can do, and how well.
    pub capabilities: Vec<ModelCapability>,
    /// Tasks it is recommended for.
    pub recommended_for: Vec<String>,
    /// Parameters that clients send unless they know better.
    pub default_parameters: Option<Map<String, Value>>,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// By field: where its value comes from.
    pub origin: BTreeMap<String, Origin>,
    /// How it is tested.
    pub availability_test: AvailabilityTest,
    /// What the last test concluded.
    pub test_verdict: Option<StoredCheck>,
}

/// What the reconciler derives for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelUpsert {
    /// See [`ModelRow::uid`]; the others likewise.
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
    pub model_id: String,
    pub display_name: Option<String>,
    pub version: Option<String>,
    pub type_: Option<ModelType>,
    pub context_window: Option<i64>,
    pub max_input_tokens: Option<i64>,
    pub max_output_tokens: Option<i64>,
    pub currency: Option<String>,
    pub input_price: Option<String>,
    pub output_price: Option<String>,
    pub capabilities: Vec<ModelCapability>,
    pub recommended_for: Vec<String>,
    pub default_parameters: Option<Map<String, Value>>,
    pub lifecycle: Lifecycle,
    pub origin: BTreeMap<String, Origin>,
    pub availability_test: AvailabilityTest,
}

macro_rules! select {
    ($connection:expr, $($tail:tt)+) => {
        sqlx::query_as!(
            ModelRow,
            r#"SELECT uid, namespace, name, generation, enabled, is_active,
                      conditions AS "conditions: Jsonb<Vec<Condition>>", verified_generation,
                      last_handled_reconcile_at, created_at, updated_at,
                      deleted_at AS "deleted_at!: MaybeTime", revision, provider_uid, endpoint_uids,
                      model_id, display_name, version, type AS "type_: ModelType", context_window,
                      max_input_tokens, max_output_tokens, currency, input_price, output_price,
                      capabilities AS "capabilities: Jsonb<Vec<ModelCapability>>", recommended_for,
                      default_parameters AS "default_parameters!: Jsonb<Option<Map<String, Value>>>",
                      lifecycle AS "lifecycle: Lifecycle",
                      origin AS "origin: Jsonb<BTreeMap<String, Origin>>",
                      availability_test AS "availability_test: Jsonb<AvailabilityTest>",
                      test_verdict AS "test_verdict!: Jsonb<Option<StoredCheck>>"
               FROM models "# + $($tail)+
        )
        .fetch_all($connection)
        .await?
    };
}

pub(in crate::db) async fn by_uid(
    connection: &mut PgConnection,
    uids: &[Uuid],
) -> Result<Vec<ModelRow>, DbError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(select!(connection, "WHERE uid = ANY ($1)", uids))
}

pub(in crate::db) async fn all(
    connection: &mut PgConnection,
    include_deleted: bool,
) -> Result<Vec<ModelRow>, DbError> {
    Ok(select!(
        connection,
        "WHERE $1 OR deleted_at IS NULL",
        include_deleted
    ))
}

impl Db {
    /// A model, deleted or not.
    pub async fn model_row(&self, uid: Uuid) -> Result<Option<ModelRow>, DbError> {
        Ok(self.model_rows_by_uid(&[uid]).await?.pop())
    }

    /// These models, deleted or not, in no order.
    pub async fn model_rows_by_uid(&self, uids: &[Uuid]) -> Result<Vec<ModelRow>, DbError> {
        self.in_time(async { by_uid(&mut *self.pool.acquire().await?, uids).await })
            .await
    }

    /// The live models of these providers, in no order.
    pub async fn model_rows_of_providers(
        &self,
        providers: &[Uuid],
    ) -> Result<Vec<ModelRow>, DbError> {
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

    /// All models, in no order.
    pub async fn model_rows_all(&self, include_deleted: bool) -> Result<Vec<ModelRow>, DbError> {
        self.in_time(async { all(&mut *self.pool.acquire().await?, include_deleted).await })
            .await
    }
}

/// A key that a model's test has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedKey {
    /// Name of the model.
    pub model: String,
    /// A hash of what calls to the endpoint where it answered are made with.
    pub inputs: String,
    /// Fingerprint of the key.
    pub fingerprint: String,
}

impl Db {
    /// The keys that tests of a provider's models have proved, while these are tested.
    pub async fn proved_keys(&self, provider: Uuid) -> Result<Vec<ProvedKey>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                ProvedKey,
                r#"SELECT name AS model, test_verdict ->> 'proved_with' AS "inputs!",
                          test_verdict ->> 'proves_key' AS "fingerprint!"
                   FROM models
                   WHERE provider_uid = $1 AND coalesce(deleted_at, 'infinity') = 'infinity'
                     AND is_active AND availability_test @> '{"enabled": true}'
                     AND test_verdict ->> 'reason' = 'ModelAnswered'
                     AND test_verdict ->> 'proved_with' IS NOT NULL
                     AND test_verdict ->> 'proves_key' IS NOT NULL
                   ORDER BY name"#,
                provider,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }
}

impl WriteTx {
    /// Stores a model; answers what that did. Another live one of the same name is marked as deleted
    /// first, and another that is in force for the same `modelId` is switched off: two that swap
    /// their ids would otherwise wait for each other for ever. Its own reconcile says what it is now.
    pub async fn model_upsert(&mut self, row: &ModelUpsert) -> Result<UpsertedRow, DbError> {
        let stored = sqlx::query!(
            r#"WITH gone AS (
                   UPDATE models SET deleted_at = now(), updated_at = now(), is_active = false
                   WHERE namespace = $2 AND name = $3 AND uid <> $1 AND deleted_at IS NULL
                   RETURNING uid
               ), displaced AS (
                   UPDATE models SET is_active = false, updated_at = now()
                   WHERE $6 AND provider_uid = $11 AND model_id = $13 AND uid <> $1
                       AND is_active AND deleted_at IS NULL AND (namespace, name) <> ($2, $3)
                   RETURNING uid, name
               ), stored AS (
                   INSERT INTO models AS t (uid, namespace, name, generation, enabled, is_active, conditions,
                       verified_generation, last_handled_reconcile_at, created_at, provider_uid,
                       endpoint_uids, model_id, display_name, version, type, context_window,
                       max_input_tokens, max_output_tokens, currency, input_price, output_price,
                       capabilities, recommended_for, default_parameters, lifecycle, origin,
                       availability_test)
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                           $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28
                   FROM (SELECT count(*) AS count FROM gone) AS namesakes,
                        (SELECT count(*) AS count FROM displaced) AS rivals
                   WHERE namesakes.count >= 0 AND rivals.count >= 0
                   ON CONFLICT (uid) DO UPDATE SET
                       namespace = excluded.namespace, name = excluded.name,
                       generation = excluded.generation, enabled = excluded.enabled,
                       is_active = excluded.is_active, conditions = excluded.conditions,
                       verified_generation = excluded.verified_generation,
                       last_handled_reconcile_at = excluded.last_handled_reconcile_at,
                       created_at = excluded.created_at, provider_uid = excluded.provider_uid,
                       endpoint_uids = excluded.endpoint_uids, model_id = excluded.model_id,
                       display_name = excluded.display_name, version = excluded.version,
                       type = excluded.type, context_window = excluded.context_window,
                       max_input_tokens = excluded.max_input_tokens,
                       max_output_tokens = excluded.max_output_tokens, currency = excluded.currency,
                       input_price = excluded.input_price, output_price = excluded.output_price,
                       capabilities = excluded.capabilities, recommended_for = excluded.recommended_for,
                       default_parameters = excluded.default_parameters, lifecycle = excluded.lifecycle,
                       origin = excluded.origin, availability_test = excluded.availability_test,
                       updated_at = now(), deleted_at = NULL
                   WHERE (t.namespace, t.name, t.generation, t.enabled, t.is_active, t.conditions,
                          t.verified_generation, t.last_handled_reconcile_at, t.created_at,
                          t.provider_uid, t.endpoint_uids, t.model_id, t.display_name, t.version,
                          t.type, t.context_window, t.max_input_tokens, t.max_output_tokens, t.currency,
                          t.input_price, t.output_price, t.capabilities, t.recommended_for,
                          t.default_parameters, t.lifecycle, t.origin, t.availability_test, t.deleted_at)
                       IS DISTINCT FROM
                         (excluded.namespace, excluded.name, excluded.generation, excluded.enabled,
                          excluded.is_active, excluded.conditions, excluded.verified_generation,
                          excluded.last_handled_reconcile_at, excluded.created_at,
                          excluded.provider_uid, excluded.endpoint_uids, excluded.model_id,
                          excluded.display_name, excluded.version, excluded.type,
                          excluded.context_window, excluded.max_input_tokens,
                          excluded.max_output_tokens, excluded.currency, excluded.input_price,
                          excluded.output_price, excluded.capabilities, excluded.recommended_for,
                          excluded.default_parameters, excluded.lifecycle, excluded.origin,
                          excluded.availability_test, NULL::timestamptz)
                   RETURNING 1
               )
               SELECT EXISTS (SELECT FROM stored) AS "changed!",
                      ARRAY (SELECT uid FROM gone) AS "replaced!",
                      ARRAY (SELECT uid FROM displaced) AS "displaced!",
                      ARRAY (SELECT name FROM displaced) AS "displaced_names!""#,
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
            row.model_id,
            row.display_name,
            row.version,
            row.type_.map(|word| word.word()),
            row.context_window,
            row.max_input_tokens,
            row.max_output_tokens,
            row.currency,
            row.input_price,
            row.output_price,
            Json(&row.capabilities) as _,
            &row.recommended_for,
            row.default_parameters.as_ref().map(Json) as _,
            row.lifecycle.word(),
            Json(&row.origin) as _,
            Json(&row.availability_test) as _,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        self.removed(Kind::Model, &stored.replaced).await?;
        for uid in stored.displaced {
            self.changed(Kind::Model, uid);
        }
        if stored.changed {
            self.changed(Kind::Model, row.uid);
        }
        Ok(UpsertedRow {
            changed: stored.changed,
            replaced: stored.replaced,
            displaced: stored.displaced_names,
        })
    }

    /// Notes what a test concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn model_test_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            r#"UPDATE models SET test_verdict = $2
               WHERE uid = $1 AND (test_verdict -> 'reason', test_verdict -> 'message',
                                   test_verdict -> 'generation', test_verdict -> 'inputs', test_verdict -> 'key',
                                   test_verdict -> 'proves_key', test_verdict -> 'proved_with')
                   IS DISTINCT FROM ($2::jsonb -> 'reason', $2 -> 'message', $2 -> 'generation', $2 -> 'inputs', $2 -> 'key',
                                    $2 -> 'proves_key', $2 -> 'proved_with')"#,
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
