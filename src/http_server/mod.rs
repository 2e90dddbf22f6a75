//! The HTTP server under the read API and the admin port: how many connections there may be, how long
//! each may take, and how much memory answers that nobody takes may hold.
//!
//! `serve` runs a service on a socket. It knows nothing of what is served.

mod answer_memory;
mod connection;
mod descriptors;
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use pin_project_lite::pin_project;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tower::util::{Oneshot, ServiceExt};

pub use answer_memory::{AnswerMemory, ConnectionShare, NoMemory, Reserved};
pub use descriptors::{TooFewDescriptors, make_room, raise_limit};

use connection::Door;
use streams::{AnswerBody, StreamExecutor};

/// Wait after an accept that failed, for example for want of descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// What new connections are taken with; a change holds for those that come later.
pub type TlsConfig = Arc<ArcSwap<ServerConfig>>;

/// What connections may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub connections: usize,
    /// What becomes of one more.
    pub when_full: WhenFull,
    /// Whether HTTP/2 is spoken beside HTTP/1.
    pub http2: bool,
    /// Until the TLS handshake is done, and then until the first request's headers are complete.
    pub first_request: Duration,
    /// From one answer over HTTP/1 to the next, once to twice this time. Longer than the 90 s for
    /// which clients keep an idle connection: one that ends as it is used costs a request.
    pub next_request: Duration,
    /// Between pings over HTTP/2.
    pub ping: Duration,
    /// For a ping's answer, and for a client to take the next part (16 KiB) of what it is sent.
    pub no_sign_of_life: Duration,
    /// As `no_sign_of_life`, for an answer over HTTP/2 while others wait for the memory it holds.
    pub under_pressure: Duration,
    /// For requests that are under way when the process is told to end.
    pub grace: Duration,
    /// Headers of a request, in bytes: far beyond any token, so that whoever sends too long a one
    /// is told so. Longer ones get a bare 431; over HTTP/1 those of up to twice the size may pass,
    /// for so far its buffer grows.
    pub headers: u32,
    /// Requests at once over one HTTP/2 connection.
    pub streams: u32,
}

/// What becomes of a connection beyond as many as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is closed unanswered, and none that is open makes way.
    Refuse,
    /// It takes the place of the one that is open longest: for a port whose callers connect for a
    /// moment and must never be kept out.
    CloseOldest,
}

impl ConnectionLimits {
    /// The usual ones, for so many connections.
    pub fn new(connections: usize) -> Self {
        Self {
            connections,
            when_full: WhenFull::Refuse,
            http2: true,
            first_request: Duration::from_secs(10),
            next_request: Duration::from_secs(100),
            ping: Duration::from_secs(30),
            no_sign_of_life: Duration::from_secs(20),
            under_pressure: Duration::from_secs(1),
            grace: Duration::from_secs(4),
            headers: 128 << 10,
            streams: 100,
        }
    }
}

/// What is counted of connections; a clone counts into the same.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections that are open.
    pub open: Gauge,
    /// Connections that were closed for want of a place.
    pub refused: Counter,
    /// Answers over HTTP/2 that were ended, for nobody took them.
    pub stalled: Counter,
}

impl ConnectionCounts {
    /// Counts under names that begin with this prefix.
    pub fn register(registry: &mut Registry, prefix: &str) -> Self {
        let counts = Self::default();
        registry.register(
            format!("{prefix}_connections"),
            "Connections that are open",
            counts.open.clone(),
        );
        registry.register(
            format!("{prefix}_connections_refused"),
            "Connections that were closed, for as many as may be were open",
            counts.refused.clone(),
        );
        registry.register(
            format!("{prefix}_answers_stalled"),
            "Answers over HTTP/2 that were ended, for their reader took nothing of them",
            counts.stalled.clone(),
        );
        counts
    }
}

/// Serves until the token is cancelled, and for as long afterwards as what is under way takes,
/// within the grace. Each request carries its peer's address (`ConnectInfo`) and its connection's
/// share of the memory (`ConnectionShare`).
///
/// # Errors
///
/// When the socket cannot be used.
pub async fn serve<S>(
    service: S,
    listener: std::net::TcpListener,
    tls: Option<TlsConfig>,
    limits: ConnectionLimits,
    counts: ConnectionCounts,
    memory: AnswerMemory,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let door = Door::new(&limits, counts.clone());
    let builder = Arc::new(builder(&limits, &counts, &memory));
    // After the grace.
    let end = CancellationToken::new();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let Ok((stream, close)) = door.admit(stream, &end) else {
            continue;
        };
        let serving = Serving {
            builder: builder.clone(),
            service: ConnectionService {
                inner: service.clone(),
                peer,
                share: memory.connection(),
                first_request: Arc::default(),
            },
            first_request: limits.first_request,
            shutdown: shutdown.clone(),
            close,
        };
        let tls = tls.as_ref().map(|config| config.load_full());
        let handshake = limits.first_request;
        connections.spawn(async move {
            let Some(tls) = tls else {
                return serving.serve(stream).await;
            };
            let secured = TlsAcceptor::from(tls).accept(stream);
            let secured = tokio::select! {
                () = serving.close.cancelled() => return,
                () = serving.shutdown.cancelled() => return,
                secured = tokio::time::timeout(handshake, secured) => secured,
            };
            if let Ok(Ok(stream)) = secured {
                serving.serve(stream).await;
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.grace, connections.wait())
        .await
        .is_err()
    {
        end.cancel();
        connections.wait().await;
    }
    Ok(())
}

fn builder(
    limits: &ConnectionLimits,
    counts: &ConnectionCounts,
    memory: &AnswerMemory,
) -> Builder<StreamExecutor> {
    let executor = StreamExecutor::new(limits, counts.stalled.clone(), memory.clone());
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The connection's own: a timer for each request costs more than to find its answer.
        .header_read_timeout(None)
        .max_buf_size(limits.headers as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.headers)
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.no_sign_of_life);
    match limits.http2 {
        true => builder,
        false => builder.http1_only(),
    }
}

/// One connection that was let in.
struct Serving<S> {
    builder: Arc<Builder<StreamExecutor>>,
    service: ConnectionService<S>,
    first_request: Duration,
    shutdown: CancellationToken,
    close: CancellationToken,
}

impl<S> Serving<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    async fn serve<I>(self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = self.service.first_request.clone();
        let serving = self
            .builder
            .serve_connection(TokioIo::new(io), self.service);
        let mut serving = pin!(serving);
        let (mut is_asked, mut is_stopping) = (false, false);
        {
            let mut late = pin!(tokio::time::sleep(self.first_request));
            let mut asked = pin!(asked.notified());
            while !is_asked {
                tokio::select! {
                    biased;
                    () = self.close.cancelled() => return,
                    () = self.shutdown.cancelled(), if !is_stopping => {
                        is_stopping = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    () = &mut late => return,
                    () = &mut asked => is_asked = true,
                    _ = &mut serving => return,
                }
            }
        }
        let mut closed = pin!(self.close.cancelled());
        if !is_stopping {
            tokio::select! {
                biased;
                () = &mut closed => return,
                () = self.shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
                _ = &mut serving => return,
            }
        }
        tokio::select! {
            biased;
            () = &mut closed => {}
            _ = &mut serving => {}
        }
    }
}

/// The service, for the requests of one connection.
#[derive(Clone)]
struct ConnectionService<S> {
    inner: S,
    peer: SocketAddr,
    share: ConnectionShare,
    first_request: Arc<Notify>,
}

impl<S> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering<Oneshot<S, Request<Incoming>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.first_request.notify_one();
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(self.peer));
        extensions.insert(self.share.clone());
        Answering {
            answering: self.inner.clone().oneshot(request),
        }
    }
}

pin_project! {
    /// An answer that is being made.
    struct Answering<F> {
        #[pin]
        answering: F,
    }
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().answering.poll(context))?;
        Poll::Ready(Ok(answer.map(AnswerBody::new)))
    }
}

#[cfg(test)]
mod tests;
