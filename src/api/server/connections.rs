//! The read API's connections: how many there may be at once, how long each may take, and how much
//! it may send before anybody knows who is there.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::ServiceExt;
use axum::body::Body;
use axum::http::{Request, Response};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper::body::Incoming;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// File descriptors for everything but callers: PostgreSQL, the kube-apiserver, a controller in the
/// same process, files.
const RESERVED: u64 = 512;

/// What a connection may take.
#[derive(Clone, Debug)]
pub(in crate::api) struct ConnectionLimits {
    /// Connections at once; more are closed unanswered, and none that is open makes way.
    pub connections: usize,
    /// Until the TLS handshake is done, and then until the first request's headers are complete.
    pub first_request: Duration,
    /// From one answer over HTTP/1 to the next, once to twice this time. Longer than the 90 s for
    /// which clients keep an idle connection: one that ends as it is used costs a request.
    pub next_request: Duration,
    /// Between pings over HTTP/2.
    pub ping: Duration,
    /// For a ping's answer, and for a client to take anything of what it is sent.
    pub no_sign_of_life: Duration,
    /// For requests that are under way when the process is told to end.
    pub grace: Duration,
    /// Headers of a request, in bytes: far beyond any token, so that whoever sends too long a one
    /// is told so. Longer ones get a bare 431; over HTTP/1 those of up to twice the size may pass,
    /// for so far its buffer grows.
    pub headers: u32,
    /// Requests at once over one HTTP/2 connection.
    pub streams: u32,
}

impl ConnectionLimits {
    /// The usual ones, for so many connections.
    pub fn new(connections: usize) -> Self {
        Self {
            connections,
            first_request: Duration::from_secs(10),
            next_request: Duration::from_secs(100),
            ping: Duration::from_secs(30),
            no_sign_of_life: Duration::from_secs(20),
            grace: Duration::from_secs(4),
            headers: 128 << 10,
            streams: 100,
        }
    }
}

/// What is counted of connections; a clone counts into the same.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct ConnectionCounts {
    open: Gauge,
    refused: Counter,
}

impl ConnectionCounts {
    pub fn register(registry: &mut Registry) -> Self {
        let counts = Self::default();
        registry.register(
            "llmplane_api_connections",
            "Connections of the read API that are open",
            counts.open.clone(),
        );
        registry.register(
            "llmplane_api_connections_refused",
            "Connections that were closed unanswered, for as many as may be were open",
            counts.refused.clone(),
        );
        counts
    }
}

/// Too few file descriptors for the connections that are allowed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{connections} connections take {needed} file descriptors, and this process may have {allowed}: \
     lower LLMPLANE_MAX_CONNECTIONS, or raise the limit (ulimit -Hn)"
)]
pub struct TooFewDescriptors {
    connections: usize,
    needed: u64,
    allowed: u64,
}

/// Sees to it that the process may open so many connections.
///
/// # Errors
///
/// Where the system allows it too few file descriptors.
pub(in crate::api) fn make_room(connections: usize) -> Result<(), TooFewDescriptors> {
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(RESERVED);
    let refused = |allowed| TooFewDescriptors {
        connections,
        needed,
        allowed,
    };
    let limit = Resource::RLIMIT_NOFILE;
    let (soft, hard) = getrlimit(limit).map_err(|_| refused(0))?;
    if soft < needed {
        // Raised no further than the hard limit, to which any process may.
        setrlimit(limit, needed.min(hard), hard).map_err(|_| refused(soft))?;
    }
    if hard < needed {
        Err(refused(hard))
    } else {
        Ok(())
    }
}

/// Serves until the token is cancelled.
///
/// # Errors
///
/// When the socket fails.
pub(in crate::api) async fn serve<S>(
    service: S,
    listener: std::net::TcpListener,
    tls: Option<RustlsConfig>,
    limits: ConnectionLimits,
    counts: ConnectionCounts,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let handle: Handle<SocketAddr> = Handle::new();
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    let door = BoundedAcceptor {
        free: Arc::new(Semaphore::new(limits.connections)),
        next_request: limits.next_request,
        no_sign_of_life: limits.no_sign_of_life,
        counts,
    };
    let mut server = axum_server::from_tcp(listener)?
        .handle(handle.clone())
        .first_request_timeout(limits.first_request);
    let http = server.http_builder();
    http.http1().max_buf_size(limits.headers as usize);
    http.http2()
        .max_header_list_size(limits.headers)
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.no_sign_of_life);
    let serving = async {
        match tls {
            None => server.acceptor(door).serve(service).await,
            Some(config) => {
                let tls = RustlsAcceptor::new(config).handshake_timeout(limits.first_request);
                server.acceptor(tls.acceptor(door)).serve(service).await
            }
        }
    };
    let stopping = async {
        shutdown.cancelled().await;
        handle.graceful_shutdown(Some(limits.grace));
    };
    let (served, ()) = tokio::join!(
        async {
            let served = serving.await;
            // Where it failed by itself, nobody is left to stop.
            shutdown.cancel();
            served
        },
        stopping
    );
    served
}

/// Lets connections in while there are fewer than may be.
#[derive(Clone)]
struct BoundedAcceptor {
    free: Arc<Semaphore>,
    next_request: Duration,
    no_sign_of_life: Duration,
    counts: ConnectionCounts,
}

impl BoundedAcceptor {
    fn admit(&self, stream: TcpStream) -> io::Result<Connection> {
        let Ok(place) = self.free.clone().try_acquire_owned() else {
            self.counts.refused.inc();
            return Err(io::Error::other("as many connections as may be are open"));
        };
        stream.set_nodelay(true)?;
        // Who asks and does not take the answer would else keep its place for ever.
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(self.no_sign_of_life))?;
        self.counts.open.inc();
        Ok(Connection {
            stream,
            patience: IdleTimeout::new(self.next_request),
            open: self.counts.open.clone(),
            _place: place,
        })
    }
}

impl<S> Accept<TcpStream, S> for BoundedAcceptor {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream).map(|connection| (connection, service)))
    }
}

/// A connection, and the place that it takes.
struct Connection {
    stream: TcpStream,
    patience: IdleTimeout,
    open: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Ends who is answered nothing for a whole turn of this length. Turns follow each other, whatever
/// is asked in them: a timer for each request, as the HTTP library has one, costs more than all
/// that is done to find the answer. What answers HTTP/2's pings is answered something.
struct IdleTimeout {
    turn: Duration,
    over: Option<Pin<Box<Sleep>>>,
    answered: bool,
}

impl IdleTimeout {
    fn new(turn: Duration) -> Self {
        Self {
            turn,
            over: None,
            answered: false,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let turn = self.turn;
        let over = self
            .over
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(turn)));
        while over.as_mut().poll(context).is_ready() {
            if !std::mem::take(&mut self.answered) {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            over.as_mut().reset(Instant::now() + turn);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.patience.poll(context).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.patience.answered = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.patience.answered = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
