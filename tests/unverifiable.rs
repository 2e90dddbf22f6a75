//! What no free check can prove does not keep a GitOps tool waiting.

use serde_json::json;

use crate::support::{fake_vendor::FakeVendor, world::World};

/// Bedrock lists no model by its ARN, and a test of it is not switched on.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_no_list_names_is_ready_once_there_is_a_key() {
    let vendor = FakeVendor::start(&["bedrock-api-key-0123456789"], &[]).await;
    let world = World::started("unlisted").await;
    world.provider("p", json!({ "type": "Bedrock" })).await;
    let region = json!({ "region": "us-east-1" });
    world.endpoint("e", &vendor.url(), region).await;
    let arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc";
    world.model("m", arn).await;
    world
        .says("LlmModel", "m", "Ready", "Unknown", "NoValidCredential")
        .await;
    world
        .apply_object(
            "Secret",
            json!({
                "metadata": {
                    "name": "s",
                    "labels": { "llmplane.dev/credential": "Bedrock" },
                    "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
                },
                "stringData": { "api-key": "bedrock-api-key-0123456789" },
            }),
        )
        .await;
    world.credential("c", "s").await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "Unverifiable")
        .await;
    world
        .says("LlmModel", "m", "Ready", "True", "Unverifiable")
        .await;
}
