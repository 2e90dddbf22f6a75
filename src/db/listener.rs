//! Notifications, on a connection of their own. Losing one costs latency, never data: whoever
//! waits here also reads after every (re)connect, and polls as a backstop.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use uuid::Uuid;

use super::{Db, DbError, Revision};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What woke the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken<T> {
    /// It has (re)connected: anything may have happened meanwhile.
    Connected,
    /// A notification.
    Told(T),
}

/// Waits for new revisions.
pub struct FeedListener(Listener);

impl FeedListener {
    /// Connects when it is first waited for.
    pub fn new(db: &Db) -> Self {
        Self(Listener::new(db, "llmplane_feed"))
    }

    /// Waits for the next notification, reconnecting for as long as it takes. Safe to drop and
    /// call again.
    pub async fn next(&mut self) -> Woken<Revision> {
        self.0.next(|text| text.parse().ok().map(Revision)).await
    }
}

/// Waits for requests for checks.
pub struct CheckListener(Listener);

impl CheckListener {
    /// Connects when it is first waited for.
    pub fn new(db: &Db) -> Self {
        Self(Listener::new(db, "llmplane_checks"))
    }

    /// Waits for the next notification, reconnecting for as long as it takes; the UID is the
    /// object's. The requests themselves are rows: see [`Db::check_requests`].
    pub async fn next(&mut self) -> Woken<Uuid> {
        self.0.next(|text| text.parse().ok()).await
    }
}

struct Listener {
    connect: Arc<PgConnectOptions>,
    channel: &'static str,
    connected: Option<PgListener>,
    retry: Duration,
}

impl Listener {
    fn new(db: &Db, channel: &'static str) -> Self {
        Self {
            connect: db.connect.clone(),
            channel,
            connected: None,
            retry: FIRST_RETRY,
        }
    }

    async fn next<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Woken<T> {
        loop {
            let Some(listener) = &mut self.connected else {
                if self.reconnect().await {
                    return Woken::Connected;
                }
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(notification)) => {
                    if let Some(told) = parse(notification.payload()) {
                        return Woken::Told(told);
                    }
                }
                Ok(None) => self.connected = None,
                Err(error) => {
                    tracing::warn!(channel = self.channel, error = %DbError::from(error), "lost the connection that listens");
                    self.connected = None;
                }
            }
        }
    }

    async fn reconnect(&mut self) -> bool {
        match self.listen().await {
            Ok(listener) => {
                self.connected = Some(listener);
                self.retry = FIRST_RETRY;
                true
            }
            Err(error) => {
                let error = DbError::from(error);
                // Once for an outage: each attempt would say the same.
                if self.retry == FIRST_RETRY {
                    tracing::warn!(channel = self.channel, %error, "cannot listen; tries again until it can");
                } else {
                    tracing::debug!(channel = self.channel, %error, "cannot listen");
                }
                tokio::time::sleep(self.retry).await;
                self.retry = (self.retry * 2).min(LAST_RETRY);
                false
            }
        }
    }

    async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LAST_RETRY)
            .connect_lazy_with((*self.connect).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // Otherwise it would reconnect by itself, and nobody would know to read again.
        listener.eager_reconnect(false);
        listener.listen(self.channel).await?;
        Ok(listener)
    }
}
