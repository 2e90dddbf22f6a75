//! What the vendor's last complete model list said, by endpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::{Db, DbError, WriteTx};

impl WriteTx {
    /// Replaces what is known of an endpoint's models by a complete list: facts by model id.
    /// Answers whether anything differs from before.
    pub async fn listed_models_replace(
        &mut self,
        endpoint_uid: Uuid,
        models: &BTreeMap<String, Value>,
    ) -> Result<bool, DbError> {
        let (ids, facts): (Vec<String>, Vec<Value>) = models
            .iter()
            .map(|(id, facts)| (id.clone(), facts.clone()))
            .unzip();
        let gone = sqlx::query!(
            "DELETE FROM listed_models WHERE endpoint_uid = $1 AND model_id <> ALL ($2)",
            endpoint_uid,
            &ids,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        let stored = sqlx::query!(
            r#"INSERT INTO listed_models AS t (endpoint_uid, model_id, facts)
               SELECT $1, m.model_id, m.facts FROM unnest($2::text[], $3::jsonb[]) AS m (model_id, facts)
               ON CONFLICT (endpoint_uid, model_id) DO UPDATE SET facts = excluded.facts
               WHERE t.facts IS DISTINCT FROM excluded.facts"#,
            endpoint_uid,
            &ids,
            &facts,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        let differs = gone + stored > 0;
        if differs {
            self.wrote();
        }
        Ok(differs)
    }
}

impl Db {
    /// What is known of the models of these endpoints: endpoint, then model id, then facts.
    pub async fn listed_models(
        &self,
        endpoint_uids: &[Uuid],
    ) -> Result<BTreeMap<Uuid, BTreeMap<String, Value>>, DbError> {
        let rows = sqlx::query!(
            "SELECT endpoint_uid, model_id, facts FROM listed_models WHERE endpoint_uid = ANY ($1)",
            endpoint_uids,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_endpoint: BTreeMap<Uuid, BTreeMap<String, Value>> = BTreeMap::new();
        for row in rows {
            by_endpoint
                .entry(row.endpoint_uid)
                .or_default()
                .insert(row.model_id, row.facts);
        }
        Ok(by_endpoint)
    }
}
