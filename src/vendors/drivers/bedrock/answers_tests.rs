use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::{
    crd::reasons::Reason,
    vendors::answers::refusal::testing::{answer, exchanged, is_careful},
};

const NOW: &str = "2026-11-23T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(
            HeaderName::try_from(*name).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    Response {
        headers: map,
        ..answer(status, body)
    }
}

fn json_answer(body: &Value) -> Response {
    answer(200, &body.to_string())
}

fn judged(check: Check, answer: &Response) -> CheckResult {
    refused(check, &exchanged(answer.clone(), read), "us-east-1", now())
}

/// Every error of the facts (5.3), in the three places that its code may stand in.
#[test]
fn every_documented_error_has_its_reason_and_its_retry() {
    use Reason::{CheckInconclusive as Unsure, *};
    let table = [
        (
            403,
            "UnrecognizedClientException",
            KeyRejected,
            Unsure,
            false,
        ),
        (403, "InvalidClientTokenId", KeyRejected, Unsure, false),
        (403, "InvalidSignatureException", KeyRejected, Unsure, false),
        (403, "SignatureDoesNotMatch", KeyRejected, Unsure, false),
        (403, "ExpiredTokenException", KeyRejected, Unsure, false),
        (403, "IncompleteSignature", KeyRejected, Unsure, false),
        (400, "IncompleteSignature", KeyRejected, Unsure, false),
        (
            403,
            "AccessDeniedException",
            KeyRestricted,
            ModelAccessDenied,
            false,
        ),
        (400, "ValidationException", Unsure, Unsure, true),
        (
            404,
            "ResourceNotFoundException",
            Unsure,
            ModelNotFound,
            false,
        ),
        (
            404,
            "FTUFormNotFilled",
            KeyRestricted,
            ModelAccessDenied,
            false,
        ),
        (408, "ModelTimeoutException", Unsure, Unsure, true),
        (424, "ModelErrorException", Unsure, Unsure, true),
        (429, "ThrottlingException", Unsure, Unsure, true),
        (429, "ModelNotReadyException", Unsure, Unsure, true),
        (
            400,
            "ServiceQuotaExceededException",
            QuotaExhausted,
            QuotaExhausted,
            false,
        ),
        (500, "InternalServerException", Unsure, Unsure, true),
        (503, "ServiceUnavailableException", Unsure, Unsure, true),
        (404, "UnknownOperationException", Unsure, Unsure, false),
        (403, "MissingAuthenticationToken", Unsure, Unsure, true),
    ];
    for (status, code, validate, test, again) in table {
        let long = format!("com.amazon.coral.service#{code}:http://internal.amazon.com/coral/");
        for answer in [
            with(status, &[("x-amzn-errortype", code)], "{}"),
            with(status, &[("x-amzn-errortype", long.as_str())], ""),
            with(
                status,
                &[],
                &json!({ "__type": long, "message": "m" }).to_string(),
            ),
            with(
                status,
                &[],
                &json!({ "code": code, "Message": "m" }).to_string(),
            ),
        ] {
            for (check, reason) in [
                (Check::Validate, validate),
                (Check::Test, test),
                (Check::List, SyncFailed),
            ] {
                let outcome = judged(check, &answer);
                assert_eq!(outcome.reason, reason, "{check:?} {status} {code}");
                assert_eq!(
                    outcome.retry != Retry::No,
                    again,
                    "{check:?} {status} {code}"
                );
                assert_eq!(outcome.code.as_deref(), Some(code));
            }
        }
    }
    is_careful(read);
}

#[test]
fn texts_tell_what_codes_do_not() {
    use Reason::{CheckInconclusive as Unsure, *};
    let api_key = r#"{"Message":"Authentication failed: Please make sure your API Key is valid."}"#;
    let denied = [("x-amzn-errortype", "AccessDeniedException")];
    let none: [(&str, &str); 0] = [];
    for headers in [&none[..], &denied[..]] {
        let outcome = judged(Check::Validate, &with(403, headers, api_key));
        assert_eq!(outcome.reason, KeyRejected);
        assert!(outcome.message.contains("us-east-1"), "{}", outcome.message);
    }
    let profile = r#"{"message":"Invocation of model ID anthropic.claude-x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model."}"#;
    let invalid = [("x-amzn-errortype", "ValidationException")];
    let outcome = judged(Check::Test, &with(400, &invalid, profile));
    assert_eq!(outcome.reason, ModelNotFound);
    assert!(outcome.message.contains("inference profile"));
    let not_authorised = r#"{"Message":"User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:ListFoundationModels"}"#;
    let outcome = judged(Check::Validate, &with(403, &[], not_authorised));
    assert_eq!(outcome.reason, KeyRestricted);
    assert!(!format!("{outcome:?}").contains("user/x"));
    let page = with(403, &[], "<html>authentication failed</html>");
    assert_eq!(judged(Check::Validate, &page).reason, Unsure);
}

#[test]
fn a_refused_signature_names_the_clock_where_that_is_the_cause() {
    let code = [("x-amzn-errortype", "InvalidSignatureException")];
    let expired = r#"{"message":"Signature expired: 20261123T080000Z is now earlier than 20261123T081500Z (20261123T082000Z - 5 min.)"}"#;
    let early = r#"{"message":"Signature not yet current: 20261123T080000Z is still later than 20261123T074500Z (20261123T074000Z + 5 min.)"}"#;
    let other = r#"{"message":"The request signature we calculated does not match the signature you provided."}"#;
    let dated = |date: &'static str| [code[0], ("date", date)];
    let ahead = dated("Mon, 23 Nov 2026 07:40:00 GMT");
    let behind = dated("Mon, 23 Nov 2026 08:20:00 GMT");
    let same = dated("Mon, 23 Nov 2026 08:00:02 GMT");
    for (headers, body, says) in [
        (&behind[..], expired, "about 20 minutes behind AWS's"),
        (&ahead[..], early, "about 20 minutes ahead of AWS's"),
        (&behind[..], other, "about 20 minutes behind AWS's"),
        (&code[..], expired, "is behind AWS's"),
        (&code[..], early, "is ahead of AWS's"),
    ] {
        for (check, reason) in [
            (Check::Validate, Reason::CheckInconclusive),
            (Check::Test, Reason::CheckInconclusive),
            (Check::List, Reason::SyncFailed),
        ] {
            let outcome = judged(check, &with(403, headers, body));
            assert_eq!(outcome.reason, reason);
            assert!(outcome.message.contains(says), "{}", outcome.message);
            assert_eq!(outcome.retry, Retry::Backoff);
        }
    }
    let outcome = judged(Check::Validate, &with(403, &same, other));
    assert_eq!(outcome.reason, Reason::KeyRejected);
}

#[test]
fn a_list_holds_what_can_be_called_by_its_own_id() {
    let body = json!({ "modelSummaries": [
        { "modelId": "amazon.nova-pro-v1:0", "modelName": "Nova Pro", "outputModalities": ["TEXT"],
          "inferenceTypesSupported": ["ON_DEMAND"], "modelLifecycle": { "status": "ACTIVE" } },
        { "modelId": "amazon.titan-embed-text-v2:0", "outputModalities": ["EMBEDDING"],
          "inferenceTypesSupported": ["ON_DEMAND", "PROVISIONED"] },
        { "modelId": "anthropic.claude-x", "inferenceTypesSupported": ["INFERENCE_PROFILE"] },
        { "modelId": "old.model", "inferenceTypesSupported": ["ON_DEMAND"],
          "modelLifecycle": { "status": "LEGACY" } },
        { "modelId": "bought.model", "inferenceTypesSupported": ["PROVISIONED"] },
        { "modelName": "no id" },
    ]});
    let models = base_models(&json_answer(&body)).expect("a list");
    let ids: Vec<&str> = models.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "amazon.nova-pro-v1:0",
            "amazon.titan-embed-text-v2:0",
            "old.model",
            ""
        ]
    );
    assert_eq!(models[0].display_name.as_deref(), Some("Nova Pro"));
    assert_eq!(models[0].type_, None);
    assert_eq!(models[1].type_, Some(ModelType::Embedding));
    assert!(
        base_models(&json_answer(&json!({ "modelSummaries": null })))
            .expect("none")
            .is_empty()
    );
    assert!(base_models(&json_answer(&json!({ "models": [] }))).is_err());
    assert!(base_models(&json_answer(&json!({ "modelSummaries": "many" }))).is_err());
}

#[test]
fn a_page_holds_active_profiles_and_the_next_pages_token() {
    let body = json!({ "nextToken": "t", "inferenceProfileSummaries": [
        { "inferenceProfileId": "us.a.b", "inferenceProfileName": "B", "status": "ACTIVE" },
        { "inferenceProfileId": "us.a.c", "status": "DELETING" },
    ]});
    let page = profiles(&json_answer(&body)).expect("a page");
    assert_eq!(page.models.len(), 1);
    assert_eq!(page.models[0].id, "us.a.b");
    assert_eq!(page.next.as_deref(), Some("t"));
}

#[test]
fn a_profile_ends_with_the_model_behind_it() {
    let models = json_answer(&json!({ "modelSummaries": [
        { "modelId": "anthropic.claude-x-v1:0", "inferenceTypesSupported": ["INFERENCE_PROFILE"],
          "inputModalities": ["TEXT", "IMAGE", "HOLOGRAM"], "outputModalities": ["TEXT"],
          "modelLifecycle": { "status": "LEGACY", "legacyTime": "2026-10-01T00:00:00Z", "endOfLifeTime": "2027-01-31T00:00:00Z" } },
        { "modelId": "amazon.nova", "modelLifecycle": { "status": "ACTIVE" } },
    ]}));
    let base = ends(&models);
    let arn = |region: &str, id: &str| json!({ "modelArn": format!("arn:aws:bedrock:{region}::foundation-model/{id}") });
    let body = json!({ "inferenceProfileSummaries": [
        { "inferenceProfileId": "us.anthropic.claude-x-v1:0", "status": "ACTIVE",
          "models": [arn("us-east-1", "anthropic.claude-x-v1:0"), arn("us-west-2", "anthropic.claude-x-v1:0")] },
        { "inferenceProfileId": "mixed", "status": "ACTIVE",
          "models": [arn("us-east-1", "anthropic.claude-x-v1:0"), arn("us-east-1", "amazon.nova")] },
    ]});
    let mut page = profiles(&json_answer(&body)).expect("a page");
    complete(&mut page.models, &base);
    let [one, mixed] = &page.models[..] else {
        panic!("two profiles");
    };
    assert_eq!(one.base_model.as_deref(), Some("anthropic.claude-x-v1:0"));
    assert_eq!(one.deprecated_at, "2026-10-01T00:00:00Z".parse().ok());
    assert_eq!(one.retires_at, "2027-01-31T00:00:00Z".parse().ok());
    let modalities = one.modalities.clone().expect("they are told");
    assert_eq!(modalities.input, [Modality::Text, Modality::Image]);
    assert_eq!((&mixed.base_model, mixed.retires_at), (&None, None));
}

#[test]
fn a_profile_names_the_base_models_behind_it() {
    let body = json!({ "status": "ACTIVE", "models": [
        { "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0" },
        { "modelArn": "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-x-v1:0" },
    ]});
    assert_eq!(
        behind_profile(&body),
        Ok(vec!["anthropic.claude-x-v1:0".to_owned()])
    );
    assert!(behind_profile(&json!({ "models": [] })).is_err());
    assert!(behind_profile(&json!({ "status": "OTHER", "models": [] })).is_err());
}

#[test]
fn a_model_is_granted_when_all_four_words_are_good() {
    let good = json!({
        "modelId": "m", "agreementAvailability": { "status": "AVAILABLE" },
        "authorizationStatus": "AUTHORIZED", "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    });
    assert_eq!(availability(&good), Availability::Granted);
    let but = |pointer: &str, word: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).expect("a member") = word;
        availability(&body)
    };
    for pointer in [
        "/agreementAvailability/status",
        "/authorizationStatus",
        "/entitlementAvailability",
    ] {
        let bad = match pointer {
            "/authorizationStatus" => "NOT_AUTHORIZED",
            _ => "NOT_AVAILABLE",
        };
        assert!(matches!(but(pointer, json!(bad)), Availability::Denied(_)));
        for odd in [json!("NEW_WORD"), json!(null), json!(1)] {
            assert!(matches!(but(pointer, odd), Availability::Open(_)));
        }
    }
    let pending = but("/agreementAvailability/status", json!("PENDING"));
    assert!(matches!(pending, Availability::Open(_)));
    let elsewhere = but("/regionAvailability", json!("NOT_AVAILABLE"));
    assert_eq!(elsewhere, Availability::Elsewhere);
    assert!(matches!(availability(&json!({})), Availability::Open(_)));
}
