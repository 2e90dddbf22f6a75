//! Anything that speaks OpenAI's protocol: gateways, proxies, vendors without a driver of their own.

use async_trait::async_trait;
use serde_json::Value;

use super::openai_protocol as protocol;
use crate::crd::{model::ModelType, reasons::Reason};
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ListedModel, ModelList,
    TestedModel, answers::result::Retry,
};

pub(in crate::vendors) struct OpenAiCompatible;

#[async_trait]
impl Driver for OpenAiCompatible {
    fn default_base_url(&self, _region: Option<&str>) -> Option<String> {
        None
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKeyOrAccessToken
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        protocol::probe_list(call).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        protocol::validate_by_list(call).await
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        protocol::list(call, read_model).await
    }

    /// By the smallest call: `GET /models/{id}` is not everywhere, and a gateway's list says
    /// nothing of what stands behind it. But it says what a plain 400 or 404 for a name that it does
    /// not know leaves open (LiteLLM 1.106 answers so).
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let tested = protocol::test_by_call(call, model).await;
        if !matches!(tested.http_status, Some(400 | 404))
            || tested.reason != Reason::CheckInconclusive
        {
            return tested;
        }
        match protocol::list(call, protocol::read_id).await {
            Ok(list) if list.lacks(model.id) => CheckResult {
                reason: Reason::ModelNotFound,
                message: "the gateway neither answers for the model nor lists it; check modelId"
                    .to_owned(),
                retry: Retry::No,
                ..tested
            },
            _ => tested,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}

/// What gateways and servers add to the protocol's entry: LiteLLM (1.106) both limits and a mode,
/// OpenRouter `context_length` (facts, 12), vLLM `max_model_len` (facts, 10).
fn read_model(entry: &Value) -> ListedModel {
    let count = |name| protocol::read_count(entry, name);
    ListedModel {
        context_window: count("context_length").or_else(|| count("max_model_len")),
        max_input_tokens: count("max_input_tokens"),
        max_output_tokens: count("max_output_tokens"),
        type_: entry.get("mode").and_then(Value::as_str).and_then(mode),
        ..protocol::read_id(entry)
    }
}

/// LiteLLM's word for a model's type (facts, 12).
fn mode(word: &str) -> Option<ModelType> {
    match word {
        "chat" | "responses" => Some(ModelType::Chat),
        "completion" => Some(ModelType::Completion),
        "embedding" => Some(ModelType::Embedding),
        "rerank" => Some(ModelType::Rerank),
        "image_generation" | "image_edit" => Some(ModelType::Image),
        "audio_transcription" | "audio_speech" => Some(ModelType::Audio),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vendors::{
        answers::refusal::testing::answer,
        http::script::{
            Script,
            testing::{asked, of, with_call},
        },
    };

    /// As LiteLLM 1.106 answers for a name that it does not know.
    const NO_SUCH_MODEL: &str = r#"{"error":{"message":"/chat/completions: Invalid model name passed in model=nope.","type":"invalid_request_error","param":null,"code":"400"}}"#;

    #[test]
    fn what_a_gateway_tells_of_a_model_is_read() {
        let model = read_model(&json!({
            "id": "team/embedding", "object": "model", "owned_by": "openai", "mode": "embedding",
            "max_input_tokens": 8191, "max_output_tokens": null,
        }));
        assert_eq!(model.type_, Some(ModelType::Embedding));
        assert_eq!(model.max_input_tokens, Some(8191));
        assert_eq!(model.max_output_tokens, None);
        let bare = read_model(&json!({ "id": "x", "context_length": 0, "mode": "new" }));
        assert_eq!((bare.context_window, bare.type_), (None, None));
    }

    #[tokio::test]
    async fn a_name_that_is_neither_answered_for_nor_listed_is_not_found() {
        let listed = |id: &str| answer(200, &json!({ "data": [{ "id": id }] }).to_string());
        for (list, reason) in [
            (listed("other"), Reason::ModelNotFound),
            (listed("nope"), Reason::CheckInconclusive),
            (answer(200, r#"{"data":[]}"#), Reason::CheckInconclusive),
            (answer(403, "{}"), Reason::CheckInconclusive),
        ] {
            let script = Script::new([answer(400, NO_SUCH_MODEL), list]);
            let outcome = with_call(&script, async |call| {
                OpenAiCompatible.test_model(call, &of("nope")).await
            })
            .await;
            assert_eq!(outcome.reason, reason);
            assert_eq!(asked(&script), ["/v1/chat/completions", "/v1/models"]);
        }
    }
}
