//! Checks that the read API asked for.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::db::{Db, DbError, WriteTx};

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
        self.in_time(async {
            Ok(sqlx::query_scalar!(
                r#"SELECT llmplane_fn.request_check($1, $2) AS "found!""#,
                uid,
                requester,
            )
            .fetch_one(&self.pool)
            .await?)
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
