//! What one exchange may cost on the wire, whatever a host sends: a limit below TLS and HTTP, so
//! that no part of either protocol passes it by.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read of one connection: the largest body, and half as much again for headers,
/// chunks and TLS records.
pub const MAX_WIRE_BYTES: usize = 12 * 1024 * 1024;
/// Interim answers (HTTP 1xx) that may come before the final one.
pub const MAX_INTERIM_ANSWERS: usize = 8;

/// What came over one connection so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes: AtomicUsize,
    interim: AtomicUsize,
}

/// What a host sent too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Bytes,
    InterimAnswers,
}

impl Meter {
    /// Counts an interim answer.
    pub fn note_interim(&self) {
        self.interim.fetch_add(1, Ordering::Relaxed);
    }

    /// What there was too much of, if of anything.
    pub fn excess(&self) -> Option<Excess> {
        if self.interim.load(Ordering::Relaxed) > MAX_INTERIM_ANSWERS {
            return Some(Excess::InterimAnswers);
        }
        (self.bytes.load(Ordering::Relaxed) > MAX_WIRE_BYTES).then_some(Excess::Bytes)
    }
}

/// A stream that reads no more once its meter says so.
pub(super) struct Metered<T> {
    inner: T,
    meter: Arc<Meter>,
}

impl<T> Metered<T> {
    pub fn new(inner: T, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.excess().is_some() {
            return Poll::Ready(Err(io::Error::other("the host sends too much")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.meter.bytes.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
