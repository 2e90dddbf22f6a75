//! Answers: bytes that were written when the rows came in, and the headers that go with them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::db::Revision;
use crate::http_server::{AnswerMemory, ConnectionShare, Reserved};
use crate::snapshot::Entry;

/// Revision that an answer is of.
pub const REVISION: HeaderName = HeaderName::from_static("llmplane-revision");
/// Age of the snapshot in seconds, while PostgreSQL is out of reach.
pub const SNAPSHOT_AGE: HeaderName = HeaderName::from_static("llmplane-snapshot-age");

// Written by hand from rows that are JSON already.
/// A list, page by page.
#[derive(Serialize, ToSchema)]
#[schema(as = List)]
pub struct List<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// The revision that the page is of.
    pub revision: i64,
}

/// What a request says beside its path and its caller, as a handler's argument. It takes this out
/// of the request: whatever else reads it comes before.
#[derive(Debug)]
pub struct RequestHeaders {
    /// Path and query, as far as routing has left them.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// What its connection may take of the memory of answers.
    pub share: ConnectionShare,
}

impl<S: Sync> FromRequestParts<S> for RequestHeaders {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            uri: std::mem::take(&mut parts.uri),
            headers: std::mem::take(&mut parts.headers),
            share: parts.extensions.remove().unwrap_or_default(),
        })
    }
}

/// One row.
pub fn one<V>(entry: &Entry<V>, revision: Revision, request: &HeaderMap) -> Response<Body> {
    answer(&entry.etag, || entry.json.clone(), revision, request)
}

/// A page of rows, written out.
#[derive(Clone, Debug)]
pub struct Page {
    etag: HeaderValue,
    body: Bytes,
}

impl Page {
    /// Writes it out.
    ///
    /// Its ETag is weak: it changes with the rows, not with the revision that stands beside them.
    pub fn new<'a, V: 'a>(
        entries: impl ExactSizeIterator<Item = &'a Entry<V>> + Clone,
        next_cursor: Option<&str>,
        revision: Revision,
    ) -> Self {
        let digests = entries.clone().map(|entry| entry.digest);
        Self {
            etag: list_etag(digests, next_cursor),
            body: list_body(entries.map(|entry| &entry.json), next_cursor, revision),
        }
    }

    /// The page for others and the page for its reader: both hold the memory that was reserved for
    /// it, the latter its connection's share too.
    pub fn hold(self, reserved: Reserved) -> (Self, Self) {
        let (shared, own) = reserved.hold(self.body);
        let page = |body| Self {
            etag: self.etag.clone(),
            body,
        };
        (page(shared), page(own))
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.body.len() + self.etag.len()
    }

    /// The answer to a request.
    pub fn answer(&self, revision: Revision, request: &HeaderMap) -> Response<Body> {
        answer(&self.etag, || self.body.clone(), revision, request)
    }
}

/// The rows of a page that is to be written out.
#[derive(Clone, Debug)]
pub struct PageRows<V> {
    /// The rows.
    pub rows: Vec<Arc<Entry<V>>>,
    /// Where the list goes on; none on its last page.
    pub next_cursor: Option<String>,
}

impl<V> PageRows<V> {
    /// Bytes of the page, about.
    pub fn size(&self) -> usize {
        let rows: usize = self.rows.iter().map(|row| row.json.len() + 1).sum();
        rows + 128 + self.next_cursor.as_ref().map_or(0, String::len)
    }

    /// Writes it out.
    pub fn write(&self, revision: Revision) -> Page {
        let rows = self.rows.iter().map(AsRef::as_ref);
        Page::new(rows, self.next_cursor.as_deref(), revision)
    }
}

/// Anything that is made for this one answer. Its ETag is weak: it changes with `told`, not with
/// the revision that stands beside it.
///
/// # Errors
///
/// 503 where too many answers wait for their readers.
pub async fn fresh(
    memory: &AnswerMemory,
    body: &impl Serialize,
    told: &impl Serialize,
    revision: Revision,
    request: &RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let (json, told) = (json(body)?, json(told)?);
    let etag = crate::snapshot::etag("W/", digest(&told));
    let reserved = memory.reserve(&request.share, json.len()).await?;
    let (_, body) = reserved.hold(Bytes::from(json));
    Ok(answer(&etag, || body, revision, &request.headers))
}

/// What was done, in memory that was reserved before: it is told whatever the caller has read before, and
/// however many answers wait for their readers by now.
///
/// # Errors
///
/// Where it has no form in JSON, which is a defect.
pub fn done(
    reserved: Reserved,
    body: &impl Serialize,
    revision: Revision,
) -> Result<Response<Body>, Problem> {
    let json = json(body)?;
    let etag = crate::snapshot::etag("W/", digest(&json));
    let (_, body) = reserved.hold(Bytes::from(json));
    Ok(answer(&etag, || body, revision, &HeaderMap::new()))
}

/// Written out as JSON.
///
/// # Errors
///
/// Where it has no such form, which is a defect.
pub fn json(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::internal()
    })
}

/// What is written while it is sent. It is known by what `told` says, before any of it is made; `body` is
/// asked only where the reader does not have it already.
pub async fn streamed<S>(
    content_type: &'static str,
    body: impl Future<Output = Result<S, Problem>>,
    told: &str,
    revision: Revision,
    request: &HeaderMap,
) -> Result<Response<Body>, Problem>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
{
    let etag = crate::snapshot::etag("W/", digest(told.as_bytes()));
    let body = match matches(request, &etag) {
        true => Body::empty(),
        false => Body::from_stream(body.await?),
    };
    Ok(typed(content_type, &etag, || body, revision, request))
}

/// The first half of a SHA-256.
fn digest(told: &[u8]) -> u128 {
    let digest = Sha256::digest(told);
    let (half, _) = digest.split_at(16);
    half.iter()
        .fold(0, |tag, byte| tag << 8 | u128::from(*byte))
}

fn list_body<'a>(
    rows: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    next_cursor: Option<&str>,
    revision: Revision,
) -> Bytes {
    const LIST_ENVELOPE_BYTES: usize = 64 + 20;
    let rows_len: usize = rows.clone().map(|json| json.len() + 1).sum();
    let mut body =
        BytesMut::with_capacity(rows_len + LIST_ENVELOPE_BYTES + next_cursor.map_or(4, str::len));
    body.extend_from_slice(b"{\"items\":[");
    for (index, json) in rows.enumerate() {
        if index > 0 {
            body.extend_from_slice(b",");
        }
        body.extend_from_slice(json);
    }
    body.extend_from_slice(b"],\"next_cursor\":");
    match next_cursor {
        // Base64 needs no escapes.
        Some(cursor) => {
            body.extend_from_slice(b"\"");
            body.extend_from_slice(cursor.as_bytes());
            body.extend_from_slice(b"\"");
        }
        None => body.extend_from_slice(b"null"),
    }
    body.extend_from_slice(b",\"revision\":");
    body.extend_from_slice(revision.to_string().as_bytes());
    body.extend_from_slice(b"}");
    body.freeze()
}

/// A polynomial over the rows' digests, so that their order counts.
fn list_etag(digests: impl Iterator<Item = u128>, next_cursor: Option<&str>) -> HeaderValue {
    const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let start = u128::from(next_cursor.is_some());
    let all = digests.fold(start, |all, digest| {
        all.wrapping_mul(FNV_PRIME).wrapping_add(digest)
    });
    crate::snapshot::etag("W/", all)
}

/// Whether the client has it already, by the weak comparison of RFC 9110, 8.8.3.2. What is no list of
/// tags asks for nothing.
fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let asked = request.typed_try_get::<IfNoneMatch>().ok().flatten();
    let ours = etag
        .to_str()
        .ok()
        .and_then(|etag| etag.parse::<ETag>().ok());
    asked
        .zip(ours)
        .is_some_and(|(asked, ours)| !asked.precondition_passes(&ours))
}

fn answer(
    etag: &HeaderValue,
    body: impl FnOnce() -> Bytes,
    revision: Revision,
    request: &HeaderMap,
) -> Response<Body> {
    let body = || Body::from(body());
    typed("application/json", etag, body, revision, request)
}

fn typed(
    content_type: &'static str,
    etag: &HeaderValue,
    body: impl FnOnce() -> Body,
    revision: Revision,
    request: &HeaderMap,
) -> Response<Body> {
    let mut headers = HeaderMap::with_capacity(8);
    // What one caller sees is nobody else's, and every answer is asked for again.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization"));
    headers.insert(REVISION, HeaderValue::from(revision.0));
    headers.insert(ETAG, etag.clone());
    let mut response = if matches(request, etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Response::new(body())
    };
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn a_list_is_the_rows_between_brackets() {
        let rows = [Bytes::from_static(b"{\"a\":1}"), Bytes::from_static(b"{}")];
        let body = list_body(rows.iter(), Some("abc"), Revision(7));
        assert_eq!(
            &body[..],
            br#"{"items":[{"a":1},{}],"next_cursor":"abc","revision":7}"#
        );
        let empty = list_body([].iter(), None, Revision(7));
        assert_eq!(
            &empty[..],
            br#"{"items":[],"next_cursor":null,"revision":7}"#
        );
    }

    #[test]
    fn a_lists_tag_tells_rows_order_and_end_apart() {
        let tag = |digests: &[u128], more| list_etag(digests.iter().copied(), more);
        assert_ne!(tag(&[1, 2], None), tag(&[2, 1], None));
        assert_ne!(tag(&[1], None), tag(&[1, 1], None));
        assert_ne!(tag(&[1], None), tag(&[1], Some("next")));
    }

    #[test]
    fn a_tag_matches_in_a_list_and_weakly() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            matches(&headers, &HeaderValue::from_static("\"x\""))
        };
        assert!(asked("\"y\", W/\"x\"") && asked("*") && asked("\"x\""));
        assert!(!asked("\"y\"") && !asked("x"));
        assert!(asked("\"a,b\",\"x\""));
        for other in ["\"a,*,b\"", "\"a,x,b\"", "*, \"y\"", "\"x", "W/x"] {
            assert!(!asked(other), "{other}");
        }
    }
}
