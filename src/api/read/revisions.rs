//! The snapshot that a request is answered from.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::ApiState;
use crate::api::problem::{Problem, ProblemType};
use crate::db::Revision;
use crate::snapshot::Snapshot;

/// How long `min_revision` waits.
const MIN_REVISION_TIMEOUT: Duration = Duration::from_secs(5);

/// Revisions begin at Unix' milliseconds and grow by one: whatever is further ahead of the clock than
/// a day of changes is nobody's own write, and nothing to wait for.
fn may_be_reached(revision: i64) -> bool {
    const DAY: i64 = 86_400_000;
    revision <= Timestamp::now().as_millisecond().saturating_add(DAY)
}

/// The newest snapshot, at least of this revision.
///
/// # Errors
///
/// 503 before the first snapshot; 504 where the revision is not reached within 5 seconds.
pub async fn snapshot(state: &ApiState, at_least: Option<i64>) -> Result<Arc<Snapshot>, Problem> {
    if let Some(revision) = at_least
        && !may_be_reached(revision)
    {
        return Err(Problem::new(
            ProblemType::RevisionTimeout,
            format!("there is no revision {revision} yet; send one that an answer had"),
        ));
    }
    if let Some(revision) = at_least
        && !Box::pin(
            state
                .store
                .reached(Revision(revision), MIN_REVISION_TIMEOUT),
        )
        .await
    {
        return Err(Problem::new(
            ProblemType::RevisionTimeout,
            format!(
                "revision {revision} was not reached within {} s; this replica is at {}",
                MIN_REVISION_TIMEOUT.as_secs(),
                state.store.revision()
            ),
        ));
    }
    state.store.snapshot().ok_or_else(|| {
        Problem::new(
            ProblemType::NotReady,
            "this replica has not read the configuration yet; try again",
        )
    })
}
