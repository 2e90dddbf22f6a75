//! The admin port of a process: `/livez`, `/readyz`, `/metrics`.
//!
//! It is apart from the read API's port, so that a NetworkPolicy can keep them apart. It asks for no
//! token, and its metrics name resources (the credentials that expire): it is for the monitoring's
//! eyes alone, and never serves a key.

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::admin::AdminArgs;

/// How long answers under way may take after the token is cancelled. A request that never comes
/// to its end would else hold the process for as long as its connection is open.
const GRACE: Duration = Duration::from_secs(1);

/// What a process waits for before it is ready, by name: the database, the first snapshot, ...
///
/// A clone shares the same state.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

impl Readiness {
    /// Says that `what` is waited for, and in words why.
    pub fn waiting(&self, what: &'static str, why: impl Into<String>) {
        self.set(what, Some(why.into()));
    }

    /// Says that `what` is there.
    pub fn ready(&self, what: &'static str) {
        self.set(what, None);
    }

    /// What is waited for, one line each; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter()
            .filter_map(|(what, why)| why.as_ref().map(|why| format!("{what}: {why}")))
            .collect()
    }

    fn set(&self, what: &'static str, why: Option<String>) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what, why);
    }
}

/// What the admin port serves from.
#[derive(Clone, Debug)]
pub struct Admin {
    readiness: Readiness,
    metrics: Arc<Registry>,
}

impl Admin {
    /// An admin port over these; the registry is complete by now.
    pub fn new(readiness: Readiness, metrics: Registry) -> Self {
        Self {
            readiness,
            metrics: Arc::new(metrics),
        }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Serves on a bound socket until the token is cancelled.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let serving = axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving.into_future() => served,
            () = late => Ok(()),
        }
    }
}

/// A process: its admin port, and what its parts share.
#[derive(Debug)]
pub struct Host {
    /// What is counted.
    pub registry: Registry,
    /// What is waited for.
    pub readiness: Readiness,
    listener: TcpListener,
}

impl Host {
    /// Opens the admin port. It answers once [`Host::run`] is called.
    ///
    /// # Errors
    /// When the port is taken or may not be used.
    pub async fn bind(args: AdminArgs) -> std::io::Result<Self> {
        let listener = bind(args.admin_listen, "LLMPLANE_ADMIN_LISTEN").await?;
        tracing::info!(address = %listener.local_addr()?, "serves /livez, /readyz and /metrics");
        Ok(Self {
            registry: Registry::default(),
            readiness: Readiness::default(),
            listener,
        })
    }

    /// Runs `work` and the admin port. Where one of them ends, `stop` is cancelled and ends the other.
    ///
    /// # Errors
    /// Those of `work`, and the admin port's.
    pub async fn run<E: From<std::io::Error>>(
        self,
        work: impl Future<Output = Result<(), E>>,
        stop: CancellationToken,
    ) -> Result<(), E> {
        let admin = Admin::new(self.readiness, self.registry);
        let work = async {
            let ended = work.await;
            stop.cancel();
            ended
        };
        let admin = async {
            let ended = admin.serve(self.listener, stop.clone()).await;
            stop.cancel();
            ended
        };
        let (work, admin) = tokio::join!(work, admin);
        work.and(admin.map_err(E::from))
    }
}

/// Binds a port, with an error that says which and what to do.
///
/// # Errors
/// When the port is taken or may not be used.
pub async fn bind(address: SocketAddr, setting: &str) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {error}; set {setting} to a free address"),
        )
    })
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let missing = admin.readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready\n{}\n", missing.join("\n")),
    )
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &admin.metrics) {
        Ok(()) => (
            StatusCode::OK,
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn it_is_ready_when_nothing_is_waited_for() {
        let readiness = Readiness::default();
        readiness.waiting("database", "connection refused");
        assert_eq!(readiness.missing(), ["database: connection refused"]);
        readiness.ready("database");
        assert!(readiness.missing().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_the_process() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let admin = Admin::new(Readiness::default(), Registry::default());
        let serving = tokio::spawn(admin.serve(listener, shutdown.clone()));
        let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        // Answered, so that the slow one has been accepted before.
        let asked = reqwest::get(format!("http://{address}/livez")).await;
        assert!(asked.unwrap().status().is_success());
        shutdown.cancel();
        let ended = tokio::time::timeout(4 * GRACE, serving).await;
        ended.expect("it ends").unwrap().unwrap();
    }
}
