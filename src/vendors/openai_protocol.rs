//! The protocol that OpenAI made common: its list, what its errors mean, its smallest calls.
//!
//! Shared by every driver whose vendor speaks it.

use std::{collections::BTreeMap, collections::HashSet, time::Duration};

use serde_json::{Value, json};
use url::Url;

pub(super) use super::error_body::ErrorBody;
use super::{
    Call, ClientConfig, ClientInput, KeyField, ListedModel, ModelList, TestedModel, document,
    http::{HttpError, Request, Response},
    outcome::{Outcome, Retry},
    redact,
};
use crate::crd::{model::ModelType, reasons::Reason};

/// A call that a model of some type answers, as small as it can be.
pub(super) struct SmallestCall {
    /// Where it goes, under the base URL.
    pub path: &'static [&'static str],
    /// Its body, but for the model.
    pub body: Value,
    /// What its answer has.
    pub fields: [&'static str; 1],
}

/// The smallest call for a type of model: one token of answer (facts, 3.5), or one embedding.
/// `None` where every call costs more than that. A type that is not known is taken for chat.
pub(super) fn smallest_call(type_: Option<ModelType>) -> Option<SmallestCall> {
    match type_ {
        None | Some(ModelType::Chat | ModelType::Vision) => Some(smallest_chat()),
        Some(ModelType::Completion) => Some(SmallestCall {
            path: &["completions"],
            body: json!({ "prompt": "hi", "max_tokens": 1 }),
            fields: ["choices"],
        }),
        Some(ModelType::Embedding) => Some(SmallestCall {
            path: &["embeddings"],
            body: json!({ "input": "hi" }),
            fields: ["data"],
        }),
        Some(ModelType::Rerank | ModelType::Image | ModelType::Audio) => None,
    }
}

/// The smallest chat completion.
pub(super) fn smallest_chat() -> SmallestCall {
    SmallestCall {
        path: &["chat", "completions"],
        body: json!({
            "messages": [{ "role": "user", "content": "hi" }],
            "max_completion_tokens": 1,
        }),
        fields: ["choices"],
    }
}

/// Pages that are read before a list counts as endless.
const MAX_PAGES: usize = 100;

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
            Some(key) => request.bearer(key),
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
        _ if body.limit_reached => outcome(
            answer,
            Reason::ModelAnswered,
            "the model answers, up to the test's limit of tokens",
        ),
        _ if body.other_operation => outcome(answer, Reason::ModelListed, OTHER_OPERATION),
        _ if body.is_unknown_model(status) => outcome(
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
        404 => inconclusive(
            answer,
            "the model could not be tested; check baseUrl and modelId",
        ),
        _ => inconclusive(answer, "the model could not be tested"),
    }
}

/// What is said of a model that is there for another call than the test's.
pub(super) const OTHER_OPERATION: &str = "the vendor knows the model, which does not take the test's call; spec.type says which it takes";

/// One page of a list; mostly there is no other.
pub(super) struct Page {
    pub models: Vec<ListedModel>,
    next: Next,
}

/// What a page says of the next one.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// This is the last.
    None,
    /// It begins after this id (facts, 3.1).
    After(String),
    /// There is one, and it is not said how it is asked for.
    Unnamed,
}

/// The list call's answer as one page, or why it is none.
pub(super) fn read_page(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<Page, Outcome> {
    if !answer.status.is_success() || ErrorBody::read(answer).is_error {
        return Err(refused_list(answer));
    }
    let failed = |what: &str| Err(unreadable_list(answer, what));
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return failed("the answer is not JSON");
    };
    match body.get("data") {
        Some(Value::Array(entries)) => Ok(Page {
            models: entries.iter().map(read).collect(),
            next: next(&body, entries),
        }),
        // `"data": null` is how some servers say that there are none.
        Some(Value::Null) => Ok(Page {
            models: Vec::new(),
            next: next(&body, &[]),
        }),
        Some(_) => failed("`data` is not a list"),
        None => failed("the answer has no `data`"),
    }
}

fn next(body: &Value, entries: &[Value]) -> Next {
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    if body.get("has_more") == Some(&Value::Bool(true)) {
        let last = entries.last().and_then(|entry| entry.get("id"));
        let last = text(body.get("last_id")).or_else(|| text(last));
        return last.map_or(Next::Unnamed, Next::After);
    }
    // Nobody's protocol says how these are followed.
    let named = ["next", "next_page_token", "nextPageToken", "next_page"];
    match named.iter().any(|name| text(body.get(*name)).is_some()) {
        true => Next::Unnamed,
        false => Next::None,
    }
}

/// The list call's answer as a whole list, or why it is none.
pub(super) fn read_list(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<ModelList, Outcome> {
    let page = read_page(answer, read)?;
    match page.next {
        Next::None => Ok(collect(page.models.into_iter())),
        Next::After(_) | Next::Unnamed => Err(unreadable_list(answer, MORE_PAGES)),
    }
}

const MORE_PAGES: &str = "it has further pages, and does not say how they are asked for";

/// A refusal of the list call.
pub(super) fn refused_list(answer: &Response) -> Outcome {
    let status = answer.status.as_u16();
    let message = format!("the model list could not be read: the vendor answered HTTP {status}");
    let retry = answer.retry_after().map_or(Retry::Backoff, Retry::After);
    outcome(answer, Reason::SyncFailed, message).with_retry(retry)
}

/// A successful answer that is no list.
pub(super) fn unreadable_list(answer: &Response, what: &str) -> Outcome {
    let message = format!("the model list could not be read: {what}");
    outcome(answer, Reason::SyncFailed, message).with_retry(Retry::Backoff)
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

/// Lists models, page by page where there are several.
pub(super) async fn list(
    call: &Call<'_>,
    read: impl Fn(&Value) -> ListedModel + Send,
) -> Result<ModelList, Outcome> {
    let mut models = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut url = url(call.base_url, &["models"]);
        if let Some(id) = &after {
            url.query_pairs_mut().append_pair("after", id);
        }
        let answer = send(call, dress(call, Request::get(url)))
            .await
            .map_err(|error| Outcome::from_http_error(&error, Reason::SyncFailed))?;
        let page = read_page(&answer, &read)?;
        models.extend(page.models);
        after = match page.next {
            Next::None => return Ok(collect(models.into_iter())),
            Next::After(id) if after.as_ref() != Some(&id) => Some(id),
            Next::After(_) | Next::Unnamed => return Err(unreadable_list(&answer, MORE_PAGES)),
        };
    }
    let message = format!("the model list has more than {MAX_PAGES} pages");
    Err(Outcome::new(Reason::SyncFailed, message))
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

/// Tests a model by the smallest call that its type answers; where there is none, by the list.
pub(super) async fn test_by_call(call: &Call<'_>, model: &TestedModel<'_>) -> Outcome {
    let Some(SmallestCall {
        path,
        mut body,
        fields,
    }) = smallest_call(model.type_)
    else {
        return test_by_list(call, model.id).await;
    };
    body["model"] = json!(model.id);
    match send(call, post(call, path, &body)).await {
        Ok(answer) => classify_model(&answer, &fields),
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
