//! What callers of `POST /resolve` ask for, counted by day.

use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;

use crate::db::{Db, DbError, WriteTx};

/// Requests for one thing, to be added to what was counted today.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NeedCount {
    /// Where it was looked for: lists of namespaces, `["*"]` for all. None, as of `need`: of requests that are
    /// counted together.
    pub namespaces: Option<Value>,
    /// The body of the request in one form.
    pub need: Option<Value>,
    /// How many.
    pub count: i64,
}

/// Requests for one thing over several days.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedNeed {
    /// Identifies `namespaces` and `need`.
    pub digest: Vec<u8>,
    /// See [`NeedCount::namespaces`].
    pub namespaces: Value,
    /// See [`NeedCount::need`].
    pub need: Value,
    /// How many.
    pub count: i64,
    /// The last day (UTC) on which one came: `2026-03-04`.
    pub last_day: String,
}

impl Db {
    /// Adds to what was counted today. What is beyond the bounds of `llmplane_fn.count_needs` is counted
    /// together. For the API's account.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]: whether they were added is unknown.
    pub async fn needs_count(&self, counts: &[NeedCount]) -> Result<(), DbError> {
        self.in_time(async {
            sqlx::query!("SELECT llmplane_fn.count_needs($1)", Json(counts) as _)
                .fetch_one(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    /// What was asked for in the last `days` days, today among them, first in this namespace or (`None`)
    /// anywhere: those behind a digest, in the order of digests. For the API's account.
    pub async fn needs(
        &self,
        namespace: Option<&str>,
        days: i32,
        after: &[u8],
        at_most: i64,
    ) -> Result<Vec<CountedNeed>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                CountedNeed,
                r#"SELECT digest, namespaces AS "namespaces!", need AS "need!", sum(count)::bigint AS "count!",
                          to_char(max(day), 'YYYY-MM-DD') AS "last_day!"
                   FROM resolve_needs
                   WHERE day > (now() AT TIME ZONE 'UTC')::date - $2::integer AND digest > $3
                     AND ($1::text IS NULL OR namespace = $1)
                   GROUP BY digest, namespaces, need ORDER BY digest LIMIT $4"#,
                namespace,
                days,
                after,
                at_most,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// Requests of the last `days` days, today among them, that were counted together for they are beyond
    /// the bounds. For the API's account.
    pub async fn needs_counted_together(&self, days: i32) -> Result<i64, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT coalesce(sum(count), 0)::bigint AS "count!" FROM resolve_needs
                   WHERE day > (now() AT TIME ZONE 'UTC')::date - $1::integer AND digest = ''"#,
                days,
            )
            .fetch_one(&self.pool)
            .await?)
        })
        .await
    }
}

impl WriteTx {
    /// Removes counts of days that are longer ago than the table `retention` says (35 days unless an
    /// administrator changed it), at most `batch` rows. Answers how many.
    pub async fn needs_forget(&mut self, batch: i32) -> Result<u64, DbError> {
        let removed = sqlx::query_scalar!(
            r#"SELECT llmplane_fn.forget_needs($1) AS "removed!""#,
            batch
        )
        .fetch_one(&mut *self.tx)
        .await?;
        if removed > 0 {
            self.wrote();
        }
        Ok(u64::try_from(removed).unwrap_or_default())
    }
}
