//! OpenAI (facts, 3).

use async_trait::async_trait;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ModelList, TestedModel,
};
use crate::{crd::reasons::Reason, encryption::SecretFields};

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

    fn check_key(&self, key: &SecretFields) -> Result<(), String> {
        crate::vendors::answers::result::not_a_placeholder(key)
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        protocol::probe_list(call).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        protocol::validate_by_list(call).await
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        protocol::list(call, protocol::read_id).await
    }

    /// By `GET /models/{id}`, which spends nothing.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        match protocol::send(call, protocol::get(call, &["models", model.id])).await {
            Ok(answer) => protocol::classify_description(&answer, &["id"]),
            Err(error) => CheckResult::from_http_error(&error, Reason::CheckInconclusive),
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}
