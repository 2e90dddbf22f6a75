use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::{model_test::classify_model, *};
use crate::vendors::ListedModel;

fn answer(status: u16, body: &str) -> Response {
    Response {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_owned()),
    }
}

#[test]
fn a_key_is_judged_on_the_code_first() {
    // Status, body (facts, 3.3 and 10), reason.
    let table = [
        (200, r#"{"object":"list","data":[]}"#, Reason::KeyAccepted),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-PMafP****E873.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Reason::KeyRejected,
        ),
        (
            401,
            r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.model.read.","type":"invalid_request_error","code":null}}"#,
            Reason::KeyRestricted,
        ),
        (
            403,
            r#"{"error":{"message":"Missing scopes: model.request","code":null}}"#,
            Reason::KeyRestricted,
        ),
        (
            403,
            r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}"#,
            Reason::CheckInconclusive,
        ),
        (401, r#"{"error":"Unauthorized"}"#, Reason::KeyRejected),
        (
            401,
            r#"{"error":{"message":"m","type":"auth_error","code":"401"}}"#,
            Reason::KeyRejected,
        ),
        (
            401,
            r#"{"error":{"message":"m","code":"ip_not_authorized"}}"#,
            Reason::CheckInconclusive,
        ),
        (
            401,
            r#"{"error":{"message":"You must be a member of an organization to use the API","type":"invalid_request_error","param":null,"code":null}}"#,
            Reason::CheckInconclusive,
        ),
        (
            401,
            r#"{"error":{"message":"Your IP address is not on the allow list.","type":"invalid_request_error","param":null,"code":null}}"#,
            Reason::CheckInconclusive,
        ),
        (401, "<html>proxy login</html>", Reason::CheckInconclusive),
        (401, "", Reason::CheckInconclusive),
        (
            429,
            r#"{"error":{"message":"...","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Reason::QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"message":"...","code":"credit_balance_exhausted"}}"#,
            Reason::QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"message":"...","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Reason::CheckInconclusive,
        ),
        (
            503,
            r#"{"error":{"code":"server_is_overloaded"}}"#,
            Reason::CheckInconclusive,
        ),
        (
            200,
            r#"{"object":"error","message":"...","type":"NotFoundError","param":null,"code":404}"#,
            Reason::CheckInconclusive,
        ),
        (418, "", Reason::CheckInconclusive),
        (404, "<html>not here</html>", Reason::CheckInconclusive),
    ];
    for (status, body, reason) in table {
        assert_eq!(
            classify_key(&answer(status, body), "data").reason,
            reason,
            "{status} {body}"
        );
    }
}

#[test]
fn a_model_is_judged_on_the_code_first() {
    let table = [
        (200, r#"{"id":"m"}"#, Reason::ModelAnswered),
        (
            404,
            r#"{"error":{"type":"invalid_request_error","code":"model_not_found"}}"#,
            Reason::ModelNotFound,
        ),
        (
            400,
            r#"{"error":{"type":"NotFoundError","code":404}}"#,
            Reason::ModelNotFound,
        ),
        (
            200,
            r#"{"object":"error","type":"NotFoundError","code":404}"#,
            Reason::ModelNotFound,
        ),
        (
            403,
            r#"{"error":{"code":"model_access_denied"}}"#,
            Reason::ModelAccessDenied,
        ),
        (
            403,
            r#"{"error":{"message":"Missing scopes: model.request","code":null}}"#,
            Reason::CheckInconclusive,
        ),
        (403, "<html>blocked</html>", Reason::CheckInconclusive),
        (403, "", Reason::CheckInconclusive),
        (
            403,
            r#"{"error":{"message":"Your IP address is not on the allow list.","code":null}}"#,
            Reason::CheckInconclusive,
        ),
        (
            429,
            r#"{"error":{"code":"insufficient_quota"}}"#,
            Reason::QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
            Reason::CheckInconclusive,
        ),
        (
            401,
            r#"{"error":{"code":"invalid_api_key"}}"#,
            Reason::CheckInconclusive,
        ),
        (500, "", Reason::CheckInconclusive),
        (
            404,
            r#"{"error":{"message":"Invalid URL (GET /models/m)","type":"invalid_request_error","param":null,"code":null}}"#,
            Reason::CheckInconclusive,
        ),
        (
            404,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":"model","code":null}}"#,
            Reason::ModelNotFound,
        ),
        (
            404,
            r#"{"error":"model 'm' not found"}"#,
            Reason::ModelNotFound,
        ),
        (
            404,
            r#"{"error":{"message":"This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?","type":"invalid_request_error","param":"model","code":null}}"#,
            Reason::ModelListed,
        ),
        (
            400,
            r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.","type":"invalid_request_error","param":null,"code":null}}"#,
            Reason::ModelAnswered,
        ),
    ];
    for (status, body, reason) in table {
        assert_eq!(
            classify_model(&answer(status, body), &["id"]).reason,
            reason,
            "{status} {body}"
        );
    }
}

#[test]
fn a_description_proves_no_more_than_that_the_model_is_listed() {
    let said = |status, body| classify_description(&answer(status, body), &["id"]).reason;
    assert_eq!(said(200, r#"{"id":"m"}"#), Reason::ModelListed);
    assert_eq!(
        said(404, r#"{"error":{"code":"model_not_found"}}"#),
        Reason::ModelNotFound
    );
}

#[test]
fn a_probe_needs_no_key() {
    assert_eq!(
        classify_probe(&answer(401, "")).reason,
        Reason::ProbeSucceeded
    );
    assert_eq!(
        classify_probe(&answer(429, "")).reason,
        Reason::ProbeSucceeded
    );
    assert_eq!(classify_probe(&answer(502, "")).reason, Reason::ProbeFailed);
}

#[test]
fn a_list_is_whole_or_an_error_that_says_why() {
    let read = |body: &str| read_list(&answer(200, body), read_id);
    let ids = |body: &str| {
        read(body)
            .expect("a list")
            .models
            .into_iter()
            .map(|m| m.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(r#"{"data":[{"id":"a"},{"id":"b","new_field":1},{"id":"a"}]}"#),
        ["a", "b"]
    );
    assert_eq!(ids(r#"{"data":null}"#), Vec::<String>::new());
    for (body, why) in [
        ("{}", "has no `data`"),
        (r#"{"data":{}}"#, "not a list"),
        ("[]", "has no `data`"),
        ("{\"data\":[{\"id\":", "not JSON"),
        ("", "not JSON"),
    ] {
        let outcome = read(body).expect_err(body);
        assert_eq!(outcome.reason, Reason::SyncFailed);
        assert!(outcome.message.contains(why), "{body}: {}", outcome.message);
    }
}

#[test]
fn entries_that_cannot_be_models_are_counted() {
    let long = "x".repeat(257);
    let body =
        json!({ "data": [{ "id": "ok" }, { "id": long }, { "id": "a\u{7}b" }, { "noid": 1 }] })
            .to_string();
    let list = read_list(&answer(200, &body), read_id).expect("a list");
    assert_eq!((list.models.len(), list.skipped), (1, 3));
}

#[test]
fn ids_are_percent_encoded_in_paths() {
    let base = Url::parse("https://api.openai.com/v1/").expect("a URL");
    assert_eq!(
        url(&base, &["models", "ft:gpt-4o/a b"]).as_str(),
        "https://api.openai.com/v1/models/ft:gpt-4o%2Fa%20b"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read(status in 200_u16..600, body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let answer = Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::from(body),
        };
        classify_key(&answer, "data");
        classify_model(&answer, &["id"]);
        let _ = read_list(&answer, read_id);
    }

    #[test]
    fn nothing_of_a_vendors_text_is_kept(text in "sk-[a-zA-Z0-9]{20}") {
        let body = json!({ "error": { "message": format!("bad key {text}"), "code": text, "type": text } }).to_string();
        for outcome in [classify_key(&answer(401, &body), "data"), classify_model(&answer(400, &body), &["id"])] {
            let shown = format!("{outcome:?}");
            prop_assert!(!shown.contains(&text));
        }
    }
}

#[test]
fn a_capability_that_is_told_twice_is_one() {
    use crate::crd::model::{Capability, ModelCapability};
    let told = |names: &[Capability]| {
        let each = names.iter().map(|name| ModelCapability {
            name: *name,
            score: None,
        });
        Some(each.collect::<Vec<_>>())
    };
    let model = ListedModel {
        id: "m".to_owned(),
        capabilities: told(&[
            Capability::Reasoning,
            Capability::Chat,
            Capability::Reasoning,
        ]),
        ..ListedModel::default()
    };
    let list = collect([model].into_iter());
    let once = told(&[Capability::Reasoning, Capability::Chat]);
    assert_eq!(list.models[0].capabilities, once);
}

#[test]
fn a_number_is_no_code_where_a_type_tells_more() {
    // As LiteLLM 1.106 answers to a key that is not its master key, without a database.
    let body = r#"{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}"#;
    let answer = crate::vendors::answers::refusal::testing::answer(400, body);
    let said = classify_key(&answer, "data");
    assert_eq!(said.reason, Reason::CheckInconclusive);
    assert_eq!(said.code.as_deref(), Some("no_db_connection"));
    let body = r#"{"error":{"message":"Authentication Error, no such key","type":"auth_error","param":"None","code":"401"}}"#;
    let answer = crate::vendors::answers::refusal::testing::answer(401, body);
    assert_eq!(classify_key(&answer, "data").reason, Reason::KeyRejected);
}
