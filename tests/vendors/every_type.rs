//! Every provider type from manifests to Ready, each against its vendor's fake.

use llmplane::crd::ProviderType;
use serde_json::json;

use super::asking::{KEY, TYPES, fake, model_of, region_of};
use crate::support::{vendors::Fake, world::World};

fn name(provider: ProviderType) -> String {
    provider.as_str().to_lowercase()
}

async fn declare(world: &World, provider: ProviderType, fake: &Fake) {
    let name = name(provider);
    world
        .apply_object(
            "Secret",
            json!({
                "metadata": {
                    "name": name,
                    "labels": { "llmplane.dev/credential": provider.as_str() },
                    "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
                },
                "stringData": { "api-key": KEY },
            }),
        )
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
            ("LlmModel", "Available", "ModelListed"),
        ] {
            world.says(kind, &name, condition, "True", reason).await;
            world.ready(kind, &name).await;
        }
    }
    // A key is for its own vendor: each fake saw its own requests alone, and probes had no key.
    for (provider, fake) in TYPES.into_iter().zip(&fakes) {
        let requests = fake.requests();
        assert!(requests.iter().any(|r| r.holds(KEY)), "{provider}");
        assert!(requests.iter().any(|r| !r.holds(KEY)), "{provider}");
    }
}
