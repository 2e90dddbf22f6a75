//! The protocol that OpenAI made common: its list, what its errors mean, its smallest calls.
//!
//! Shared by every driver whose vendor speaks it.

use std::{collections::BTreeMap, collections::HashSet, time::Duration};

use http::header;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

pub(super) use super::error_body::ErrorBody;
use super::{
    Call, ClientConfig, ClientInput, KeyField, ListedModel, ModelList, document,
    http::{HttpError, Request, Response},
    outcome::{Outcome, Retry},
    redact,
};
use crate::crd::reasons::Reason;

/// What a chat completion has.
pub(super) const COMPLETION: [&str; 1] = ["choices"];

/// Longest id of a model that is taken, in characters.
const MAX_ID_CHARS: usize = 256;

/// The URL of a path under the base URL. The path's segments are percent-encoded.
pub(super) fn url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A GET with the endpoint's headers and, where the call has one, the key as a bearer token.
pub(super) fn get(call: &Call<'_>, segments: &[&str]) -> Result<Request, HttpError> {
    dress(call, Request::get(url(call.base_url, segments)))
}

/// The same for a POST of JSON.
pub(super) fn post(call: &Call<'_>, segments: &[&str], body: &Value) -> Result<Request, HttpError> {
    dress(call, Request::post_json(url(call.base_url, segments), body))
}

/// Adds the endpoint's headers and, where the call has one, the key as a bearer token.
pub(super) fn dress(call: &Call<'_>, mut request: Request) -> Result<Request, HttpError> {
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let Some(key) = call.key else {
        return Ok(request);
    };
    key.put_into(request, |request, fields| {
        match fields.api_key.as_ref().or(fields.access_token.as_ref()) {
            Some(key) => request.secret_header(
                header::AUTHORIZATION,
                &format!("Bearer {}", key.expose_secret()),
            ),
            None => Ok(request),
        }
    })
}

/// Sends, and tries again what is worth it.
pub(super) async fn send(
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
pub(super) fn request_id(answer: &Response) -> Option<String> {
    [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-amzn-requestid",
    ]
    .iter()
    .find_map(|name| answer.header(name))
    .and_then(redact::word)
}

/// An outcome that carries what may be kept of the answer.
pub(super) fn outcome(answer: &Response, reason: Reason, message: impl Into<String>) -> Outcome {
    Outcome {
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
pub(super) fn classify_probe(answer: &Response) -> Outcome {
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
pub(super) fn classify_key(answer: &Response, list: &str) -> Outcome {
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
pub(super) fn inconclusive(answer: &Response, what: &str) -> Outcome {
    let said = match answer.status.as_u16() {
        429 => "the vendor asks to slow down (HTTP 429)".to_owned(),
        status => format!("the vendor answered HTTP {status}"),
    };
    let retry = answer.retry_after().map_or(Retry::Backoff, Retry::After);
    outcome(answer, Reason::CheckInconclusive, format!("{what}: {said}")).with_retry(retry)
}

/// A successful answer that is not what was asked for.
fn unreadable(answer: &Response, what: &str) -> Outcome {
    let message = format!("the vendor's answer cannot be read: {what}");
    outcome(answer, Reason::CheckInconclusive, message).with_retry(Retry::Backoff)
}

/// What an answer that describes one model says: listed is the most that it proves. A description
/// has one of these fields.
pub(super) fn classify_description(answer: &Response, fields: &[&str]) -> Outcome {
    let said = classify_model(answer, fields);
    match said.reason {
        Reason::ModelAnswered => outcome(answer, Reason::ModelListed, "the vendor lists the model"),
        _ => said,
    }
}

/// What a model's answer says, or the refusal in its place. An answer has one of these fields.
pub(super) fn classify_model(answer: &Response, fields: &[&str]) -> Outcome {
    let body = ErrorBody::read(answer);
    let status = answer.status.as_u16();
    match status {
        200..=299 if !body.is_error => match document::unreadable(answer, fields) {
            Some(what) => unreadable(answer, &what),
            None => outcome(answer, Reason::ModelAnswered, "the model answers"),
        },
        _ if body.is_billing() || status == 402 => outcome(
            answer,
            Reason::QuotaExhausted,
            "the account's quota or balance is used up",
        ),
        // A 404 without an error in it is a page of something in between.
        _ if body.is_unknown_model() || (status == 404 && body.is_error) => outcome(
            answer,
            Reason::ModelNotFound,
            "the vendor does not know the model, or does not grant it; check modelId",
        ),
        401 => inconclusive(
            answer,
            "the model could not be tested, for the key is not accepted",
        ),
        // A page of something in between again, or a refusal of the caller.
        403 if body.is_error && !body.missing_scope && !body.is_policy() && !body.other_cause => {
            outcome(
                answer,
                Reason::ModelAccessDenied,
                "the vendor does not grant this model to the account",
            )
        }
        _ => inconclusive(answer, "the model could not be tested"),
    }
}

/// The list call's answer as a whole list, or why it is none.
pub(super) fn read_list(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<ModelList, Outcome> {
    let failed = |message: &str| {
        Err(outcome(answer, Reason::SyncFailed, message).with_retry(Retry::Backoff))
    };
    if !answer.status.is_success() || ErrorBody::read(answer).is_error {
        let status = answer.status.as_u16();
        return failed(&format!(
            "the model list could not be read: the vendor answered HTTP {status}"
        ));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return failed("the model list could not be read: the answer is not JSON");
    };
    match body.get("data") {
        Some(Value::Array(entries)) => Ok(collect(entries.iter().map(read))),
        // `"data": null` is how some servers say that there are none.
        Some(Value::Null) => Ok(ModelList::default()),
        Some(_) => failed("the model list could not be read: `data` is not a list"),
        None => failed("the model list could not be read: the answer has no `data`"),
    }
}

/// Each id once, and each capability of it once; what cannot be an id is counted.
pub(super) fn collect(models: impl Iterator<Item = ListedModel>) -> ModelList {
    let mut list = ModelList::default();
    let mut seen = HashSet::new();
    for mut model in models {
        if let Some(capabilities) = &mut model.capabilities {
            let mut named = HashSet::new();
            capabilities.retain(|capability| named.insert(capability.name));
        }
        let id = model.id.as_str();
        if id.is_empty() || id.chars().count() > MAX_ID_CHARS || id.chars().any(char::is_control) {
            list.skipped += 1;
        } else if seen.insert(model.id.clone()) {
            list.models.push(model);
        }
    }
    list
}

/// A list's entry of which nothing but the id is told.
pub(super) fn read_id(entry: &Value) -> ListedModel {
    let id = entry
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    ListedModel {
        id,
        ..ListedModel::default()
    }
}

/// A positive whole number of an entry.
pub(super) fn read_count(entry: &Value, name: &str) -> Option<i64> {
    entry.get(name).and_then(Value::as_i64).filter(|n| *n > 0)
}

/// Probes by the list call.
pub(super) async fn probe_list(call: &Call<'_>) -> Outcome {
    match send(call, get(call, &["models"])).await {
        Ok(answer) => classify_probe(&answer),
        Err(error) => Outcome::from_http_error(&error, Reason::ProbeFailed),
    }
}

/// Validates by the list call.
pub(super) async fn validate_by_list(call: &Call<'_>) -> Outcome {
    match send(call, get(call, &["models"])).await {
        Ok(answer) => classify_key(&answer, "data"),
        Err(error) => Outcome::from_http_error(&error, Reason::CheckInconclusive),
    }
}

/// Lists models.
pub(super) async fn list(
    call: &Call<'_>,
    read: impl Fn(&Value) -> ListedModel + Send,
) -> Result<ModelList, Outcome> {
    match send(call, get(call, &["models"])).await {
        Ok(answer) => read_list(&answer, read),
        Err(error) => Err(Outcome::from_http_error(&error, Reason::SyncFailed)),
    }
}

/// Tests a model by the vendor's list: listed is the most that it says.
pub(super) async fn test_by_list(call: &Call<'_>, model_id: &str) -> Outcome {
    match list(call, read_id).await {
        Ok(list) if list.models.iter().any(|m| m.id == model_id) => {
            Outcome::new(Reason::ModelListed, "the vendor lists the model")
        }
        Ok(_) => Outcome::new(
            Reason::ModelNotFound,
            "the vendor does not list the model; check modelId",
        ),
        Err(outcome) if outcome.reason == Reason::AddressRefused => outcome,
        Err(outcome) => Outcome {
            reason: Reason::CheckInconclusive,
            ..outcome
        },
    }
}

/// The smallest chat completion: one token of answer (facts, 3.5).
pub(super) async fn test_by_completion(call: &Call<'_>, model_id: &str) -> Outcome {
    let body = json!({
        "model": model_id,
        "messages": [{ "role": "user", "content": "hi" }],
        "max_completion_tokens": 1,
    });
    match send(call, post(call, &["chat", "completions"], &body)).await {
        Ok(answer) => classify_model(&answer, &COMPLETION),
        Err(error) => Outcome::from_http_error(&error, Reason::CheckInconclusive),
    }
}

/// `ChatOpenAI` at the endpoint's URL (facts, 11).
pub(super) fn client_config(input: &ClientInput<'_>) -> ClientConfig {
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

pub(super) fn seconds(timeout: Duration) -> u64 {
    timeout.as_secs().max(1)
}

pub(super) fn headers(headers: &[(String, String)]) -> Value {
    Value::Object(
        headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect(),
    )
}

#[cfg(test)]
#[path = "openai_protocol_tests.rs"]
mod tests;
