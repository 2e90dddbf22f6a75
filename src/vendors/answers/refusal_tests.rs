use Reason::{CheckInconclusive as Unsure, *};
use proptest::prelude::*;

use super::{
    testing::{answer, holds, is_careful, page, said, with_header},
    *,
};

#[test]
fn a_refused_key_is_told_by_the_shape_of_its_refusal() {
    let rows: Vec<_> = [
        (401, r#"{"detail":"Unauthorized"}"#),
        (401, r#"{"message":"Unauthorized"}"#),
        (401, r#"{"msg":"unauthorized"}"#),
        (401, r#""Api key is invalid""#),
        (401, "{}"),
        (401, "Unauthorized"),
        (401, "Authentication Fails (governor)"),
        (401, r#"{"error":"Unauthorized"}"#),
        (401, r#"{"error":{"code":"unauthorized","message":"m"}}"#),
        (401, r#"{"error":{"code":"AuthenticationError","message":"The API key in the request is missing or invalid."}}"#),
        (401, r#"{"error":{"message":"","type":"new_api_error","code":""}}"#),
        (401, r#"{"errors":[{"status":"401","code":"unauthorized","title":"Unauthorized"}]}"#),
        (401, r#"{"errors":["Invalid token"]}"#),
        (401, r#"{"error":"invalid_token","error_description":"The access token expired"}"#),
        (401, r#"{"type":"about:blank","title":"Unauthorized","status":401}"#),
        (401, r#"{"code":401,"msg":"令牌已过期或验证不正确","success":false}"#),
        (401, r#"{"mensaje":"No autorizado"}"#),
        (401, r#"{"error":{"message":"User not found.","code":401}}"#),
        (401, "<?xml version=\"1.0\"?><Error><Code>InvalidAccessKeyId</Code></Error>"),
        (200, r#"{"code":401,"msg":"m","success":false}"#),
        (200, r#"{"base_resp":{"status_code":2049,"status_msg":"invalid api key"}}"#),
        (200, r#"{"error":"Incorrect API key provided"}"#),
        (400, r#"{"error":"Incorrect API key provided"}"#),
        (400, r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***yz."}"#),
        (400, r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#),
        (400, r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#),
        (400, r#"{"error":{"message":"API key expired. Please renew the API key."}}"#),
        (403, r#"{"detail":"Invalid API key"}"#),
        (403, r#"{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}]}"#),
        (403, r#"{"error":{"code":403,"message":"Your API key was reported as leaked.","status":"PERMISSION_DENIED"}}"#),
        (403, r#"{"error":{"code":"invalid-api-key"}}"#),
        (401, r#"{"error":"Invalid API key or insufficient permissions"}"#),
        (401, r#"{"detail":"Invalid token or insufficient scope"}"#),
        (401, r#"{"message":"Missing Authentication Token"}"#),
        (200, r#"{"error":"Unauthorized"}"#),
        (200, r#"{"error":{"code":"unauthorized"}}"#),
        (400, r#"{"error":{"code":"unauthorized"}}"#),
    ]
    .map(|(status, body)| (status, body, KeyRejected, Unsure))
    .into();
    holds(common, &rows);
}

#[test]
fn a_challenge_may_say_what_the_body_does_not() {
    let challenged = |status, body: &str, challenge: &str| {
        let answer = with_header(answer(status, body), "www-authenticate", challenge);
        said(Check::Validate, answer, common).reason
    };
    assert_eq!(
        challenged(401, "", "Bearer error=\"invalid_token\""),
        KeyRejected
    );
    assert_eq!(challenged(401, "", "Bearer realm=\"api\""), KeyRejected);
    assert_eq!(challenged(401, "", "Basic realm=\"proxy\""), Unsure);
    assert_eq!(
        challenged(403, "", "Bearer error=\"insufficient_scope\""),
        KeyRestricted
    );
    assert_eq!(challenged(401, "<html>log in</html>", "Bearer"), Unsure);
}

#[test]
fn what_blames_another_thing_than_the_key_does_not_reject_it() {
    let rows: Vec<_> = [
        (401, ""),
        (401, "<html><title>401 Authorization Required</title></html>"),
        (401, r#"{"error":{"code":"ip_not_authorized"}}"#),
        (401, r#"{"error":{"message":"Your IP address is not on the allow list.","code":null}}"#),
        (401, r#"{"error":{"message":"You must be a member of an organization to use the API"}}"#),
        (403, r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}"#),
        (403, r#"{"error":{"message":"Access denied. Please check your network settings."}}"#),
        (403, "error code: 1020"),
        (403, "<!DOCTYPE html><title>Just a moment...</title>"),
        (404, r#"{"detail":"Not Found"}"#),
        (404, r#"{"message":"no Route matched with those values"}"#),
        (403, r#"{"message":"Missing Authentication Token"}"#),
        (403, r#"{"error":"Invalid API key or insufficient permissions"}"#),
        (403, r#"{"message":"API key expired or not enough credits"}"#),
        (401, r#"{"message":"Insufficient credits or invalid API key"}"#),
        (403, r#"{"error":"Insufficient scopes or the API key was revoked"}"#),
        (200, r#"{"success":false,"message":"Access denied"}"#),
        (400, r#"{"error":{"message":"max_tokens is invalid: too many tokens"}}"#),
        (422, r#"{"detail":[{"loc":["query","limit"],"msg":"invalid"}]}"#),
        (429, r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided"}}"#),
        (500, r#"{"error":{"code":"invalid_api_key"}}"#),
        (503, r#"{"error":{"message":"no available channel","code":"model_not_found"}}"#),
        (502, "<html>Unauthorized</html>"),
        (501, r#"{"error":"Unauthorized"}"#),
        (451, r#"{"error":"Unavailable for legal reasons"}"#),
        (200, r#"{"code":500,"msg":"404 NOT_FOUND","success":false}"#),
    ]
    .map(|(status, body)| (status, body, Unsure, Unsure))
    .into();
    holds(common, &rows);
}

#[test]
fn what_is_used_up_is_told_from_what_passes_by_waiting() {
    let used_up: Vec<_> = [
        (429, r#"{"error":{"type":"exceeded_current_quota_error","message":"Your account is suspended, please check your plan"}}"#),
        (429, r#"{"error":{"code":"insufficient_quota"}}"#),
        (429, r#"{"error":{"message":"余额不足或无可用资源包,请充值。","code":"1113"}}"#),
        (402, ""),
        (402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#),
        (403, r#"{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}"#),
        (403, r#"{"error":{"code":"AccountOverdueError","message":"Your account has an overdue balance"}}"#),
        (403, r#"{"code":"forbidden","error":"Your newly created team doesn't have any credits yet."}"#),
        (401, r#"{"error":{"message":"该令牌额度已用尽","type":"new_api_error"}}"#),
        (400, r#"{"error":{"message":"Your credit balance is too low to access the API."}}"#),
        (412, r#"{"error":{"message":"Account x is suspended, possibly due to reaching the monthly spending limit"}}"#),
        (403, r#"{"error":"You have exceeded your monthly included credits."}"#),
        (200, r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#),
    ]
    .map(|(status, body)| (status, body, QuotaExhausted, QuotaExhausted))
    .into();
    holds(common, &used_up);
    let passing: Vec<_> = [
        (429, r#"{"error":{"message":"Rate limit reached on tokens per min. You can increase your rate limit by adding a payment method at https://x.example/account/billing.","type":"tokens","code":"rate_limit_exceeded"}}"#),
        (429, r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 33s.","status":"RESOURCE_EXHAUSTED"}}"#),
        (429, r#"{"error":{"type":"engine_overloaded_error","message":"m"}}"#),
        (403, r#"{"error":{"code":403,"errors":[{"reason":"rateLimitExceeded","message":"m"}]}}"#),
        (429, "<html>Too Many Requests</html>"),
        (429, ""),
    ]
    .map(|(status, body)| (status, body, Unsure, Unsure))
    .into();
    holds(common, &passing);
}

#[test]
fn a_models_refusal_says_what_it_says_of_the_model() {
    let scope = r#"{"error":{"message":"Missing scopes: model.request","code":null}}"#;
    let rows = [
        (
            404,
            r#"{"error":{"code":"model_not_found"}}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            404,
            r#"{"error":{"message":"m","param":"model","code":null}}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            404,
            r#"{"error":"model 'm' not found"}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            410,
            r#"{"error":"model 'm' not found"}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            410,
            r#"{"error":{"message":"m","param":"model","code":null}}"#,
            Unsure,
            ModelNotFound,
        ),
        (410, r#"{"detail":"Gone"}"#, Unsure, Unsure),
        (
            404,
            r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            400,
            r#"{"error":{"type":"NotFoundError","code":404}}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            200,
            r#"{"object":"error","type":"NotFoundError","code":404}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            404,
            r#"{"error":{"code":"InvalidEndpointOrModel.NotFound"}}"#,
            Unsure,
            ModelNotFound,
        ),
        (
            404,
            r#"{"error":{"message":"Invalid URL (GET /models/m)","code":null}}"#,
            Unsure,
            Unsure,
        ),
        (
            404,
            r#"{"error":{"message":"File Not Found","type":"not_found_error","code":404}}"#,
            Unsure,
            Unsure,
        ),
        (
            400,
            r#"{"error":{"message":"Invalid model name passed in model=nope.","code":"400"}}"#,
            Unsure,
            Unsure,
        ),
        (
            403,
            r#"{"error":{"code":"model_access_denied"}}"#,
            Unsure,
            ModelAccessDenied,
        ),
        (403, r#"{"message":"Forbidden"}"#, Unsure, ModelAccessDenied),
        (403, scope, KeyRestricted, Unsure),
        (403, "", Unsure, Unsure),
        (
            404,
            r#"{"error":{"message":"This is not a chat model and thus not supported in the v1/chat/completions endpoint.","param":"model"}}"#,
            Unsure,
            ModelListed,
        ),
        (
            400,
            r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached."}}"#,
            Unsure,
            ModelAnswered,
        ),
    ];
    holds(common, &rows);
}

#[test]
fn a_path_that_is_not_there_says_what_was_asked_and_what_was_meant() {
    for check in [Check::Validate, Check::List, Check::Test] {
        let mut asked = testing::exchanged(answer(404, "404 page not found"), common);
        asked.base_url = Url::parse("https://gateway.example.com").expect("a URL");
        asked.url = Url::parse("https://gateway.example.com/models?key=secret").expect("a URL");
        let message = asked.refused(check).message;
        assert!(
            message.contains("GET https://gateway.example.com/models was"),
            "{message}"
        );
        assert!(message.contains("HTTP 404"), "{message}");
        assert!(
            message.contains("check baseUrl: https://gateway.example.com/v1 is probably meant"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_success_is_no_reason_of_a_failure() {
    for body in [
        r#"{"error":{"code":"odd"}}"#,
        r#"{"error":"Unexpected endpoint or method"}"#,
    ] {
        for check in [Check::Validate, Check::List, Check::Test] {
            let said = said(check, answer(200, body), common);
            assert!(!said.message.contains("200"), "{}", said.message);
            assert_eq!(said.http_status, Some(200));
        }
    }
}

#[test]
fn a_documented_code_comes_first_but_not_before_a_servers_error() {
    let table: CodeTable = |_, body| body.has_code(&["x"]).then_some(RefusalKind::BadKey);
    let said = |status| said(Check::Validate, answer(status, r#"{"code":"x"}"#), table).reason;
    assert_eq!(said(418), KeyRejected);
    assert_eq!((said(503), said(429)), (Unsure, Unsure));
    is_careful(common);
}

fn text() -> impl Strategy<Value = String> {
    let words = [
        "invalid",
        "api key",
        "unauthorized",
        "model",
        "not found",
        "insufficient",
        "balance",
        "rate limit",
        "organization",
        "令牌",
        "余额不足",
        "<html>",
        "expired token",
        "scope",
        "\u{0}",
    ];
    let known = prop::collection::vec(prop::sample::select(words.to_vec()), 0..6);
    prop_oneof![known.prop_map(|words| words.join(" ")), ".{0,60}"]
}

proptest! {
    #[test]
    fn no_page_no_broken_server_and_no_rate_limit_speaks_of_a_key(
        status in prop_oneof![Just(429_u16), 500_u16..600],
        text in text(),
        name in prop::sample::select(vec!["error", "code", "message", "detail", "type"]),
    ) {
        let json = serde_json::json!({ name: text, "error": { "code": "invalid_api_key" } });
        for answer in [answer(status, &json.to_string()), answer(status, &text)] {
            let reason = said(Check::Validate, answer, common).reason;
            prop_assert!(matches!(reason, Unsure | QuotaExhausted), "{reason:?}");
            let is_rate = status == 429;
            prop_assert!(is_rate || reason == Unsure);
        }
    }

    #[test]
    fn no_web_page_rejects_a_key(status in 200_u16..600, text in text()) {
        for answer in [
            page(status, &format!("<p>{text}</p>")),
            answer(status, &format!("<!DOCTYPE html><html><body>{text}</body></html>")),
        ] {
            for check in [Check::Validate, Check::Test] {
                prop_assert_eq!(said(check, answer.clone(), common).reason, Unsure);
            }
        }
    }

    #[test]
    fn any_bytes_are_read(status in 200_u16..600, body in prop::collection::vec(any::<u8>(), 0..400)) {
        let answer = Response { body: body.into(), ..answer(status, "") };
        let said = said(Check::Validate, answer, common);
        prop_assert!(said.message.len() <= 400);
    }
}
