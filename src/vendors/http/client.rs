//! The one HTTP layer under all drivers: timeouts, retries, body caps, redirects, the address guard.
//!
//! No key appears in an error: errors are made from our own words, never from a URL or a header.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{Method, StatusCode};
use moka::sync::Cache;
use reqwest::{
    Certificate, Client, Proxy,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout_at};
use url::{Host, Url};

use super::{
    address_guard::AddressGuard,
    error::{HostAndPort, explain},
    redaction,
};
pub use super::{
    error::HttpError,
    message::{Request, Response},
};
use crate::crd::ca_bundle;
use crate::keys::BoundKey;

/// Largest answer that is read, in bytes: a list of 5,000 models is about 2 MiB.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Attempts in one call, the first included.
const MAX_ATTEMPTS: u32 = 3;
/// Redirects that are followed, on the same host alone.
const MAX_REDIRECTS: u32 = 3;
/// Clients that are kept, and for how long after their last use: ports and certificates are
/// users' to choose, and each client has connections of its own. Longer than a probe's usual period.
const MAX_CLIENTS: u64 = 1024;
const CLIENT_IDLE: Duration = Duration::from_secs(10 * 60);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the time that requests are signed with.
pub type Clock = fn() -> jiff::Timestamp;

/// Clients by what they may not share: namespace rules, port and certificates.
pub struct HttpClients {
    guard: Arc<AddressGuard>,
    proxy: Option<Url>,
    clock: Clock,
    clients: Cache<ClientKey, Client>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    namespace: String,
    port: u16,
    ca_bundle: Option<[u8; 32]>,
}

impl HttpClients {
    /// Clients behind this guard; `proxy` is `LLMPLANE_HTTPS_PROXY`.
    pub fn new(guard: AddressGuard, proxy: Option<Url>) -> Self {
        Self::at_most(MAX_CLIENTS, guard, proxy)
    }

    fn at_most(clients: u64, guard: AddressGuard, proxy: Option<Url>) -> Self {
        Self {
            guard: Arc::new(guard),
            proxy,
            clock: jiff::Timestamp::now,
            clients: Cache::builder()
                .max_capacity(clients)
                .time_to_idle(CLIENT_IDLE)
                .build(),
        }
    }

    /// The same by another clock.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The client for a namespace, the port of a URL and an endpoint's own certificates (PEM). The
    /// caller leaves `ca_bundle` out for a vendor's own hosts. A client is for one port because a
    /// resolver is told only names, and the guard's rules speak of ports.
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
        let own_rules = self.guard.is_special(namespace);
        let key = ClientKey {
            namespace: if own_rules {
                namespace.to_owned()
            } else {
                String::new()
            },
            port,
            ca_bundle: ca_bundle.map(|pem| Sha256::digest(pem.as_bytes()).into()),
        };
        let inner = self
            .clients
            .try_get_with(key, || self.build(namespace, port, ca_bundle))
            .map_err(|error| HttpError::clone(&error))?;
        Ok(HttpClient {
            proxied: self.proxy.is_some(),
            inner,
            guard: Arc::clone(&self.guard),
            namespace: namespace.to_owned(),
            port,
            clock: self.clock,
            hidden: None,
            #[cfg(any(test, fuzzing))]
            script: None,
        })
    }

    fn build(
        &self,
        namespace: &str,
        port: u16,
        ca_bundle: Option<&str>,
    ) -> Result<Client, HttpError> {
        let resolver = GuardedResolver {
            guard: Arc::clone(&self.guard),
            namespace: namespace.to_owned(),
            port,
            proxy_host: self
                .proxy
                .as_ref()
                .and_then(|p| p.host_str().map(str::to_owned)),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("llmplane/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(4)
            .no_proxy()
            .dns_resolver(Arc::new(resolver));
        if let Some(proxy) = &self.proxy {
            let proxy =
                Proxy::all(proxy.clone()).map_err(|_| HttpError::Invalid("the proxy's URL"))?;
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = ca_bundle {
            let certificates = ca_bundle::certificates(pem).map_err(HttpError::CaBundle)?;
            let certificates: Result<Vec<_>, _> = certificates
                .iter()
                .map(|certificate| Certificate::from_der(certificate))
                .collect();
            let unusable = |_| HttpError::Invalid("a certificate of spec.caBundle");
            builder = builder.tls_certs_merge(certificates.map_err(unusable)?);
        }
        builder
            .build()
            .map_err(|_| HttpError::Invalid("no client can be made for it"))
    }
}

/// Resolves names, and keeps only addresses that may be called.
struct GuardedResolver {
    guard: Arc<AddressGuard>,
    namespace: String,
    port: u16,
    proxy_host: Option<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        let namespace = self.namespace.clone();
        let port = self.port;
        // The operator chose the proxy; its address is the operator's own business.
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if is_proxy {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match guard.check(&namespace, SocketAddr::new(address.ip(), port)) {
                    Ok(()) => allowed.push(address),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                Some(reason) if allowed.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// A client for one namespace and one set of certificates.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client,
    guard: Arc<AddressGuard>,
    namespace: String,
    port: u16,
    /// A proxy resolves names itself, so that the resolver here never sees them.
    proxied: bool,
    clock: Clock,
    /// What no answer may show, whatever its request carried.
    hidden: Option<BoundKey>,
    /// Answers in the network's place.
    #[cfg(any(test, fuzzing))]
    pub(in crate::vendors) script: Option<Arc<super::script::Script>>,
}

impl HttpClient {
    /// The same client, whose answers are read without this key.
    #[must_use]
    pub fn hiding(&self, key: Option<&BoundKey>) -> Self {
        Self {
            hidden: key.cloned(),
            ..self.clone()
        }
    }

    fn hidden(&self) -> impl Iterator<Item = &[u8]> {
        self.hidden.iter().flat_map(BoundKey::texts)
    }

    /// The time that requests are signed with.
    pub(in crate::vendors) fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

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

    async fn follow(&self, request: &Request) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(request, &url).await?;
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

    async fn once(&self, request: &Request, url: &Url) -> Result<Response, HttpError> {
        request.may_go_to(url)?;
        self.guard.refresh().await;
        self.guard_literal(url)?;
        #[cfg(any(test, fuzzing))]
        if let Some(script) = &self.script {
            let answer = script.answer(url)?;
            return Ok(redaction::secrets(&request.headers, self.hidden(), answer));
        }
        if self.proxied {
            self.guard_proxied_name(url).await?;
        }
        let mut builder = self
            .inner
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let mut answer = builder.send().await.map_err(|e| explain(&e, url))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| explain(&e, url))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(HttpError::BodyTooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Response {
            status,
            headers,
            body: body.freeze(),
        };
        Ok(redaction::secrets(&request.headers, self.hidden(), answer))
    }

    /// Judges the addresses that a name has here before a proxy is asked for it. What has none here
    /// is the proxy's to judge.
    async fn guard_proxied_name(&self, url: &Url) -> Result<(), HttpError> {
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        let found = tokio::net::lookup_host((name, self.port)).await;
        found.into_iter().flatten().try_for_each(|address| {
            self.guard
                .check(&self.namespace, address)
                .map_err(HttpError::AddressRefused)
        })
    }

    /// Judges an IP literal, which never reaches the resolver. A name is judged by the resolver, at
    /// the moment of connecting.
    fn guard_literal(&self, url: &Url) -> Result<(), HttpError> {
        let port = url
            .port_or_known_default()
            .ok_or(HttpError::Invalid("the URL has no port"))?;
        if port != self.port {
            return Err(HttpError::Invalid("its client is for another port"));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => SocketAddr::new(v4.into(), port),
            Some(Host::Ipv6(v6)) => SocketAddr::new(v6.into(), port),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(HttpError::Invalid("the URL has no host")),
        };
        self.guard
            .check(&self.namespace, literal)
            .map_err(HttpError::AddressRefused)
    }
}

fn backoff(attempt: u32) -> Duration {
    let jitter = f64::from(rand::random::<u16>()) / f64::from(u16::MAX);
    FIRST_BACKOFF.mul_f64(f64::from(1_u32 << (attempt - 1)) * (0.75 + jitter / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_nobody_uses_any_more_are_dropped() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = HttpClients::at_most(2, AddressGuard::default(), None);
        for port in 1..=6 {
            let url = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL");
            assert!(clients.client("team", &url, None).is_ok());
        }
        clients.clients.run_pending_tasks();
        assert!(clients.clients.entry_count() <= 2);
    }

    #[test]
    fn a_client_that_cannot_be_made_is_none_the_next_time_either() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = HttpClients::new(AddressGuard::default(), None);
        let url = Url::parse("https://gw.example.com/").expect("a URL");
        for _ in 0..2 {
            let refused = clients.client("team", &url, Some("no certificates"));
            assert!(matches!(refused, Err(HttpError::CaBundle(_))));
        }
    }
}
