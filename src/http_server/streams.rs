//! Answers over HTTP/2 that their reader does not take.
//!
//! A reader decides by its windows how much of each answer it is sent, and may take nothing while it
//! answers every ping. The HTTP library asks an answer for no more of its body then, so that the
//! body cannot notice. So each stream's task is watched: one whose body was asked for nothing for a
//! while is dropped, which resets the stream and frees what it held.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use prometheus_client::metrics::counter::Counter;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Sleep};

use super::{AnswerMemory, ConnectionLimits};

/// Bytes of an answer that the HTTP library is given at once.
const PART: usize = 16 << 10;

/// Answers of up to so many bytes are given whole, and not watched to their end.
const SMALL: usize = 1024;

tokio::task_local! {
    /// Of the stream whose task runs.
    static PROGRESS: Arc<Progress>;
}

/// How far a stream's answer is.
#[derive(Debug, Default)]
struct Progress {
    /// There is an answer.
    answers: AtomicBool,
    /// Parts of it that were taken.
    parts: AtomicU64,
    /// It was asked for more, and has none yet: nobody keeps it waiting.
    waits: AtomicBool,
}

/// Runs the tasks of streams.
#[derive(Clone)]
pub(super) struct StreamExecutor(Arc<Watched>);

struct Watched {
    look: Duration,
    longest: Duration,
    memory: AnswerMemory,
    stalled: Counter,
}

impl StreamExecutor {
    pub(super) fn new(limits: &ConnectionLimits, stalled: Counter, memory: AnswerMemory) -> Self {
        Self(Arc::new(Watched {
            look: limits.under_pressure,
            longest: limits.no_sign_of_life,
            memory,
            stalled,
        }))
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::<Progress>::default();
        tokio::spawn(WatchedStream {
            stream: PROGRESS.scope(progress.clone(), stream),
            progress,
            watched: self.0.clone(),
            look: None,
            seen: 0,
            since: None,
        });
    }
}

pin_project! {
    /// A stream's task, until its answer is taken or nobody takes it.
    struct WatchedStream<F> {
        #[pin]
        stream: TaskLocalFuture<Arc<Progress>, F>,
        progress: Arc<Progress>,
        watched: Arc<Watched>,
        // Made when the answer first waits for its reader: most never do.
        look: Option<Pin<Box<Sleep>>>,
        seen: u64,
        since: Option<Instant>,
    }
}

impl<F: Future> Future for WatchedStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !this.progress.answers.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let watched = this.watched;
        let look = this
            .look
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(watched.look)));
        let since = this.since.get_or_insert_with(Instant::now);
        while look.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let parts = this.progress.parts.load(Ordering::Relaxed);
            if parts != *this.seen || this.progress.waits.load(Ordering::Relaxed) {
                (*this.seen, *since) = (parts, now);
            } else {
                let stalled = now.duration_since(*since);
                if stalled >= watched.longest || watched.memory.is_short() {
                    watched.stalled.inc();
                    return Poll::Ready(());
                }
            }
            look.as_mut().reset(now + watched.look);
        }
        Poll::Pending
    }
}

pin_project! {
    /// An answer's body. Over HTTP/2 it is given part by part, so that it shows whether it is taken.
    pub(super) struct AnswerBody {
        #[pin]
        inner: Body,
        progress: Option<Arc<Progress>>,
        rest: Bytes,
    }
}

impl AnswerBody {
    /// The body of the stream whose task runs; of HTTP/1 where none does.
    pub(super) fn new(inner: Body) -> Self {
        let progress = PROGRESS.try_with(Arc::clone).ok();
        if let Some(progress) = &progress {
            progress.answers.store(true, Ordering::Relaxed);
        }
        Self {
            inner,
            progress,
            rest: Bytes::new(),
        }
    }
}

/// How much of it is given next. The last byte comes by itself: it is asked for once all before it
/// has been sent, so that until then the stream's task is there to be watched.
fn next_part(rest: usize) -> usize {
    match rest {
        0..=SMALL => rest,
        _ => PART.min(rest - 1),
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let Some(progress) = this.progress else {
            return this.inner.poll_frame(context);
        };
        if this.rest.is_empty() {
            let polled = this.inner.poll_frame(context);
            progress.waits.store(polled.is_pending(), Ordering::Relaxed);
            let frame = match ready!(polled) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(data) => *this.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        progress.parts.fetch_add(1, Ordering::Relaxed);
        let part = this.rest.split_to(next_part(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_given_in_parts_whose_last_is_one_byte() {
        let bytes: Bytes = (0..40_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let progress = Arc::<Progress>::default();
        let whole = bytes.clone();
        let parts = PROGRESS.scope(progress.clone(), async move {
            let mut body = AnswerBody::new(Body::from(whole));
            let mut parts = Vec::new();
            let mut left = 40_000;
            while let Some(frame) = body.frame().await {
                let part = frame.unwrap().into_data().unwrap();
                left -= part.len() as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
                parts.push(part);
            }
            assert!(body.is_end_stream());
            parts
        });
        let parts = parts.await;
        let sizes: Vec<_> = parts.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [PART, PART, 40_000 - 2 * PART - 1, 1]);
        assert_eq!(parts.concat(), bytes);
        assert_eq!(progress.parts.load(Ordering::Relaxed), 4);
        assert!(progress.answers.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_small_answer_and_one_over_http_1_are_given_whole() {
        let small = PROGRESS.scope(Arc::default(), async {
            let mut body = AnswerBody::new(Body::from(vec![0; SMALL]));
            body.frame().await.unwrap().unwrap().into_data().unwrap()
        });
        assert_eq!(small.await.len(), SMALL);
        let mut body = AnswerBody::new(Body::from(vec![0; 40_000]));
        let whole = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(whole.len(), 40_000);
    }
}
