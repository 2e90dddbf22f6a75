//! Checks that the read API asked for.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Db, DbError, WriteTx};

/// A check that someone asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// The object to check.
    pub uid: Uuid,
    /// Who asked.
    pub requester: String,
    /// When, by the database's clock; the latest, where several asked.
    pub requested_at: Timestamp,
}

impl Db {
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
    /// Takes up every request there is, oldest first: they are gone when the transaction commits.
    pub async fn check_requests_take(&mut self) -> Result<Vec<CheckRequest>, DbError> {
        let mut taken = sqlx::query_as!(
            CheckRequest,
            "DELETE FROM check_requests RETURNING uid, requester, requested_at"
        )
        .fetch_all(&mut *self.tx)
        .await?;
        if !taken.is_empty() {
            self.wrote();
        }
        taken.sort_by_key(|request| request.requested_at);
        Ok(taken)
    }
}
