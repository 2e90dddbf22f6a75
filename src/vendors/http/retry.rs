//! How often a call to a vendor is tried, and how long it waits in between. Which refusals are tried again is said by
//! [`RefusalKind::may_pass`](crate::vendors::answers::refusal::RefusalKind::may_pass).

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::client::HttpClient;
use super::error::{HostAndPort, HttpError};
use super::message::{Request, Response};

/// Attempts in one call, the first included.
const MAX_ATTEMPTS: u32 = 3;
/// The wait before the second attempt; it doubles for the next.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

impl HttpClient {
    /// Sends a request, and again while `again` says so of the answer or the connection failed, until
    /// the deadline or three attempts. It waits as long as the vendor asks, if the deadline allows.
    /// When time is up in a further attempt, what the one before came to is the answer.
    ///
    /// # Errors
    /// Why there is no answer. An answer of any status is an answer.
    pub async fn send(
        &self,
        request: &Request,
        deadline: Instant,
        again: impl Fn(&Response) -> bool,
    ) -> Result<Response, HttpError> {
        let mut attempt = 1;
        let mut before = Err(HttpError::Timeout(HostAndPort::of(&request.url)));
        loop {
            let result = match timeout_at(deadline, self.follow(request)).await {
                Ok(result) => result,
                Err(_) => return before,
            };
            let wait = match &result {
                Ok(answer) if again(answer) => {
                    answer.retry_after().unwrap_or_else(|| backoff(attempt))
                }
                Err(HttpError::Connect(_) | HttpError::Truncated(_)) => backoff(attempt),
                _ => return result,
            };
            if attempt == MAX_ATTEMPTS || Instant::now() + wait >= deadline {
                return result;
            }
            before = result;
            sleep(wait).await;
            attempt += 1;
        }
    }
}

fn backoff(attempt: u32) -> Duration {
    let jitter = f64::from(rand::random::<u16>()) / f64::from(u16::MAX);
    FIRST_BACKOFF.mul_f64(f64::from(1_u32 << (attempt - 1)) * (0.75 + jitter / 2.0))
}
