//! How a call to AWS carries its key: signed by SigV4, or as a bearer token (facts, 5.2).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderName, header};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use crate::{
    encryption::SecretFields,
    vendors::http::client::{HttpError, Request},
};

/// What a signature's scope calls the service: the same for control and runtime hosts (facts, 2).
pub(super) const SERVICE: &str = "bedrock";

/// The request with its key: a key pair signs it, an API key alone goes along as a bearer token.
///
/// # Errors
/// When the key cannot be used in a request.
pub(super) fn with_key(
    request: Request,
    key: &SecretFields,
    region: &str,
    now: Timestamp,
) -> Result<Request, HttpError> {
    match (&key.api_key, &key.secret_key) {
        (Some(_), Some(_)) => signed(request, key, region, SERVICE, now),
        (Some(api_key), None) => request.bearer(api_key),
        (None, _) => Err(HttpError::Invalid("the key has no access key id")),
    }
}

/// Signs host, time, session token and, where there is a body, its type. What a gateway may add or
/// change is not signed.
pub(super) fn signed(
    request: Request,
    key: &SecretFields,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Result<Request, HttpError> {
    // The credentials own these copies, and wipe them.
    let part = |field: &Option<secrecy::SecretString>| {
        let value = field.as_ref().map(|value| value.expose_secret().to_owned());
        value.unwrap_or_default()
    };
    let token = key
        .access_token
        .as_ref()
        .map(|t| t.expose_secret().to_owned());
    let credentials = Credentials::new(part(&key.api_key), part(&key.secret_key), token, None, "");
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::from(now))
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| HttpError::Invalid("it cannot be signed"))?
        .into();
    let content_type = request.header_value(header::CONTENT_TYPE);
    let headers = content_type.map(|value| (header::CONTENT_TYPE.as_str(), value));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.url().as_str(),
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .map_err(|_| HttpError::Invalid("it cannot be signed"))?;
    // The error may name a header's value, so it goes no further.
    let (instructions, _) = sign(signable, &params)
        .map_err(|_| HttpError::Invalid("the key has characters that no header takes"))?
        .into_parts();
    let (headers, _) = instructions.into_parts();
    headers.iter().try_fold(request, |request, header| {
        let name = HeaderName::from_static(header.name());
        let secret = header.sensitive() || name == header::AUTHORIZATION;
        match secret {
            true => request.secret_header(name, header.value()),
            false => Ok(request.header(header.name(), header.value())),
        }
    })
}

/// The URL of a path under the base URL, each segment percent-encoded but for unreserved
/// characters: a `:` has to be sent as `%3A` (facts, 5.2).
pub(super) fn url(base: &Url, segments: &[&str]) -> Url {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    path.push(char::from(byte));
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    let mut url = base.clone();
    url.set_path(&path);
    url
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
