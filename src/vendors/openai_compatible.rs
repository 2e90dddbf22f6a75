//! Anything that speaks OpenAI's protocol: gateways, proxies, vendors without a driver of their own.

use async_trait::async_trait;

use super::{
    Call, ClientConfig, ClientInput, Driver, KeyFields, ModelList, Outcome,
    openai_protocol::{self as protocol},
};

pub(super) struct OpenAiCompatible;

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

    async fn probe(&self, call: &Call<'_>) -> Outcome {
        protocol::probe_list(call).await
    }

    async fn validate(&self, call: &Call<'_>) -> Outcome {
        protocol::validate_by_list(call).await
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, Outcome> {
        protocol::list(call, protocol::read_id).await
    }

    /// By the smallest completion: `GET /models/{id}` is not everywhere, and a gateway's list says
    /// nothing of what stands behind it.
    async fn test_model(&self, call: &Call<'_>, model_id: &str) -> Outcome {
        protocol::test_by_completion(call, model_id).await
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}
