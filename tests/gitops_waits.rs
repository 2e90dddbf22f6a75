//! What a GitOps tool that waits sees while it applies: nothing that fails for what it is about to
//! apply, and a failure for what stays missing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use llmplane::crd::{Kind, ProviderType, conditions::STALL_GRACE};
use serde_json::{Value, json};

use crate::federation::site::{ACCOUNT, agreement, grant, make_account, start};
use crate::support::{
    fake_vendor::FakeVendor,
    history::{History, kstatus, summary},
    plane::eventually,
    vendors::{Fake, token_service::TokenService},
    world::{World, find_condition},
};

const KEY: &str = "sk-test-0123456789abcdef";
/// Time that a tool takes to apply everything.
const APPLIED_OVER: Duration = Duration::from_secs(8);
const PROVIDERS: usize = 4;
/// Models of each of them.
const MODELS: usize = 29;
/// Models of which each is applied anew under another name.
const RENAMED: usize = 40;
const AUDIENCE: &str = "https://openrouter.ai";
const POLICY: &str = "pol_1";

fn secret(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": { "llmplane.dev/credential": "OpenAICompatible" },
            "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
        },
        "stringData": { "api-key": KEY },
    })
}

fn federation() -> Value {
    json!({
        "serviceAccountRef": { "name": ACCOUNT }, "audience": AUDIENCE,
        "openRouter": { "federationPolicyId": POLICY },
    })
}

/// 200 objects in Flux's order: Secrets first, then the kinds by the alphabet, each by name.
fn manifests(elsewhere: &str, first: &str, second: &str) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    let mut add = |kind, name: String, spec| {
        all.push((kind, json!({ "metadata": { "name": name }, "spec": spec })));
    };
    for p in 0..PROVIDERS {
        let provider = json!({ "name": format!("p{p}") });
        let endpoint = |e: usize| json!({ "name": format!("p{p}-e{e}") });
        for c in 0..10 {
            let mut spec = json!({ "providerRef": provider });
            match c {
                9 => spec["federation"] = federation(),
                c => spec["secretRef"] = json!({ "name": format!("p{p}-s{}", c % 4) }),
            }
            if c % 2 == 0 {
                spec["endpointRefs"] = json!([endpoint(0), endpoint(1)]);
            }
            add("LlmCredential", format!("p{p}-c{c}"), spec);
        }
        // The key may not go to the first, but where all lists are to be read, and each of the others lists half of the models.
        let elsewhere = if p == 0 { second } else { elsewhere };
        for (e, url) in [elsewhere, first, second, first, second]
            .into_iter()
            .enumerate()
        {
            let mut spec = json!({ "providerRef": provider, "baseUrl": url });
            if e > 0 {
                spec["healthCheck"] = json!({ "credentialRef": { "name": format!("p{p}-c1") } });
            }
            add("LlmEndpoint", format!("p{p}-e{e}"), spec);
        }
        for m in 0..MODELS {
            let mut spec = json!({ "providerRef": provider, "modelId": format!("model-{m}") });
            if m % 3 == 0 {
                spec["endpointRefs"] = json!([endpoint(1), endpoint(2)]);
            }
            add("LlmModel", format!("p{p}-m{m}"), spec);
        }
        // The models of the first two are renamed, and the classes say what they are for.
        let class = match p {
            0 | 1 => json!({ "need": { "providerTypes": ["OpenAICompatible"] } }),
            p => {
                json!({ "models": [{ "name": format!("p{p}-m1") }, { "name": format!("p{p}-m0") }] })
            }
        };
        add("LlmModelClass", format!("p{p}-class"), class);
        let sync = json!({ "enabled": p == 0 });
        let spec = json!({
            "type": "OpenAICompatible", "defaultEndpointRef": endpoint(2), "modelSync": sync,
        });
        add("LlmProvider", format!("p{p}"), spec);
    }
    all.sort_by_key(|(kind, object)| (*kind, object["metadata"]["name"].to_string()));
    let secrets = (0..PROVIDERS).flat_map(|p| (0..4).map(move |s| format!("p{p}-s{s}")));
    let secrets = secrets.map(|name| ("Secret", secret(&name)));
    secrets.chain(all).collect()
}

async fn apply_slowly(world: &World, manifests: &[(&'static str, Value)]) {
    let pause = APPLIED_OVER / u32::try_from(manifests.len()).unwrap();
    let mut pace = tokio::time::interval(pause);
    for (kind, object) in manifests {
        pace.tick().await;
        world.apply_object(kind, object.clone()).await;
    }
}

/// Waits until a tool would call the whole set applied, for three minutes at most.
async fn all_are_current(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let mut others = Vec::new();
        for kind in Kind::ALL {
            let mut objects = world.all(kind.kubernetes()).await;
            objects.retain(|object| kstatus(object) != "Current");
            others.extend(objects.iter().map(summary));
        }
        if others.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{}", others.join("\n"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_objects_in_fluxs_order_and_forty_renamed_never_fail_on_the_way() {
    let listing = async |from: usize| {
        let ids = (from..MODELS).step_by(2).map(|m| format!("model-{m}"));
        let ids: Vec<String> = ids.collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Arc::new(FakeVendor::start(&[KEY], &ids).await)
    };
    let (first, second) = (listing(0).await, listing(1).await);
    let elsewhere = Fake::at(ProviderType::OpenAICompatible, "127.0.0.2:0").await;
    let mut world = World::new("flux").await;
    let ids = [("federation_policy_id", POLICY)];
    let life = Duration::from_secs(900);
    let tokens =
        TokenService::of("openRouter", agreement(&world, AUDIENCE, &ids, life).await).await;
    let taking = [first.clone(), second.clone()];
    tokens.on_issue(move |issued| {
        taking
            .iter()
            .for_each(|vendor| vendor.accept(&issued.token))
    });
    grant(&world).await;
    make_account(&world, "127.0.0.1").await;
    start(&mut world, &[&tokens]).await;
    let history = History::of(&world);

    let manifests = manifests(&elsewhere.url(), &first.url(), &second.url());
    assert_eq!(manifests.len(), 200);
    apply_slowly(&world, &manifests).await;
    all_are_current(&world).await;
    assert_eq!(history.failures(), [] as [String; 0]);
    let waited = history.objects().iter().any(|object| {
        find_condition(object, "Ready").is_some_and(|c| c["reason"] == "ProviderNotFound")
    });
    assert!(
        waited,
        "no object ever waited for another: nothing was tried"
    );

    // A tool applies what is new before it prunes what is gone.
    let models = manifests
        .iter()
        .filter(|(kind, _)| *kind == "LlmModel")
        .take(RENAMED);
    let renamed: Vec<(&str, Value)> = models
        .clone()
        .map(|(kind, object)| {
            let mut object = object.clone();
            let name = format!("new-{}", object["metadata"]["name"].as_str().unwrap());
            object["metadata"]["name"] = name.into();
            (*kind, object)
        })
        .collect();
    apply_slowly(&world, &renamed).await;
    for (kind, object) in models {
        world
            .delete(kind, object["metadata"]["name"].as_str().unwrap())
            .await;
    }
    all_are_current(&world).await;
    assert_eq!(history.failures(), [] as [String; 0]);
    assert_eq!(history.warnings(), [] as [Value; 0]);
}

async fn condition(world: &World, name: &str, type_: &str) -> Option<Value> {
    find_condition(&world.get("LlmCredential", name).await, type_).cloned()
}

fn time(condition: &Value) -> Timestamp {
    condition["lastTransitionTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_missing_for_half_a_minute_is_stalled_also_over_a_restart() {
    let mut world = World::started("missing").await;
    let history = History::of(&world);
    world.credential("c", "s").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "ProviderNotFound")
        .await;
    let since = time(&condition(&world, "c", "Ready").await.unwrap());
    assert_eq!(condition(&world, "c", "Stalled").await, None);
    assert_eq!(history.warnings(), [] as [Value; 0]);

    world.stop().await;
    world.start().await;
    eventually("it is stalled", async || {
        condition(&world, "c", "Stalled").await.is_some()
    })
    .await;
    let ready = condition(&world, "c", "Ready").await.unwrap();
    let stalled = condition(&world, "c", "Stalled").await.unwrap();
    assert_eq!(time(&ready), since, "the clock was set back");
    assert!(time(&stalled).duration_since(since) >= STALL_GRACE);
    assert_eq!(stalled["reason"], "ProviderNotFound");
    eventually("a Warning tells of it", async || {
        history
            .warnings()
            .iter()
            .any(|event| event["reason"] == "ProviderNotFound")
    })
    .await;

    world.provider("p", json!({})).await;
    eventually("it is not stalled any more", async || {
        condition(&world, "c", "Stalled").await.is_none()
    })
    .await;
}
