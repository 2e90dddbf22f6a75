//! Each kind from `apply` to Ready, on the real plane, against a vendor that answers.

use std::time::{Duration, Instant};

use llmplane::{
    controller::error::WAITING_BACKSTOP,
    crd::{Kind, ProviderType, reasons::Reason},
    db::Db,
};
use serde_json::json;

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    process::Process,
    vendors::{
        Fake, Fault,
        certificates::{Certificate, authority_pem},
    },
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn all_four_kinds_become_ready_and_are_stored() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("kinds").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;

    world
        .says("LlmProvider", "p", "Ready", "True", "SyncDisabled")
        .await;
    world
        .says("LlmEndpoint", "e", "Ready", "True", "ProbeSucceeded")
        .await;
    world
        .says("LlmCredential", "c", "Ready", "True", "KeyAccepted")
        .await;
    world
        .says("LlmModel", "m", "Ready", "True", "ModelListed")
        .await;
    eventually("the provider counts its children", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        status["endpoints"] == json!({ "total": 1, "healthy": 1 })
            && status["credentials"] == json!({ "total": 1, "valid": 1 })
            && status["models"] == json!({ "total": 1, "available": 1 })
    })
    .await;

    let db = world.db().await;
    let credential = db.credential_rows_all(false).await.unwrap().remove(0);
    assert_eq!(credential.version, Some(1));
    assert_eq!(credential.masked_key.as_deref(), Some("sk-********cdef"));
    let model = db.model_rows_all(false).await.unwrap().remove(0);
    let status = world.get("LlmModel", "m").await["status"]["conditions"].clone();
    assert_eq!(serde_json::to_value(&model.conditions).unwrap(), status);
    let endpoint = db.endpoint_rows_all(false).await.unwrap().remove(0);
    assert!(endpoint.is_default && endpoint.is_active);
}

/// The kinds whose objects name each other: a class names models, and nobody names it.
const KINDS: [Kind; 4] = [
    Kind::Provider,
    Kind::Endpoint,
    Kind::Credential,
    Kind::Model,
];

/// These kinds, each after each.
fn orders() -> Vec<[Kind; 4]> {
    let mut orders = Vec::new();
    for a in KINDS {
        for b in KINDS.into_iter().filter(|b| *b != a) {
            for c in KINDS.into_iter().filter(|c| ![a, b].contains(c)) {
                let last = KINDS.into_iter().find(|d| ![a, b, c].contains(d));
                orders.push([a, b, c, last.unwrap()]);
            }
        }
    }
    orders
}

/// What the names of a kind's objects begin with.
fn letter(kind: Kind) -> &'static str {
    match kind {
        Kind::Provider => "p",
        Kind::Endpoint => "e",
        Kind::Credential => "c",
        Kind::Model => "m",
        Kind::ModelClass => "k",
    }
}

/// One object of a set whose members name each other.
async fn member(world: &World, set: usize, kind: Kind, url: &str) {
    let named = |kind: Kind| json!({ "name": format!("{}{set}", letter(kind)) });
    let (provider, endpoint) = (named(Kind::Provider), named(Kind::Endpoint));
    let spec = match kind {
        Kind::Provider => json!({ "type": "OpenAICompatible", "defaultEndpointRef": endpoint }),
        Kind::Endpoint => json!({ "providerRef": provider, "baseUrl": url }),
        Kind::Credential => json!({
            "providerRef": provider, "endpointRefs": [endpoint], "secretRef": { "name": "s" },
        }),
        Kind::Model => json!({
            "providerRef": provider, "endpointRefs": [endpoint], "modelId": "gpt-a",
        }),
        Kind::ModelClass => json!({ "models": [named(Kind::Model)] }),
    };
    let name = format!("{}{set}", letter(kind));
    world.apply(kind.kubernetes(), &name, spec).await;
}

/// Waits until every object was told of, and nothing has changed for longer than counts are gathered
/// and missing objects waited for: from then on nobody comes back by himself soon.
async fn at_rest(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut last, mut since) = (Vec::new(), Instant::now());
    loop {
        let mut all = Vec::new();
        for kind in KINDS {
            all.extend(world.all(kind.kubernetes()).await);
        }
        let told = all.iter().all(|object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        });
        if !told || all != last {
            (last, since) = (all, Instant::now());
        } else if since.elapsed() > Duration::from_secs(6) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "it never comes to rest: {last:#?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Shorter than the waits after which a reconcile that missed its wake-up comes back all the same.
const HEALS_WITHIN: Duration = Duration::from_secs(8);
const _: () = assert!(HEALS_WITHIN.as_secs() < WAITING_BACKSTOP.as_secs());

async fn heals(world: &World, set: &str, within: Duration) {
    let ready = async {
        for kind in KINDS {
            let name = format!("{}{set}", letter(kind));
            world.ready(kind.kubernetes(), &name).await;
        }
    };
    let healed = tokio::time::timeout(within, ready).await;
    healed.unwrap_or_else(|_| panic!("set {set:?} does not heal within {within:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_creation_heals_by_itself() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("order").await;
    world.secret("s", KEY).await;
    let orders = orders();
    assert_eq!(orders.len(), 24);
    for step in 0..3 {
        for (set, order) in orders.iter().enumerate() {
            member(&world, set, order[step], &vendor.url()).await;
        }
        at_rest(&world).await;
    }
    for (set, order) in orders.iter().enumerate() {
        member(&world, set, order[3], &vendor.url()).await;
        heals(&world, &set.to_string(), HEALS_WITHIN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_until_it_is_there() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("missing").await;
    world.model("m", "gpt-a").await;
    world
        .says("LlmModel", "m", "Ready", "False", "ProviderNotFound")
        .await;
    world
        .apply(
            "LlmCredential",
            "c",
            json!({ "providerRef": { "name": "p" }, "secretRef": { "name": "s" }, "endpointRefs": [{ "name": "e" }] }),
        )
        .await;
    world
        .says("LlmCredential", "c", "Synced", "False", "ProviderNotFound")
        .await;
    world
        .provider("p", json!({ "defaultEndpointRef": { "name": "e" } }))
        .await;
    world
        .says("LlmProvider", "p", "Ready", "False", "EndpointNotFound")
        .await;
    world
        .says("LlmCredential", "c", "Ready", "False", "EndpointNotFound")
        .await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world
        .says("LlmCredential", "c", "Ready", "False", "SecretNotFound")
        .await;
    // The credential has looked just now, and does so again after five seconds.
    world.secret("s", KEY).await;
    heals(&world, "", Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_off_a_provider_switches_off_all_that_hangs_on_it() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("off").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmModel", "m").await;

    world.provider("p", json!({ "enabled": false })).await;
    world
        .says("LlmProvider", "p", "Ready", "True", "Disabled")
        .await;
    for (kind, name) in [
        ("LlmEndpoint", "e"),
        ("LlmCredential", "c"),
        ("LlmModel", "m"),
    ] {
        world
            .says(kind, name, "Ready", "True", "ProviderDisabled")
            .await;
    }
    let db = world.db().await;
    assert!(!db.model_rows_all(false).await.unwrap()[0].is_active);
    assert!(!db.endpoint_rows_all(false).await.unwrap()[0].is_active);
    assert!(!db.credential_rows_all(false).await.unwrap()[0].is_active);

    world.provider("p", json!({ "enabled": true })).await;
    world
        .says("LlmModel", "m", "Ready", "True", "ModelListed")
        .await;
    let off = json!({ "enabled": false });
    world.endpoint("e", &vendor.url(), off).await;
    world
        .says("LlmEndpoint", "e", "Ready", "True", "Disabled")
        .await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "NoEndpoint")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_fails_and_recovers_by_its_thresholds_and_stays_ready() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("probe").await;
    world.provider("p", json!({})).await;
    let check = json!({ "healthCheck": { "periodSeconds": 5, "failureThreshold": 2 } });
    world.endpoint("e", &vendor.url(), check).await;
    world
        .says("LlmEndpoint", "e", "Healthy", "True", "ProbeSucceeded")
        .await;
    vendor.break_with(503);
    world
        .says("LlmEndpoint", "e", "Healthy", "False", "ProbeFailed")
        .await;
    let ready = world.said("LlmEndpoint", "e", "Ready").await;
    assert_eq!(ready, Some(("True".into(), "ProbeFailed".into())));
    vendor.mend();
    world
        .says("LlmEndpoint", "e", "Healthy", "True", "ProbeSucceeded")
        .await;
    let db = world.db().await;
    let uid = db.endpoint_rows_all(false).await.unwrap()[0].uid;
    let history = db.health_history(uid, None, 100).await.unwrap();
    let failed = history.iter().filter(|probe| probe.success == Some(false));
    assert!(failed.count() >= 2, "one failure alone changed the state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_vendor_does_not_list_is_told_the_nearest_names() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-large"]).await;
    let world = World::started("unlisted").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-larg").await;
    world
        .says("LlmModel", "m", "Ready", "False", "ModelNotFound")
        .await;
    let message = world.message("LlmModel", "m", "Available").await;
    assert!(message.contains("gpt-large"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_checks_is_made_and_answered() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("asked").await;
    world.provider("p", json!({})).await;
    let hourly = json!({ "healthCheck": { "periodSeconds": 3600 } });
    world.endpoint("e", &vendor.url(), hourly).await;
    world.ready("LlmEndpoint", "e").await;
    let before = vendor.calls();
    let asked = json!({
        "metadata": { "name": "e", "annotations": { "llmplane.dev/reconcile-requested-at": "now" } },
        "spec": {
            "providerRef": { "name": "p" }, "baseUrl": vendor.url(),
            "healthCheck": { "periodSeconds": 3600 },
        },
    });
    world.apply_object("LlmEndpoint", asked).await;
    eventually("the request is answered", async || {
        let status = world.get("LlmEndpoint", "e").await["status"].clone();
        status["lastHandledReconcileAt"] == "now"
    })
    .await;
    assert!(vendor.calls() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_last_verdict_stands_while_its_vendor_is_down() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("stands").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-b").await;
    world
        .says("LlmModel", "m", "Available", "False", "ModelNotFound")
        .await;
    vendor.break_with(500);
    world.apply_object("LlmProvider", json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "type": "OpenAICompatible" },
    }))
    .await;
    eventually("the list was asked for again", async || {
        let endpoint = world.db().await.endpoint_rows_all(false).await.unwrap();
        let read = endpoint[0].found.list_verdict.as_ref();
        read.is_some_and(|verdict| verdict.reason == Reason::SyncFailed)
    })
    .await;
    // The model is reconciled once more, on what is known now.
    world.apply_object("LlmModel", json!({
        "metadata": { "name": "m", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "providerRef": { "name": "p" }, "modelId": "gpt-b" },
    }))
    .await;
    eventually("the request is answered", async || {
        world.get("LlmModel", "m").await["status"]["lastHandledReconcileAt"] == "1"
    })
    .await;
    let said = world.said("LlmModel", "m", "Ready").await;
    assert_eq!(said, Some(("False".to_owned(), "ModelNotFound".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_that_name_no_credential_say_so_until_it_is_there() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("nokey").await;
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    let probes = json!({ "healthCheck": { "credentialRef": { "name": "c" } } });
    world.endpoint("e", &vendor.url(), probes).await;
    world
        .says("LlmEndpoint", "e", "Ready", "False", "CredentialNotFound")
        .await;
    world.credential("c", "s").await;
    world
        .says("LlmEndpoint", "e", "Ready", "True", "ProbeSucceeded")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_judged_anew_where_its_endpoint_moves() {
    let (vendor, other) = (
        FakeVendor::start(&[KEY], &["gpt-a"]).await,
        FakeVendor::start(&[KEY], &["gpt-a"]).await,
    );
    other.break_with(500);
    let world = World::started("moves").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.endpoint("e", &other.url(), json!({})).await;
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    other.mend();
    world.endpoint("e", &vendor.url(), json!({})).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_listed_anew_where_its_endpoint_moves() {
    let (vendor, other) = (
        FakeVendor::start(&[KEY], &["gpt-a"]).await,
        FakeVendor::start(&[KEY], &["gpt-a"]).await,
    );
    other.break_with(500);
    let world = World::started("lists").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    world.endpoint("e", &other.url(), json!({})).await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "CheckInconclusive")
        .await;
    other.mend();
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    // Once read there, it stands while that vendor is down.
    other.break_with(500);
    world.apply_object("LlmProvider", json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "type": "OpenAICompatible" },
    }))
    .await;
    eventually("the list was asked for again", async || {
        let endpoint = world.db().await.endpoint_rows_all(false).await.unwrap();
        let read = endpoint[0].found.list_verdict.as_ref();
        read.is_some_and(|verdict| verdict.reason == Reason::SyncFailed)
    })
    .await;
    let said = world.said("LlmModel", "m", "Available").await;
    assert_eq!(said, Some(("True".to_owned(), "ModelListed".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_the_api_asked_for_is_made_also_where_nobody_was_told() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("untold").await;
    world.provider("p", json!({})).await;
    let hourly = json!({ "healthCheck": { "periodSeconds": 3600 } });
    world.endpoint("e", &vendor.url(), hourly).await;
    world.ready("LlmEndpoint", "e").await;
    let before = vendor.calls();
    let uid = world.db().await.endpoint_rows_all(false).await.unwrap()[0].uid;
    // As `request_check` leaves it, but for the notification.
    sqlx::query("INSERT INTO check_requests (uid, requester) VALUES ($1, 'test')")
        .bind(uid)
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    eventually("the endpoint is probed again", async || {
        vendor.calls() > before
    })
    .await;
    eventually("the request is gone once it was met", async || {
        world.db().await.check_requests().await.unwrap().is_empty()
    })
    .await;
}

/// Asks for a check of an endpoint that is in force, and waits until it is under way.
async fn ask_for_a_check_that_hangs(world: &World, vendor: &FakeVendor) -> Db {
    world.provider("p", json!({})).await;
    let hourly = json!({ "healthCheck": { "periodSeconds": 3600, "timeoutSeconds": 60 } });
    world.endpoint("e", &vendor.url(), hourly).await;
    world.ready("LlmEndpoint", "e").await;
    let db = world.db().await;
    let uid = db.endpoint_rows_all(false).await.unwrap()[0].uid;
    vendor.fail(Fault::Hang);
    let before = vendor.calls();
    world.request_check(uid).await;
    eventually("the check is under way", async || vendor.calls() > before).await;
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_asked_for_outlives_the_controller_that_took_it_up() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let mut world = World::started("outlives").await;
    let db = ask_for_a_check_that_hangs(&world, &vendor).await;
    world.abandon().await;
    vendor.mend();
    let before = vendor.calls();
    world.start().await;
    eventually("the check is made", async || {
        vendor.calls() > before && db.check_requests().await.unwrap().is_empty()
    })
    .await;
}

/// As before, of a process that is killed: nothing of it runs on.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_asked_for_outlives_a_controller_that_is_killed() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("killed").await;
    let mut controller = Process::controller(&world, &[]);
    let db = ask_for_a_check_that_hangs(&world, &vendor).await;
    controller.kill().await;
    let asked = db.check_requests().await.unwrap();
    assert_eq!(asked.len(), 1, "what was begun is not done");
    vendor.mend();
    let before = vendor.calls();
    let mut controller = Process::controller(&world, &[]);
    eventually("the check is made", async || {
        vendor.calls() > before && db.check_requests().await.unwrap().is_empty()
    })
    .await;
    assert!(controller.runs(), "{}", controller.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_bundle_that_holds_no_certificate_is_refused_and_heals_when_it_is_edited() {
    let tls = Fake::tls(ProviderType::OpenAICompatible, Certificate::Good).await;
    tls.accept(KEY);
    let world = World::started("cabundle").await;
    world.provider("p", json!({})).await;
    let none = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let second = format!("{}{none}", authority_pem());
    for (bundle, place) in [(none, "certificate 1"), (&second, "certificate 2")] {
        let bad = json!({ "caBundle": bundle });
        world.endpoint("e", &tls.url(), bad).await;
        world
            .says("LlmEndpoint", "e", "Ready", "False", "InvalidSpec")
            .await;
        let said = world.message("LlmEndpoint", "e", "Ready").await;
        assert!(
            said.starts_with("spec.caBundle") && said.contains(place),
            "{said}"
        );
    }
    assert_eq!(tls.calls(), 0);
    let good = json!({ "caBundle": authority_pem() });
    world.endpoint("e", &tls.url(), good).await;
    world.ready("LlmEndpoint", "e").await;
    let bad = json!({ "caBundle": none });
    world.endpoint("e", &tls.url(), bad).await;
    world
        .says("LlmEndpoint", "e", "Ready", "False", "InvalidSpec")
        .await;
    let db = world.db().await;
    eventually("it is not given to clients", async || {
        db.endpoint_rows_all(false).await.unwrap().is_empty()
    })
    .await;
}
