//! The page's questions, passed on to the API with a token that the page never sees. Reading alone, and no
//! keys: what would change anything, or give a key, ends here.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as FromState};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::State;
use super::problem::Problem;
use crate::api_client::{ApiConnection, Link};

const API: &str = "/api/v1/";
const RESOLVE: &str = "/api/v1/resolve";
/// As much as the API takes where something is asked.
const MAX_BODY: usize = 64 << 10;

/// Headers of a question that are passed on.
const ASKED: [HeaderName; 4] = [
    ACCEPT,
    CONTENT_TYPE,
    IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
];
/// Headers of an answer that are passed back.
const TOLD: [HeaderName; 5] = [
    CONTENT_TYPE,
    ETAG,
    RETRY_AFTER,
    HeaderName::from_static("llmplane-revision"),
    HeaderName::from_static("llmplane-snapshot-age"),
];

/// A question as it goes to the API.
struct Question {
    method: Method,
    path_and_query: String,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// Any method of `/api/v1/...`.
pub async fn pass_on(FromState(state): FromState<Arc<State>>, request: Request) -> Response {
    match question(request).await {
        Ok(question) => match answer(&state.api, &question).await {
            Ok(answer) => told(answer),
            Err(problem) => problem.into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

async fn question(request: Request) -> Result<Question, Problem> {
    let (parts, body) = request.into_parts();
    let body = match (&parts.method, parts.uri.path()) {
        (&Method::GET, _) => None,
        (&Method::POST, RESOLVE) => Some(without_key(body).await?),
        _ => {
            let detail = "the console only reads: use kubectl, or the API with a token of your own";
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Not passed on",
                detail,
            ));
        }
    };
    Ok(Question {
        method: parts.method,
        path_and_query: parts
            .uri
            .path_and_query()
            .map_or(API, |uri| uri.as_str())
            .to_owned(),
        headers: picked(&parts.headers, &ASKED),
        body,
    })
}

/// The body of a resolve that asks for no key. It is written anew: what is passed on is what was looked at,
/// also where a field was given twice.
async fn without_key(body: Body) -> Result<Bytes, Problem> {
    let invalid = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Not passed on", detail);
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let detail = "the body is broken off, or has more than 64 KiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Not passed on", detail)
    })?;
    let asked = serde_json::from_slice(&bytes);
    let asked: Value = asked.map_err(|error| invalid(format!("the body is no JSON: {error}")))?;
    let Value::Object(fields) = &asked else {
        return Err(invalid("the body must be a JSON object".to_owned()));
    };
    let wants_key = |value: &Value| !matches!(value, Value::Bool(false) | Value::Null);
    if fields.get("with_secret").is_some_and(wants_key) {
        let detail = "the console asks for no keys: use the API with a token of your own";
        return Err(Problem::new(StatusCode::FORBIDDEN, "Not passed on", detail));
    }
    Ok(asked.to_string().into())
}

fn picked(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let named = names.iter().filter_map(|name| {
        let value = headers.get(name)?;
        Some((name.clone(), value.clone()))
    });
    named.collect()
}

/// The API's answer. Once more with a new token where it does not take this one, and by a new way where
/// nothing comes by this one: all that is asked may be asked twice.
async fn answer(api: &ApiConnection, question: &Question) -> Result<reqwest::Response, Problem> {
    let mut is_last = false;
    loop {
        let token = api.tokens.token().await;
        let token = token.map_err(|error| Problem::unreachable("No token", &error))?;
        let link = api.link().await;
        let link = link.map_err(|error| Problem::unreachable("The API is not reached", &error))?;
        let request = request(&link, question)?.bearer_auth(token.expose_secret());
        match request.send().await {
            Ok(answer) if answer.status() != StatusCode::UNAUTHORIZED => return Ok(answer),
            Ok(_) if is_last => {
                let detail = format!(
                    "the API does not take the token of {}: is it for another audience (--audience), or of \
                     another cluster?",
                    api.tokens.user()
                );
                return Err(Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "The token is not taken",
                    detail,
                ));
            }
            Ok(_) => api.tokens.refuse(&token).await,
            Err(error) => {
                api.give_up(&link).await;
                if is_last {
                    let error = link.unanswered(error);
                    return Err(Problem::unreachable("The API is not reached", &error));
                }
            }
        }
        is_last = true;
    }
}

fn request(link: &Link, question: &Question) -> Result<reqwest::RequestBuilder, Problem> {
    // Dots in the path may lead out of the API only after they were resolved.
    let url = link.base.join(&question.path_and_query);
    let url = url.ok().filter(|url: &Url| url.path().starts_with(API));
    let url = url.ok_or_else(Problem::not_found)?;
    let request = link.client.request(question.method.clone(), url);
    let request = request.headers(question.headers.clone());
    Ok(match &question.body {
        Some(body) => request.body(body.clone()),
        None => request,
    })
}

/// What comes is passed back as it comes, so that streams go on.
fn told(answer: reqwest::Response) -> Response {
    let status = answer.status();
    let mut headers = picked(answer.headers(), &TOLD);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(method: Method, path: &str, body: &str) -> Result<Question, StatusCode> {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("Authorization", "Bearer of the page's")
            .header("Cookie", "a=b");
        let request = request
            .body(Body::from(body.to_owned()))
            .expect("a request");
        question(request).await.map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn reading_and_resolving_pass_and_nothing_else() {
        assert!(
            asked(Method::GET, "/api/v1/models?limit=1", "")
                .await
                .is_ok()
        );
        assert!(asked(Method::POST, RESOLVE, "{}").await.is_ok());
        for (method, path) in [
            (Method::POST, "/api/v1/providers"),
            (Method::POST, "/api/v1/audit/whose-key"),
            (Method::POST, "/api/v1/import"),
            (Method::POST, "/api/v1/endpoints/x/health-check"),
            (Method::POST, "/api/v1/x/../resolve"),
            (Method::PUT, "/api/v1/models/x"),
            (Method::PATCH, "/api/v1/providers/x/status"),
            (Method::DELETE, "/api/v1/models/x"),
            (Method::OPTIONS, "/api/v1/models"),
        ] {
            let refused = asked(method.clone(), path, "{}").await.err();
            assert_eq!(
                refused,
                Some(StatusCode::METHOD_NOT_ALLOWED),
                "{method} {path}"
            );
        }
    }

    #[tokio::test]
    async fn a_resolve_that_asks_for_a_key_is_refused_however_it_is_written() {
        for body in [
            r#"{"with_secret": true}"#,
            r#"{"with_secret": 1}"#,
            r#"{"with_secret": "true"}"#,
            r#"{"with\u005fsecret": true}"#,
            r#"{"with_secret": false, "with_secret": true}"#,
        ] {
            let refused = asked(Method::POST, RESOLVE, body).await.err();
            assert_eq!(refused, Some(StatusCode::FORBIDDEN), "{body}");
        }
        // What is passed on is what was looked at.
        let twice = r#"{"with_secret": true, "with_secret": false, "model": "m"}"#;
        let passed = asked(Method::POST, RESOLVE, twice)
            .await
            .expect("it asks for none");
        let body: Value = serde_json::from_slice(&passed.body.expect("a body")).expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({ "with_secret": false, "model": "m" })
        );
        for body in ["", "[]", "{", "nonsense"] {
            let refused = asked(Method::POST, RESOLVE, body).await.err();
            assert_eq!(refused, Some(StatusCode::BAD_REQUEST), "{body:?}");
        }
        let long = format!("{{\"model\": \"{}\"}}", "a".repeat(MAX_BODY));
        let refused = asked(Method::POST, RESOLVE, &long).await.err();
        assert_eq!(refused, Some(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn no_path_leads_out_of_the_api_and_no_header_of_the_page_to_it() {
        let base = Url::parse("https://api.example:8443").expect("a URL");
        let client = reqwest::Client::builder().build().expect("a client");
        let link = Link::new(base, client, String::new());
        for path in [
            "/api/v1/../../metrics",
            "/api/v1/%2e%2e/%2e%2e/docs",
            "/api/v1/..",
        ] {
            let question = asked(Method::GET, path, "").await.expect("it is read");
            assert!(request(&link, &question).is_err(), "{path}");
        }
        let question = asked(Method::GET, "/api/v1/models?name=a%2Fb", "").await;
        let sent = request(&link, &question.expect("it is read")).expect("it passes");
        let sent = sent.build().expect("a request");
        assert_eq!(
            sent.url().as_str(),
            "https://api.example:8443/api/v1/models?name=a%2Fb"
        );
        assert!(sent.headers().is_empty(), "{:?}", sent.headers());
    }
}
