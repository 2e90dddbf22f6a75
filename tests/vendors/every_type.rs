//! Every provider type from manifests to Ready, each against its vendor's fake.

use llmplane::crd::ProviderType;
use serde_json::json;

use super::asking::{KEY, TYPES, fake, model_of, region_of};
use crate::support::{plane::eventually, vendors::Fake, world::World};

fn name(provider: ProviderType) -> String {
    provider.as_str().to_lowercase()
}

async fn declare(world: &World, provider: ProviderType, fake: &Fake) {
    let name = name(provider);
    world
        .secret_of(provider, &name, json!({ "api-key": KEY }))
        .await;
    let of = json!({ "name": name });
    let sync = json!({ "enabled": true });
    let spec = json!({ "type": provider.as_str(), "modelSync": sync });
    world.apply("LlmProvider", &name, spec).await;
    let mut spec = json!({ "providerRef": of, "baseUrl": fake.url() });
    if let Some(region) = region_of(provider) {
        spec["region"] = region.into();
    }
    world.apply("LlmEndpoint", &name, spec).await;
    let spec = json!({ "providerRef": of, "secretRef": of });
    world.apply("LlmCredential", &name, spec).await;
    let spec = json!({ "providerRef": of, "modelId": model_of(provider) });
    world.apply("LlmModel", &name, spec).await;
}

/// Where an endpoint is asked whether it answers.
fn probe_path(provider: ProviderType) -> &'static str {
    match provider {
        ProviderType::Ollama => "/api/version",
        ProviderType::VLLM => "/health",
        ProviderType::OpenAI | ProviderType::OpenAICompatible | ProviderType::Anthropic => {
            "/v1/models"
        }
        ProviderType::Qianfan => "/v2/models",
        ProviderType::Gemini => "/v1beta/models",
        ProviderType::DashScope => "/api/v1/models",
        ProviderType::AzureOpenAI => "/openai/v1/models",
        ProviderType::Bedrock => "/foundation-models",
    }
}

/// Ollama lists full names, and people write them without the tag.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_one_however_its_name_is_written() {
    let world = World::started("spelling").await;
    let ollama = fake(ProviderType::Ollama).await;
    ollama.list_only(&["tiny:latest"]);
    let of = json!({ "name": "p" });
    let sync = json!({ "enabled": true });
    let spec = json!({ "providerRef": of, "modelId": "tiny" });
    world.apply("LlmModel", "mine", spec).await;
    let spec = json!({ "type": "Ollama", "modelSync": sync });
    world.apply("LlmProvider", "p", spec).await;
    let key = json!({ "api-key": KEY });
    world.secret_of(ProviderType::Ollama, "s", key).await;
    let spec = json!({ "providerRef": of, "baseUrl": ollama.url() });
    world.apply("LlmEndpoint", "e", spec).await;
    let spec = json!({ "providerRef": of, "secretRef": { "name": "s" } });
    world.apply("LlmCredential", "c", spec).await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    world
        .says("LlmModel", "mine", "Available", "True", "ModelListed")
        .await;
    eventually("the list fills in what was not declared", async || {
        let effective = world.get("LlmModel", "mine").await["status"]["effective"].clone();
        effective["contextWindow"].is_i64()
    })
    .await;
    assert_eq!(world.all("LlmModel").await.len(), 1);
    let spec = json!({ "providerRef": of, "modelId": "tiny:latest" });
    world.apply("LlmModel", "younger", spec).await;
    world
        .says("LlmModel", "younger", "Ready", "False", "DuplicateModel")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_from_manifests_to_ready() {
    let world = World::started("types").await;
    let mut fakes = Vec::new();
    for provider in TYPES {
        let fake = fake(provider).await;
        declare(&world, provider, &fake).await;
        fakes.push(fake);
    }
    for provider in TYPES {
        let name = name(provider);
        for (kind, condition, reason) in [
            ("LlmEndpoint", "Healthy", "ProbeSucceeded"),
            ("LlmCredential", "Valid", "KeyAccepted"),
            ("LlmProvider", "ModelsSynced", "SyncSucceeded"),
        ] {
            world.says(kind, &name, condition, "True", reason).await;
            world.ready(kind, &name).await;
        }
        // The catalog may know of an end that is near.
        world.ready("LlmModel", &name).await;
        let said = world.said("LlmModel", &name, "Available").await.unwrap();
        assert_eq!(said.0, "True", "{name}");
    }
    // A key is for its own vendor: each fake saw its own requests alone, and probes had no key.
    for (provider, fake) in TYPES.into_iter().zip(&fakes) {
        let requests = fake.requests();
        assert!(requests.iter().any(|r| r.holds(KEY)), "{provider}");
        let mut probes = requests.iter().filter(|r| r.path == probe_path(provider));
        let found = match provider {
            // Nothing else is asked there.
            ProviderType::Ollama | ProviderType::VLLM => {
                probes.clone().count() > 0 && probes.all(|r| !r.holds(KEY))
            }
            _ => probes.any(|r| !r.holds(KEY)),
        };
        assert!(found, "{provider}");
    }
}
