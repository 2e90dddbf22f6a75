//! The admin port of a process: `/livez`, `/readyz`, `/metrics`.
//!
//! It is apart from the read API's port, so that a NetworkPolicy can keep them apart. It asks for no
//! token, and its metrics name resources (the credentials that expire): it is for the monitoring's
//! eyes alone, and never serves a key.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::admin::AdminArgs;
use crate::http_server::{self, AnswerMemory, ConnectionCounts, ConnectionLimits, WhenFull};

/// How long answers under way may take after the token is cancelled. A request that never comes
/// to its end would else hold the process for as long as its connection is open.
const GRACE: Duration = Duration::from_secs(1);

/// Connections at once. Probes and scrapes connect for a moment; who holds connections makes way.
const MAX_CONNECTIONS: usize = 64;

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
        let waiting = self.waiting.lock();
        waiting
            .iter()
            .filter_map(|(what, why)| why.as_ref().map(|why| format!("{what}: {why}")))
            .collect()
    }

    fn set(&self, what: &'static str, why: Option<String>) {
        self.waiting.lock().insert(what, why);
    }
}

/// What the admin port serves from.
#[derive(Clone, Debug)]
pub struct Admin {
    readiness: Readiness,
    metrics: Arc<Registry>,
    counts: ConnectionCounts,
}

impl Admin {
    /// An admin port over these; the registry is complete by now.
    pub fn new(readiness: Readiness, metrics: Registry, counts: ConnectionCounts) -> Self {
        Self {
            readiness,
            metrics: Arc::new(metrics),
            counts,
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
        let limits = ConnectionLimits {
            when_full: WhenFull::CloseOldest,
            http2: false,
            grace: GRACE,
            ..ConnectionLimits::new(MAX_CONNECTIONS)
        };
        let (listener, counts) = (listener.into_std()?, self.counts.clone());
        let memory = AnswerMemory::default();
        http_server::serve(
            self.router(),
            listener,
            None,
            limits,
            counts,
            memory,
            shutdown,
        )
        .await
    }
}

/// A process: its admin port, and what its parts share.
#[derive(Debug)]
pub struct Host {
    /// What is counted.
    pub registry: Registry,
    /// What is waited for.
    pub readiness: Readiness,
    /// Where this process listens.
    pub listeners: Vec<SocketAddr>,
    listener: TcpListener,
    counts: ConnectionCounts,
}

impl Host {
    /// Opens the admin port. It answers once [`Host::run`] is called.
    ///
    /// # Errors
    /// When the port is taken or may not be used.
    pub async fn bind(args: AdminArgs) -> std::io::Result<Self> {
        http_server::raise_limit();
        let listener = bind(args.admin_listen, "LLMPLANE_ADMIN_LISTEN").await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "serves /livez, /readyz and /metrics");
        let mut registry = Registry::default();
        let counts = ConnectionCounts::register(&mut registry, "llmplane_admin");
        Ok(Self {
            registry,
            readiness: Readiness::default(),
            listeners: vec![address],
            listener,
            counts,
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
        let admin = Admin::new(self.readiness, self.registry, self.counts);
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
        let admin = Admin::new(
            Readiness::default(),
            Registry::default(),
            Default::default(),
        );
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

    /// A request over a connection of its own; false where it is not answered.
    async fn is_answered(address: SocketAddr) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.get(format!("http://{address}/livez")).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    #[tokio::test]
    async fn who_holds_connections_keeps_nobody_out() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = ConnectionCounts::default();
        let admin = Admin::new(Readiness::default(), Registry::default(), counts.clone());
        let serving = tokio::spawn(admin.serve(listener, CancellationToken::new()));
        let mut held = Vec::new();
        for _ in 0..3 * MAX_CONNECTIONS {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
            held.push(stream);
        }
        assert!(is_answered(address).await);
        let closed = counts.refused.get();
        assert!(closed > 2 * MAX_CONNECTIONS as u64, "{closed}");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while counts.open.get() > MAX_CONNECTIONS as i64 {
            assert!(std::time::Instant::now() < deadline, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(is_answered(address).await);
        serving.abort();
    }
}
