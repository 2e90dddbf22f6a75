//! Bodies of requests: JSON of a bounded size, read within a bounded time and memory. They may hold keys,
//! so that they are wiped when they are dropped.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::answer::RequestHeaders;
use crate::api::problem::{Problem, ProblemType};
use crate::http_server::{AnswerMemory, Reserved};

/// Bytes of a question at most.
pub const MAX_QUESTION: usize = 64 << 10;

/// Bytes of a declaration at most.
pub const MAX_DECLARATION: usize = 1 << 20;

/// Bytes of an import at most.
pub const MAX_IMPORT: usize = 8 << 20;

/// Characters of a place in a body, or of a name in it, that are told at most.
pub const MAX_TOLD: usize = 64;

/// Bytes of a body that is too large that are read all the same: a client that is still sending hears
/// no answer where its connection is closed on it.
const MAX_DISCARDED: usize = 4 << 20;

/// How long a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body of a request that says it is JSON; it has `at_most` so many bytes.
///
/// # Errors
///
/// 415 for another media type, 413 for more bytes, 408 where it does not come in time,
/// 400 where it ends before its end, 503 where there is no memory for it.
pub async fn json(
    memory: &AnswerMemory,
    request: &RequestHeaders,
    body: Body,
    at_most: usize,
) -> Result<Bytes, Problem> {
    if !says(&request.headers, &JSON) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body as JSON, with the header Content-Type: application/json",
        ));
    }
    let (_reserved, read) = whole(memory, request, body, at_most).await?;
    Ok(Bytes::from_owner(read.0))
}

/// As [`json`], for a body that may say that it is YAML too; its memory is reserved for as long as it is there.
///
/// # Errors
///
/// As [`json`].
pub async fn text(
    memory: &AnswerMemory,
    request: &RequestHeaders,
    body: Body,
    at_most: usize,
) -> Result<Bytes, Problem> {
    if !says(&request.headers, &TEXT) {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the body as YAML or JSON, with the header Content-Type: application/yaml or application/json",
        ));
    }
    let (reserved, read) = whole(memory, request, body, at_most).await?;
    Ok(Bytes::from_owner(KeptBody {
        read,
        _reserved: reserved,
    }))
}

async fn whole(
    memory: &AnswerMemory,
    request: &RequestHeaders,
    body: Body,
    at_most: usize,
) -> Result<(Reserved, Wiped), Problem> {
    let told = content_length(&request.headers);
    let room = told.unwrap_or(at_most).min(at_most);
    let reserved = memory.reserve(&request.share, room).await?;
    let read = tokio::time::timeout(TIMEOUT, read(body, told, at_most)).await;
    let read = read.unwrap_or_else(|_| {
        Err(Problem::new(
            ProblemType::BodyTimeout,
            format!("the body was not complete within {} s", TIMEOUT.as_secs()),
        ))
    })?;
    Ok((reserved, read))
}

/// A body, and the memory that it takes.
struct KeptBody {
    read: Wiped,
    _reserved: Reserved,
}

impl AsRef<[u8]> for KeptBody {
    fn as_ref(&self) -> &[u8] {
        &self.read.0
    }
}

async fn read(mut body: Body, told: Option<usize>, at_most: usize) -> Result<Wiped, Problem> {
    let (mut kept, mut length) = (Wiped::default(), 0_usize);
    let too_large = |length| length > at_most || told.is_some_and(|told| told > at_most);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::body("the body broke off before its end"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > at_most + MAX_DISCARDED {
            break;
        }
        match too_large(length) {
            true => kept = Wiped::default(),
            false => kept.push(&data, told),
        }
    }
    match too_large(length) {
        true => Err(Problem::new(
            ProblemType::BodyTooLarge,
            format!(
                "a body has at most {} KiB here; send less at once",
                at_most >> 10
            ),
        )),
        false => Ok(kept),
    }
}

/// Bytes that are wiped when they are dropped, and wherever they were before they had room.
#[derive(Default)]
struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// Adds bytes to what has `told` so many in all, as far as that is known.
    fn push(&mut self, data: &[u8], told: Option<usize>) {
        let length = self.0.len() + data.len();
        if length > self.0.capacity() {
            let room = told.filter(|told| *told >= length);
            let room = room.unwrap_or(2 * length);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(data);
    }
}

/// What is wrong with a body at a place in it, without what it says: that may be meant for other
/// eyes.
pub fn refusal(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    if error.classify() != Category::Data {
        return Problem::body(format!("the body is not valid JSON: {text}{place}"));
    }
    if let Some(name) = text.strip_prefix("duplicate field `") {
        return Problem::body(format!(
            "{}: it is given more than once",
            name.trim_end_matches('`')
        ));
    }
    let what = match text.rsplit_once(", expected ") {
        Some((given, expected)) => match kind_of(given) {
            Some(kind) => format!("expected {expected}, not {kind}"),
            None => format!("expected {expected}"),
        },
        None => text.to_owned(),
    };
    let path: String = path.chars().take(MAX_TOLD).collect();
    Problem::body(format!("{path}: {what}"))
}

/// What kind of value was given, as serde tells of one of the wrong type.
fn kind_of(given: &str) -> Option<&'static str> {
    let given = given.strip_prefix("invalid type: ")?;
    let kinds = [
        ("string", "a text"),
        ("integer", "a whole number"),
        ("floating point", "a number with a fraction"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "an object"),
        ("null", "null"),
    ];
    let found = kinds.iter().find(|(word, _)| given.starts_with(word));
    found.map(|(_, kind)| *kind)
}

const JSON: [&str; 1] = ["application/json"];
const TEXT: [&str; 4] = [
    "application/json",
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
];

/// One of these media types, with any parameters.
fn says(headers: &HeaderMap, known: &[&str]) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    known
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_body_is_never_moved_but_into_room_of_its_own() {
        for told in [None, Some(3), Some(1000)] {
            let (mut body, mut whole) = (Wiped::default(), Vec::new());
            for part in [&b"sk"[..], b"", b"-canary", &[b'x'; 100], &[b'y'; 900]] {
                let before = (body.0.capacity(), body.0.as_ptr());
                body.push(part, told);
                whole.extend_from_slice(part);
                let is_moved = body.0.as_ptr() != before.1;
                assert_eq!(is_moved, whole.len() > before.0, "{told:?}");
                assert_eq!(*body.0, whole);
            }
        }
    }

    #[test]
    fn json_is_told_by_its_media_type_alone() {
        let says = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            says(&headers, &JSON)
        };
        assert!(says(&["application/json"]));
        assert!(says(&["Application/JSON; charset=utf-8"]));
        let others: [&[&str]; 5] = [
            &[],
            &["text/plain"],
            &["application/jsonx"],
            &["application/json, text/plain"],
            &["application/json", "application/json"],
        ];
        for other in others {
            assert!(!says(other), "{other:?}");
        }
    }
}
