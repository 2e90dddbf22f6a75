//! Checks that the read API asked for.

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

impl Db {
    /// Every request that was not removed yet, oldest first.
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
    /// which of them there are. One that was asked for within the last two seconds is shared.
    /// For the API's account.
    pub async fn check_requests_make(
        &self,
        uids: &[Uuid],
        requesters: &[String],
    ) -> Result<Vec<Uuid>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT llmplane_fn.request_checks($1, $2) AS "uid!""#,
                uids,
                requesters,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// Which of these objects have a request that was not met yet, and the revision at that moment: by
    /// then the rows of the others say what their checks found. For the API's account.
    pub async fn check_requests_left(
        &self,
        uids: &[Uuid],
    ) -> Result<(Revision, Vec<Uuid>), DbError> {
        self.in_time(async {
            let moment = sqlx::query!(
                r#"SELECT revision, ARRAY(
                       SELECT uid FROM check_requests WHERE uid = ANY($1)
                   ) AS "left!"
                   FROM feed"#,
                uids,
            )
            .fetch_one(&self.pool)
            .await?;
            Ok((Revision(moment.revision), moment.left))
        })
        .await
    }
}

impl WriteTx {
    /// Removes a request that was met; one that was made since stays.
    pub async fn check_request_remove(
        &mut self,
        uid: Uuid,
        requested_at: Timestamp,
    ) -> Result<(), DbError> {
        sqlx::query!(
            "DELETE FROM check_requests WHERE uid = $1 AND requested_at = $2",
            uid,
            requested_at.to_sqlx() as _,
        )
        .execute(&mut *self.tx)
        .await?;
        self.wrote();
        Ok(())
    }
}
