//! Notifications, on a connection of their own. Losing one costs latency, never data: whoever
//! waits here also reads after every (re)connect, and polls as a backstop.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use uuid::Uuid;

use crate::db::transactions::deadline::within;
use crate::db::{Db, DbError, Revision};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Connects anew: what should have been told was not, as by a connection that nobody is at the
    /// other end of any more.
    pub fn reconnect(&mut self) {
        self.0.reconnect();
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
    state: State,
    retry: Duration,
}

/// Kept while nobody waits: connecting may take longer than a caller is willing to wait at once.
enum State {
    Connecting(BoxFuture<'static, Result<PgListener, DbError>>),
    Connected(PgListener),
}

impl Listener {
    fn new(db: &Db, channel: &'static str) -> Self {
        let connect = db.connect.clone();
        Self {
            state: State::connecting(connect.clone(), channel, Duration::ZERO),
            connect,
            channel,
            retry: FIRST_RETRY,
        }
    }

    async fn next<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Woken<T> {
        loop {
            match &mut self.state {
                State::Connecting(connecting) => match connecting.await {
                    Ok(listener) => {
                        self.state = State::Connected(listener);
                        self.retry = FIRST_RETRY;
                        return Woken::Connected;
                    }
                    Err(error) => self.try_again(&error),
                },
                State::Connected(listener) => match listener.try_recv().await {
                    Ok(Some(notification)) => {
                        if let Some(told) = parse(notification.payload()) {
                            return Woken::Told(told);
                        }
                    }
                    Ok(None) => self.reconnect(),
                    Err(error) => {
                        tracing::warn!(channel = self.channel, error = %DbError::from(error), "lost the connection that listens");
                        self.reconnect();
                    }
                },
            }
        }
    }

    fn try_again(&mut self, error: &DbError) {
        // Once for an outage: each attempt would say the same.
        if self.retry == FIRST_RETRY {
            tracing::warn!(channel = self.channel, %error, "cannot listen; tries again until it can");
        } else {
            tracing::debug!(channel = self.channel, %error, "cannot listen");
        }
        self.state = State::connecting(self.connect.clone(), self.channel, self.retry);
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }

    fn reconnect(&mut self) {
        self.state = State::connecting(self.connect.clone(), self.channel, Duration::ZERO);
    }
}

impl State {
    fn connecting(connect: Arc<PgConnectOptions>, channel: &'static str, wait: Duration) -> Self {
        Self::Connecting(Box::pin(async move {
            tokio::time::sleep(wait).await;
            within(CONNECT_TIMEOUT, listen(connect, channel)).await
        }))
    }
}

async fn listen(
    connect: Arc<PgConnectOptions>,
    channel: &'static str,
) -> Result<PgListener, DbError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with((*connect).clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    // Otherwise it would reconnect by itself, and nobody would know to read again.
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}
