//! The console: a page that shows what is declared and whether it works, and the server that gives it to
//! one person on their own machine.
//!
//! `page` holds the page's files, which the API may serve too. [`Console`] serves them on loopback and
//! passes the page's questions on to the API with a token that the page never sees; `guard` says who may
//! ask. It only reads, and never asks for a key.

mod guard;
pub mod page;
mod problem;
mod proxy;
mod refused;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api_client::{ApiConnection, Cluster};
use guard::Guard;
use problem::Problem;

/// The console of one person: their cluster, a way to the API, and a port of their machine.
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
}

/// What the handlers answer from.
struct State {
    guard: Guard,
    cluster: Cluster,
    api: ApiConnection,
}

impl Console {
    /// Opens a port of 127.0.0.1; 0 for a free one.
    ///
    /// # Errors
    /// Where the port is taken, or the system has no random bytes.
    pub async fn bind(port: u16, cluster: Cluster, api: ApiConnection) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let guard = Guard::new(address.port())?;
        let state = Arc::new(State {
            guard,
            cluster,
            api,
        });
        Ok(Self {
            listener,
            address,
            state,
        })
    }

    /// Finds out whether the API answers.
    ///
    /// # Errors
    /// Where it does not: why, and what to look at.
    pub async fn probe_api(&self) -> anyhow::Result<()> {
        self.state.api.probe().await
    }

    /// The address to print for its user: it opens the page as often as it is used.
    pub fn address(&self) -> String {
        self.opened_by(self.state.guard.code())
    }

    /// The address to give to a browser, whose arguments others on this machine may read: it opens the
    /// page once, within a minute.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn address_for_once(&self) -> std::io::Result<String> {
        Ok(self.opened_by(&self.state.guard.code_for_once()?))
    }

    fn opened_by(&self, code: &str) -> String {
        // What follows the # is sent to nobody.
        format!("http://{}/console/#code={code}", self.address)
    }

    /// Serves until the token is cancelled.
    ///
    /// # Errors
    /// Where the port fails.
    pub async fn run(self, shutdown: CancellationToken) -> std::io::Result<()> {
        let served = axum::serve(self.listener, router(self.state));
        tokio::select! {
            served = served => served,
            // Streams that are open have no end of their own.
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

fn router(state: Arc<State>) -> Router {
    // What tells anything of the cluster, or of this console.
    let guarded = Router::new()
        .route("/console/session", get(session::get))
        .route("/console/refused", get(refused::get))
        .route("/console/remedies.json", get(async || page::remedies()))
        .route("/api/v1/{*path}", any(proxy::pass_on))
        .layer(from_fn_with_state(state.clone(), guard::session_only));
    let opening = Router::new()
        .route("/console/session", axum::routing::post(session::open))
        .layer(from_fn_with_state(state.clone(), guard::same_origin_only));
    Router::new()
        .route("/", get(async || Redirect::temporary("/console/")))
        .route("/console", get(async || Redirect::temporary("/console/")))
        .route("/console/", get(index))
        .route("/console/{file}", get(file))
        .merge(guarded)
        .merge(opening)
        .fallback(async || Problem::not_found())
        .layer(from_fn_with_state(state.clone(), guard::own_host_only))
        .with_state(state)
}

async fn index(sent: HeaderMap) -> Response {
    found(page::file("index.html", &sent))
}

async fn file(Path(name): Path<String>, sent: HeaderMap) -> Response {
    found(page::file(&name, &sent))
}

fn found(file: Option<Response>) -> Response {
    file.unwrap_or_else(|| Problem::not_found().into_response())
}
