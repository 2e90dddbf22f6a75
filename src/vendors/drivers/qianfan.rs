//! Baidu Qianfan, v2 alone (facts, 8).

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ModelList, TestedBy,
    TestedModel,
    answers::{
        document,
        error_body::ErrorBody,
        refusal::{self, Check, RefusalKind},
        result,
    },
    http::client::Response,
};
use crate::{
    crd::{model::ModelType, reasons::Reason},
    encryption::SecretFields,
};

pub(in crate::vendors) struct Qianfan;

#[async_trait]
impl Driver for Qianfan {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        region
            .is_none()
            .then(|| "https://qianfan.baidubce.com/v2".to_owned())
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &["qianfan.baidubce.com"]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    /// A pair of v1 can still mint tokens, and no model answers to them any more (facts, 8.2).
    fn check_key(&self, key: &SecretFields) -> Result<(), String> {
        if key.secret_key.is_some() || key.access_token.is_some() {
            return Err(
                "Qianfan's v1 (a key pair or an access token) is switched off; \
                        put a v2 API key, which begins with bce-v3/, in apiKey"
                    .to_owned(),
            );
        }
        result::not_a_placeholder(key)
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let base = versioned(call.base_url);
        protocol::probe_list(&at(&base, call), read).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let base = versioned(call.base_url);
        protocol::validate_by_list(&at(&base, call), read).await
    }

    /// Windows and prices that some answers hold disagree with the vendor's pages (facts, 8.1) and
    /// are not taken.
    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let base = versioned(call.base_url);
        let request = protocol::get(&at(&base, call), &["models"]);
        let answer = refusal::ask(call, Check::List, request, read).await?;
        protocol::read_list(&answer, protocol::read_id)
    }

    fn tested_by(&self, type_: Option<ModelType>) -> TestedBy {
        protocol::tested_by_call(type_)
    }

    /// By the list; a model that it lacks, by the smallest call that its type answers.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let listed = protocol::test_by_list(call, self, model.id).await;
        if listed.reason == Reason::ModelListed {
            return listed;
        }
        let Some(mut smallest) = protocol::smallest_call(model.type_) else {
            return match listed.reason {
                // The list is not complete.
                Reason::ModelNotFound => CheckResult::new(
                    Reason::Unverifiable,
                    "the vendor does not list the model, and a model of this type has no call that \
                     costs next to nothing",
                ),
                _ => listed,
            };
        };
        smallest.body["model"] = json!(model.id);
        let base = versioned(call.base_url);
        let request = |body: &Value| protocol::post(&at(&base, call), smallest.path, body);
        match protocol::ask_model(call, read, &smallest.body, request).await {
            Ok(answer) => match document::unreadable(&answer, &smallest.fields) {
                Some(what) => refusal::unreadable(Check::Test, &answer, &what),
                None => CheckResult::of(&answer, Reason::ModelAnswered, "the model answers"),
            },
            Err(outcome) => outcome,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let base_url = versioned(input.base_url);
        protocol::client_config(&ClientInput {
            base_url: &base_url,
            ..*input
        })
    }
}

/// The base URL with the version, which people leave out: there is nothing at the host itself.
fn versioned(base: &Url) -> Url {
    match base.path().trim_end_matches('/') {
        "" => protocol::url(base, &["v2"]),
        _ => base.clone(),
    }
}

/// The call, made there.
fn at<'a>(base_url: &'a Url, call: &Call<'a>) -> Call<'a> {
    Call { base_url, ..*call }
}

/// A wrong model name is a 401 here and arrears are a 403: the code decides (facts, 8.4). v1's
/// numbers come with HTTP 200 too.
fn read(_: &Response, body: &ErrorBody) -> Option<RefusalKind> {
    Some(match body.code.as_deref()? {
        "invalid_iam_token" | "14" | "110" | "111" => RefusalKind::BadKey,
        "invalid_model" | "336005" => RefusalKind::NoModel,
        "account_overdue" | "17" | "19" => RefusalKind::Quota,
        "coding_plan_api_key_not_allowed" => RefusalKind::OtherPlan,
        "no_parameter_permission" | "6" => RefusalKind::Restricted,
        "internal_error" | "dispatch_internal_error" | "2" | "336000" | "336100" => {
            RefusalKind::Down
        }
        // A wrong header `appid`, a request without a key: neither speaks of this key.
        "invalid_appid" | "13" | "no_permission" => RefusalKind::Unclear,
        "4" | "18" | "336501" | "336502" => RefusalKind::RateLimited,
        code if code.ends_with("rate_limit_exceeded") || code.starts_with("cluster_") => {
            RefusalKind::RateLimited
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{holds, is_careful};

    #[test]
    fn a_base_url_may_leave_the_version_out_and_keeps_any_other_path() {
        for (base, is) in [
            (
                "https://qianfan.baidubce.com",
                "https://qianfan.baidubce.com/v2",
            ),
            (
                "https://qianfan.baidubce.com/",
                "https://qianfan.baidubce.com/v2",
            ),
            (
                "https://qianfan.baidubce.com/v2",
                "https://qianfan.baidubce.com/v2",
            ),
            (
                "https://qianfan.baidubce.com/v2/coding",
                "https://qianfan.baidubce.com/v2/coding",
            ),
            (
                "https://gateway.example/baidu",
                "https://gateway.example/baidu",
            ),
        ] {
            assert_eq!(versioned(&Url::parse(base).expect("a URL")).as_str(), is);
        }
    }

    #[test]
    fn every_documented_error_has_its_reason() {
        use Reason::{CheckInconclusive as Unsure, *};
        holds(
            read,
            &[
                (
                    401,
                    r#"{"error":{"code":"invalid_iam_token","message":"invalid_iam_token","type":"invalid_request_error"},"id":"as-1"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    401,
                    r#"{"error":{"code":"invalid_model","message":"m","type":"invalid_request_error"},"id":"as-1"}"#,
                    Unsure,
                    ModelNotFound,
                ),
                (
                    400,
                    r#"{"error":{"code":"invalid_argument","message":"messages cannot be empty","type":"invalid_request_error"},"id":"as-1"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    403,
                    r#"{"error":{"code":"account_overdue","message":"m","type":"access_denied"},"id":"as-1"}"#,
                    QuotaExhausted,
                    QuotaExhausted,
                ),
                (
                    429,
                    r#"{"error":{"code":"rpm_rate_limit_exceeded","message":"m","type":"rate_limit_exceeded"},"id":"as-1"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"tpm_rate_limit_exceeded"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    401,
                    r#"{"error":{"code":"no_parameter_permission"}}"#,
                    KeyRestricted,
                    ModelAccessDenied,
                ),
                (401, r#"{"error":{"code":"invalid_appid"}}"#, Unsure, Unsure),
                (
                    403,
                    r#"{"error":{"code":"coding_plan_api_key_not_allowed"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    500,
                    r#"{"error":{"code":"dispatch_internal_error"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":110,"error_msg":"Access token invalid or no longer valid"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":14,"error_msg":"m"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":111,"error_msg":"m"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":6,"error_msg":"m"}"#,
                    KeyRestricted,
                    ModelAccessDenied,
                ),
                (200, r#"{"error_code":13,"error_msg":"m"}"#, Unsure, Unsure),
                (
                    200,
                    r#"{"error_code":19,"error_msg":"m"}"#,
                    QuotaExhausted,
                    QuotaExhausted,
                ),
                (200, r#"{"error_code":4,"error_msg":"m"}"#, Unsure, Unsure),
                (200, r#"{"error_code":18,"error_msg":"m"}"#, Unsure, Unsure),
                (
                    200,
                    r#"{"error_code":336502,"error_msg":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (200, r#"{"error_code":2,"error_msg":"m"}"#, Unsure, Unsure),
                (
                    200,
                    r#"{"error_code":336000,"error_msg":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":336100,"error_msg":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":336005,"error_msg":"m"}"#,
                    Unsure,
                    ModelNotFound,
                ),
                (
                    200,
                    r#"{"error_code":999999,"error_msg":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"user_rate_limit_exceeded"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"cluster_rpm_rate_limit_exceeded"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"cluster_tpm_rate_limit_exceeded"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    500,
                    r#"{"error":{"code":"internal_error"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    200,
                    r#"{"error_code":17,"error_msg":"m"}"#,
                    QuotaExhausted,
                    QuotaExhausted,
                ),
                (
                    200,
                    r#"{"error_code":336501,"error_msg":"m"}"#,
                    Unsure,
                    Unsure,
                ),
            ],
        );
        is_careful(read);
    }

    #[test]
    fn a_key_pair_of_the_first_version_is_refused_with_the_reason() {
        let pair = SecretFields {
            api_key: Some("ak".to_owned().into()),
            secret_key: Some("sk".to_owned().into()),
            access_token: None,
        };
        let refused = Qianfan.check_key(&pair).expect_err("refused");
        assert!(refused.contains("bce-v3/"));
    }
}
