//! One connection for one exchange, by HTTP/1.1.
//!
//! No connection is used twice: what a host sends after its answer is read by nobody, no two
//! owners' keys share one, and an idle controller holds none. HTTP/2 is not spoken, for its control
//! frames cost the caller whatever the host likes; every vendor speaks HTTP/1.1.

use std::{
    error::Error as StdError,
    future::{poll_fn, ready},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower::{Service, ServiceExt, service_fn};
use url::{Host, Url};

use super::{
    address_guard::AddressGuard,
    answer::AnswerReader,
    error::{HostAndPort, HttpError, NoAddress, explain_connection},
    message::{Request, Response},
    meter::{Excess, Meter, Metered},
};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time that a TCP connection may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
const USER_AGENT: &str = concat!("llmplane/", env!("CARGO_PKG_VERSION"));

/// The way to one port for one namespace.
#[derive(Clone)]
pub(super) struct Connector {
    pub guard: Arc<AddressGuard>,
    pub namespace: String,
    pub port: u16,
    /// The operator's proxy, and the TLS settings for it where it is called by https.
    pub proxy: Option<(Url, Option<Arc<ClientConfig>>)>,
    /// The TLS settings for the host, where it is called by https.
    pub tls: Option<Arc<ClientConfig>>,
}

/// A connection, plain or with TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type BoxStream = Box<dyn Stream>;
type Opening = BoxFuture<'static, Result<BoxStream, HttpError>>;

impl Connector {
    /// Sends a request to a URL and reads the answer; the connection ends with that.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn exchange<'a>(
        &'a self,
        request: &'a Request,
        url: &'a Url,
        reader: &'a AnswerReader,
    ) -> BoxFuture<'a, Result<Response, HttpError>> {
        let meter = Arc::new(Meter::default());
        async move {
            let result = self.exchange_metered(request, url, reader, &meter).await;
            // Where there was too much, what then failed is only what came of it.
            match (meter.excess(), result) {
                (Some(Excess::Bytes), Err(_)) => Err(HttpError::BodyTooLarge),
                (Some(Excess::InterimAnswers), Err(_)) => {
                    Err(HttpError::InterimAnswers(HostAndPort::of(url)))
                }
                (_, result) => result,
            }
        }
        .boxed()
    }

    async fn exchange_metered(
        &self,
        request: &Request,
        url: &Url,
        reader: &AnswerReader,
        meter: &Arc<Meter>,
    ) -> Result<Response, HttpError> {
        let request = self.message(request, url, meter)?;
        let stream = self.open(url, meter).await?;
        let mut http = http1::Builder::new();
        let http = http.max_buf_size(MAX_HEAD_BYTES);
        let Ok((mut sender, connection)) = http.handshake(TokioIo::new(stream)).await else {
            return Err(HttpError::Truncated(HostAndPort::of(url)));
        };
        let exchange = async {
            match sender.send_request(request).await {
                Ok(answer) => reader.read(answer, url).await,
                Err(_) => Err(HttpError::Truncated(HostAndPort::of(url))),
            }
        };
        alongside(pin!(connection), pin!(exchange)).await
    }

    /// The request as it goes out: to a proxy with the whole URL, unless there is a tunnel.
    fn message(
        &self,
        request: &Request,
        url: &Url,
        meter: &Arc<Meter>,
    ) -> Result<http::Request<Full<Bytes>>, HttpError> {
        const INVALID: HttpError = HttpError::Invalid("it is not a request that HTTP allows");
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.extend(request.headers.clone());
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let host = HeaderValue::try_from(host).map_err(|_| INVALID)?;
        headers.insert(header::HOST, host);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let target = match &self.proxy {
            Some((proxy, _)) if self.tls.is_none() => {
                if let Some(credentials) = credentials(proxy) {
                    headers.insert(header::PROXY_AUTHORIZATION, credentials);
                }
                &url[..url::Position::AfterQuery]
            }
            _ => &url[url::Position::BeforePath..url::Position::AfterQuery],
        };
        let body = Full::new(request.body.clone().unwrap_or_default());
        let mut message = http::Request::new(body);
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = target.parse().map_err(|_| INVALID)?;
        *message.headers_mut() = headers;
        let meter = meter.clone();
        hyper::ext::on_informational(&mut message, move |_| meter.note_interim());
        Ok(message)
    }

    /// The connection for a URL, whole: through the proxy and TLS, where there are any.
    fn open(&self, url: &Url, meter: &Arc<Meter>) -> Opening {
        let (this, url, meter) = (self.clone(), url.clone(), meter.clone());
        async move {
            let stream = match (&this.proxy, &this.tls) {
                (None, _) => this.tcp(&url, &meter).await?,
                (Some(_), None) => this.to_proxy(&meter).await?,
                (Some((proxy, _)), Some(_)) => this.tunnel(proxy, &url, &meter).await?,
            };
            match this.tls {
                Some(config) => secure(stream, config, url).await,
                None => Ok(stream),
            }
        }
        .boxed()
    }

    fn tunnel(&self, proxy: &Url, url: &Url, meter: &Arc<Meter>) -> Opening {
        let (this, meter) = (self.clone(), meter.clone());
        let connect = move |_: Uri| this.to_proxy(&meter).map_ok(TokioIo::new);
        let (via, to) = match (uri(proxy), uri(url)) {
            (Ok(via), Ok(to)) => (via, to),
            (Err(error), _) | (_, Err(error)) => return ready(Err(error)).boxed(),
        };
        let tunnel = Tunnel::new(via, service_fn(connect));
        let tunnel = match credentials(proxy) {
            Some(credentials) => tunnel.with_auth(credentials),
            None => tunnel,
        };
        let url = url.clone();
        let opening = tunnel.oneshot(to).map_ok(TokioIo::into_inner);
        let opening = opening.map_err(move |error| explain_connection(&error, &url));
        opening.boxed()
    }

    fn to_proxy(&self, meter: &Arc<Meter>) -> Opening {
        let (this, meter) = (self.clone(), meter.clone());
        async move {
            let Some((proxy, tls)) = this.proxy.clone() else {
                return Err(HttpError::Invalid("there is no proxy"));
            };
            let stream = this.tcp(&proxy, &meter).await?;
            match tls {
                Some(config) => secure(stream, config, proxy).await,
                None => Ok(stream),
            }
        }
        .boxed()
    }

    fn tcp(&self, url: &Url, meter: &Arc<Meter>) -> Opening {
        let resolver = GuardedResolver {
            guard: self.guard.clone(),
            namespace: self.namespace.clone(),
            port: self.port,
            // The operator chose the proxy; its address is the operator's own business.
            is_proxy: self.proxy.is_some(),
        };
        let (url, meter) = (url.clone(), meter.clone());
        async move {
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
            match connector.oneshot(uri(&url)?).await {
                Ok(stream) => {
                    let stream: BoxStream = Box::new(Metered::new(stream.into_inner(), meter));
                    Ok(stream)
                }
                Err(error) => Err(explain_connection(&error, &url)),
            }
        }
        .boxed()
    }
}

/// Polls a connection while something is done over it.
async fn alongside<T>(
    mut connection: Pin<&mut impl Future>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> T {
    let mut has_ended = false;
    poll_fn(move |cx| {
        if !has_ended {
            has_ended = connection.as_mut().poll(cx).is_ready();
        }
        work.as_mut().poll(cx)
    })
    .await
}

fn secure(stream: BoxStream, config: Arc<ClientConfig>, url: Url) -> Opening {
    const NO_NAME: HttpError =
        HttpError::Invalid("its host has no name that a certificate can be for");
    async move {
        let name = match url.host() {
            Some(Host::Domain(name)) => {
                ServerName::try_from(name.to_owned()).map_err(|_| NO_NAME)?
            }
            Some(Host::Ipv4(v4)) => ServerName::from(std::net::IpAddr::from(v4)),
            Some(Host::Ipv6(v6)) => ServerName::from(std::net::IpAddr::from(v6)),
            None => return Err(NO_NAME),
        };
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => {
                let stream: BoxStream = Box::new(stream);
                Ok(stream)
            }
            Err(error) => Err(explain_connection(&error, &url)),
        }
    }
    .boxed()
}

fn uri(url: &Url) -> Result<Uri, HttpError> {
    let uri = url[..url::Position::AfterPath].parse();
    uri.map_err(|_| HttpError::Invalid("it is not a URL that HTTP allows"))
}

/// What a proxy's URL says of who asks.
fn credentials(proxy: &Url) -> Option<HeaderValue> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let (user, password) = (decode(proxy.username()), decode(proxy.password()?));
    let basic = STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {basic}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Resolves names, and keeps only addresses that may be called.
#[derive(Clone)]
struct GuardedResolver {
    guard: Arc<AddressGuard>,
    namespace: String,
    port: u16,
    is_proxy: bool,
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|_| NoAddress)?.collect();
            if this.is_proxy {
                return Ok(found.into_iter());
            }
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match this
                    .guard
                    .check(&this.namespace, SocketAddr::new(address.ip(), this.port))
                {
                    Ok(()) => allowed.push(address),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                Some(reason) if allowed.is_empty() => Err(reason.into()),
                None if allowed.is_empty() => Err(NoAddress.into()),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}
