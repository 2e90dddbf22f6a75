//! What is switched off on purpose leaves its dependents Ready, whatever was there before: as in a
//! namespace where it was declared so at first.

use llmplane::crd::ProviderType;
use serde_json::json;

use crate::support::{history::History, vendors::Fake, world::World};

const KEY: &str = "sk-test-0123456789abcdef";

/// Kind, name, and the reason of its Ready.
type Said = (&'static str, &'static str, &'static str);

/// Names of what is switched off.
type Off = &'static [&'static str];

/// What is switched off, and what is said then.
const OFF: [(Off, &[Said]); 4] = [
    (
        &["c"],
        &[
            ("LlmCredential", "c", "Disabled"),
            ("LlmEndpoint", "e", "ProbeSucceeded"),
            ("LlmEndpoint", "f", "ProbeSucceeded"),
            ("LlmModel", "m", "NoValidCredential"),
            ("LlmModelClass", "k", "CandidatesUnavailable"),
            ("LlmProvider", "p", "NoValidCredential"),
        ],
    ),
    (
        &["e"],
        &[
            ("LlmCredential", "c", "KeyAccepted"),
            ("LlmEndpoint", "e", "Disabled"),
            ("LlmEndpoint", "f", "ProbeSucceeded"),
            ("LlmModel", "m", "ModelListed"),
            ("LlmModelClass", "k", "CandidateFound"),
            ("LlmProvider", "p", "SyncSucceeded"),
        ],
    ),
    (
        &["e", "f"],
        &[
            ("LlmCredential", "c", "NoEndpoint"),
            ("LlmEndpoint", "e", "Disabled"),
            ("LlmEndpoint", "f", "Disabled"),
            ("LlmModel", "m", "NoEndpoint"),
            ("LlmModelClass", "k", "CandidatesUnavailable"),
            ("LlmProvider", "p", "NoEndpoint"),
        ],
    ),
    (
        &["p"],
        &[
            ("LlmCredential", "c", "ProviderDisabled"),
            ("LlmEndpoint", "e", "ProviderDisabled"),
            ("LlmEndpoint", "f", "ProviderDisabled"),
            ("LlmModel", "m", "ProviderDisabled"),
            ("LlmModelClass", "k", "CandidatesUnavailable"),
            ("LlmProvider", "p", "Disabled"),
        ],
    ),
];

/// What the checks say where all is switched on.
const IN_FORCE: [(&str, &str, &str, &str); 4] = [
    ("LlmModel", "m", "Available", "ModelListed"),
    ("LlmModelClass", "k", "Available", "CandidateFound"),
    ("LlmCredential", "c", "Valid", "KeyAccepted"),
    ("LlmProvider", "p", "ModelsSynced", "SyncSucceeded"),
];

/// A server of one's own, which may be called without a key where no credential is declared for it, and a vendor's.
const VENDORS: [ProviderType; 2] = [ProviderType::OpenAICompatible, ProviderType::OpenAI];

/// Two endpoints at one vendor.
struct Scene {
    world: World,
    vendor: Fake,
    type_: ProviderType,
}

impl Scene {
    async fn new(prefix: &str, type_: ProviderType) -> Self {
        let vendor = Fake::of(type_).await;
        vendor.accept(KEY);
        vendor.list_only(&["gpt-a"]);
        let world = World::started(prefix).await;
        world.secret_of(type_, "s", json!({ "api-key": KEY })).await;
        Self {
            world,
            vendor,
            type_,
        }
    }

    async fn apply(&self, off: Off) {
        let provider = json!({ "name": "p" });
        // The declared model is the only one, however the two of them race.
        let sync = json!({ "enabled": true, "exclude": ["gpt-a"] });
        let endpoint = json!({ "providerRef": provider, "baseUrl": self.vendor.url() });
        let all = [
            (
                "LlmProvider",
                "p",
                json!({ "type": self.type_, "modelSync": sync }),
            ),
            ("LlmEndpoint", "e", endpoint.clone()),
            ("LlmEndpoint", "f", endpoint),
            (
                "LlmCredential",
                "c",
                json!({ "providerRef": provider, "secretRef": { "name": "s" } }),
            ),
            (
                "LlmModel",
                "m",
                json!({ "providerRef": provider, "modelId": "gpt-a" }),
            ),
            ("LlmModelClass", "k", json!({ "models": [{ "name": "m" }] })),
        ];
        for (kind, name, mut spec) in all {
            spec["enabled"] = (!off.contains(&name)).into();
            self.world.apply(kind, name, spec).await;
        }
    }

    async fn all_say(&self, said: &[Said]) {
        for (kind, name, reason) in said {
            self.world.says(kind, name, "Ready", "True", reason).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_off_leaves_its_dependents_ready_where_all_was_in_force_before() {
    for vendor in VENDORS {
        let scene = Scene::new("offold", vendor).await;
        for (off, said) in OFF {
            scene.apply(&[]).await;
            for (kind, name, condition, reason) in IN_FORCE {
                scene
                    .world
                    .says(kind, name, condition, "True", reason)
                    .await;
                scene.world.ready(kind, name).await;
            }
            let history = History::of(&scene.world);
            scene.apply(off).await;
            scene.all_say(said).await;
            assert_eq!(history.failures(), [""; 0], "{off:?} off");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_off_leaves_its_dependents_ready_where_nothing_was_before() {
    for vendor in VENDORS {
        for (off, said) in OFF {
            let scene = Scene::new("offnew", vendor).await;
            let history = History::of(&scene.world);
            scene.apply(off).await;
            scene.all_say(said).await;
            assert_eq!(history.failures(), [""; 0], "{off:?} off");
        }
    }
}
