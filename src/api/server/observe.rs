//! What every answer carries, what is counted of it, and how many are made at once; for a handler that
//! panics, or never ends, is answered too.
//! Around the router rather than a layer of each of its routes, which would allocate and move every
//! request once more.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use futures::FutureExt;
use futures::future::CatchUnwind;
use matchit::InsertError;
use pin_project_lite::pin_project;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Sleep;
use tower::Service;
use tracing::Span;

use super::limits::{self, RequestLimits, RequestPlace};
use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::api::read::answer::{REVISION, SNAPSHOT_AGE};
use crate::telemetry::spans;

/// The API, observed.
#[derive(Clone)]
pub(in crate::api) struct Observe<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    state: ApiState,
    numbers: matchit::Router<usize>,
    routes: Vec<Route>,
    limits: RequestLimits,
}

/// What is counted together.
struct Route {
    /// As the router has it, for example `/api/v1/models/{id}`.
    pattern: String,
    /// Where its 200s are counted: found once.
    usual: OnceLock<Histogram>,
}

impl<S> Observe<S> {
    /// This service, whose routes are of these patterns.
    pub(in crate::api) fn new<'p>(
        inner: S,
        patterns: impl IntoIterator<Item = &'p String>,
        state: ApiState,
    ) -> Result<Self, InsertError> {
        let (mut numbers, mut routes) = (matchit::Router::new(), Vec::new());
        for pattern in patterns {
            numbers.insert(pattern, routes.len())?;
            routes.push(Route {
                pattern: pattern.clone(),
                usual: OnceLock::new(),
            });
        }
        let shared = Shared {
            state,
            numbers,
            routes,
            limits: RequestLimits::default(),
        };
        Ok(Self {
            inner,
            shared: Arc::new(shared),
        })
    }
}

impl<S, B> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = self.shared.number(request.uri().path());
        let pattern = self.shared.pattern(route);
        let span = spans::request(request.method(), pattern, request.headers());
        let (place, refused) = match self.shared.limits.admit(&request) {
            Ok(place) => (Some(place), None),
            Err(problem) => (None, Some(problem)),
        };
        Observed {
            route,
            span,
            started: Instant::now(),
            shared: self.shared.clone(),
            refused,
            late: None,
            _place: place,
            // Nothing of a handler that panicked is used again.
            answering: AssertUnwindSafe(self.inner.call(request)).catch_unwind(),
        }
    }
}

pin_project! {
    /// An answer that is being made.
    pub(in crate::api) struct Observed<F> {
        route: Option<usize>,
        span: Span,
        started: Instant,
        shared: Arc<Shared>,
        refused: Option<Problem>,
        // Made when the answer is first waited for: most never are.
        late: Option<Pin<Box<Sleep>>>,
        _place: Option<RequestPlace>,
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
        let _entered = this.span.enter();
        let mut response = match this.refused.take() {
            Some(problem) => problem.into_response(),
            None => match this.answering.poll(context) {
                Poll::Ready(ended) => answered(ended)?,
                Poll::Pending => {
                    let late = this.late.get_or_insert_with(|| {
                        Box::pin(tokio::time::sleep(limits::ANSWER_TIMEOUT))
                    });
                    ready!(late.as_mut().poll(context));
                    tracing::error!("a handler did not end");
                    limits::timed_out().into_response()
                }
            },
        };
        let store = &this.shared.state.store;
        let headers = response.headers_mut();
        if !headers.contains_key(REVISION) {
            headers.insert(REVISION, HeaderValue::from(store.revision().0));
        }
        if let Some(age) = store.age() {
            headers.insert(SNAPSHOT_AGE, HeaderValue::from(age.as_secs()));
        }
        spans::answered(this.span, response.status());
        let took = this.started.elapsed();
        this.shared.count(*this.route, response.status(), took);
        Poll::Ready(Ok(response))
    }
}

impl Shared {
    fn number(&self, path: &str) -> Option<usize> {
        self.numbers.at(path).ok().map(|found| *found.value)
    }

    fn route(&self, number: Option<usize>) -> Option<&Route> {
        number.and_then(|number| self.routes.get(number))
    }

    fn pattern(&self, number: Option<usize>) -> Option<&str> {
        self.route(number).map(|route| route.pattern.as_str())
    }

    fn count(&self, route: Option<usize>, status: StatusCode, took: Duration) {
        let route = self.route(route);
        let pattern = route.map_or("", |route| &route.pattern);
        let find = || self.state.metrics.latency(pattern, status.as_u16());
        let took = took.as_secs_f64();
        match route {
            Some(route) if status == StatusCode::OK => {
                route.usual.get_or_init(find).observe(took);
            }
            _ => find().observe(took),
        }
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
