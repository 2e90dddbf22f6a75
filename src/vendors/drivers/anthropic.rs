//! Anthropic (facts, 4).

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::HeaderName;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::openai_protocol as protocol;
use crate::crd::{model::Capability, model::ModelCapability, reasons::Reason};
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyField, KeyFields, ListedModel,
    ModelList, TestedModel, VendorPhase,
    answers::{
        document,
        error_body::ErrorBody,
        health,
        model_list::ModelListBuilder,
        moment,
        refusal::{self, Check, RefusalKind},
        result::Retry,
    },
    base_url,
    http::client::{HttpError, Request, Response},
};

pub(in crate::vendors) struct Anthropic;

const BASE_URL: &str = "https://api.anthropic.com";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The only version there is (facts, 2).
const VERSION: &str = "2023-06-01";
/// The header by which features are asked for, and the one that tokens in place of keys are (facts, 17).
const BETA: &str = "anthropic-beta";
const TOKEN_BETA: &str = "oauth-2025-04-20";
/// Pages of 1,000 that are read before a list counts as endless.
const MAX_PAGES: usize = 20;

#[async_trait]
impl Driver for Anthropic {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        region.is_none().then(|| BASE_URL.to_owned())
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &["api.anthropic.com"]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKeyOrAccessToken
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let request = request(call, &["models"], &[("limit", "1")]);
        health::probe(call, request, read, |answer| page(answer).map(drop)).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let request = request(call, &["models"], &[("limit", "1")]);
        match refusal::ask(call, Check::Validate, request, read).await {
            Ok(answer) => protocol::accepted(&answer, page(&answer).map(drop)),
            Err(outcome) => outcome,
        }
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let mut list = ModelListBuilder::default();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("limit", "1000")];
            if let Some(id) = &after {
                query.push(("after_id", id));
            }
            let answer =
                refusal::ask(call, Check::List, request(call, &["models"], &query), read).await?;
            let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
            let page = page(&answer).map_err(|what| unreadable(&what))?;
            list.add(page.models)
                .map_err(|why| unreadable(why.into()))?;
            if !page.has_more {
                return Ok(list.finish());
            }
            if page.last_id.is_none() || page.last_id == after {
                return Err(unreadable(
                    "it promises a further page and does not name it",
                ));
            }
            after = page.last_id;
        }
        let message = format!("the model list has more than {MAX_PAGES} pages");
        Err(CheckResult::new(Reason::SyncFailed, message).with_retry(Retry::No))
    }

    /// By `GET /v1/models/{id}`, which also knows aliases and spends nothing: listed is the most
    /// that it says.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = request(call, &["models", model.id], &[]);
        let described = |answer: &Response| protocol::described_by(answer, "id");
        protocol::test_by_description(call, self, model.id, (request, read), described).await
    }

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
            ("max_retries".to_owned(), json!(input.retries)),
        ]);
        let mut headers = input.headers.to_vec();
        let secret_kwargs = match input.key {
            Some(key) if key.api_key.is_some() => BTreeMap::from([("api_key", KeyField::ApiKey)]),
            // ChatAnthropic has no argument for a bearer token, and passes headers on (facts, 17).
            Some(key) if key.access_token.is_some() => {
                let named = |(name, _): &(String, String)| name.eq_ignore_ascii_case(BETA);
                if !headers.iter().any(named) {
                    headers.push((BETA.to_owned(), TOKEN_BETA.to_owned()));
                }
                BTreeMap::from([("default_headers.Authorization", KeyField::AccessToken)])
            }
            _ => BTreeMap::new(),
        };
        if !headers.is_empty() {
            kwargs.insert("default_headers".to_owned(), protocol::headers(&headers));
        }
        ClientConfig {
            model_provider: "anthropic",
            model: input.model_id.to_owned(),
            kwargs,
            secret_kwargs,
            callable_kwargs: &[],
        }
    }
}

/// The base URL without the `/v1` that paths begin with.
fn root(base: &Url) -> Url {
    base_url::without(base, &["/v1"])
}

/// API keys go into `x-api-key` alone and tokens into `Authorization` alone (facts, 4).
fn request(
    call: &Call<'_>,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Request, HttpError> {
    let mut url = protocol::url(&protocol::url(&root(call.base_url), &["v1"]), segments);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let mut request =
        Request::get(url).header("anthropic-version", call.api_version.unwrap_or(VERSION));
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let Some(key) = call.key else {
        return Ok(request);
    };
    key.put_into(request, |request, fields| {
        match (&fields.api_key, &fields.access_token) {
            (Some(key), _) => request.secret_header(API_KEY, key.expose_secret()),
            (None, Some(token)) => {
                let request = match request.header_value(HeaderName::from_static(BETA)) {
                    Some(_) => request,
                    None => request.header(BETA, TOKEN_BETA),
                };
                request.bearer(token)
            }
            (None, None) => Ok(request),
        }
    })
}

/// By the type first; the monthly cap has the type of a rate limit, and does not pass by waiting. A
/// path that is not there has a missing model's type (facts, 4).
fn read(_: &Response, body: &ErrorBody) -> Option<RefusalKind> {
    if body.has_code(&["enforcedspendlimitreached"]) {
        return Some(RefusalKind::Quota);
    }
    match body.type_.as_deref()? {
        "authentication_error" => Some(RefusalKind::BadKey),
        "billing_error" => Some(RefusalKind::Quota),
        "permission_error" => Some(RefusalKind::Restricted),
        "not_found_error" if body.text.contains("not found") && !body.text.contains("model") => {
            Some(RefusalKind::NoSuchPath)
        }
        "not_found_error" => Some(RefusalKind::NoModel),
        "rate_limit_error" => Some(RefusalKind::RateLimited),
        "api_error" | "timeout_error" | "overloaded_error" => Some(RefusalKind::Down),
        _ => None,
    }
}

struct Page {
    models: Vec<ListedModel>,
    has_more: bool,
    last_id: Option<String>,
}

fn page(answer: &Response) -> Result<Page, String> {
    let list = document::list(answer, &[&["data"]], model)?;
    let body = list.document;
    let models = match (list.entries, body.get("data")) {
        (Some(models), Some(_)) => models,
        (None, Some(Value::Null)) => Vec::new(),
        _ => return Err("it has no list `data`".to_owned()),
    };
    Ok(Page {
        models,
        has_more: body
            .get("has_more")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        last_id: body
            .get("last_id")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

/// Every model of this vendor chats, streams and takes tools, for which there are no flags (facts,
/// 4); the rest is what an entry's flags say.
fn model(entry: &Value) -> ListedModel {
    const ALWAYS: [Capability; 4] = [
        Capability::TextGeneration,
        Capability::Chat,
        Capability::Streaming,
        Capability::FunctionCalling,
    ];
    const FLAGS: [(&str, Capability); 4] = [
        ("image_input", Capability::Vision),
        ("pdf_input", Capability::PdfInput),
        ("structured_outputs", Capability::StructuredOutput),
        ("thinking", Capability::Reasoning),
    ];
    let capabilities = entry
        .get("capabilities")
        .filter(|c| c.is_object())
        .map(|flags| {
            let flagged = FLAGS.into_iter().filter(|(flag, _)| {
                flags.pointer(&format!("/{flag}/supported")) == Some(&Value::Bool(true))
            });
            ALWAYS
                .into_iter()
                .chain(flagged.map(|(_, name)| name))
                .map(|name| ModelCapability { name, score: None })
                .collect()
        });
    ListedModel {
        display_name: entry
            .get("display_name")
            .and_then(Value::as_str)
            .map(str::to_owned),
        max_input_tokens: protocol::read_count(entry, "max_input_tokens"),
        max_output_tokens: protocol::read_count(entry, "max_tokens"),
        capabilities,
        deprecated_at: moment::read(entry, "deprecated_at"),
        retires_at: moment::read(entry, "retires_at"),
        phase: match entry.get("lifecycle").and_then(Value::as_str) {
            Some("active") => Some(VendorPhase::Active),
            Some("deprecated") => Some(VendorPhase::Deprecated),
            Some("retired") => Some(VendorPhase::Retired),
            _ => None,
        },
        ..protocol::read_id(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{answer, holds, is_careful};

    #[test]
    fn every_documented_error_has_its_reason() {
        use Reason::{CheckInconclusive as Unsure, *};
        let body = |type_: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{type_}","message":"m"}},"request_id":"req_1"}}"#
            )
        };
        let bodies: Vec<(u16, String, Reason, Reason)> = [
            (400, "invalid_request_error", Unsure, Unsure),
            (401, "authentication_error", KeyRejected, Unsure),
            (402, "billing_error", QuotaExhausted, QuotaExhausted),
            (403, "permission_error", KeyRestricted, ModelAccessDenied),
            (404, "not_found_error", Unsure, ModelNotFound),
            (413, "request_too_large", Unsure, Unsure),
            (429, "rate_limit_error", Unsure, Unsure),
            (500, "api_error", Unsure, Unsure),
            (504, "timeout_error", Unsure, Unsure),
            (529, "overloaded_error", Unsure, Unsure),
        ]
        .map(|(status, type_, validate, test)| (status, body(type_), validate, test))
        .into();
        let table: Vec<_> = bodies
            .iter()
            .map(|(s, b, v, t)| (*s, b.as_str(), *v, *t))
            .collect();
        holds(read, &table);
        let cap = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        holds(read, &[(429, cap, QuotaExhausted, QuotaExhausted)]);
        is_careful(read);
    }

    #[test]
    fn the_list_tells_windows_and_capabilities() {
        let body = r#"{"data":[{"id":"claude-x","type":"model","display_name":"Claude X","max_input_tokens":200000,"max_tokens":64000,
            "capabilities":{"image_input":{"supported":true},"pdf_input":{"supported":false},"thinking":{"supported":true}}},
            {"id":"claude-y","max_input_tokens":null,"capabilities":null}],"has_more":true,"last_id":"claude-y"}"#;
        let page = page(&answer(200, body)).expect("a page");
        let names = |m: &ListedModel| {
            m.capabilities
                .as_ref()
                .map(|c| c.iter().map(|c| c.name).collect::<Vec<_>>())
        };
        assert_eq!(page.models[0].max_input_tokens, Some(200_000));
        assert_eq!(page.models[0].max_output_tokens, Some(64_000));
        assert_eq!(
            names(&page.models[0]),
            Some(vec![
                Capability::TextGeneration,
                Capability::Chat,
                Capability::Streaming,
                Capability::FunctionCalling,
                Capability::Vision,
                Capability::Reasoning
            ])
        );
        assert_eq!(
            (page.models[1].max_input_tokens, names(&page.models[1])),
            (None, None)
        );
        assert_eq!(
            (page.has_more, page.last_id.as_deref()),
            (true, Some("claude-y"))
        );
    }

    #[test]
    fn the_list_tells_where_a_model_is_in_its_life() {
        let body = r#"{"data":[
            {"id":"a","lifecycle":"active","deprecated_at":null,"retires_at":null},
            {"id":"b","lifecycle":"deprecated","deprecated_at":"2026-10-01T00:00:00Z","retires_at":"2027-01-31T00:00:00Z"},
            {"id":"c","lifecycle":"retired","retires_at":"2026-01-31T00:00:00Z"},
            {"id":"d","lifecycle":"resting"}]}"#;
        let models = page(&answer(200, body)).expect("a page").models;
        let phases: Vec<_> = models.iter().map(|model| model.phase).collect();
        use VendorPhase::{Active, Deprecated, Retired};
        assert_eq!(
            phases,
            [Some(Active), Some(Deprecated), Some(Retired), None]
        );
        assert_eq!(
            (models[0].deprecated_at, models[0].retires_at),
            (None, None)
        );
        let at = |text: &str| Some(text.parse().expect("a time"));
        assert_eq!(models[1].deprecated_at, at("2026-10-01T00:00:00Z"));
        assert_eq!(models[1].retires_at, at("2027-01-31T00:00:00Z"));
    }

    #[test]
    fn a_base_url_may_end_with_the_version() {
        for base in [
            "https://api.anthropic.com",
            "https://api.anthropic.com/v1/",
            "https://api.anthropic.com/v1",
        ] {
            assert_eq!(
                root(&Url::parse(base).expect("a URL")).as_str(),
                "https://api.anthropic.com/"
            );
        }
    }
}
