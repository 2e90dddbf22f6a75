//! Who may ask: the page that this console opened, and nobody else.
//!
//! Three things stand between the API and a page of somebody else's in the same browser, or another user
//! of the same machine. The `Host` must be this console's own, or a name that was made to lead here (DNS
//! rebinding) would do. A browser's own words on where a request comes from must not say elsewhere. And
//! every question carries a secret of this console's, in a header, which a page of another origin can
//! neither read nor send; a cookie would go to every port of this machine.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State as FromState};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::State;
use super::problem::Problem;

/// The header that carries the session's secret.
pub const SESSION: &str = "llmplane-console-session";
/// The header that carries the code of the address.
pub const CODE: &str = "llmplane-console-code";
/// How long the code for once counts.
const ONCE_WITHIN: Duration = Duration::from_secs(60);

/// The secrets of one console, and the port that it is at.
pub struct Guard {
    port: u16,
    code: String,
    once: Mutex<Option<(String, Instant)>>,
    session: String,
}

impl Guard {
    /// # Errors
    /// Where the system has no random bytes.
    pub fn new(port: u16) -> io::Result<Self> {
        Ok(Self {
            port,
            code: secret()?,
            once: Mutex::default(),
            session: secret()?,
        })
    }

    /// What the address that is printed ends with.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What opens the page once, instead of the code for once before.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn code_for_once(&self) -> io::Result<String> {
        let code = secret()?;
        *self.once.lock() = Some((code.clone(), Instant::now() + ONCE_WITHIN));
        Ok(code)
    }

    /// The session's secret, for who has a code at this moment.
    pub fn open(&self, headers: &HeaderMap, now: Instant) -> Option<&str> {
        let sent = headers.get(CODE)?.as_bytes();
        (is(sent, &self.code) || self.takes_once(sent, now)).then_some(&self.session)
    }

    fn takes_once(&self, sent: &[u8], now: Instant) -> bool {
        let mut once = self.once.lock();
        let counts = once
            .as_ref()
            .is_some_and(|(code, until)| is(sent, code) && now < *until);
        if counts {
            *once = None;
        }
        counts
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(SESSION);
        sent.is_some_and(|sent| is(sent.as_bytes(), &self.session))
    }

    /// Whether a request names this console as the one that it is for.
    fn is_own_host(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
            // A browser leaves out the port that http has by itself.
            host == format!("{name}:{}", self.port) || (self.port == 80 && host == *name)
        })
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        let host = origin.strip_prefix("http://");
        host.is_some_and(|host| self.is_own_host(host))
    }

    /// Whether a browser that sends this says that a page of another origin asks.
    fn is_from_elsewhere(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let origin = text(ORIGIN.as_str());
        let site = text("sec-fetch-site");
        origin.is_some_and(|origin| !self.is_own_origin(origin))
            || site.is_some_and(|site| !["same-origin", "none"].contains(&site))
    }
}

/// 256 random bits, as an address may hold them.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn is(sent: &[u8], secret: &str) -> bool {
    sent.ct_eq(secret.as_bytes()).into()
}

/// 421 for what is for another host.
pub async fn own_host_only(
    FromState(state): FromState<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_own = |host: &str| state.guard.is_own_host(host);
    let named = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    if !host.is_some_and(is_own) || hosts.next().is_some() || !named.is_none_or(is_own) {
        let detail = "this port is for the person who started it; open the address that it printed";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, "Not this host", detail)
            .into_response();
    }
    next.run(request).await
}

/// 403 for what a page of another origin asks.
pub async fn same_origin_only(
    FromState(state): FromState<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    if state.guard.is_from_elsewhere(request.headers()) {
        let detail = "only the console's own page may ask";
        return Problem::new(StatusCode::FORBIDDEN, "Another origin", detail).into_response();
    }
    next.run(request).await
}

/// 403 as above, and 401 for who does not know the session's secret.
pub async fn session_only(
    FromState(state): FromState<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    if !state.guard.has_session(request.headers()) {
        let detail =
            "open the address that `llmplane console` printed, with all that follows the #";
        return Problem::new(StatusCode::UNAUTHORIZED, "No session", detail).into_response();
    }
    same_origin_only(FromState(state), request, next).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    value.parse().expect("a value"),
                )
            })
            .collect()
    }

    #[test]
    fn only_names_of_this_machine_with_this_port_are_its_own() {
        let guard = Guard::new(4000).expect("random bytes");
        for own in ["127.0.0.1:4000", "localhost:4000", "[::1]:4000"] {
            assert!(guard.is_own_host(own), "{own}");
            assert!(guard.is_own_origin(&format!("http://{own}")), "{own}");
        }
        for other in [
            "127.0.0.1",
            "127.0.0.1:4001",
            "localhost.evil.example:4000",
            "evil.example:4000",
            "",
        ] {
            assert!(!guard.is_own_host(other), "{other}");
        }
        assert!(!guard.is_own_origin("https://127.0.0.1:4000"));
        assert!(!guard.is_own_origin("null"));
        assert!(
            Guard::new(80)
                .expect("random bytes")
                .is_own_host("localhost")
        );
    }

    #[test]
    fn what_a_browser_says_of_another_origin_is_believed() {
        let guard = Guard::new(4000).expect("random bytes");
        let elsewhere = |pairs| guard.is_from_elsewhere(&headers(pairs));
        assert!(!elsewhere(&[]));
        assert!(!elsewhere(&[
            ("origin", "http://127.0.0.1:4000"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(elsewhere(&[("origin", "null")]));
        assert!(elsewhere(&[("origin", "http://evil.example")]));
        // Another port of this machine is the same site, and another origin.
        assert!(elsewhere(&[("sec-fetch-site", "same-site")]));
        assert!(elsewhere(&[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_code_for_once_opens_once_and_in_time() {
        let guard = Guard::new(4000).expect("random bytes");
        let opens_at = |code: &str, at| guard.open(&headers(&[(CODE, code)]), at).is_some();
        let opens = |code: &str| opens_at(code, Instant::now());
        let once = guard.code_for_once().expect("random bytes");
        assert!(!opens("made-up") && !opens(""));
        assert!(opens(&once), "the first time");
        assert!(!opens(&once), "the second time");
        assert!(
            opens(guard.code()) && opens(guard.code()),
            "the one that is printed"
        );
        let late = guard.code_for_once().expect("random bytes");
        let end = Instant::now() + ONCE_WITHIN;
        assert!(!opens_at(&late, end), "after its time");
        assert!(opens(&late), "within it");
    }

    #[test]
    fn only_the_session_that_was_opened_is_one() {
        let guard = Guard::new(4000).expect("random bytes");
        let session = guard
            .open(&headers(&[(CODE, guard.code())]), Instant::now())
            .expect("it opens");
        assert!(guard.has_session(&headers(&[(SESSION, session)])));
        assert!(!guard.has_session(&headers(&[(SESSION, guard.code())])));
        assert!(!guard.has_session(&HeaderMap::new()));
    }
}
