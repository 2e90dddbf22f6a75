//! Why there is no answer, in words that hold no header and nothing of a URL but host and port.

use std::{error::Error as StdError, fmt};

use url::Url;

use super::{
    address_guard::AddressRefused,
    client::{MAX_BODY_BYTES, MAX_CHECK_BYTES},
    meter::MAX_INTERIM_ANSWERS,
};
use crate::crd::ca_bundle::BadCaBundle;

/// The host and port that were tried. User info, path and query may hold what is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAndPort(String);

impl HostAndPort {
    /// Those of this URL.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self(match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
pub enum HttpError {
    /// The guard refuses the address.
    #[error("{0}")]
    AddressRefused(AddressRefused),
    /// The name has no address.
    #[error("no connection to {0}: the host's name does not resolve")]
    Dns(HostAndPort),
    /// Nobody listens, or no way there.
    #[error("no connection to {0}: refused or unreachable")]
    Connect(HostAndPort),
    /// The certificate or the handshake is not acceptable.
    #[error("no TLS connection to {0}: {1}")]
    Tls(HostAndPort, &'static str),
    /// The check's time was up.
    #[error("no answer within the check's time from {0}")]
    Timeout(HostAndPort),
    /// The answer is larger than a check reads.
    #[error("the answer is larger than {} MiB", MAX_BODY_BYTES / 1024 / 1024)]
    BodyTooLarge,
    /// The answers to one check are larger than it reads.
    #[error("the pages of the answer are larger than {} MiB together", MAX_CHECK_BYTES / 1024 / 1024)]
    AnswersTooLarge,
    /// The host does not come to its answer.
    #[error(
        "{0} sends more than {max} interim answers (HTTP 1xx) before its answer",
        max = MAX_INTERIM_ANSWERS
    )]
    InterimAnswers(HostAndPort),
    /// The answer broke off.
    #[error("the answer of {0} broke off, or is not HTTP")]
    Truncated(HostAndPort),
    /// A redirect that leaves the host, or one too many.
    #[error("the host redirects elsewhere; write the URL that it redirects to")]
    Redirect,
    /// The request carries a key, and its URL is not among those that the key may go to.
    #[error("the key may not be sent to the URL that was to be called; nothing was sent")]
    KeyElsewhere,
    /// The endpoint's own certificates cannot be used.
    #[error("spec.caBundle {0}")]
    CaBundle(BadCaBundle),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Invalid(&'static str),
}

/// The name has no address.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name has no address")]
pub(super) struct NoAddress;

/// Our words for why there is no connection. The error itself is dropped: it may hold the URL.
pub(super) fn explain_connection(error: &(dyn StdError + 'static), url: &Url) -> HttpError {
    let tried = HostAndPort::of(url);
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(refused) = this.downcast_ref::<AddressRefused>() {
            return HttpError::AddressRefused(refused.clone());
        }
        if let Some(known) = this.downcast_ref::<HttpError>() {
            return known.clone();
        }
        if this.is::<NoAddress>() {
            return HttpError::Dns(tried);
        }
        if let Some(tls) = tls_error(this) {
            return HttpError::Tls(tried, explain_tls(tls));
        }
        let io = this.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return HttpError::Timeout(tried);
        }
        cause = this.source();
    }
    HttpError::Connect(tried)
}

/// An `io::Error` shows what it wraps in no `source`, and one may wrap another.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().and_then(|inner| tls_error(inner)),
        None => error.downcast_ref(),
    }
}

fn explain_tls(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for another host"
            }
            Certificate::UnknownIssuer => {
                "its certificate is signed by nobody known here; caBundle takes its signer"
            }
            Certificate::Revoked => "its certificate is revoked",
            _ => "its certificate is not acceptable",
        },
        rustls::Error::AlertReceived(_) => "the host refused the handshake",
        _ => "the handshake failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_host_and_port_alone_are_told() {
        let told = |url: &str| HostAndPort::of(&Url::parse(url).unwrap()).to_string();
        assert_eq!(told("https://u:pw@gw.example/v1?key=k#f"), "gw.example:443");
        assert_eq!(told("http://[::1]:8080/"), "[::1]:8080");
    }
}
