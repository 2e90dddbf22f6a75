//! vLLM's OpenAI-compatible server (facts, 10).

use async_trait::async_trait;
use serde_json::Value;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ListedModel, ModelList,
    TestedBy, TestedModel,
    answers::{
        health,
        refusal::{self, Exchanged},
        result::Retry,
    },
    base_url,
    http::client::Request,
};
use crate::{
    crd::{model::ModelType, reasons::Reason},
    encryption::SecretFields,
};

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

    /// By `GET /health` at the server's root, which is 503 when the engine is dead, and needs no key;
    /// then by the list, for of the API at the base URL that says nothing.
    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let mut request = Request::get(at_root(call, "health"));
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        match refusal::exchange(call, Ok(request), refusal::common).await {
            // A gateway in front may hide /health.
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

    fn tested_by(&self, _type: Option<ModelType>) -> TestedBy {
        TestedBy::List
    }

    /// The server has no `GET /v1/models/{id}`; it lists just what it has loaded.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        protocol::test_by_list(call, self, model.id).await
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

fn at_root(call: &Call<'_>, path: &str) -> url::Url {
    protocol::url(&base_url::without(call.base_url, &["/v1"]), &[path])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::{
        answers::refusal::testing::answer,
        http::script::{
            Script,
            testing::{asked, with_call},
        },
    };

    #[tokio::test]
    async fn a_sign_of_life_says_nothing_of_what_stands_at_the_base_url() {
        let list = || answer(200, r#"{"object":"list","data":[]}"#);
        let no_such_path = || answer(404, r#"{"detail":"Not Found"}"#);
        for (list, call, reason) in [
            (list(), no_such_path(), Reason::ProbeSucceeded),
            (
                answer(401, r#"{"error":"Unauthorized"}"#),
                no_such_path(),
                Reason::ProbeSucceeded,
            ),
            (
                no_such_path(),
                answer(400, r#"{"error":{"message":"model is required"}}"#),
                Reason::ProbeSucceeded,
            ),
            (no_such_path(), no_such_path(), Reason::ProbeFailed),
            (answer(200, ""), no_such_path(), Reason::ProbeFailed),
            (
                answer(200, r#"{"status":"ok"}"#),
                list(),
                Reason::ProbeFailed,
            ),
        ] {
            for health in ["", r#"{"status":"ok"}"#] {
                let answers = [answer(200, health), list.clone(), call.clone()];
                let script = Script::new(answers);
                let said = with_call(&script, async |call| Vllm.probe(call).await).await;
                assert_eq!(said.reason, reason, "{said:?}");
                assert_eq!(asked(&script)[..2], ["/health", "/v1/models"]);
            }
        }
        let dead = Script::new([answer(503, ""), list()]);
        let said = with_call(&dead, async |call| Vllm.probe(call).await).await;
        assert_eq!(said.reason, Reason::ProbeFailed);
    }

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
