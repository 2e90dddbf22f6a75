//! Connections of a fake, which can be broken below HTTP.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use axum::{extract::connect_info::Connected, serve::IncomingStream, serve::Listener};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const AS_IT_IS: u8 = 0;
const RESET: u8 = 1;
const OTHERWISE: u8 = 2;

/// A handler's hold on the connection that its request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection(Arc<AtomicU8>);

impl Connection {
    /// The next write resets it.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::SeqCst);
    }

    /// The next write is no HTTP.
    pub fn speak_otherwise(&self) {
        self.0.store(OTHERWISE, Ordering::SeqCst);
    }
}

/// A connection, plain or with TLS.
pub(super) struct Io {
    stream: Stream,
    connection: Connection,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    /// What the fault wants in place of this write, if there is one.
    fn broken(&self) -> Option<io::Error> {
        match self.connection.0.load(Ordering::SeqCst) {
            AS_IT_IS => return None,
            RESET => self.tcp().set_zero_linger().unwrap(),
            _ => drop(
                self.tcp()
                    .try_write(b"\x15\x03\x01\x00\x02\x02\x50 no HTTP\n\n"),
            ),
        }
        Some(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Accepts connections; a slow handshake holds up nobody else.
pub(super) struct Door {
    address: SocketAddr,
    accepted: mpsc::UnboundedReceiver<(Io, SocketAddr)>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    pub async fn open(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (through, accepted) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((tcp, from)) = listener.accept().await {
                let (tls, through) = (tls.clone(), through.clone());
                tokio::spawn(async move {
                    let stream = match tls {
                        None => Stream::Plain(tcp),
                        // A caller that does not like the certificate ends the handshake.
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(stream) => Stream::Tls(Box::new(stream)),
                            Err(_) => return,
                        },
                    };
                    let connection = Connection::default();
                    let _ = through.send((Io { stream, connection }, from));
                });
            }
        });
        Self {
            address,
            accepted,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener for Door {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().connection.clone()
    }
}
