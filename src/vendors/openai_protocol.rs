//! The protocol that OpenAI made common: its list, its error envelope, its smallest calls.
//!
//! Shared by every driver whose vendor speaks it. The envelope comes in four shapes (facts, 3.3,
//! 10): an object, an object with an integer code, a bare string, and vLLM's flat one.

use std::{collections::BTreeMap, collections::HashSet, time::Duration};

use http::header;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::{
    Call, ClientConfig, ClientInput, KeyField, ListedModel, ModelList,
    http::{HttpError, Request, Response},
    outcome::{Outcome, Retry},
    redact,
};
use crate::crd::reasons::Reason;

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
    match call
        .key
        .and_then(|k| k.api_key.as_ref().or(k.access_token.as_ref()))
    {
        Some(key) => request.secret_header(
            header::AUTHORIZATION,
            &format!("Bearer {}", key.expose_secret()),
        ),
        None => Ok(request),
    }
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

/// What an error's body says, whatever its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// `error.code`, an integer as its digits.
    pub code: Option<String>,
    /// `error.type`.
    pub type_: Option<String>,
    /// Whether the text says that the key lacks a scope (facts, 3.3): the code is often null there.
    pub missing_scope: bool,
    /// Whether there was an error in it at all.
    pub is_error: bool,
}

impl ErrorBody {
    /// Reads an answer's body; what cannot be read says nothing.
    pub fn read(answer: &Response) -> Self {
        serde_json::from_slice::<Value>(&answer.body)
            .map_or_else(|_| Self::default(), |body| Self::from_json(&body))
    }

    fn from_json(body: &Value) -> Self {
        let error = match body.get("error") {
            Some(Value::Object(error)) => error,
            Some(Value::String(text)) => {
                return Self {
                    is_error: true,
                    missing_scope: says_missing_scope(text),
                    ..Self::default()
                };
            }
            _ => match body {
                Value::Object(flat)
                    if flat.get("object").and_then(Value::as_str) == Some("error") =>
                {
                    flat
                }
                _ => return Self::default(),
            },
        };
        let word = |name: &str| match error.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self {
            code: word("code"),
            type_: word("type"),
            missing_scope: error
                .get("message")
                .and_then(Value::as_str)
                .is_some_and(says_missing_scope),
            is_error: true,
        }
    }

    /// The most telling word of the two, redacted. A number tells the status again, and the type
    /// is the word then (LiteLLM's 400 `no_db_connection`).
    pub fn public_code(&self) -> Option<String> {
        let is_word = |code: &&String| code.bytes().any(|b| !b.is_ascii_digit());
        let words = [self.code.as_ref().filter(is_word), self.type_.as_ref()];
        words
            .into_iter()
            .chain([self.code.as_ref()])
            .flatten()
            .find_map(|word| redact::word(word))
    }

    fn is(&self, words: &[&str]) -> bool {
        [&self.code, &self.type_]
            .into_iter()
            .flatten()
            .any(|w| words.contains(&w.as_str()))
    }

    /// 429s that waiting does not heal (facts, 3.3).
    fn is_billing(&self) -> bool {
        self.is(&[
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_hard_limit_reached",
            "billing_error",
        ])
    }

    fn is_bad_key(&self) -> bool {
        self.is(&[
            "invalid_api_key",
            "incorrect_api_key",
            "authentication_error",
            "invalid_authentication",
        ])
    }

    /// A refusal that names no other cause: servers that speak the protocol have codes of their own
    /// for a bad key, or none. OpenAI's 401 for an organisation or a caller's address has one, and a
    /// page from something in between is no such body at all.
    fn is_plain_refusal(&self) -> bool {
        self.is_error
            && match self.code.as_deref() {
                None => true,
                Some(code) => code == "401" || code.contains("api_key") || code.contains("token"),
            }
    }

    fn is_unknown_model(&self) -> bool {
        self.is(&["model_not_found", "NotFoundError", "not_found_error"])
    }
}

fn says_missing_scope(text: &str) -> bool {
    text.contains("Missing scopes")
        || text.contains("missing scopes")
        || text.contains("insufficient permissions")
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

/// What an answer says of the endpoint: anything but a server's error is a sign of life, a 401
/// included (facts, 1).
pub(super) fn classify_probe(answer: &Response) -> Outcome {
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

/// What an answer to the list call says of the key: on the code first, the status second.
pub(super) fn classify_key(answer: &Response) -> Outcome {
    let body = ErrorBody::read(answer);
    let status = answer.status.as_u16();
    if (200..300).contains(&status) && !body.is_error {
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

/// What an answer that describes one model says: listed is the most that it proves.
pub(super) fn classify_description(answer: &Response) -> Outcome {
    let said = classify_model(answer);
    match said.reason {
        Reason::ModelAnswered => outcome(answer, Reason::ModelListed, "the vendor lists the model"),
        _ => said,
    }
}

/// What a model's answer says, or the refusal in its place.
pub(super) fn classify_model(answer: &Response) -> Outcome {
    let body = ErrorBody::read(answer);
    let status = answer.status.as_u16();
    match status {
        200..=299 if !body.is_error => outcome(answer, Reason::ModelAnswered, "the model answers"),
        _ if body.is_billing() || status == 402 => outcome(
            answer,
            Reason::QuotaExhausted,
            "the account's quota or balance is used up",
        ),
        _ if body.is_unknown_model() || status == 404 => outcome(
            answer,
            Reason::ModelNotFound,
            "the vendor does not know the model, or does not grant it; check modelId",
        ),
        401 => inconclusive(
            answer,
            "the model could not be tested, for the key is not accepted",
        ),
        403 if !body.missing_scope => outcome(
            answer,
            Reason::ModelAccessDenied,
            "the vendor does not grant this model to the account",
        ),
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
        Ok(answer) => classify_key(&answer),
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
        Ok(answer) => classify_model(&answer),
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
