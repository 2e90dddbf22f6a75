//! Sessions that take no writes. A session keeps the `default_transaction_read_only` that it began
//! with: one that was opened while that was set for the database or the role refuses writes long
//! after it was reset. So the first refusal (SQLSTATE 25006) outdates every connection that was open
//! by then: they are closed rather than used again, and new ones show what holds now.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Db, DbError};

/// Least time between two refusals that outdate connections: while PostgreSQL takes no writes at
/// all, every new connection refuses again.
const APART: Duration = Duration::from_secs(1);

/// When a write was last refused so.
#[derive(Debug, Default)]
pub(super) struct ReadOnly(Mutex<Option<Instant>>);

impl ReadOnly {
    /// Notes a refusal of now.
    fn refused(&self, now: Instant) {
        let mut last = self.0.lock();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= APART) {
            *last = Some(now);
        }
    }

    /// Whether a connection of this age is older than the last refusal.
    pub(super) fn outdates(&self, age: Duration) -> bool {
        let last = *self.0.lock();
        last.is_some_and(|last| age > last.elapsed())
    }
}

impl Db {
    /// Notes what an outcome says of the connections.
    pub(super) fn noted<T>(&self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(DbError::ReadOnly(_)) = outcome {
            self.read_only.refused(Instant::now());
        }
        outcome
    }

    /// Why writes are refused, if they are: asked of a connection as it would write.
    ///
    /// # Errors
    ///
    /// Where PostgreSQL does not answer.
    pub async fn takes_writes(&self) -> Result<(), DbError> {
        self.in_time(async {
            let is_read_only = sqlx::query_scalar!(
                r#"SELECT current_setting('transaction_read_only')::boolean AS "is_read_only!""#
            )
            .fetch_one(&self.pool)
            .await?;
            match is_read_only {
                false => Ok(()),
                true => Err(DbError::ReadOnly("the session is read-only".to_owned())),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_outdates_what_was_open_by_then_and_nothing_that_is_opened_later() {
        let state = ReadOnly::default();
        assert!(!state.outdates(Duration::from_secs(3600)));
        let a_minute_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        state.refused(a_minute_ago);
        assert!(state.outdates(Duration::from_secs(61)));
        assert!(!state.outdates(Duration::from_secs(59)));
        // What is refused at once again outdates nothing more.
        state.refused(a_minute_ago + APART / 2);
        assert!(!state.outdates(Duration::from_millis(59_700)));
        state.refused(a_minute_ago + APART);
        assert!(state.outdates(Duration::from_millis(59_700)));
    }
}
