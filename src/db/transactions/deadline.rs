//! Every call ends in time. A server that has stalled, or a network that swallows packets, answers
//! nothing at all, and must not hold a task for ever.

use std::time::Duration;

use tracing::Instrument;

use crate::db::{Db, DbError};
use crate::telemetry::spans;

impl Db {
    /// [`within`] the time of a call, if not too many wait; see [`crate::db::DbOptions`].
    pub(in crate::db) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let _counted = self
            .calls
            .try_acquire()
            .map_err(|_| DbError::Unavailable("too many calls wait for it".to_owned()))?;
        traced("call", async {
            self.noted(within(self.call_timeout, work).await)
        })
        .await
    }
}

/// Does this work as a span.
pub(in crate::db) async fn traced<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    let span = spans::database(operation);
    let outcome = work.instrument(span.clone()).await;
    if let Err(error) = &outcome {
        spans::failed(&span, error.into());
    }
    outcome
}

/// Does this work, or gives it up. The connection that it held goes back to the pool, which closes
/// what does not answer.
///
/// # Errors
///
/// Those of the work, and [`DbError::Unavailable`] where there is no answer in time.
pub(in crate::db) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(DbError::Unavailable("no answer in time".to_owned())))
}
