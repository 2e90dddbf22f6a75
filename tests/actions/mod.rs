//! Checks that callers of the API ask for: a real controller and API process beside a vendor.

mod faults;
mod rights;
mod verdicts;

use serde_json::{Value, json};

use crate::support::api::KINDS;
use crate::support::fake_vendor::FakeVendor;
use crate::support::process::Process;
use crate::support::world::World;

const KEY: &str = "sk-action-0123456789abcdef";
const MODEL: &str = "m-1";

/// The four actions, on the objects of a [`Site`].
const ACTIONS: [&str; 4] = [
    "/endpoints/e/health-check",
    "/credentials/c/validate",
    "/providers/p/models/sync",
    "/models/m/test",
];

/// An action whose answer is waited for, on a machine that has other work too.
fn patiently(action: &str) -> String {
    format!("{action}?wait_seconds=60")
}

/// A vendor, a namespace with one object of each kind whose checks run once a day, and an API.
struct Site {
    vendor: FakeVendor,
    world: World,
    api: Process,
}

impl Site {
    /// With a controller; every object is Ready.
    async fn started(prefix: &str) -> Self {
        Self::new(prefix).await.start().await
    }

    /// The same, with probes that wait for longer than a test holds the vendor's answer back.
    async fn patient(prefix: &str) -> Self {
        Self::with_timeout(prefix, 60).await.start().await
    }

    async fn start(mut self) -> Self {
        self.world.start().await;
        self.ready().await;
        self
    }

    /// Without a controller.
    async fn new(prefix: &str) -> Self {
        Self::with_timeout(prefix, 10).await
    }

    async fn with_timeout(prefix: &str, timeout: u32) -> Self {
        let vendor = FakeVendor::start(&[KEY], &[MODEL]).await;
        let world = World::new(prefix).await;
        let daily = |more: Value| {
            let mut check = json!({ "enabled": true, "periodSeconds": 86400 });
            for (key, value) in more.as_object().unwrap() {
                check[key] = value.clone();
            }
            check
        };
        world.secret("s", KEY).await;
        let sync = json!({ "modelSync": daily(json!({})) });
        world.provider("p", sync).await;
        let probe = daily(json!({ "failureThreshold": 1, "timeoutSeconds": timeout }));
        let probe = json!({ "healthCheck": probe });
        world.endpoint("e", &vendor.url(), probe).await;
        let spec = json!({
            "providerRef": { "name": "p" },
            "secretRef": { "name": "s" },
            "validation": daily(json!({})),
        });
        world.apply("LlmCredential", "c", spec).await;
        let spec = json!({
            "providerRef": { "name": "p" },
            "modelId": MODEL,
            "availabilityTest": daily(json!({})),
        });
        world.apply("LlmModel", "m", spec).await;
        let api = Process::api(&world, &[]);
        Self { vendor, world, api }
    }

    /// Looks at callers and rights so far: every request takes some, before it waits for anything.
    async fn lookups(&self) -> f64 {
        let lookups = "llmplane_api_auth_cache_lookups_total";
        self.api.metric(lookups).await.expect("it is counted")
    }

    async fn ready(&self) {
        for (kind, name) in [
            ("LlmProvider", "p"),
            ("LlmEndpoint", "e"),
            ("LlmCredential", "c"),
            ("LlmModel", "m"),
        ] {
            self.world.ready(kind, name).await;
        }
        self.api.ready().await;
    }

    /// A token of somebody who may see everything and check it.
    async fn checker(&self) -> String {
        let verbs = ["get", "list", "check"];
        self.world.account("checker", &verbs, &KINDS, &[]).await
    }
}
