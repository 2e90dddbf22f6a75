//! The snapshot that a request is answered from.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::api::ApiState;
use crate::api::problem::{Problem, ProblemType};
use crate::db::Revision;
use crate::snapshot::Snapshot;

/// How long `min_revision` waits.
const MIN_REVISION_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that wait for their revision at once: a quarter of all, so that those which do not wait have the
/// rest.
const WAITING: usize = 1024;

/// Places of those who wait for a revision.
pub struct RevisionWaits(Semaphore);

impl Default for RevisionWaits {
    fn default() -> Self {
        Self(Semaphore::new(WAITING))
    }
}

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
/// 503 before the first snapshot, or where too many wait already; 504 where the revision is not reached within 5 seconds.
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
        && state.store.revision() < Revision(revision)
    {
        Box::pin(reached(state, revision)).await?;
    }
    state.store.snapshot().ok_or_else(|| {
        Problem::new(
            ProblemType::NotReady,
            "this replica has not read the configuration yet; try again",
        )
    })
}

async fn reached(state: &ApiState, revision: i64) -> Result<(), Problem> {
    let _place = state.revision_waits.0.try_acquire().map_err(|_| {
        Problem::new(
            ProblemType::Overloaded,
            format!(
                "{WAITING} requests wait for their min_revision here; try again, or leave it out"
            ),
        )
    })?;
    let reached = state
        .store
        .reached(Revision(revision), MIN_REVISION_TIMEOUT);
    if reached.await {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::RevisionTimeout,
        format!(
            "revision {revision} was not reached within {} s; this replica is at {}",
            MIN_REVISION_TIMEOUT.as_secs(),
            state.store.revision()
        ),
    ))
}
