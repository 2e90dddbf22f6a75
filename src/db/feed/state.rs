//! The one row that orders everything: the leader's epoch, the newest revision, the cluster.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::transactions::deadline::within;
use crate::db::transactions::write::WRITE_TIMEOUT;
use crate::db::{Db, DbError, Epoch, Revision};

/// The feed's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// The leader's term.
    pub epoch: Epoch,
    /// The newest revision.
    pub revision: Revision,
    /// The cluster that the database belongs to: the UID of its namespace `kube-system`.
    pub cluster_uid: Option<String>,
}

impl Db {
    /// What a leader's transactions begin their `application_name` with; the epoch follows.
    pub(in crate::db) const LEADER: &'static str = "llmplane-leader/";

    /// The feed's row.
    pub async fn feed_state(&self) -> Result<FeedState, DbError> {
        self.in_time(async {
            let row = sqlx::query!("SELECT epoch, revision, cluster_uid FROM feed")
                .fetch_one(&self.pool)
                .await?;
            Ok(FeedState {
                epoch: Epoch(row.epoch),
                revision: Revision(row.revision),
                cluster_uid: row.cluster_uid,
            })
        })
        .await
    }

    /// Takes over: from here on the database takes writes of the answered epoch only.
    ///
    /// Epoch and revision are raised to the clock (Unix milliseconds), so that neither is ever used
    /// twice, not even after a restore. Transactions of older leaders are ended, for a paused one
    /// may hold locks. `identity` goes to the log alone.
    pub async fn lead(&self, identity: &str) -> Result<Epoch, DbError> {
        let raised = within(WRITE_TIMEOUT, async {
            let mut connection = self.pool.acquire().await?;
            // Before, for one may hold the feed's row; after, for one may have begun meanwhile.
            let before = end_older_leaders(&mut connection, i64::MAX).await?;
            let epoch = raise(&mut connection).await?;
            let after = end_older_leaders(&mut connection, epoch.0).await?;
            Ok::<_, DbError>((epoch, before + after))
        });
        let (epoch, ended) = self.noted(raised.await)?;
        tracing::info!(identity, %epoch, ended_sessions = ended, "leads");
        Ok(epoch)
    }

    /// Makes sure that this database belongs to this cluster: it is claimed if it is nobody's, or
    /// when `adopt` is set.
    ///
    /// # Errors
    ///
    /// [`DbError::OtherCluster`] when it belongs to another.
    pub async fn cluster_claim(&self, uid: &str, adopt: bool) -> Result<(), DbError> {
        // Where nothing is to be written the row need not be free: a paused leader may hold it.
        if self.feed_state().await?.cluster_uid.as_deref() == Some(uid) {
            return Ok(());
        }
        let claimed = sqlx::query_scalar!(
            r#"UPDATE feed SET cluster_uid = CASE
                   WHEN cluster_uid IS NULL OR $2 THEN $1 ELSE cluster_uid END
               RETURNING cluster_uid AS "cluster_uid!""#,
            uid,
            adopt,
        );
        let recorded = self
            .in_time(async { Ok(claimed.fetch_one(&self.pool).await?) })
            .await?;
        if recorded == uid {
            Ok(())
        } else {
            Err(DbError::OtherCluster {
                recorded,
                this: uid.to_owned(),
            })
        }
    }
}

/// Raises epoch and revision, and leaves a mark in the feed, so that the newest revision is always
/// one that `changes` holds.
async fn raise(connection: &mut PgConnection) -> Result<Epoch, DbError> {
    let row = sqlx::query!(
        r#"WITH clock AS (
               SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms
           ), raised AS (
               UPDATE feed SET epoch = greatest(feed.epoch + 1, clock.ms),
                               revision = greatest(feed.revision + 1, clock.ms)
               FROM clock RETURNING feed.epoch, feed.revision
           ), marked AS (
               INSERT INTO changes (revision, kind, uid) SELECT revision, 'feed', $1 FROM raised
           ), told AS (
               SELECT pg_notify('llmplane_feed', revision::text) FROM raised
           )
           SELECT raised.epoch FROM raised, told"#,
        Uuid::nil(),
    )
    .fetch_one(connection)
    .await?;
    Ok(Epoch(row.epoch))
}

/// Ends the sessions that are in a transaction of an epoch below this one. A role may end its own
/// sessions without further rights.
async fn end_older_leaders(connection: &mut PgConnection, below: i64) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS "ended!"
           FROM pg_stat_activity
           WHERE datname = current_database() AND usename = current_user
             AND pid <> pg_backend_pid()
             AND application_name ~ ('^' || $1 || '[0-9]{1,18}$')
             AND substr(application_name, length($1) + 1)::bigint < $2"#,
        Db::LEADER,
        below,
    )
    .fetch_one(connection)
    .await?)
}
