//! Partitions of `health_probes` and `audit_log`.

use std::time::Duration;

use crate::db::transactions::deadline::within;
use crate::db::{Db, DbError};

/// How long it may take: months of rows may have to move, or to go.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Db {
    /// Makes the partitions of this month and the next three, and removes what is older than the
    /// retention (30 days of probes, 400 days of audit, unless the table `retention` says
    /// otherwise). Answers how many were made. To be called daily.
    pub async fn maintain_partitions(&self) -> Result<i32, DbError> {
        let made = within(TIMEOUT, async {
            Ok(
                sqlx::query_scalar!(r#"SELECT llmplane_fn.maintain_partitions() AS "made!""#)
                    .fetch_one(&self.pool)
                    .await?,
            )
        });
        self.noted(made.await)
    }
}
