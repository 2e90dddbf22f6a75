//! To whom a credential's key was given, counted from the audit.

use jiff::Timestamp;
use uuid::Uuid;

use crate::db::{Db, DbError};

/// How often a caller was given a key for one purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenKey {
    /// The user name of the caller.
    pub actor: String,
    /// Name of the endpoint that the key was for; none: it was not recorded.
    pub endpoint: Option<String>,
    /// Name of the model that it was for; none: it was not recorded.
    pub model: Option<String>,
    /// How often.
    pub count: i64,
    /// The last time.
    pub last_at: Timestamp,
}

/// To whom a key was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenKeys {
    /// By caller, endpoint and model, the latest first.
    pub groups: Vec<GivenKey>,
    /// Groups beyond those that were asked for.
    pub left_out: i64,
    /// Whether it was given more often than the rows that were looked at tell.
    pub is_cut: bool,
}

/// How much of the audit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBounds {
    /// Days, today (UTC) among them.
    pub days: i32,
    /// The newest rows of the credential, at most so many.
    pub rows: i64,
    /// Groups, at most so many.
    pub groups: i64,
}

impl Db {
    /// To whom the key of a credential was given in the last days. For the API's account.
    pub async fn given_keys(
        &self,
        credential: Uuid,
        within: GivenBounds,
    ) -> Result<GivenKeys, DbError> {
        let rows = self
            .in_time(async {
                // Newest first by the index of the credential's rows, and no further than is asked for.
                Ok(sqlx::query!(
                    r#"SELECT actor, detail ->> 'endpoint' AS endpoint, detail ->> 'model' AS model,
                              sum(count)::bigint AS "count!", max(at) AS "last_at!: jiff_sqlx::Timestamp",
                              count(*) OVER () AS "groups!", (sum(count(*)) OVER ())::bigint AS "rows!"
                       FROM (SELECT actor, detail, at, count FROM audit_log
                             WHERE object_uid = $1 AND action = 'Disclose' AND result = 'Disclosed'
                               AND at >= ((now() AT TIME ZONE 'UTC')::date - $2::integer + 1)::timestamp
                                   AT TIME ZONE 'UTC'
                             ORDER BY seq DESC LIMIT $3) newest
                       GROUP BY 1, 2, 3 ORDER BY max(at) DESC, 1, 2, 3 LIMIT $4"#,
                    credential,
                    within.days,
                    within.rows,
                    within.groups,
                )
                .fetch_all(&self.pool)
                .await?)
            })
            .await?;
        let (all, read) = rows.first().map_or((0, 0), |row| (row.groups, row.rows));
        let groups: Vec<GivenKey> = rows
            .into_iter()
            .map(|row| GivenKey {
                actor: row.actor,
                endpoint: row.endpoint,
                model: row.model,
                count: row.count,
                last_at: row.last_at.into(),
            })
            .collect();
        Ok(GivenKeys {
            left_out: all - i64::try_from(groups.len()).unwrap_or(all),
            is_cut: read >= within.rows,
            groups,
        })
    }
}
