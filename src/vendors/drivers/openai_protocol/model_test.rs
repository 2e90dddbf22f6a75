//! Tests of a model: the smallest call that its type answers, and what the answer says.

use serde_json::{Value, json};

use super::{list, post, read_id};
use crate::{
    crd::{model::ModelType, reasons::Reason},
    vendors::{
        Call, Driver, Listed, TestedModel,
        answers::{
            document,
            error_body::ErrorBody,
            refusal::{self, Check, CodeTable, Exchanged, RefusalKind},
            result::CheckResult,
        },
        http::client::{HttpError, Request, Response},
    },
};

/// A call that a model of some type answers, as small as it can be.
pub(in crate::vendors) struct SmallestCall {
    /// Where it goes, under the base URL.
    pub path: &'static [&'static str],
    /// Its body, but for the model.
    pub body: Value,
    /// What its answer has.
    pub fields: [&'static str; 1],
}

/// The smallest call for a type of model: one token of answer (facts, 3.5), or one embedding.
/// `None` where every call costs more than that. A type that is not known is taken for chat.
pub(in crate::vendors) fn smallest_call(type_: Option<ModelType>) -> Option<SmallestCall> {
    match type_ {
        None | Some(ModelType::Chat | ModelType::Vision) => Some(smallest_chat()),
        Some(ModelType::Completion) => Some(SmallestCall {
            path: &["completions"],
            body: json!({ "prompt": "hi", "max_tokens": 1 }),
            fields: ["choices"],
        }),
        Some(ModelType::Embedding) => Some(SmallestCall {
            path: &["embeddings"],
            body: json!({ "input": "hi" }),
            fields: ["data"],
        }),
        Some(ModelType::Rerank | ModelType::Image | ModelType::Audio) => None,
    }
}

/// The smallest chat completion.
pub(in crate::vendors) fn smallest_chat() -> SmallestCall {
    SmallestCall {
        path: &["chat", "completions"],
        body: json!({
            "messages": [{ "role": "user", "content": "hi" }],
            "max_completion_tokens": 1,
        }),
        fields: ["choices"],
    }
}

/// What an answer that describes one model says: listed is the most that it proves. A description
/// has one of these fields.
pub(in crate::vendors) fn described(answer: &Response, fields: &[&str]) -> CheckResult {
    match document::unreadable(answer, fields) {
        Some(what) => refusal::unreadable(Check::Test, answer, &what),
        None => CheckResult::of(answer, Reason::ModelListed, "the vendor lists the model"),
    }
}

/// Sends a test's call. Where the server does not know the newer name of its limit of tokens, it is
/// asked once more by the older one: servers that were written before 2025, and some that check
/// every field, refuse `max_completion_tokens` (facts, 15.5).
pub(in crate::vendors) async fn ask_model(
    call: &Call<'_>,
    table: CodeTable,
    body: &Value,
    request: impl Fn(&Value) -> Result<Request, HttpError>,
) -> Result<Response, CheckResult> {
    let failed =
        |error: &HttpError| CheckResult::from_http_error(error, Check::Test.inconclusive());
    let asked = refusal::exchange(call, request(body), table).await;
    let asked = asked.map_err(|error| failed(&error))?;
    let Some(older) = refuses_newer_limit(&asked)
        .then(|| by_older_limit(body))
        .flatten()
    else {
        return asked.or_refused(Check::Test);
    };
    let asked = refusal::exchange(call, request(&older), table).await;
    asked
        .map_err(|error| failed(&error))?
        .or_refused(Check::Test)
}

const NEWER_LIMIT: &str = "max_completion_tokens";

/// Whether the call was refused for the name of its limit, and not for anything that a second call
/// would meet again.
fn refuses_newer_limit(asked: &Exchanged) -> bool {
    let status = asked.answer.status.as_u16();
    matches!(status, 400 | 422)
        && matches!(asked.kind(), RefusalKind::Unclear | RefusalKind::NoModel)
        && ErrorBody::read(&asked.answer).names_field(NEWER_LIMIT)
}

fn by_older_limit(body: &Value) -> Option<Value> {
    let mut older = body.clone();
    let limit = older.as_object_mut()?.remove(NEWER_LIMIT)?;
    older["max_tokens"] = limit;
    Some(older)
}

/// Tests a model by the vendor's list: listed is the most that it says.
pub(in crate::vendors) async fn test_by_list(
    call: &Call<'_>,
    table: CodeTable,
    driver: &dyn Driver,
    model_id: &str,
) -> CheckResult {
    match list(call, table, read_id).await {
        Ok(list) => match list.find(driver, model_id) {
            Listed::Yes(_) => CheckResult::new(Reason::ModelListed, "the vendor lists the model"),
            Listed::No => CheckResult::new(
                Reason::ModelNotFound,
                "the vendor does not list the model; check modelId",
            ),
            Listed::Perhaps(_) => CheckResult::new(
                Reason::Unverifiable,
                "the vendor lists a pattern in the place of the models that it covers, and a model \
                 of this type has no call that costs next to nothing",
            ),
        },
        Err(outcome) if outcome.reason == Reason::AddressRefused => outcome,
        Err(outcome) => CheckResult {
            reason: Reason::CheckInconclusive,
            ..outcome
        },
    }
}

/// Tests a model by the smallest call that its type answers; where there is none, by the list.
pub(in crate::vendors) async fn test_by_call(
    call: &Call<'_>,
    table: CodeTable,
    driver: &dyn Driver,
    model: &TestedModel<'_>,
) -> CheckResult {
    let Some(SmallestCall {
        path,
        mut body,
        fields,
    }) = smallest_call(model.type_)
    else {
        return test_by_list(call, table, driver, model.id).await;
    };
    body["model"] = json!(model.id);
    match ask_model(call, table, &body, |body| post(call, path, body)).await {
        Ok(answer) => match document::unreadable(&answer, &fields) {
            Some(what) => refusal::unreadable(Check::Test, &answer, &what),
            None => CheckResult::of(&answer, Reason::ModelAnswered, "the model answers"),
        },
        Err(said) => said,
    }
}
