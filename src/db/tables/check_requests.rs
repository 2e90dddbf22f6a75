//! Checks that the read API asked for.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::db::{Db, DbError, Revision, WriteTx};

/// A check that someone asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// The object to check.
    pub uid: Uuid,
    /// Who asked.
    pub requester: String,
    /// When, by the database's clock; the latest, where several asked.
    pub requested_at: Timestamp,
    /// Whether the object is stored, and not deleted.
    pub is_live: bool,
}

/// A check as one of those who asked for it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedCheck {
    /// The object.
    pub uid: Uuid,
    /// When it was asked for, by the database's clock: whoever shares it has this moment.
    pub requested_at: Timestamp,
    /// How long ago that was.
    pub age: Duration,
}

impl Db {
    /// Every request that was not met yet, oldest first.
    pub async fn check_requests(&self) -> Result<Vec<CheckRequest>, DbError> {
        self.in_time(async {
            // Not by EXISTS, nor by a condition that an index of the live rows has: while a table is
            // empty both are planned to read it whole.
            Ok(sqlx::query_as!(
                CheckRequest,
                r#"SELECT uid, requester, requested_at, coalesce(
                       (SELECT deleted_at IS NULL FROM providers o WHERE o.uid = r.uid),
                       (SELECT deleted_at IS NULL FROM endpoints o WHERE o.uid = r.uid),
                       (SELECT deleted_at IS NULL FROM credentials o WHERE o.uid = r.uid),
                       (SELECT deleted_at IS NULL FROM models o WHERE o.uid = r.uid),
                       false) AS "is_live!"
                   FROM check_requests r ORDER BY requested_at"#
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// Asks the controller for a check of an object; answers whether there is such an object.
    /// For the API's account.
    pub async fn check_request(&self, uid: Uuid, requester: &str) -> Result<bool, DbError> {
        let requester = [requester.to_owned()];
        let found = self.check_requests_make(&[uid], &requester).await?;
        Ok(!found.is_empty())
    }

    /// Asks the controller for checks of objects, each on behalf of the requester at its place; answers
    /// those of objects that there are. One that was asked for within the last two seconds is shared.
    /// For the API's account.
    pub async fn check_requests_make(
        &self,
        uids: &[Uuid],
        requesters: &[String],
    ) -> Result<Vec<AskedCheck>, DbError> {
        self.in_time(async {
            let asked = sqlx::query!(
                r#"SELECT uid AS "uid!", requested_at AS "requested_at!", age AS "age!"
                   FROM llmplane_fn.request_checks($1, $2)"#,
                uids,
                requesters,
            )
            .fetch_all(&self.pool)
            .await?;
            let checks = asked.into_iter().map(|row| AskedCheck {
                uid: row.uid,
                requested_at: row.requested_at.to_jiff(),
                // Below zero where the clock was set back.
                age: Duration::try_from_secs_f64(row.age).unwrap_or_default(),
            });
            Ok(checks.collect())
        })
        .await
    }

    /// Which of these objects have a request that was not met yet, each with the moment up to which
    /// whoever asked has had its check, and the revision at that moment: by then rows say what the
    /// checks found. For the API's account.
    pub async fn check_requests_left(
        &self,
        uids: &[Uuid],
    ) -> Result<(Revision, HashMap<Uuid, Timestamp>), DbError> {
        self.in_time(async {
            let rows = sqlx::query!(
                r#"SELECT feed.revision, r.uid AS "uid?", r.met_at AS "met_at?"
                   FROM feed LEFT JOIN check_requests r ON r.uid = ANY($1)"#,
                uids,
            )
            .fetch_all(&self.pool)
            .await?;
            let revision = rows.first().map_or(0, |row| row.revision);
            let left = rows
                .into_iter()
                .filter_map(|row| Some((row.uid?, row.met_at?.to_jiff())));
            Ok((Revision(revision), left.collect()))
        })
        .await
    }
}

impl WriteTx {
    /// Notes that whoever asked for a check of an object up to this moment has had it: the request is
    /// removed where nobody has asked since.
    pub async fn check_request_met(
        &mut self,
        uid: Uuid,
        requested_at: Timestamp,
    ) -> Result<(), DbError> {
        let removed = sqlx::query!(
            "DELETE FROM check_requests WHERE uid = $1 AND requested_at <= $2",
            uid,
            requested_at.to_sqlx() as _,
        )
        .execute(&mut *self.tx)
        .await?;
        if removed.rows_affected() == 0 {
            sqlx::query!(
                "UPDATE check_requests SET met_at = $2 WHERE uid = $1 AND met_at < $2",
                uid,
                requested_at.to_sqlx() as _,
            )
            .execute(&mut *self.tx)
            .await?;
        }
        self.wrote();
        Ok(())
    }
}
