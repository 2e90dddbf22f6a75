//! What one request may be, and how many may be under way: looked at before its handler runs.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Request, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::{Problem, ProblemType};

/// Requests under way at once. One that is answered from memory is so for microseconds: so many wait for
/// PostgreSQL, for the kube-apiserver, or for a check.
const UNDER_WAY: usize = 4096;
/// Bytes of a path and its query.
const MAX_URI: usize = 8 << 10;
/// Bytes of names and values of a request's headers.
const MAX_HEADERS: usize = 128 << 10;
/// How long any answer may take to begin. Whatever a handler waits for has a shorter time of its own: longer
/// takes what hangs for a reason that nobody thought of.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Places of requests that are under way.
#[derive(Clone)]
pub(super) struct RequestLimits(Arc<Semaphore>);

/// A request's place, until it is answered.
pub(super) type RequestPlace = OwnedSemaphorePermit;

impl Default for RequestLimits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNDER_WAY)))
    }
}

impl RequestLimits {
    /// A place for this request.
    ///
    /// # Errors
    ///
    /// 414 and 431 where it says too much, 503 where too many are under way.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<RequestPlace, Problem> {
        check_uri(request.uri())?;
        check_headers(request.headers())?;
        let place = self.0.clone().try_acquire_owned();
        place.map_err(|_| {
            Problem::new(
                ProblemType::Overloaded,
                format!(
                    "{UNDER_WAY} requests are under way here; try again, or ask another replica"
                ),
            )
        })
    }
}

fn check_uri(uri: &Uri) -> Result<(), Problem> {
    let length = uri.path_and_query().map_or(0, |said| said.as_str().len());
    match length > MAX_URI {
        true => Err(Problem::new(
            ProblemType::UriTooLong,
            format!(
                "path and query have {length} bytes, and may have {MAX_URI}; ask for less, or send it as a body \
                 where the route takes one"
            ),
        )),
        false => Ok(()),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let length: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    match length > MAX_HEADERS {
        true => Err(Problem::new(
            ProblemType::HeadersTooLarge,
            format!(
                "the headers have {length} bytes, and may have {MAX_HEADERS}; leave out what is not asked for"
            ),
        )),
        false => Ok(()),
    }
}

/// The answer to a request that took too long.
pub(super) fn timed_out() -> Problem {
    Problem::new(
        ProblemType::AnswerTimeout,
        format!(
            "no answer came within {} s; try again",
            ANSWER_TIMEOUT.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(request: &Request<()>) -> Option<ProblemType> {
        let admitted = RequestLimits::default().admit(request);
        admitted.err().map(|problem| problem.kind)
    }

    #[test]
    fn what_says_too_much_is_told_how_much_it_may_say() {
        let uri = |length: usize| {
            let query = "x".repeat(length - "/models?".len());
            Request::get(format!("/models?{query}"))
                .body(())
                .expect("a request")
        };
        assert_eq!(refusal(&uri(MAX_URI)), None);
        assert_eq!(refusal(&uri(MAX_URI + 1)), Some(ProblemType::UriTooLong));
        let headers = |length: usize| {
            let request = Request::get("/models").header("x", "y".repeat(length));
            request.body(()).expect("a request")
        };
        assert_eq!(refusal(&headers(MAX_HEADERS - 1)), None);
        assert_eq!(
            refusal(&headers(MAX_HEADERS)),
            Some(ProblemType::HeadersTooLarge)
        );
    }

    #[test]
    fn there_are_so_many_places_and_each_is_given_back() {
        let limits = RequestLimits::default();
        let request = Request::get("/models").body(()).expect("a request");
        let mut places: Vec<_> = (0..UNDER_WAY).map(|_| limits.admit(&request)).collect();
        assert!(places.iter().all(Result::is_ok));
        let refused = limits
            .admit(&request)
            .map(drop)
            .map_err(|problem| problem.kind);
        assert_eq!(refused, Err(ProblemType::Overloaded));
        places.pop();
        assert!(limits.admit(&request).is_ok());
    }
}
