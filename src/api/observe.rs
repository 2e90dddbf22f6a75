//! What every answer carries, and what is counted of it; a handler that panics is answered for too.
//! A service of its own rather than a function, and one rather than two: it is passed by every
//! request, and adds no allocation to it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use futures::FutureExt;
use futures::future::CatchUnwind;
use pin_project_lite::pin_project;
use prometheus_client::metrics::histogram::Histogram;
use tower::{Layer, Service};

use super::ApiState;
use super::answer::{REVISION, SNAPSHOT_AGE};
use super::problem::Problem;

/// Makes [`Observe`].
#[derive(Clone)]
pub(super) struct ObserveLayer(pub ApiState);

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        let state = self.0.clone();
        let usual = OnceLock::new();
        Observe {
            inner,
            shared: Arc::new(Shared { state, usual }),
        }
    }
}

/// Answers of one route.
#[derive(Clone)]
pub(super) struct Observe<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    state: ApiState,
    usual: OnceLock<Usual>,
}

/// Where the first route that was seen here counts its 200s: found without a look-up.
struct Usual {
    path: MatchedPath,
    latency: Histogram,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Observed {
            path: request.extensions().get::<MatchedPath>().cloned(),
            started: Instant::now(),
            shared: self.shared.clone(),
            // Nothing of a handler that panicked is used again.
            answering: AssertUnwindSafe(self.inner.call(request)).catch_unwind(),
        }
    }
}

pin_project! {
    /// An answer that is being made.
    pub(super) struct Observed<F> {
        path: Option<MatchedPath>,
        started: Instant,
        shared: Arc<Shared>,
        #[pin]
        answering: CatchUnwind<AssertUnwindSafe<F>>,
    }
}

impl<F, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = answered(ready!(this.answering.poll(context)))?;
        let store = &this.shared.state.store;
        let headers = response.headers_mut();
        if !headers.contains_key(REVISION) {
            headers.insert(REVISION, HeaderValue::from(store.revision().0));
        }
        if let Some(age) = store.age() {
            headers.insert(SNAPSHOT_AGE, HeaderValue::from(age.as_secs()));
        }
        let took = this.started.elapsed();
        this.shared
            .count(this.path.as_ref(), response.status(), took);
        Poll::Ready(Ok(response))
    }
}

impl Shared {
    fn count(&self, path: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let route = path.map_or("", MatchedPath::as_str);
        let find = || self.state.metrics.latency(route, status.as_u16());
        let took = took.as_secs_f64();
        if let (StatusCode::OK, Some(path)) = (status, path) {
            let usual = self.usual.get_or_init(|| Usual {
                path: path.clone(),
                latency: find(),
            });
            if usual.path.as_str() == route {
                return usual.latency.observe(took);
            }
        }
        find().observe(took);
    }
}

/// The answer, of a handler that panicked too.
fn answered<E>(ended: thread::Result<Result<Response<Body>, E>>) -> Result<Response<Body>, E> {
    ended.unwrap_or_else(|_| {
        // A panic's text may hold anything: it goes nowhere, to the log neither (see `telemetry`).
        tracing::error!("a handler panicked");
        Ok(Problem::internal().into_response())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_without_its_text() {
        let handler = async { panic!("sk-canary-0123456789abcdef") };
        let ended: thread::Result<Result<_, ()>> = AssertUnwindSafe(handler).catch_unwind().await;
        let response = answered(ended).expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 4096).await;
        let body = String::from_utf8(body.expect("a body").into()).expect("text");
        assert!(body.contains("\"status\":500"), "{body}");
        assert!(!body.contains("canary"), "{body}");
    }
}
