//! Tests of a model: the smallest call that its type answers, and what the answer says.

use serde_json::{Value, json};

use super::{ErrorBody, inconclusive, list, outcome, post, read_id, send, unreadable};
use crate::{
    crd::{model::ModelType, reasons::Reason},
    vendors::{
        Call, TestedModel,
        answers::{document, result::CheckResult},
        http::client::Response,
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
pub(in crate::vendors) fn classify_description(answer: &Response, fields: &[&str]) -> CheckResult {
    let said = classify_model(answer, fields);
    match said.reason {
        Reason::ModelAnswered => outcome(answer, Reason::ModelListed, "the vendor lists the model"),
        _ => said,
    }
}

/// What a model's answer says, or the refusal in its place. An answer has one of these fields.
pub(super) fn classify_model(answer: &Response, fields: &[&str]) -> CheckResult {
    let body = ErrorBody::read(answer);
    let status = answer.status.as_u16();
    match status {
        200..=299 if !body.is_error => match document::unreadable(answer, fields) {
            Some(what) => unreadable(answer, &what),
            None => outcome(answer, Reason::ModelAnswered, "the model answers"),
        },
        _ if body.is_billing() || status == 402 => outcome(
            answer,
            Reason::QuotaExhausted,
            "the account's quota or balance is used up",
        ),
        _ if body.limit_reached => outcome(
            answer,
            Reason::ModelAnswered,
            "the model answers, up to the test's limit of tokens",
        ),
        _ if body.other_operation => outcome(answer, Reason::ModelListed, OTHER_OPERATION),
        _ if body.is_unknown_model(status) => outcome(
            answer,
            Reason::ModelNotFound,
            "the vendor does not know the model, or does not grant it; check modelId",
        ),
        401 => inconclusive(
            answer,
            "the model could not be tested, for the key is not accepted",
        ),
        // A page of something in between again, or a refusal of the caller.
        403 if body.is_error && !body.missing_scope && !body.is_policy() && !body.other_cause => {
            outcome(
                answer,
                Reason::ModelAccessDenied,
                "the vendor does not grant this model to the account",
            )
        }
        404 => inconclusive(
            answer,
            "the model could not be tested; check baseUrl and modelId",
        ),
        _ => inconclusive(answer, "the model could not be tested"),
    }
}

/// What is said of a model that is there for another call than the test's.
pub(in crate::vendors) const OTHER_OPERATION: &str = "the vendor knows the model, which does not take the test's call; spec.type says which it takes";

/// Tests a model by the vendor's list: listed is the most that it says.
pub(in crate::vendors) async fn test_by_list(call: &Call<'_>, model_id: &str) -> CheckResult {
    match list(call, read_id).await {
        Ok(list) if list.models.iter().any(|m| m.id == model_id) => {
            CheckResult::new(Reason::ModelListed, "the vendor lists the model")
        }
        Ok(_) => CheckResult::new(
            Reason::ModelNotFound,
            "the vendor does not list the model; check modelId",
        ),
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
    model: &TestedModel<'_>,
) -> CheckResult {
    let Some(SmallestCall {
        path,
        mut body,
        fields,
    }) = smallest_call(model.type_)
    else {
        return test_by_list(call, model.id).await;
    };
    body["model"] = json!(model.id);
    match send(call, post(call, path, &body)).await {
        Ok(answer) => classify_model(&answer, &fields),
        Err(error) => CheckResult::from_http_error(&error, Reason::CheckInconclusive),
    }
}
