//! The one HTTP layer under all drivers: timeouts, retries, body caps, redirects, the address guard.
//!
//! No key appears in an error: errors are made from our own words, never from a URL or a header.

use std::{net::SocketAddr, sync::Arc};

use http::{Method, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use url::{Host, Url};

use super::{
    address_guard::AddressGuard, answer::AnswerReader, connection::Connector, error::HostAndPort,
    memory::LargeAnswers, redaction, tls::TlsConfigs,
};
pub use super::{
    answer::{MAX_BODY_BYTES, MAX_CHECK_BYTES, MAX_ERROR_BYTES},
    error::HttpError,
    message::{Request, Response},
};
use crate::keys::BoundKey;
use crate::telemetry::spans;

/// Redirects that are followed, on the same host alone.
const MAX_REDIRECTS: u32 = 3;

/// Tells the time that requests are signed with.
pub type Clock = fn() -> jiff::Timestamp;

/// Makes the clients of one process.
pub struct HttpClients {
    guard: Arc<AddressGuard>,
    proxy: Option<Url>,
    clock: Clock,
    tls: TlsConfigs,
    large_answers: Arc<LargeAnswers>,
}

impl HttpClients {
    /// Clients behind this guard; `proxy` is `LLMPLANE_HTTPS_PROXY`.
    pub fn new(guard: AddressGuard, proxy: Option<Url>) -> Self {
        Self {
            guard: Arc::new(guard),
            proxy,
            clock: jiff::Timestamp::now,
            tls: TlsConfigs::default(),
            large_answers: Arc::default(),
        }
    }

    /// The same by another clock.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The client for a namespace, the scheme and port of a URL and an endpoint's own certificates
    /// (PEM). The caller leaves `ca_bundle` out for a vendor's own hosts. A client is for one port
    /// because a resolver is told only names, and the guard's rules speak of ports.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn client(
        &self,
        namespace: &str,
        url: &Url,
        ca_bundle: Option<&str>,
    ) -> Result<HttpClient, HttpError> {
        let port = url
            .port_or_known_default()
            .ok_or(HttpError::Invalid("the URL has no port"))?;
        let tls = match (url.scheme(), ca_bundle) {
            ("https", bundle) => Some(self.tls.get(bundle)?),
            // One that cannot be used is told all the same.
            (_, Some(bundle)) => self.tls.get(Some(bundle)).map(|_| None)?,
            (_, None) => None,
        };
        let proxy = match &self.proxy {
            None => None,
            Some(proxy) if proxy.scheme() == "https" => {
                Some((proxy.clone(), Some(self.tls.get(None)?)))
            }
            Some(proxy) => Some((proxy.clone(), None)),
        };
        Ok(HttpClient {
            connector: Connector {
                guard: Arc::clone(&self.guard),
                namespace: namespace.to_owned(),
                port,
                proxy,
                tls,
            },
            clock: self.clock,
            hidden: None,
            reader: AnswerReader::new(namespace, &self.large_answers),
            #[cfg(any(test, fuzzing))]
            script: None,
        })
    }
}

/// A client for one namespace, one port and one set of certificates.
#[derive(Clone)]
pub struct HttpClient {
    connector: Connector,
    clock: Clock,
    /// What no answer may show, whatever its request carried.
    hidden: Option<BoundKey>,
    reader: AnswerReader,
    /// Answers in the network's place.
    #[cfg(any(test, fuzzing))]
    pub(in crate::vendors) script: Option<Arc<super::script::Script>>,
}

impl HttpClient {
    /// The same client for one check, whose answers are read without this key.
    #[must_use]
    pub fn hiding(&self, key: Option<&BoundKey>) -> Self {
        Self {
            hidden: key.cloned(),
            reader: self.reader.afresh(),
            ..self.clone()
        }
    }

    /// The key that no answer may show.
    pub(in crate::vendors) fn hidden_key(&self) -> Option<&BoundKey> {
        self.hidden.as_ref()
    }

    fn hidden(&self) -> impl Iterator<Item = &[u8]> {
        self.hidden.iter().flat_map(BoundKey::texts)
    }

    /// The time that requests are signed with.
    pub(in crate::vendors) fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// Sends a request once, whatever becomes of it: for a token that counts once.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_once(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, HttpError> {
        match timeout_at(deadline, self.follow(request)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout(HostAndPort::of(&request.url))),
        }
    }

    pub(super) async fn follow(&self, request: &Request) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.traced(request, &url).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let to = answer
                .header("location")
                .and_then(|l| url.join(l).ok())
                .ok_or(HttpError::Redirect)?;
            // The key goes along, so it may not leave the host; a POST would lose its body.
            if to.origin() != url.origin() || request.method != Method::GET {
                return Err(HttpError::Redirect);
            }
            url = to;
        }
        Err(HttpError::Redirect)
    }

    /// [`Self::once`], as a span that says whom was asked and what came of it, and nothing of the URL but its host.
    async fn traced(&self, request: &Request, url: &Url) -> Result<Response, HttpError> {
        let host = url.host_str().unwrap_or_default();
        let span = spans::vendor_call(&request.method, host, self.connector.port);
        let answer = self.once(request, url).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => spans::answered(&span, answer.status),
            Err(error) => spans::failed(&span, error.into()),
        }
        answer
    }

    async fn once(&self, request: &Request, url: &Url) -> Result<Response, HttpError> {
        request.may_go_to(url)?;
        self.connector.guard.refresh().await;
        self.guard_literal(url)?;
        #[cfg(any(test, fuzzing))]
        if let Some(script) = &self.script {
            let answer = script.answer(url)?;
            return Ok(redaction::secrets(&request.headers, self.hidden(), answer));
        }
        if self.connector.proxy.is_some() {
            self.guard_proxied_name(url).await?;
        }
        let exchange = self.connector.exchange(request, url, &self.reader);
        let answer = exchange.await?;
        Ok(redaction::secrets(&request.headers, self.hidden(), answer))
    }

    /// Judges the addresses that a name has here before a proxy is asked for it. What has none here
    /// is the proxy's to judge.
    async fn guard_proxied_name(&self, url: &Url) -> Result<(), HttpError> {
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        let found = tokio::net::lookup_host((name, self.connector.port)).await;
        let mut found = found.into_iter().flatten();
        found.try_for_each(|address| self.guard(address))
    }

    /// Judges an IP literal, which never reaches the resolver. A name is judged by the resolver, at
    /// the moment of connecting.
    fn guard_literal(&self, url: &Url) -> Result<(), HttpError> {
        let port = url
            .port_or_known_default()
            .ok_or(HttpError::Invalid("the URL has no port"))?;
        if port != self.connector.port {
            return Err(HttpError::Invalid("its client is for another port"));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => SocketAddr::new(v4.into(), port),
            Some(Host::Ipv6(v6)) => SocketAddr::new(v6.into(), port),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(HttpError::Invalid("the URL has no host")),
        };
        self.guard(literal)
    }

    fn guard(&self, address: SocketAddr) -> Result<(), HttpError> {
        let Connector {
            guard, namespace, ..
        } = &self.connector;
        (guard.check(namespace, address)).map_err(HttpError::AddressRefused)
    }
}
