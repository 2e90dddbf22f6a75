//! Google's Gemini API, by its own protocol (facts, 16).

use std::borrow::Cow;
use std::collections::BTreeMap;

use async_trait::async_trait;
use http::HeaderName;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::openai_protocol as protocol;
use crate::crd::{
    model::{Capability, ModelCapability, ModelType},
    reasons::Reason,
};
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyField, KeyFields, ListedModel,
    ModelList, TestedModel,
    answers::{
        document,
        error_body::ErrorBody,
        health,
        model_list::ModelListBuilder,
        refusal::{self, Check, RefusalKind},
        result::Retry,
    },
    base_url,
    http::client::{HttpError, Request, Response},
};

pub(in crate::vendors) struct Gemini;

const BASE_URL: &str = "https://generativelanguage.googleapis.com";
/// Never in the URL, as `?key=` would put it (facts, 16).
const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The version that has every model; `v1` lacks those in preview (facts, 16).
const VERSION: &str = "v1beta";
/// What a model's resource name begins with, before the id that people write.
const MODELS: &str = "models/";
/// Pages of 1,000 that are read before a list counts as endless.
const MAX_PAGES: usize = 20;

#[async_trait]
impl Driver for Gemini {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        region.is_none().then(|| BASE_URL.to_owned())
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &["generativelanguage.googleapis.com"]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let request = request(call, &["models"], &[("pageSize", "1")]);
        health::probe(call, request, read, |answer| page(answer).map(drop)).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let request = request(call, &["models"], &[("pageSize", "1")]);
        match refusal::ask(call, Check::Validate, request, read).await {
            Ok(answer) => protocol::accepted(&answer, page(&answer).map(drop)),
            Err(outcome) => outcome,
        }
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let mut list = ModelListBuilder::default();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("pageSize", "1000")];
            if let Some(token) = &after {
                query.push(("pageToken", token));
            }
            let answer =
                refusal::ask(call, Check::List, request(call, &["models"], &query), read).await?;
            let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
            let page = page(&answer).map_err(|what| unreadable(&what))?;
            list.add(page.models)
                .map_err(|why| unreadable(why.into()))?;
            match page.next {
                None => return Ok(list.finish()),
                same if same == after => {
                    return Err(unreadable("its next page is the one that it is itself"));
                }
                next => after = next,
            }
        }
        let message = format!("the model list has more than {MAX_PAGES} pages");
        Err(CheckResult::new(Reason::SyncFailed, message).with_retry(Retry::No))
    }

    /// People write ids bare, and the vendor's resource names have a prefix.
    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        vec![Cow::Borrowed(bare(model_id))]
    }

    /// By `GET /v1beta/models/{id}`, which spends nothing: listed is the most that it says.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = request(call, &["models", bare(model.id)], &[]);
        let described = |answer: &Response| protocol::described_by(answer, "name");
        protocol::test_by_description(call, self, model.id, (request, read), described).await
    }

    /// `ChatGoogleGenerativeAI`, which appends the version itself (facts, 16).
    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let mut kwargs = BTreeMap::from([
            (
                "base_url".to_owned(),
                json!(root(input.base_url).as_str().trim_end_matches('/')),
            ),
            (
                "timeout".to_owned(),
                json!(protocol::seconds(input.timeout)),
            ),
            // It counts the first attempt.
            ("max_retries".to_owned(), json!(input.retries + 1)),
        ]);
        if !input.headers.is_empty() {
            kwargs.insert(
                "additional_headers".to_owned(),
                protocol::headers(input.headers),
            );
        }
        let secret_kwargs = input
            .key
            .filter(|key| key.api_key.is_some())
            .map(|_| ("google_api_key", KeyField::ApiKey))
            .into_iter()
            .collect();
        ClientConfig {
            model_provider: "google_genai",
            model: bare(input.model_id).to_owned(),
            kwargs,
            secret_kwargs,
            callable_kwargs: &[],
        }
    }
}

/// The base URL without the version that paths begin with, and without the part for OpenAI's protocol.
fn root(base: &Url) -> Url {
    base_url::without(base, &["/v1beta/openai", "/v1beta", "/v1"])
}

/// A model's id without the prefix of its resource name.
fn bare(id: &str) -> &str {
    id.strip_prefix(MODELS).unwrap_or(id)
}

fn request(
    call: &Call<'_>,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Request, HttpError> {
    let version = call.api_version.unwrap_or(VERSION);
    let mut url = protocol::url(&protocol::url(&root(call.base_url), &[version]), segments);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let mut request = Request::get(url);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let Some(key) = call.key else {
        return Ok(request);
    };
    key.put_into(request, |request, fields| match &fields.api_key {
        Some(key) => request.secret_header(API_KEY, key.expose_secret()),
        None => Ok(request),
    })
}

/// By the reason of `google.rpc.ErrorInfo` first: a wrong key is a 400, and the status word of a 403
/// says nothing of whose fault it is (facts, 16).
fn read(_: &Response, body: &ErrorBody) -> Option<RefusalKind> {
    const REASONS: [(&[&str], RefusalKind); 5] = [
        (
            &[
                "apikeyinvalid",
                "apikeyexpired",
                "consumersuspended",
                "consumerinvalid",
            ],
            RefusalKind::BadKey,
        ),
        (
            &[
                "apikeyserviceblocked",
                "servicedisabled",
                "accesstokenscopeinsufficient",
            ],
            RefusalKind::LacksScope,
        ),
        (
            &[
                "apikeyhttpreferrerblocked",
                "apikeyipaddressblocked",
                "apikeyandroidappblocked",
                "apikeyiosappblocked",
            ],
            RefusalKind::Caller,
        ),
        (&["billingdisabled"], RefusalKind::Quota),
        (
            &["unavailable", "internal", "deadlineexceeded"],
            RefusalKind::Down,
        ),
    ];
    let by_reason = REASONS.iter().find(|(words, _)| body.has_code(words));
    if let Some((_, kind)) = by_reason {
        return Some(*kind);
    }
    let says = |text: &str| body.text.contains(text);
    match () {
        () if says("reported as leaked") => Some(RefusalKind::BadKey),
        () if says("user location is not supported") => Some(RefusalKind::Caller),
        () if body.has_code(&["failedprecondition"]) && says("billing") => Some(RefusalKind::Quota),
        // Quotas by the minute and by the day have one word; both pass by waiting.
        () if body.has_code(&["resourceexhausted"]) => Some(RefusalKind::RateLimited),
        () if body.has_code(&["notfound"]) && says(MODELS) => Some(RefusalKind::NoModel),
        () => None,
    }
}

struct Page {
    models: Vec<ListedModel>,
    next: Option<String>,
}

fn page(answer: &Response) -> Result<Page, String> {
    let list = document::list(answer, &[&["models"]], model)?;
    let body = list.document;
    let next = body.get("nextPageToken").and_then(Value::as_str);
    let next = next.filter(|token| !token.is_empty()).map(str::to_owned);
    let models = match (list.entries, body.get("models")) {
        (Some(models), Some(_)) => models,
        (None, Some(Value::Null)) => Vec::new(),
        // An empty list is left out; without a word of another page that would be no list at all.
        (None, None) if next.is_some() => Vec::new(),
        _ => return Err("it has no list `models`".to_owned()),
    };
    Ok(Page { models, next })
}

/// What an entry's methods say; of images, tools and structured output it says nothing (facts, 16).
fn model(entry: &Value) -> ListedModel {
    let methods = entry
        .get("supportedGenerationMethods")
        .and_then(Value::as_array);
    let has =
        |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
    let (generates, embeds) = (has("generateContent"), has("embedContent"));
    let mut names = Vec::new();
    if generates {
        names.extend([
            Capability::TextGeneration,
            Capability::Chat,
            Capability::Streaming,
        ]);
    }
    if embeds {
        names.push(Capability::Embedding);
    }
    if has("createCachedContent") {
        names.push(Capability::PromptCaching);
    }
    if entry.get("thinking") == Some(&Value::Bool(true)) {
        names.push(Capability::Reasoning);
    }
    let capabilities = names
        .into_iter()
        .map(|name| ModelCapability { name, score: None });
    let of = protocol::read_id(entry);
    ListedModel {
        id: bare(&of.id).to_owned(),
        display_name: entry
            .get("displayName")
            .and_then(Value::as_str)
            .map(str::to_owned),
        max_input_tokens: protocol::read_count(entry, "inputTokenLimit"),
        max_output_tokens: protocol::read_count(entry, "outputTokenLimit"),
        type_: match (generates, embeds) {
            (true, _) => Some(ModelType::Chat),
            (false, true) => Some(ModelType::Embedding),
            (false, false) => None,
        },
        capabilities: methods.map(|_| capabilities.collect()),
        ..of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{answer, holds, is_careful};

    fn error(code: u16, status: &str, reason: Option<&str>, message: &str) -> String {
        let details = reason.map(|reason| {
            json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                     "domain": "googleapis.com", "metadata": { "service": "generativelanguage.googleapis.com" } }])
        });
        let mut error = json!({ "code": code, "message": message, "status": status });
        if let Some(details) = details {
            error["details"] = details;
        }
        json!({ "error": error }).to_string()
    }

    #[test]
    fn every_documented_error_has_its_reason() {
        use Reason::{CheckInconclusive as Unsure, *};
        let rows = [
            (
                400,
                "INVALID_ARGUMENT",
                Some("API_KEY_INVALID"),
                "API key not valid.",
                KeyRejected,
                Unsure,
            ),
            (
                400,
                "INVALID_ARGUMENT",
                None,
                "a field is wrong",
                Unsure,
                Unsure,
            ),
            (
                403,
                "PERMISSION_DENIED",
                Some("SERVICE_DISABLED"),
                "not enabled",
                KeyRestricted,
                Unsure,
            ),
            (
                403,
                "PERMISSION_DENIED",
                Some("API_KEY_SERVICE_BLOCKED"),
                "blocked",
                KeyRestricted,
                Unsure,
            ),
            (
                403,
                "PERMISSION_DENIED",
                Some("API_KEY_IP_ADDRESS_BLOCKED"),
                "blocked",
                Unsure,
                Unsure,
            ),
            (
                403,
                "PERMISSION_DENIED",
                Some("CONSUMER_SUSPENDED"),
                "suspended",
                KeyRejected,
                Unsure,
            ),
            (
                403,
                "PERMISSION_DENIED",
                None,
                "Your API key was reported as leaked.",
                KeyRejected,
                Unsure,
            ),
            (
                400,
                "FAILED_PRECONDITION",
                None,
                "User location is not supported for the API use.",
                Unsure,
                Unsure,
            ),
            (
                404,
                "NOT_FOUND",
                None,
                "models/x is not found for API version v1beta",
                Unsure,
                ModelNotFound,
            ),
            (
                429,
                "RESOURCE_EXHAUSTED",
                None,
                "You exceeded your current quota",
                Unsure,
                Unsure,
            ),
            (500, "INTERNAL", None, "internal", Unsure, Unsure),
            (
                503,
                "UNAVAILABLE",
                None,
                "The model is overloaded.",
                Unsure,
                Unsure,
            ),
            (504, "DEADLINE_EXCEEDED", None, "too slow", Unsure, Unsure),
        ];
        let bodies: Vec<String> = (rows.iter())
            .map(|(code, status, reason, message, ..)| error(*code, status, *reason, message))
            .collect();
        let table: Vec<_> = rows
            .iter()
            .zip(&bodies)
            .map(|((code, .., validate, test), body)| (*code, body.as_str(), *validate, *test))
            .collect();
        holds(read, &table);
        is_careful(read);
    }

    #[test]
    fn the_list_tells_limits_and_what_methods_there_are() {
        let body = r#"{"models":[
            {"name":"models/gemini-x","displayName":"Gemini X","inputTokenLimit":1048576,"outputTokenLimit":65536,
             "supportedGenerationMethods":["generateContent","countTokens","createCachedContent"],"thinking":true},
            {"name":"models/embed-x","inputTokenLimit":2048,"supportedGenerationMethods":["embedContent"]},
            {"name":"models/odd"}],"nextPageToken":"n"}"#;
        let page = page(&answer(200, body)).expect("a page");
        let names = |m: &ListedModel| {
            m.capabilities
                .as_ref()
                .map(|c| c.iter().map(|c| c.name).collect::<Vec<_>>())
        };
        use Capability::*;
        let [chat, embedding, odd] = &page.models[..] else {
            panic!("three models");
        };
        assert_eq!(
            (
                chat.id.as_str(),
                chat.max_input_tokens,
                chat.max_output_tokens,
                chat.type_
            ),
            (
                "gemini-x",
                Some(1_048_576),
                Some(65_536),
                Some(ModelType::Chat)
            )
        );
        assert_eq!(
            names(chat),
            Some(vec![
                TextGeneration,
                Chat,
                Streaming,
                PromptCaching,
                Reasoning
            ])
        );
        assert_eq!(
            (embedding.type_, names(embedding)),
            (Some(ModelType::Embedding), Some(vec![Embedding]))
        );
        assert_eq!(
            (odd.id.as_str(), odd.type_, names(odd)),
            ("odd", None, None)
        );
        assert_eq!(page.next.as_deref(), Some("n"));
    }

    #[test]
    fn a_page_without_models_is_empty_and_something_else_is_none() {
        let empty = page(&answer(200, r#"{"nextPageToken":"n"}"#)).expect("an empty page");
        assert!(empty.models.is_empty() && empty.next.is_some());
        for other in ["{}", r#"{"data":[]}"#, r#"{"models":{}}"#, "[]", "true"] {
            assert!(page(&answer(200, other)).is_err(), "{other}");
        }
    }

    #[test]
    fn a_base_url_may_end_with_the_version_or_with_openais_part() {
        for rest in ["", "/", "/v1beta", "/v1beta/", "/v1", "/v1beta/openai/"] {
            let base = Url::parse(&format!("{BASE_URL}{rest}")).expect("a URL");
            assert_eq!(
                root(&base).as_str().trim_end_matches('/'),
                BASE_URL,
                "{rest}"
            );
        }
    }
}
