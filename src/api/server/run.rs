//! The process: the feed, the API's port and the admin port, started and ended together.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::key_service::KeyService;
use super::metrics::{self, Metrics};
use super::tls::{self, TlsError};
use crate::admin::{self, Host};
use crate::api::auth::Auth;
use crate::api::read::list_cache::ListCache;
use crate::api::watch::Watches;
use crate::api::write::Writes;
use crate::api::{ApiDeps, ApiState, router};
use crate::config::admin::AdminArgs;
use crate::config::api::ApiSettings;
use crate::config::cluster::ClusterError;
use crate::db::{Db, DbError, DbOptions};
use crate::http_server::{
    self, AnswerMemory, ConnectionCounts, ConnectionLimits, TooFewDescriptors,
};
use crate::snapshot::Store;
use crate::snapshot::feed::{Feed, FeedError};

/// How long a request may wait for PostgreSQL in all.
const DB_CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a read waits for a connection to PostgreSQL before that counts as out of reach.
const DB_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests that ask PostgreSQL at once, those that wait for a connection included; more get 503.
const MAX_CALLS: usize = 50;
/// Connections of the feed, which waits for no request's.
const FEED_CONNECTIONS: u32 = 2;

/// Why the API ended.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The cluster's address or account is not known.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The kube-apiserver's client cannot be made.
    #[error("cannot make a client of the kube-apiserver: {0}")]
    Client(String),
    /// The database's URL or schema is not usable.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Certificate or key are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connections that are allowed cannot be had.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// A port is taken, or a socket failed.
    #[error("{0}")]
    Socket(#[from] std::io::Error),
    /// The feed cannot go on.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A task ended that never should: a defect.
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

/// Runs the API and its admin port until the token is cancelled. Both ports are open before it
/// waits for anything.
///
/// # Errors
///
/// What keeps it from starting or going on; every task has ended by then.
pub async fn run(
    settings: ApiSettings,
    admin: AdminArgs,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    let mut host = Host::bind(admin).await?;
    let server = Server::prepare(settings, &mut host).await?;
    host.run(server.run(shutdown.clone()), shutdown).await
}

/// A read API with its port open, which waits for nothing yet.
pub struct Server {
    state: ApiState,
    listener: TcpListener,
    tls: Option<tls::Reloaded>,
    limits: ConnectionLimits,
    counts: ConnectionCounts,
    feed: Feed,
    disclosure: KeyService,
    console: bool,
}

impl Server {
    /// Opens the port, and registers what is counted.
    ///
    /// # Errors
    ///
    /// What no waiting heals: an unusable kubeconfig, database URL, certificate or port.
    pub async fn prepare(settings: ApiSettings, host: &mut Host) -> Result<Self, ApiError> {
        // Another part of this process may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = settings.cluster.config().await?;
        let unusable = |error: kube::Error| ApiError::Client(error.to_string());
        let anonymous = Writes::client(&cluster).map_err(unusable)?;
        let client = kube::Client::try_from(cluster).map_err(unusable)?;
        let options = DbOptions {
            acquire_timeout: DB_ACQUIRE_TIMEOUT,
            call_timeout: DB_CALL_TIMEOUT,
            max_calls: MAX_CALLS,
            ..DbOptions::new("llmplane-api")
        };
        let db = Db::lazy(settings.database_url.expose_secret(), &options)?;
        let feed_options = DbOptions {
            max_connections: FEED_CONNECTIONS,
            max_calls: Semaphore::MAX_PERMITS,
            ..options
        };
        let feed_db = Db::lazy(settings.database_url.expose_secret(), &feed_options)?;
        let disclosure = KeyService::prepare(&settings, db.clone(), &mut host.registry)?;
        http_server::make_room(settings.max_connections)?;
        let registry = &mut host.registry;
        let tls = settings.tls.as_ref();
        let tls = tls.map(|files| tls::load(files, registry)).transpose()?;
        let listener = admin::bind(settings.listen, "LLMPLANE_LISTEN").await?;
        let address = listener.local_addr()?;
        host.listeners.push(address);
        tracing::info!(%address, tls = tls.is_some(), "serves the read API");

        let store = Arc::new(Store::default());
        let metrics = Metrics::register(&mut host.registry, store.clone());
        let feed = Feed::new(feed_db, store.clone(), host.readiness.clone());
        let watches = Watches::new(settings.max_watches, &mut host.registry);
        let memory = AnswerMemory::default();
        metrics::register_memory(&mut host.registry, memory.clone());
        let state = ApiState::new(ApiDeps {
            store,
            db,
            disclosure: disclosure.for_callers(settings.keys_per_second),
            auth: Auth::new(client, &settings.audience, metrics.clone()),
            checks: Default::default(),
            watches,
            writes: Writes::new(anonymous, disclosure.refusals()),
            metrics,
            pages: ListCache::default(),
            needs: Default::default(),
            resolutions: Default::default(),
            prepared: Default::default(),
            token_services: settings.token_services.into_iter().collect(),
            shared_namespaces: settings
                .shared_namespaces
                .iter()
                .map(|n| n.as_str().into())
                .collect(),
            deleted_reads: Default::default(),
            revision_waits: Default::default(),
            memory,
        });
        Ok(Self {
            state,
            listener,
            tls,
            limits: ConnectionLimits::new(settings.max_connections),
            counts: ConnectionCounts::register(&mut host.registry, "llmplane_api"),
            feed,
            disclosure,
            console: settings.console,
        })
    }

    /// Serves until the token is cancelled.
    ///
    /// # Errors
    ///
    /// What keeps it from going on; every task has ended by then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ApiError> {
        let Self {
            state,
            listener,
            tls,
            limits,
            counts,
            feed,
            disclosure,
            console,
        } = self;
        let (db, memory, writes) = (state.db.clone(), state.memory.clone(), state.writes.clone());
        let mut tasks = JoinSet::new();
        let token = shutdown.clone();
        tasks.spawn(async move { ("the feed", feed.run(token).await.map_err(ApiError::from)) });
        let (checks, checks_db, token) = (state.checks.clone(), state.db.clone(), shutdown.clone());
        tasks.spawn(async move {
            checks.run(checks_db, token).await;
            ("the wait for checks", Ok(()))
        });
        let (watches, token) = (state.watches.clone(), shutdown.clone());
        tasks.spawn(async move {
            token.cancelled().await;
            watches.drain();
            ("the end of the streams", Ok(()))
        });
        // Whoever is being answered when the end comes still gets the key that was recorded.
        let served_all = CancellationToken::new();
        for (name, task) in disclosure.tasks(&shutdown, &served_all) {
            tasks.spawn(async move {
                task.await;
                (name, Ok(()))
            });
        }
        let (needs, needs_db, token) = (state.needs.clone(), state.db.clone(), served_all.clone());
        tasks.spawn(async move {
            needs.run(needs_db, token).await;
            ("the counting of what is asked for", Ok(()))
        });
        let served = http_server::serve(
            router::router(state, console),
            listener.into_std()?,
            tls.as_ref().map(tls::Reloaded::config),
            limits,
            counts,
            memory,
            shutdown.clone(),
        );
        tasks.spawn(async move {
            let ended = served.await.map_err(ApiError::from);
            served_all.cancel();
            ("the API's port", ended)
        });
        if let Some(tls) = tls {
            let reload = tls::reload_when_changed(tls, shutdown.clone());
            tasks.spawn(async move {
                reload.await;
                ("the watch of the certificate", Ok(()))
            });
        }
        let ended = join(tasks, shutdown).await;
        writes.end().await;
        db.close().await;
        ended
    }
}

/// Waits for all tasks; the first that ends unasked ends the others.
async fn join(
    mut tasks: JoinSet<(&'static str, Result<(), ApiError>)>,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    let mut result = Ok(());
    while let Some(joined) = tasks.join_next().await {
        let unasked = !shutdown.is_cancelled();
        let ended = match joined {
            Ok((_, Err(error))) => Err(error),
            Ok((name, Ok(()))) if unasked => Err(ApiError::Ended(name)),
            Ok((_, Ok(()))) => Ok(()),
            Err(_) => Err(ApiError::Ended("a task that panicked")),
        };
        if let Err(error) = ended
            && result.is_ok()
        {
            result = Err(error);
        }
        shutdown.cancel();
    }
    result
}
