//! Why there is no answer, in words that hold neither a URL nor a header.

use std::error::Error as StdError;

use super::{address::AddressRefused, http::MAX_BODY_BYTES};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The guard refuses the address.
    #[error("{0}")]
    AddressRefused(AddressRefused),
    /// The name has no address.
    #[error("the host's name does not resolve")]
    Dns,
    /// Nobody listens, or no way there.
    #[error("no connection to the host: {0}")]
    Connect(&'static str),
    /// The certificate or the handshake is not acceptable.
    #[error("no TLS connection to the host: {0}")]
    Tls(&'static str),
    /// The check's time was up.
    #[error("no answer within the check's time")]
    Timeout,
    /// The answer is larger than a check reads.
    #[error("the answer is larger than {} MiB", MAX_BODY_BYTES / 1024 / 1024)]
    BodyTooLarge,
    /// The answer broke off.
    #[error("the answer broke off, or is not HTTP")]
    Truncated,
    /// A redirect that leaves the host, or one too many.
    #[error("the host redirects elsewhere; write the URL that it redirects to")]
    Redirect,
    /// The request carries a key, and its URL is not among those that the key may go to.
    #[error("the key may not be sent to the URL that was to be called; nothing was sent")]
    KeyElsewhere,
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Invalid(&'static str),
}

/// Our words for a transport's error. The error itself is dropped: it may hold the URL.
pub(super) fn explain(error: &reqwest::Error) -> HttpError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(refused) = this.downcast_ref::<AddressRefused>() {
            return HttpError::AddressRefused(refused.clone());
        }
        if let Some(tls) = tls_error(this) {
            return HttpError::Tls(explain_tls(tls));
        }
        cause = this.source();
    }
    if error.is_timeout() {
        HttpError::Timeout
    } else if error.is_dns() {
        HttpError::Dns
    } else if error.is_connect() {
        HttpError::Connect("refused or unreachable")
    } else if error.is_body() || error.is_decode() || error.is_request() {
        HttpError::Truncated
    } else {
        HttpError::Invalid("it is not a request that HTTP allows")
    }
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
