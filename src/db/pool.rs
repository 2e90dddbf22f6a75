//! Connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::Semaphore;

use super::database_url::connect_options;
use super::read_only::ReadOnly;
use super::transactions::group::WriteQueue;
use super::{DbError, Revision};

/// How long after its last use a connection is taken to be good without asking.
const UNCHECKED_IDLE: Duration = Duration::from_secs(1);

/// How long a connection that comes back may take to answer. A query that was given up, or a server
/// that has stalled, keeps it from that.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the end of the process waits for connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What holds for every session. Plans of prepared statements outlive the moment in which a table
/// was small enough to be read whole: every query here that has an index to go by goes by it, so
/// that a table may grow under them. Costs that say so would make the compiler of expressions start.
/// A plan that is good for any value need not be made anew for each. A commit that is told of is on the
/// disk, whatever the server's own settings are: a key leaves after its row, and what is destroyed stays so.
const SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("synchronous_commit", "on"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// What a process may take of the database.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// Shown in `pg_stat_activity`, for example `llmplane-api`.
    pub application_name: String,
    /// Most connections at once.
    pub max_connections: u32,
    /// How long a call waits for a connection before it counts as unavailable.
    pub acquire_timeout: Duration,
    /// How long a call may take in all before it counts as unavailable. Writes, the feed and the
    /// upkeep of partitions have limits of their own.
    pub call_timeout: Duration,
    /// Most calls at once, those that wait for a connection included; more are refused as
    /// unavailable. Writes and the feed are not counted.
    pub max_calls: usize,
    /// What holds for its sessions beside what holds for all.
    pub session: &'static [(&'static str, &'static str)],
}

impl DbOptions {
    /// For a process of this name: 10 connections, 5 s for a connection, 10 s for a call.
    pub fn new(application_name: &str) -> Self {
        Self {
            application_name: application_name.to_owned(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            max_calls: Semaphore::MAX_PERMITS,
            session: &[],
        }
    }
}

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub(super) pool: PgPool,
    pub(super) connect: Arc<PgConnectOptions>,
    /// The newest revision that this process has committed; see `write.rs`.
    pub(super) committed: Arc<AtomicI64>,
    pub(super) queue: Arc<WriteQueue>,
    pub(super) call_timeout: Duration,
    pub(super) calls: Arc<Semaphore>,
    pub(super) read_only: Arc<ReadOnly>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}

impl Db {
    /// Opens a pool and proves it with one connection.
    ///
    /// The URL is PostgreSQL's, with `sslmode` (`disable` to `verify-full`) and `sslrootcert`.
    pub async fn connect(url: &str, options: &DbOptions) -> Result<Self, DbError> {
        let db = Self::lazy(url, options)?;
        db.ping().await?;
        Ok(db)
    }

    /// Opens a pool that connects when it is first used: for a process that starts while
    /// PostgreSQL is away.
    pub fn lazy(url: &str, options: &DbOptions) -> Result<Self, DbError> {
        let connect = connect_options(url)?
            .application_name(&options.application_name)
            .options(SESSION)
            .options(options.session.iter().copied());
        let read_only = Arc::new(ReadOnly::default());
        let (at_release, at_acquire) = (read_only.clone(), read_only.clone());
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let is_outdated = at_acquire.outdates(meta.age);
                Box::pin(async move {
                    if is_outdated {
                        return Ok(false);
                    }
                    if meta.idle_for >= UNCHECKED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_release(move |connection, meta| {
                let is_outdated = at_release.outdates(meta.age);
                Box::pin(async move { Ok(!is_outdated && still_answers(connection).await?) })
            })
            .connect_lazy_with(connect.clone());
        Ok(Self {
            pool,
            connect: Arc::new(connect),
            committed: Arc::default(),
            queue: Arc::default(),
            call_timeout: options.call_timeout,
            calls: Arc::new(Semaphore::new(options.max_calls)),
            read_only,
        })
    }

    /// The connections, for what this module does not offer.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The server's host and port.
    pub fn server(&self) -> (String, u16) {
        (self.connect.get_host().to_owned(), self.connect.get_port())
    }

    /// Whether PostgreSQL answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.in_time(async {
            sqlx::query_scalar!("SELECT 1")
                .fetch_one(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    /// The newest revision that this process has committed; 0 before the first. Where the database
    /// holds an older one it was restored.
    pub fn committed(&self) -> Revision {
        Revision(self.committed.load(Ordering::Acquire))
    }

    /// Closes every connection and waits until they are closed, but not for one that does not let
    /// go: the end of the process closes that.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.pool.close())
            .await
            .is_err()
        {
            tracing::debug!("a connection to PostgreSQL did not close in time");
        }
    }
}

/// Whether a connection that comes back is good for another call. One whose call was given up may
/// never be: it is closed.
async fn still_answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
