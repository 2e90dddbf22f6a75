//! What goes to a vendor and what comes back. A request that carries a key knows where it may go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded::byte_serialize};
use zeroize::Zeroizing;

use super::client::HttpError;
use crate::{
    encryption::SecretFields,
    keys::{BoundKey, Destinations},
};

/// Room for a body with a token in it: it is not to move, and leave a copy behind.
const SECRET_BODY_BYTES: usize = 64 * 1024;

/// One request.
#[derive(Clone)]
pub struct Request {
    pub(in crate::vendors) method: Method,
    pub(in crate::vendors) url: Url,
    pub(in crate::vendors) headers: HeaderMap,
    pub(in crate::vendors) body: Option<Bytes>,
    /// Where it may go, once it holds a key.
    destinations: Option<Arc<Destinations>>,
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            destinations: None,
        }
    }

    /// A POST of JSON.
    pub fn post_json(url: Url, body: &serde_json::Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Self {
            method: Method::POST,
            url,
            headers,
            body: Some(Bytes::from(body.to_string())),
            destinations: None,
        }
    }

    /// A POST without a body yet.
    pub(in crate::vendors) fn post(url: Url) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(url)
        }
    }

    /// Puts JSON that holds a secret into the body, which is wiped when the request is dropped: an object
    /// of texts.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(in crate::vendors) fn secret_json(
        self,
        fields: &[(&str, &str)],
    ) -> Result<Self, HttpError> {
        let mut text = Zeroizing::new(Vec::with_capacity(SECRET_BODY_BYTES));
        let object: BTreeMap<&str, &str> = fields.iter().copied().collect();
        serde_json::to_writer(&mut *text, &object)
            .map_err(|_| HttpError::Invalid("its body cannot be written"))?;
        Ok(self.secret_body("application/json", text))
    }

    /// Puts a form that holds a secret into the body, which is wiped when the request is dropped.
    pub(in crate::vendors) fn secret_form(self, fields: &[(&str, &str)]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_BODY_BYTES));
        for (place, (name, value)) in fields.iter().enumerate() {
            if place > 0 {
                text.push('&');
            }
            text.extend(byte_serialize(name.as_bytes()));
            text.push('=');
            text.extend(byte_serialize(value.as_bytes()));
        }
        let text = Zeroizing::new(std::mem::take(&mut *text).into_bytes());
        self.secret_body("application/x-www-form-urlencoded", text)
    }

    fn secret_body(mut self, type_: &'static str, text: Zeroizing<Vec<u8>>) -> Self {
        let type_ = HeaderValue::from_static(type_);
        self.headers.insert(header::CONTENT_TYPE, type_);
        self.body = Some(Bytes::from_owner(text));
        self
    }

    /// Adds a header that is not secret; one that is no header is left out.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same, to be sent to these hosts alone.
    pub(in crate::vendors) fn bound_to(mut self, destinations: &Arc<Destinations>) -> Self {
        self.destinations = Some(Arc::clone(destinations));
        self
    }

    /// Whether it may be sent to this URL: with a key, where the key may go; without, anywhere.
    ///
    /// # Errors
    /// [`HttpError::KeyElsewhere`].
    pub(in crate::vendors) fn may_go_to(&self, url: &Url) -> Result<(), HttpError> {
        let allowed = match &self.destinations {
            Some(destinations) => destinations.allow(url),
            None => !self.headers.values().any(HeaderValue::is_sensitive),
        };
        allowed.then_some(()).ok_or(HttpError::KeyElsewhere)
    }

    pub(in crate::vendors) fn method(&self) -> &Method {
        &self.method
    }

    pub(in crate::vendors) fn url(&self) -> &Url {
        &self.url
    }

    pub(in crate::vendors) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    pub(in crate::vendors) fn header_value(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Adds the key as a bearer token.
    ///
    /// # Errors
    /// When the key cannot stand in a header.
    pub(in crate::vendors) fn bearer(self, key: &SecretString) -> Result<Self, HttpError> {
        const SCHEME: &str = "Bearer ";
        let key = key.expose_secret();
        // Made long enough, so that it does not move and leave a copy behind.
        let mut value = Zeroizing::new(String::with_capacity(SCHEME.len() + key.len()));
        value.push_str(SCHEME);
        value.push_str(key);
        self.secret_header(header::AUTHORIZATION, &value)
    }

    /// Adds a secret header; it is marked so that it is in no `Debug` output and no compression
    /// table. A request that has one is sent only where a [`BoundKey`](crate::keys::BoundKey) may go.
    ///
    /// # Errors
    /// When the value cannot stand in a header.
    pub fn secret_header(mut self, name: HeaderName, value: &str) -> Result<Self, HttpError> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| HttpError::Invalid("the key has characters that no header takes"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }
}

impl BoundKey {
    /// Lets a driver put the key into a request. What comes of it is bound to the key's hosts,
    /// wherever in it the key stands.
    ///
    /// # Errors
    /// When the request is for another host, and before the key is shown to anyone; what `put` says.
    pub(in crate::vendors) fn put_into(
        &self,
        request: Request,
        put: impl FnOnce(Request, &SecretFields) -> Result<Request, HttpError>,
    ) -> Result<Request, HttpError> {
        let request = request.bound_to(self.destinations());
        request.may_go_to(request.url())?;
        let request = put(request, self.fields())?.bound_to(self.destinations());
        request.may_go_to(request.url())?;
        Ok(request)
    }
}

impl BoundKey {
    /// The same for a token that is exchanged: `put` is shown it alone.
    ///
    /// # Errors
    /// As [`Self::put_into`].
    pub(in crate::vendors) fn put_token_into(
        &self,
        request: Request,
        put: impl FnOnce(Request, &str) -> Result<Request, HttpError>,
    ) -> Result<Request, HttpError> {
        self.put_into(request, |request, fields| match &fields.access_token {
            Some(token) => put(request, token.expose_secret()),
            None => Err(HttpError::Invalid("there is no token to send")),
        })
    }
}

/// One answer, whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most [`MAX_BODY_BYTES`](super::client::MAX_BODY_BYTES).
    pub body: Bytes,
}

impl Response {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// How long the vendor asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
    pub fn retry_after(&self) -> Option<Duration> {
        let millis = self
            .header("retry-after-ms")
            .and_then(|v| v.trim().parse::<f64>().ok())
            .map(|ms| ms / 1000.0);
        let seconds = millis.or_else(|| {
            let value = self.header("retry-after")?.trim();
            value.parse::<f64>().ok().or_else(|| {
                let at = jiff::fmt::rfc2822::DateTimeParser::new()
                    .parse_timestamp(value)
                    .ok()?;
                Some((at.as_second() - jiff::Timestamp::now().as_second()) as f64)
            })
        })?;
        // A day is the longest wait that vendors were seen to ask for.
        (seconds.is_finite() && seconds >= 0.0)
            .then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
    }
}

#[cfg(test)]
#[path = "bound_key_tests.rs"]
mod bound_key_tests;
