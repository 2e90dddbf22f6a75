//! vLLM's OpenAI-compatible server (facts, 10).

use async_trait::async_trait;
use serde_json::Value;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ListedModel, ModelList,
    TestedModel,
    answers::{
        document, health,
        refusal::{self, Exchanged},
        result::Retry,
    },
    base_url,
    http::client::{Request, Response},
};
use crate::{crd::reasons::Reason, encryption::SecretFields};

pub(in crate::vendors) struct Vllm;

#[async_trait]
impl Driver for Vllm {
    fn default_base_url(&self, _region: Option<&str>) -> Option<String> {
        None
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    /// A server of one's own may have any word for a key.
    fn check_key(&self, _key: &SecretFields) -> Result<(), String> {
        Ok(())
    }

    /// By `GET /health` at the server's root: 200, or 503 when the engine is dead. It needs no key.
    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let mut request = Request::get(at_root(call, "health"));
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        match refusal::exchange(call, Ok(request), refusal::common).await {
            Ok(Exchanged { answer, .. }) if answer.status.is_success() && is_its_own(&answer) => {
                health::alive(&answer, "the server says that it is healthy")
            }
            // A gateway in front may hide /health; then the list call tells.
            Ok(Exchanged { answer, .. }) if !answer.status.is_server_error() => {
                protocol::probe_server(call, refusal::common).await
            }
            Ok(Exchanged { answer, .. }) if answer.status.as_u16() == 503 => CheckResult::of(
                &answer,
                Reason::ProbeFailed,
                "the server says that its engine is dead",
            )
            .with_retry(Retry::Backoff),
            Ok(exchanged) => health::judge(&exchanged, |_| Ok(())),
            Err(error) => CheckResult::from_http_error(&error, Reason::ProbeFailed),
        }
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        protocol::validate_by_list(call, refusal::common).await
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        protocol::list(call, refusal::common, read_model).await
    }

    /// The server has no `GET /v1/models/{id}`; it lists just what it has loaded.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        protocol::test_by_list(call, refusal::common, self, model.id).await
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}

/// `root` may be a path on the server and stays out.
fn read_model(entry: &Value) -> ListedModel {
    ListedModel {
        context_window: protocol::read_count(entry, "max_model_len"),
        ..protocol::read_id(entry)
    }
}

/// The server's sign of life has no body (facts, 10); a gateway may put JSON in it.
fn is_its_own(answer: &Response) -> bool {
    answer.body.is_empty() || document::unreadable(answer, &[]).is_none()
}

fn at_root(call: &Call<'_>, path: &str) -> url::Url {
    protocol::url(&base_url::without(call.base_url, &["/v1"]), &[path])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::{
        answers::refusal::testing::answer,
        http::script::{Script, testing::with_call},
    };

    /// Wrappers give an error with HTTP 200 too (facts, 10).
    #[tokio::test]
    async fn an_error_with_200_is_no_list() {
        let validated = async |body: &str| {
            let script = Script::new([answer(200, body)]);
            with_call(&script, async |call| Vllm.validate(call).await).await
        };
        for error in [
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
            r#"{"error":{"message":"no","type":"NotFoundError","param":null,"code":404}}"#,
            r#"{"error":"Unauthorized"}"#,
            "",
        ] {
            let said = validated(error).await;
            assert_ne!(said.reason, Reason::KeyAccepted, "{error}");
        }
        let said = validated(r#"{"object":"list","data":[]}"#).await;
        assert_eq!(said.reason, Reason::KeyAccepted);
    }
}
