//! OpenAI (facts, 3).

use async_trait::async_trait;
use serde_json::Value;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ListedModel, ModelList,
    TestedModel,
    answers::{moment, refusal},
    http::client::Response,
};

pub(in crate::vendors) struct OpenAi;

#[async_trait]
impl Driver for OpenAi {
    /// Residency hosts are named by their region (facts, 2).
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        match region {
            None => Some("https://api.openai.com/v1".to_owned()),
            Some(region @ ("us" | "eu" | "ae")) => {
                Some(format!("https://{region}.api.openai.com/v1"))
            }
            Some(_) => None,
        }
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &[
            "api.openai.com",
            "us.api.openai.com",
            "eu.api.openai.com",
            "ae.api.openai.com",
        ]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        protocol::probe_list(call, refusal::common).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        protocol::validate_by_list(call, refusal::common).await
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        protocol::list(call, refusal::common, read_model).await
    }

    /// By `GET /models/{id}`, which spends nothing.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = protocol::get(call, &["models", model.id]);
        let read = |answer: &Response| protocol::described(answer, &["id"]);
        protocol::test_by_description(call, self, model.id, (request, refusal::common), read).await
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}

/// The day of its end is all that an entry says of a model beside its id (facts, 3.1).
fn read_model(entry: &Value) -> ListedModel {
    ListedModel {
        retires_at: moment::read(entry, "shutdown_date"),
        ..protocol::read_id(entry)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_day_of_a_models_end_is_read() {
        let read = |day: Value| read_model(&json!({ "id": "gpt", "shutdown_date": day }));
        let end = read(json!("2026-10-23")).retires_at;
        assert_eq!(end, Some("2026-10-23T00:00:00Z".parse().unwrap()));
        assert_eq!(read(Value::Null).retires_at, None);
        assert_eq!(read_model(&json!({ "id": "gpt" })).retires_at, None);
    }
}
