//! What an answer says of the endpoint: that the vendor's API is there, or that something else
//! answers at its URL.
//!
//! The API's own answer is life, and so is its own refusal: a probe has no key as a rule. A path that
//! is not there, a web page, a firewall's refusal and an error in the place of the answer are none.

use super::{
    error_body::{ErrorBody, Form},
    refusal::{CodeTable, Exchanged, RefusalKind, classify, exchange, is_refusal},
    result::{CheckResult, Retry},
};
use crate::crd::reasons::Reason;
use crate::vendors::{
    Call,
    http::client::{HttpError, Request, Response},
};

/// Probes with the request. `is_own` says what keeps a successful answer from being the API's.
pub(in crate::vendors) async fn probe(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
    table: CodeTable,
    is_own: impl Fn(&Response) -> Result<(), String>,
) -> CheckResult {
    match exchange(call, request, table).await {
        Ok(exchanged) => judge(&exchanged, is_own),
        Err(error) => CheckResult::from_http_error(&error, Reason::ProbeFailed),
    }
}

/// What an answer says of the endpoint.
pub(in crate::vendors) fn judge(
    exchanged: &Exchanged,
    is_own: impl Fn(&Response) -> Result<(), String>,
) -> CheckResult {
    let answer = &exchanged.answer;
    let failed = |message: String| {
        CheckResult::of(answer, Reason::ProbeFailed, message).with_retry(Retry::Backoff)
    };
    if !is_refusal(answer) {
        return match is_own(answer) {
            Ok(()) => alive(answer, "the endpoint answers"),
            Err(what) => failed(format!(
                "the answer to {} cannot be read: {what}; {}",
                exchanged.asked(),
                exchanged.advice()
            )),
        };
    }
    let refusal = classify(answer, exchanged.table);
    if is_own_refusal(exchanged, refusal.kind) {
        return alive(answer, "the endpoint answers").with_code(refusal.code);
    }
    let status = answer.status.as_u16();
    let message = match (refusal.kind, status) {
        (RefusalKind::Down, 500..) => format!("the endpoint answered HTTP {status}"),
        (RefusalKind::NoSuchPath | RefusalKind::Page, _) => exchanged.misdirected(refusal.kind),
        (_, 200..=299) => format!(
            "{} was answered by an error, which comes as a success; {}",
            exchanged.asked(),
            exchanged.advice()
        ),
        (_, status) if refusal.form == Form::Page => {
            format!(
                "the endpoint answered HTTP {status} with a web page; {}",
                exchanged.advice()
            )
        }
        (_, status) => format!(
            "{} was answered by HTTP {status} and nothing that the vendor's API would say; {}",
            exchanged.asked(),
            exchanged.advice()
        ),
    };
    failed(message).with_code(refusal.code)
}

/// A sign of life.
pub(in crate::vendors) fn alive(answer: &Response, message: &str) -> CheckResult {
    CheckResult::of(answer, Reason::ProbeSucceeded, message)
}

/// Whether a refusal is the API's own.
pub(in crate::vendors) fn is_own_refusal(exchanged: &Exchanged, kind: RefusalKind) -> bool {
    use RefusalKind as K;
    let body = ErrorBody::read(&exchanged.answer);
    let status = exchanged.answer.status;
    if body.form == Form::Page {
        return false;
    }
    match kind {
        K::Down | K::NoSuchPath | K::Page => false,
        K::BadKey | K::Restricted | K::LacksScope | K::Quota | K::RateLimited | K::OtherPlan => {
            true
        }
        // An error in the place of the answer is somebody else's, or a path that is not there.
        _ if status.is_success() => false,
        K::Denied | K::Caller | K::NoModel | K::CutShort | K::OtherOperation => true,
        K::Unclear if status.as_u16() == 401 => body.form != Form::Opaque,
        K::Unclear => body.form == Form::Json && !body.text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::{
        common,
        testing::{answer, exchanged, page, with_header},
    };

    fn said(answer: Response) -> CheckResult {
        let is_list = |answer: &Response| match answer.body.starts_with(b"{\"data\"") {
            true => Ok(()),
            false => Err("it has no `data`".to_owned()),
        };
        judge(&exchanged(answer, common), is_list)
    }

    #[test]
    fn the_apis_own_answers_are_life() {
        for (status, body) in [
            (200, r#"{"data":[]}"#),
            (401, ""),
            (401, "Unauthorized"),
            (401, r#"{"detail":"Unauthorized"}"#),
            (401, r#""Api key is invalid""#),
            (403, r#"{"error":{"code":"forbidden","message":"m"}}"#),
            (403, r#"{"message":"Forbidden"}"#),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid."}}]"#,
            ),
            (402, r#"{"error":"Payment required"}"#),
            (429, ""),
            (429, r#"{"error":{"code":"rate_limit_exceeded"}}"#),
            (
                200,
                r#"{"base_resp":{"status_code":1004,"status_msg":"login fail: no api key"}}"#,
            ),
        ] {
            assert_eq!(
                said(answer(status, body)).reason,
                Reason::ProbeSucceeded,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_answers_in_the_apis_place_is_none_and_says_to_check_the_url() {
        for (status, body) in [
            (
                200,
                r#"{"error":"Unexpected endpoint or method. (GET /models)"}"#,
            ),
            (200, r#"{"code":500,"msg":"404 NOT_FOUND","success":false}"#),
            (200, r#"{"status":"ok"}"#),
            (200, "<html>Welcome</html>"),
            (200, ""),
            (404, r#"{"detail":"Not Found"}"#),
            (
                404,
                r#"{"error":{"message":"Invalid URL (GET /models)","code":null}}"#,
            ),
            (404, "404 page not found"),
            (404, "<html><center>404 Not Found</center></html>"),
            (404, ""),
            (405, r#"{"detail":"Method Not Allowed"}"#),
            (
                403,
                "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>",
            ),
            (403, "error code: 1020"),
            (403, "RBAC: access denied"),
            (403, ""),
            (
                401,
                "<html><title>401 Authorization Required</title></html>",
            ),
            (400, "Client sent an HTTP request to an HTTPS server."),
        ] {
            let said = said(answer(status, body));
            assert_eq!(said.reason, Reason::ProbeFailed, "{status} {body}");
            let message = said.message;
            assert!(
                message.contains("check baseUrl"),
                "{status} {body}: {message}"
            );
            let asked = message.contains("GET https://gateway.example.com/v1/models");
            assert!(asked, "{status} {body}: {message}");
            assert_eq!(message.matches("HTTP 200").count(), 0, "{message}");
        }
    }

    #[test]
    fn a_broken_server_is_told_from_a_wrong_url() {
        for answer in [
            answer(502, ""),
            answer(503, r#"{"error":"x"}"#),
            page(500, "<p>"),
        ] {
            let said = said(answer);
            assert_eq!(said.reason, Reason::ProbeFailed);
            assert!(!said.message.contains("baseUrl"), "{}", said.message);
        }
        let waf = with_header(answer(403, "{\"a\":\"b\"}"), "cf-mitigated", "challenge");
        assert_eq!(said(waf).reason, Reason::ProbeFailed);
        assert_eq!(said(page(429, "<p>")).reason, Reason::ProbeFailed);
    }
}
