//! Connections: which are let in, and when one is ended whose peer neither asks nor takes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::{ConnectionCounts, ConnectionLimits, WhenFull};

/// Bytes that a peer must take in the time that it has to show a sign of life.
const LEAST_TAKEN: usize = 16 << 10;

/// Bytes that the operating system takes for a peer before it has sent them.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 128 << 10;

/// Lets connections in while there are fewer than may be.
pub(super) struct Door {
    places: Places,
    next_request: Duration,
    no_sign_of_life: Duration,
    counts: ConnectionCounts,
}

enum Places {
    Free(Arc<Semaphore>),
    Ordered(Arc<OpenConnections>, usize),
}

/// What ends each open connection, the oldest first.
type OpenConnections = Mutex<VecDeque<CancellationToken>>;

/// A connection's place, until it is dropped.
enum Place {
    Permit { _permit: OwnedSemaphorePermit },
    Ordered(Arc<OpenConnections>, CancellationToken),
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Ordered(open, close) = self {
            close.cancel();
            locked(open).retain(|close| !close.is_cancelled());
        }
    }
}

fn locked(open: &OpenConnections) -> MutexGuard<'_, VecDeque<CancellationToken>> {
    open.lock()
}

impl Door {
    pub(super) fn new(limits: &ConnectionLimits, counts: ConnectionCounts) -> Self {
        let places = match limits.when_full {
            WhenFull::Refuse => Places::Free(Arc::new(Semaphore::new(limits.connections))),
            WhenFull::CloseOldest => Places::Ordered(Arc::default(), limits.connections),
        };
        Self {
            places,
            next_request: limits.next_request,
            no_sign_of_life: limits.no_sign_of_life,
            counts,
        }
    }

    /// The connection, and the token that ends it, a child of `end`.
    ///
    /// # Errors
    ///
    /// Where there is no place, or the socket has ended already.
    pub(super) fn admit(
        &self,
        stream: TcpStream,
        end: &CancellationToken,
    ) -> io::Result<(Connection, CancellationToken)> {
        let close = end.child_token();
        let place = self.place(&close)?;
        stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(&stream);
            // Who does not acknowledge what it is sent would else keep its place for ever.
            socket.set_tcp_user_timeout(Some(self.no_sign_of_life))?;
            socket.set_tcp_notsent_lowat(MAX_UNSENT)?;
        }
        self.counts.open.inc();
        let connection = Connection {
            stream,
            idle: IdleTimeout::new(self.next_request),
            write: WriteTimeout::new(self.no_sign_of_life),
            open: self.counts.open.clone(),
            _place: place,
        };
        Ok((connection, close))
    }

    fn place(&self, close: &CancellationToken) -> io::Result<Place> {
        match &self.places {
            Places::Free(free) => match free.clone().try_acquire_owned() {
                Ok(permit) => Ok(Place::Permit { _permit: permit }),
                Err(_) => {
                    self.counts.refused.inc();
                    Err(io::Error::other("as many connections as may be are open"))
                }
            },
            Places::Ordered(open, most) => {
                let mut connections = locked(open);
                while connections.len() >= *most
                    && let Some(oldest) = connections.pop_front()
                {
                    self.counts.refused.inc();
                    oldest.cancel();
                }
                connections.push_back(close.clone());
                Ok(Place::Ordered(open.clone(), close.clone()))
            }
        }
    }
}

/// A connection, and the place that it takes.
pub(super) struct Connection {
    stream: TcpStream,
    idle: IdleTimeout,
    write: WriteTimeout,
    open: Gauge,
    _place: Place,
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

/// Ends who takes too little of what it is sent: less than [`LEAST_TAKEN`] in a turn of this length
/// in which something waited for it all the time.
struct WriteTimeout {
    turn: Duration,
    /// None: nothing waits.
    over: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl WriteTimeout {
    fn new(turn: Duration) -> Self {
        Self {
            turn,
            over: None,
            taken: 0,
        }
    }

    /// Takes in how a write went.
    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(taken)) => {
                self.taken += taken;
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => self.poll(context).map(Err),
        }
    }

    /// Everything was written.
    fn flushed(&mut self) {
        self.over = None;
        self.taken = 0;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let turn = self.turn;
        let taken = &mut self.taken;
        let over = self.over.get_or_insert_with(|| {
            *taken = 0;
            Box::pin(tokio::time::sleep(turn))
        });
        while over.as_mut().poll(context).is_ready() {
            if std::mem::take(&mut self.taken) < LEAST_TAKEN {
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
            Poll::Pending => self.idle.poll(context).map(Err),
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
        self.idle.answered = true;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.write.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.idle.answered = true;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.write.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
