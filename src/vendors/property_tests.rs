//! What holds of every driver, whatever a vendor answers. The fuzz targets go deeper.

use std::{collections::HashSet, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    CheckResult, ModelList, driver,
    http::{
        client::Response,
        script::{
            Script,
            testing::{KEY, of, with_call},
        },
    },
};
use crate::crd::{ProviderType, reasons::Reason};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
});

/// Words that some driver looks for, the key, and anything else.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "InvalidApiKey",
        "Arrearage",
        "invalid_iam_token",
        "account_overdue",
        "DeploymentNotFound",
        "model_not_found",
        "insufficient_quota",
        "UnrecognizedClientException",
        "AccessDeniedException",
        "Missing scopes: api.model.read",
        "error",
        "401",
        "gpt-4o",
        "ACTIVE",
        "API_KEY_INVALID",
        "exceeded_current_quota_error",
        "Incorrect API key provided",
        "余额不足",
        "令牌已过期",
        "max_completion_tokens",
        "Unexpected endpoint",
        "acme/*",
        "<html><body>log in</body></html>",
        KEY,
    ];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => Just(format!("your key {KEY} is not known")),
        2 => ".{0,300}",
    ]
}

/// JSON with the fields that drivers read, in any place and of any type.
fn body() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "error",
        "code",
        "type",
        "message",
        "Message",
        "data",
        "id",
        "models",
        "model",
        "output",
        "total",
        "success",
        "has_more",
        "last_id",
        "error_code",
        "object",
        "details",
        "capabilities",
        "context_length",
        "max_model_len",
        "max_input_tokens",
        "shutdown_date",
        "deprecation",
        "deprecation_replacement_model",
        "lifecycle",
        "retires_at",
        "modelLifecycle",
        "endOfLifeTime",
        "inference",
        "modelSummaries",
        "modelId",
        "inferenceProfileSummaries",
        "inferenceProfileId",
        "nextToken",
        "status",
        "mode",
        "detail",
        "errors",
        "msg",
        "reason",
        "loc",
        "base_resp",
        "status_code",
        "result",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                let fields = fields.into_iter().map(|(name, v)| (name.to_owned(), v));
                Value::Object(fields.collect())
            }),
        ]
    })
}

fn answer() -> impl Strategy<Value = Response> {
    let status = prop_oneof![
        prop::sample::select(vec![
            200_u16, 400, 401, 402, 403, 404, 408, 429, 500, 503, 529
        ]),
        200_u16..600,
    ];
    let bytes = prop_oneof![
        4 => body().prop_map(|body| body.to_string().into_bytes()),
        1 => body().prop_map(|body| {
            let text = body.to_string();
            text.as_bytes()[..text.len() / 2].to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let header = prop::sample::select(vec![
        "x-request-id",
        "request-id",
        "x-amzn-errortype",
        "retry-after",
        "location",
        "date",
    ]);
    let headers = prop::collection::vec((header, word()), 0..3);
    (status, headers, bytes).prop_map(|(status, fields, body)| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: body.into(),
        }
    })
}

fn any_provider() -> impl Strategy<Value = ProviderType> {
    prop::sample::select(ProviderType::ALL.to_vec())
}

/// What an outcome may never be: the key's echo, endless, or a word that another check has.
fn is_ours(outcome: &CheckResult, may_say: &[Reason]) -> Result<(), TestCaseError> {
    prop_assert!(may_say.contains(&outcome.reason), "{:?}", outcome);
    let shown = format!("{outcome:?}");
    prop_assert!(!shown.contains(KEY));
    prop_assert!(!outcome.message.is_empty() && outcome.message.len() <= 400);
    let words = [&outcome.code, &outcome.request_id];
    prop_assert!(words.into_iter().flatten().all(|word| word.len() <= 128));
    Ok(())
}

fn is_a_list(list: &ModelList) -> Result<(), TestCaseError> {
    let mut seen = HashSet::new();
    for model in &list.models {
        prop_assert!(!model.id.is_empty() && model.id.chars().count() <= 256);
        prop_assert!(!model.id.chars().any(char::is_control));
        prop_assert!(seen.insert(&model.id), "{} twice", model.id);
        let told = model.capabilities.iter().flatten().map(|c| c.name);
        let once: HashSet<_> = told.clone().collect();
        prop_assert_eq!(once.len(), told.count());
    }
    let shown = format!("{list:?}");
    prop_assert!(!shown.contains(KEY));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_answer_makes_a_verdict_without_a_cause_or_repeats_the_key(
        provider in any_provider(),
        answers in prop::collection::vec(answer(), 1..4),
    ) {
        use Reason as R;
        let driver = driver(provider);
        let fresh = || Script::new(answers.iter().cloned());
        let (probe, key, list, model) = RUNTIME.block_on(async {
            (
                with_call(&fresh(), async |call| driver.probe(call).await).await,
                with_call(&fresh(), async |call| driver.validate(call).await).await,
                with_call(&fresh(), async |call| driver.list_models(call).await).await,
                with_call(&fresh(), async |call| driver.test_model(call, &of("gpt-4o")).await).await,
            )
        });
        is_ours(&probe, &[R::ProbeSucceeded, R::ProbeFailed])?;
        is_ours(&key, &[
            R::KeyAccepted, R::KeyRestricted, R::KeyRejected, R::QuotaExhausted, R::CheckInconclusive,
        ])?;
        is_ours(&model, &[
            R::ModelListed, R::ModelAnswered, R::ModelNotFound, R::ModelAccessDenied,
            R::QuotaExhausted, R::CheckInconclusive, R::Unverifiable,
        ])?;
        match &list {
            Ok(list) => is_a_list(list)?,
            Err(outcome) => is_ours(outcome, &[R::SyncFailed, R::Unverifiable])?,
        }
        let succeeded = answers.iter().any(|a| a.status.is_success());
        prop_assert!(succeeded || key.reason != R::KeyAccepted);
        prop_assert!(succeeded || list.is_err());
        prop_assert!(succeeded || !matches!(model.reason, R::ModelListed | R::ModelAnswered));
    }

    #[test]
    fn a_web_page_a_broken_server_and_a_rate_limit_reject_no_key(
        provider in any_provider(),
        status in prop_oneof![Just(429_u16), 500_u16..600, 200_u16..600],
        said in word(),
        answered in answer(),
    ) {
        let page = format!("<!DOCTYPE html><html><body>{said}</body></html>");
        // AWS names its codes in this header too: what bears it is no other's page.
        let mut headers = answered.headers.clone();
        headers.remove("x-amzn-errortype");
        let mut answers = vec![Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: page.into(),
        }];
        if status == 429 || status >= 500 {
            answers.push(Response { status: answers[0].status, ..answered });
        }
        let driver = driver(provider);
        for answer in answers {
            let script = Script::new(vec![answer; 4]);
            let key = RUNTIME.block_on(with_call(&script, async |call| driver.validate(call).await));
            let open = [Reason::CheckInconclusive, Reason::QuotaExhausted];
            prop_assert!(open.contains(&key.reason), "{key:?}");
        }
    }

    #[test]
    fn ids_are_read_once_and_in_order(
        ids in prop::collection::vec(prop_oneof!["model-[a-e]", "[a-z/:.@-]{1,40}", ".{0,300}"], 0..40),
    ) {
        let entries: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
        let body = json!({ "data": entries }).to_string();
        let answer = super::answers::refusal::testing::answer(200, &body);
        let gateway = driver(ProviderType::OpenAICompatible);
        let list = RUNTIME.block_on(async {
            with_call(&Script::new([answer]), async |call| gateway.list_models(call).await).await
        });
        let list = list.expect("a list");
        let fits = |id: &str| {
            !id.is_empty() && id.chars().count() <= 256 && !id.chars().any(char::is_control)
        };
        let mut seen = HashSet::new();
        let wanted: Vec<_> = ids.iter().filter(|id| fits(id) && seen.insert(id.as_str())).collect();
        let read: Vec<_> = list.models.iter().map(|model| &model.id).collect();
        prop_assert_eq!(read, wanted);
        prop_assert_eq!(list.skipped, ids.iter().filter(|id| !fits(id)).count());
    }
}
