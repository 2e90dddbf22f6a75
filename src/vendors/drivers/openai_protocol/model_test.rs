//! Tests of a model: the smallest call that its type answers, and what the answer says.

use serde_json::{Value, json};

use super::post;
use crate::{
    crd::{model::ModelType, reasons::Reason},
    vendors::{
        Call, Driver, Listed, TestedBy, TestedModel,
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

/// What a test of a model of this type asks, where models are tested by their smallest calls.
pub(in crate::vendors) fn tested_by_call(type_: Option<ModelType>) -> TestedBy {
    match smallest_call(type_) {
        Some(_) => TestedBy::Model,
        None => TestedBy::List,
    }
}

/// What a failed test comes to: where there is nothing at the path of its call, it has nothing to ask,
/// now or later.
pub(in crate::vendors) fn or_untestable(said: CheckResult) -> CheckResult {
    if !said.missing || said.reason != Check::Test.inconclusive() {
        return said;
    }
    CheckResult {
        reason: Reason::Unverifiable,
        message: format!(
            "{}; a server that does not have this call has nothing else that tests a model of this spec.type",
            said.message
        ),
        ..said
    }
}

/// Sends a test's call, and gives back a successful answer or what the refusal means.
pub(in crate::vendors) async fn ask_test(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
    table: CodeTable,
) -> Result<Response, CheckResult> {
    let answer = refusal::ask(call, Check::Test, request, table).await;
    answer.map_err(or_untestable)
}

/// What an answer that describes one model says: listed is the most that it proves. A description
/// has one of these fields.
pub(in crate::vendors) fn described(answer: &Response, fields: &[&str]) -> CheckResult {
    match document::unreadable(answer, fields) {
        Some(what) => refusal::unreadable(Check::Test, answer, &what),
        None => CheckResult::of(answer, Reason::ModelListed, "the vendor lists the model"),
    }
}

/// The same, of a description that has this field, a text.
pub(in crate::vendors) fn described_by(answer: &Response, field: &str) -> CheckResult {
    match document::json(answer) {
        Ok(body) if body.get(field).is_some_and(Value::is_string) => {
            CheckResult::of(answer, Reason::ModelListed, "the vendor lists the model")
        }
        _ => refusal::unreadable(Check::Test, answer, "it describes no model"),
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
        |error: HttpError| CheckResult::from_http_error(&error, Check::Test.inconclusive());
    let asked = refusal::exchange(call, request(body), table).await;
    let mut asked = asked.map_err(failed)?;
    if refuses_newer_limit(&asked)
        && let Some(older) = by_older_limit(body)
    {
        let again = refusal::exchange(call, request(&older), table).await;
        asked = again.map_err(failed)?;
    }
    asked.or_refused(Check::Test).map_err(or_untestable)
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

/// Tests a model by the vendor's call that describes it; where the server has none, by its list.
pub(in crate::vendors) async fn test_by_description(
    call: &Call<'_>,
    driver: &dyn Driver,
    model_id: &str,
    (request, table): (Result<Request, HttpError>, CodeTable),
    read: impl Fn(&Response) -> CheckResult + Send,
) -> CheckResult {
    match ask_test(call, request, table).await {
        Ok(answer) => read(&answer),
        Err(said) if said.reason == Reason::Unverifiable => {
            test_by_list(call, driver, model_id).await
        }
        Err(said) => said,
    }
}

/// Tests a model by the vendor's list: listed is the most that it says.
pub(in crate::vendors) async fn test_by_list(
    call: &Call<'_>,
    driver: &dyn Driver,
    model_id: &str,
) -> CheckResult {
    match driver.list_models(call).await {
        Ok(list) => match list.find(driver, model_id) {
            Listed::Yes(_) => CheckResult::new(Reason::ModelListed, "the vendor lists the model"),
            Listed::No => CheckResult::new(
                Reason::ModelNotFound,
                "the vendor does not list the model; check modelId",
            ),
            Listed::Perhaps(_) => CheckResult::new(
                Reason::Unverifiable,
                "the vendor lists a pattern in the place of the models that it covers, and nothing \
                 else that costs next to nothing tests a model of this spec.type",
            ),
        },
        Err(said) if matches!(said.reason, Reason::AddressRefused | Reason::Unverifiable) => said,
        Err(said) if said.missing => CheckResult {
            reason: Reason::Unverifiable,
            message: format!(
                "{}; at a server that has no model list nothing that costs next to nothing tests a \
                 model of this spec.type",
                said.message
            ),
            ..said
        },
        Err(said) => CheckResult {
            reason: Reason::CheckInconclusive,
            ..said
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
        return test_by_list(call, driver, model.id).await;
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
