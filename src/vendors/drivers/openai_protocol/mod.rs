//! The protocol that OpenAI made common: how it is called, what its answers say of endpoint and key,
//! and what its clients need. [`mod@list`] reads its lists, [`model_test`] makes its smallest calls.
//!
//! Shared by every driver whose vendor speaks it.

mod list;
mod model_test;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use url::Url;

use crate::crd::reasons::Reason;
pub(in crate::vendors) use crate::vendors::answers::error_body::ErrorBody;
use crate::vendors::{
    Call, ClientConfig, ClientInput, KeyField,
    answers::{
        document,
        result::{CheckResult, Retry},
    },
    http::{
        client::{HttpError, Request, Response},
        redaction,
    },
};
pub(in crate::vendors) use list::{
    collect, list, read_count, read_id, read_list, read_page, refused_list, unreadable_list,
};
pub(in crate::vendors) use model_test::{
    OTHER_OPERATION, classify_description, smallest_call, smallest_chat, test_by_call, test_by_list,
};

/// The URL of a path under the base URL. The path's segments are percent-encoded.
pub(in crate::vendors) fn url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A GET with the endpoint's headers and, where the call has one, the key as a bearer token.
pub(in crate::vendors) fn get(call: &Call<'_>, segments: &[&str]) -> Result<Request, HttpError> {
    dress(call, Request::get(url(call.base_url, segments)))
}

/// The same for a POST of JSON.
pub(in crate::vendors) fn post(
    call: &Call<'_>,
    segments: &[&str],
    body: &Value,
) -> Result<Request, HttpError> {
    dress(call, Request::post_json(url(call.base_url, segments), body))
}

/// Adds the endpoint's headers and, where the call has one, the key as a bearer token.
pub(in crate::vendors) fn dress(
    call: &Call<'_>,
    mut request: Request,
) -> Result<Request, HttpError> {
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let Some(key) = call.key else {
        return Ok(request);
    };
    key.put_into(request, |request, fields| {
        match fields.api_key.as_ref().or(fields.access_token.as_ref()) {
            Some(key) => request.bearer(key),
            None => Ok(request),
        }
    })
}

/// Sends, and tries again what is worth it.
pub(in crate::vendors) async fn send(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
) -> Result<Response, HttpError> {
    call.client
        .send(&request?, call.deadline, is_transient)
        .await
}

fn is_transient(answer: &Response) -> bool {
    match answer.status.as_u16() {
        408 | 409 => true,
        429 => !ErrorBody::read(answer).is_billing(),
        status => status >= 500,
    }
}

/// The vendor's id of the request.
pub(in crate::vendors) fn request_id(answer: &Response) -> Option<String> {
    [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-amzn-requestid",
    ]
    .iter()
    .find_map(|name| answer.header(name))
    .and_then(redaction::word)
}

/// An outcome that carries what may be kept of the answer.
pub(in crate::vendors) fn outcome(
    answer: &Response,
    reason: Reason,
    message: impl Into<String>,
) -> CheckResult {
    CheckResult {
        reason,
        message: message.into(),
        http_status: Some(answer.status.as_u16()),
        code: ErrorBody::read(answer).public_code(),
        request_id: request_id(answer),
        retry: Retry::No,
    }
}

/// What an answer says of the endpoint: a refusal is a sign of life, a 401 included (facts, 1), and
/// so is a success that looks like the vendor's.
pub(in crate::vendors) fn classify_probe(answer: &Response) -> CheckResult {
    if answer.status.is_success()
        && let Some(what) = document::unreadable(answer, &[])
    {
        let message = format!("the endpoint's answer cannot be read: {what}");
        return outcome(answer, Reason::ProbeFailed, message).with_retry(Retry::Backoff);
    }
    match answer.status.as_u16() {
        200..=299 | 400..=499 => outcome(answer, Reason::ProbeSucceeded, "the endpoint answers"),
        status => outcome(
            answer,
            Reason::ProbeFailed,
            format!("the endpoint answered HTTP {status}"),
        )
        .with_retry(Retry::Backoff),
    }
}

/// What an answer to the list call says of the key: on the code first, the status second. `list`
/// is the field that a list stands in.
pub(in crate::vendors) fn classify_key(answer: &Response, list: &str) -> CheckResult {
    let body = ErrorBody::read(answer);
    let status = answer.status.as_u16();
    if (200..300).contains(&status) && !body.is_error {
        if let Some(what) = document::unreadable(answer, &[list]) {
            return unreadable(answer, &what);
        }
        return outcome(answer, Reason::KeyAccepted, "the vendor accepts the key");
    }
    if body.is_billing() || status == 402 {
        return outcome(
            answer,
            Reason::QuotaExhausted,
            "the key is genuine, and its account's quota or balance is used up",
        );
    }
    if body.missing_scope && matches!(status, 401 | 403) {
        return outcome(
            answer,
            Reason::KeyRestricted,
            "the key is genuine, and may not list models",
        );
    }
    if body.is_bad_key() || (status == 401 && body.is_plain_refusal()) {
        return outcome(
            answer,
            Reason::KeyRejected,
            "the vendor rejects the key; put a valid one in the Secret",
        );
    }
    inconclusive(answer, "the key could not be checked")
}

/// An answer that proves nothing.
pub(in crate::vendors) fn inconclusive(answer: &Response, what: &str) -> CheckResult {
    let said = match answer.status.as_u16() {
        429 => "the vendor asks to slow down (HTTP 429)".to_owned(),
        status => format!("the vendor answered HTTP {status}"),
    };
    let retry = answer.retry_after().map_or(Retry::Backoff, Retry::After);
    outcome(answer, Reason::CheckInconclusive, format!("{what}: {said}")).with_retry(retry)
}

/// A successful answer that is not what was asked for.
fn unreadable(answer: &Response, what: &str) -> CheckResult {
    let message = format!("the vendor's answer cannot be read: {what}");
    outcome(answer, Reason::CheckInconclusive, message).with_retry(Retry::Backoff)
}

/// Probes by the list call.
pub(in crate::vendors) async fn probe_list(call: &Call<'_>) -> CheckResult {
    match send(call, get(call, &["models"])).await {
        Ok(answer) => classify_probe(&answer),
        Err(error) => CheckResult::from_http_error(&error, Reason::ProbeFailed),
    }
}

/// Validates by the list call.
pub(in crate::vendors) async fn validate_by_list(call: &Call<'_>) -> CheckResult {
    match send(call, get(call, &["models"])).await {
        Ok(answer) => classify_key(&answer, "data"),
        Err(error) => CheckResult::from_http_error(&error, Reason::CheckInconclusive),
    }
}

/// `ChatOpenAI` at the endpoint's URL (facts, 11).
pub(in crate::vendors) fn client_config(input: &ClientInput<'_>) -> ClientConfig {
    let mut kwargs = BTreeMap::from([
        ("base_url".to_owned(), json!(input.base_url.as_str())),
        ("timeout".to_owned(), json!(seconds(input.timeout))),
        ("max_retries".to_owned(), json!(input.retries)),
        // With a base URL of one's own, ChatOpenAI leaves usage out of streams unless asked.
        ("stream_usage".to_owned(), json!(true)),
    ]);
    if !input.headers.is_empty() {
        kwargs.insert("default_headers".to_owned(), headers(input.headers));
    }
    let mut secret_kwargs = BTreeMap::new();
    match input.key {
        Some(key) if key.api_key.is_none() && key.access_token.is_some() => {
            secret_kwargs.insert("api_key", KeyField::AccessToken);
        }
        Some(_) => {
            secret_kwargs.insert("api_key", KeyField::ApiKey);
        }
        // The client wants one even where the server does not.
        None => {
            kwargs.insert("api_key".to_owned(), json!("none"));
        }
    }
    ClientConfig {
        model_provider: "openai",
        model: input.model_id.to_owned(),
        kwargs,
        secret_kwargs,
    }
}

pub(in crate::vendors) fn seconds(timeout: Duration) -> u64 {
    timeout.as_secs().max(1)
}

pub(in crate::vendors) fn headers(headers: &[(String, String)]) -> Value {
    Value::Object(
        headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
