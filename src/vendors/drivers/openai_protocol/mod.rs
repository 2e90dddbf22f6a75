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
use crate::vendors::{
    Call, ClientConfig, ClientInput, KeyField,
    answers::{
        health,
        refusal::{self, Check, CodeTable},
        result::CheckResult,
    },
    http::client::{HttpError, Request, Response},
};
pub(in crate::vendors) use list::{list, read_count, read_id, read_list, read_page};
pub(in crate::vendors) use model_test::{
    ask_model, ask_test, described, described_by, or_untestable, smallest_call, smallest_chat,
    test_by_call, test_by_description, test_by_list, tested_by_call,
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

/// Probes by the list call.
pub(in crate::vendors) async fn probe_list(call: &Call<'_>, table: CodeTable) -> CheckResult {
    health::probe(call, get(call, &["models"]), table, is_list).await
}

/// Probes a server that may have no list: where there is none, by a call of a model that names none.
pub(in crate::vendors) async fn probe_server(call: &Call<'_>, table: CodeTable) -> CheckResult {
    let empty = post(call, &["chat", "completions"], &json!({}));
    probe_list_or(call, table, get(call, &["models"]), is_list, empty).await
}

/// Probes by a list, and by what keeps its answer from being one; where there is none, by a call that
/// names no model, and so costs nothing. A server that has the call refuses it in its own words.
pub(in crate::vendors) async fn probe_list_or(
    call: &Call<'_>,
    table: CodeTable,
    list: Result<Request, HttpError>,
    is_list: impl Fn(&Response) -> Result<(), String>,
    empty: Result<Request, HttpError>,
) -> CheckResult {
    let listed = match refusal::exchange(call, list, table).await {
        Ok(listed) => listed,
        Err(error) => return CheckResult::from_http_error(&error, Reason::ProbeFailed),
    };
    let said = health::judge(&listed, is_list);
    if said.reason == Reason::ProbeSucceeded || !listed.is_missing() {
        return said;
    }
    match refusal::exchange(call, empty, table).await {
        Ok(refused)
            if !refused.answer.status.is_success()
                && health::is_own_refusal(&refused, refused.kind()) =>
        {
            health::alive(
                &refused.answer,
                "the endpoint answers, and has no model list",
            )
        }
        _ => said,
    }
}

fn is_list(answer: &Response) -> Result<(), String> {
    read_page(answer, read_id).map(drop)
}

/// Validates by the list call.
pub(in crate::vendors) async fn validate_by_list(call: &Call<'_>, table: CodeTable) -> CheckResult {
    match refusal::ask(call, Check::Validate, get(call, &["models"]), table).await {
        Ok(answer) => accepted(&answer, is_list(&answer)),
        Err(said) => said,
    }
}

/// What a successful answer says of the key: that the vendor takes it, where it is what was asked
/// for.
pub(in crate::vendors) fn accepted(answer: &Response, read: Result<(), String>) -> CheckResult {
    match read {
        Ok(()) => CheckResult::of(answer, Reason::KeyAccepted, "the vendor accepts the key"),
        Err(what) => refusal::unreadable(Check::Validate, answer, &what),
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
        callable_kwargs: &["api_key"],
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
