//! What the vendor's last complete model list said, by endpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::db::{Db, DbError, WriteTx};

impl WriteTx {
    /// Replaces what is known of an endpoint's models by a complete list that was read at this
    /// URL: facts by model id. Answers whether anything differs from before.
    pub async fn listed_models_replace(
        &mut self,
        endpoint_uid: Uuid,
        url: &str,
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
            r#"INSERT INTO listed_models AS t (endpoint_uid, url, model_id, facts)
               SELECT $1, $4, m.model_id, m.facts FROM unnest($2::text[], $3::jsonb[]) AS m (model_id, facts)
               ON CONFLICT (endpoint_uid, model_id) DO UPDATE SET facts = excluded.facts, url = excluded.url
               WHERE (t.facts, t.url) IS DISTINCT FROM (excluded.facts, excluded.url)"#,
            endpoint_uid,
            &ids,
            &facts,
            url,
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
    /// What an endpoint's last complete list said, if it was read at this URL: facts by model id.
    pub async fn listed_models(
        &self,
        endpoint_uid: Uuid,
        url: &str,
    ) -> Result<BTreeMap<String, Value>, DbError> {
        self.in_time(async {
            let rows = sqlx::query!(
                "SELECT model_id, facts FROM listed_models WHERE endpoint_uid = $1 AND url = $2",
                endpoint_uid,
                url,
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(rows
                .into_iter()
                .map(|row| (row.model_id, row.facts))
                .collect())
        })
        .await
    }
}
