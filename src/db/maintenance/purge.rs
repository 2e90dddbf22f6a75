//! Removing for good what was deleted long ago. Readers know nothing of it any more, so that it
//! takes no revision.

use crate::db::{DbError, WriteTx};

impl WriteTx {
    /// Removes objects that were deleted longer ago than the table `retention` says (30 days unless
    /// an administrator changed it) with their key versions, versions destroyed as long ago, and the
    /// model lists of endpoints that are deleted; at most `batch` rows of each table. Answers how
    /// many: where there are some, there may be more. A parent waits for its children.
    ///
    /// # Errors
    ///
    /// [`DbError::Conflict`] when a child appears meanwhile: to be tried again later.
    pub async fn deleted_purge(&mut self, batch: i32) -> Result<u64, DbError> {
        let removed = sqlx::query_scalar!(
            r#"SELECT llmplane_fn.purge_deleted($1) AS "removed!""#,
            batch,
        )
        .fetch_one(&mut *self.tx)
        .await?;
        if removed > 0 {
            self.wrote();
        }
        Ok(u64::try_from(removed).unwrap_or_default())
    }
}
