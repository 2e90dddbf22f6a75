//! What can go wrong between a vendor and its caller, whoever the vendor is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{Answer, Fixture},
    io::Connection,
};

/// Size of an answer that is too large: 50 MiB.
const HUGE: usize = 50 * 1024 * 1024;

/// What a server does in place of answering as its vendor would.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The right answer, later.
    Slow(Duration),
    /// The right answer, once this is cancelled.
    Until(CancellationToken),
    /// No answer, ever; the connection stays open.
    Hang,
    /// The connection is reset (RST) once the request was read.
    Reset,
    /// The right answer's first half; then the connection ends.
    Truncated,
    /// 50 MiB, in pieces.
    Huge,
    /// HTTP 200 with bytes that are no document.
    Garbage,
    /// HTTP 200 with nothing in it.
    Empty,
    /// Bytes that are not HTTP.
    NotHttp,
    /// HTTP 200 with this body.
    Body(String),
    /// A redirect with this status and location; a path stays on this host.
    Redirect(u16, String),
    /// This status, with a page that is no vendor's.
    Status(u16),
    /// This answer.
    Answer(Answer),
    /// HTTP 429 with this `Retry-After`.
    RateLimited(String),
}

impl Fault {
    /// A documented answer of a vendor, for whoever asks.
    pub fn documented(vendor: &str, name: &str) -> Self {
        Self::Answer(Fixture::read(vendor, name).answer())
    }

    /// Does it. `right` is the vendor's answer; `sent` counts the body's bytes that were taken.
    pub(super) async fn apply(
        self,
        right: Answer,
        connection: &Connection,
        sent: Arc<AtomicUsize>,
    ) -> Response {
        match self {
            Self::Slow(time) => {
                tokio::time::sleep(time).await;
                plain(right)
            }
            Self::Until(released) => {
                released.cancelled().await;
                plain(right)
            }
            Self::Hang => std::future::pending().await,
            Self::Reset => {
                connection.reset();
                plain(right)
            }
            Self::NotHttp => {
                connection.speak_otherwise();
                plain(right)
            }
            Self::Truncated => truncated(right),
            Self::Huge => huge(sent),
            Self::Garbage => plain(Answer::new(200, vec![0xff, 0x00, b'{', 0xc3, 0x28, b'<'])),
            Self::Empty => plain(Answer::new(200, Vec::new())),
            Self::Body(text) => {
                plain(Answer::new(200, text.into_bytes()).with("content-type", "application/json"))
            }
            Self::Redirect(status, to) => {
                plain(Answer::new(status, Vec::new()).with("location", &to))
            }
            Self::Status(status) => plain(
                Answer::new(status, b"<html>an error page</html>".to_vec())
                    .with("content-type", "text/html"),
            ),
            Self::Answer(answer) => plain(answer),
            Self::RateLimited(wait) => {
                plain(Answer::new(429, b"{}".to_vec()).with("retry-after", &wait))
            }
        }
    }
}

/// An answer as it is.
pub(super) fn plain(answer: Answer) -> Response {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    dressed(status, headers, Body::from(body))
}

fn dressed(status: u16, headers: Vec<(String, String)>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
    response
}

/// The length is told for the whole, and half is sent.
fn truncated(right: Answer) -> Response {
    let length = right.body.len().max(2);
    let half = Bytes::from(right.body[..right.body.len() / 2].to_vec());
    let broken = stream::iter([
        Ok(half),
        Err(std::io::Error::other("the server breaks off")),
    ]);
    let headers = [
        right.headers,
        vec![("content-length".to_owned(), length.to_string())],
    ];
    dressed(right.status, headers.concat(), Body::from_stream(broken))
}

/// A document that begins well and does not end in time.
fn huge(sent: Arc<AtomicUsize>) -> Response {
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let pieces = stream::iter(0..HUGE / piece.len()).map(move |_| {
        sent.fetch_add(piece.len(), Ordering::SeqCst);
        Ok::<_, std::io::Error>(piece.clone())
    });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    dressed(200, headers, Body::from_stream(pieces))
}
