//! OpenAI (facts, 3).

use async_trait::async_trait;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ModelList, TestedModel,
    answers::refusal::{self, Check},
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
        protocol::list(call, refusal::common, protocol::read_id).await
    }

    /// By `GET /models/{id}`, which spends nothing.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = protocol::get(call, &["models", model.id]);
        match refusal::ask(call, Check::Test, request, refusal::common).await {
            Ok(answer) => protocol::described(&answer, &["id"]),
            Err(said) => said,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}
