//! Rows of keys that somebody changes past the controller, in a real PostgreSQL: what does not
//! authenticate is told of, used for nothing, and sealed anew from the Secret.

use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use llmplane::crd::credential::VersionState::{self, Current, Destroyed};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::support::{
    fake_vendor::FakeVendor,
    keys::keys,
    plane::eventually,
    process::{Process, agent},
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const OTHER: &str = "sk-test-fedcba9876543210";
const COUNTED: &str = "llmplane_unreadable_keys_total";
const SAID: &str = "a stored key does not authenticate";

/// Changes what is stored, past everything that guards it.
async fn edit(world: &World, statement: &str) {
    let done = world
        .owner()
        .await
        .execute(AssertSqlSafe(statement.to_owned()))
        .await;
    assert!(done.unwrap().rows_affected() > 0, "{statement}");
}

/// Changes a byte in the middle of every payload.
const FLIPPED: &str = "UPDATE credential_versions
    SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1) WHERE state <> 'Destroyed'";

/// Names another key-encryption key than the one that seals them.
const OTHER_KEK: &str =
    "UPDATE credential_versions SET kek_id = '00000000000000ff' WHERE state <> 'Destroyed'";

async fn uid(world: &World, name: &str) -> Uuid {
    let object = world.get("LlmCredential", name).await;
    object["metadata"]["uid"].as_str().unwrap().parse().unwrap()
}

/// What Events say of the keys that did not authenticate.
async fn told(world: &World) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    let listed = events.list(&ListParams::default()).await.unwrap();
    let tampered = (listed.items.into_iter())
        .filter(|event| event.reason.as_deref() == Some("StoredKeyTampered"));
    tampered.filter_map(|event| event.note).collect()
}

/// A controller that has accepted two credentials, `c` and `d`.
async fn two_keys(prefix: &str) -> (FakeVendor, World, Process) {
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let world = World::new(prefix).await;
    let controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.secret("t", OTHER).await;
    world.apply_basics(&vendor.url()).await;
    world.credential("d", "t").await;
    for name in ["c", "d"] {
        world
            .says("LlmCredential", name, "Valid", "True", "KeyAccepted")
            .await;
    }
    (vendor, world, controller)
}

/// Asks for the checks of `c` and `d`, and waits until Events tell of both.
async fn both_are_told(world: &World) {
    for name in ["c", "d"] {
        world.request_check(uid(world, name).await).await;
    }
    eventually("Events tell of both", async || told(world).await.len() == 2).await;
}

async fn states(world: &World, name: &str) -> Vec<(i32, VersionState)> {
    let uid = uid(world, name).await;
    let rows = world.db().await.credential_version_rows(&[uid]).await;
    let told = rows.unwrap().into_iter();
    told.map(|row| (row.version, row.state)).collect()
}

fn lines(log: &str) -> usize {
    let said = |line: &&str| line.contains(SAID) && line.contains("ERROR");
    log.lines().filter(said).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_ciphertext_is_told_of_and_sealed_anew_from_the_secret() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("tampered").await;
    let controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    assert_eq!(controller.metric(COUNTED).await, Some(0.0));

    edit(&world, FLIPPED).await;
    let uid = uid(&world, "c").await;
    world.request_check(uid).await;
    eventually("an Event tells what was done", async || {
        told(&world).await.len() == 1
    })
    .await;
    let said = told(&world).await;
    assert!(said[0].contains("sealed anew from Secret s"), "{said:?}");
    let db = world.db().await;
    assert_eq!(keys(&world, &db).await, json!({ "c": { "1": KEY } }));
    assert_eq!(states(&world, "c").await, [(1, Current)]);
    assert_eq!(controller.metric(COUNTED).await, Some(1.0));
    assert_eq!(lines(&controller.log()), 1, "{}", controller.log());
    eventually("the check that was asked for is made", async || {
        db.check_requests().await.unwrap().is_empty()
    })
    .await;
    let valid = world.said("LlmCredential", "c", "Valid").await;
    assert_eq!(valid, Some(("True".into(), "KeyAccepted".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_id_of_the_key_encryption_key_is_told_of_and_sealed_anew_from_the_secret() {
    let (_vendor, world, controller) = two_keys("otherkek").await;
    edit(&world, OTHER_KEK).await;
    both_are_told(&world).await;
    for said in told(&world).await {
        assert!(said.contains("sealed anew from Secret"), "{said}");
    }
    let held = keys(&world, &world.db().await).await;
    assert_eq!(held, json!({ "c": { "1": KEY }, "d": { "1": OTHER } }));
    assert_eq!(states(&world, "c").await, [(1, Current)]);
    assert_eq!(controller.metric(COUNTED).await, Some(2.0));
    for name in ["c", "d"] {
        world
            .says("LlmCredential", name, "Valid", "True", "KeyAccepted")
            .await;
    }
}

/// The API's process tells of it too, by the metric that is to be alerted on.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_ciphertext_is_given_to_nobody_and_counted_by_the_api() {
    const REFUSALS: &str = "llmplane_decryption_refusals_total";
    let vendor = FakeVendor::start(&[KEY], &["m"]).await;
    let mut world = World::started("refusals").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "m").await;
    world.ready("LlmModel", "m").await;
    world.ready("LlmCredential", "c").await;
    let api = Process::api_with_keys(&world, &[]).await;
    let token = agent(&world).await;
    let asked = json!({ "model": "m", "with_secret": true });
    api.gives(&token, asked.clone(), Some(KEY)).await;
    assert_eq!(api.metric(REFUSALS).await.unwrap_or_default(), 0.0);

    // Nobody mends it.
    world.stop().await;
    edit(&world, FLIPPED).await;
    let refused = api.resolve(&token, asked).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.problem(), "key-unavailable");
    assert!(!refused.text.contains(KEY));
    assert!(api.metric(REFUSALS).await.unwrap_or_default() >= 1.0);
    let (_, metrics) = api.admin("/metrics").await;
    assert!(
        metrics.contains("reason=\"not-authentic\""),
        "{}",
        metrics
            .lines()
            .filter(|line| line.starts_with("llmplane_decryption"))
            .collect::<String>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fingerprint_is_made_good_from_the_secret() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("fingerprint").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let (db, uid) = (world.db().await, uid(&world, "c").await);
    let in_use = async || {
        let rows = db.credential_version_rows(&[uid]).await.unwrap();
        let current = rows.into_iter().find(|row| row.state == Current);
        current.map(|row| row.fingerprint)
    };
    let before = in_use().await;
    edit(
        &world,
        "UPDATE credential_versions SET fingerprint = translate(fingerprint, '0123456789abcdef', '123456789abcdef0')",
    )
    .await;
    assert_ne!(in_use().await, before);
    // No answer of the vendor is waited for: the Secret's key was in use.
    vendor.break_with(503);
    world.request_check(uid).await;
    eventually("what is in use is what the Secret holds", async || {
        in_use().await == before
    })
    .await;
    eventually("it is told of as what was changed", async || {
        let told = told(&world).await;
        told.iter().any(|said| said.contains("version 1"))
    })
    .await;
    vendor.mend();
    world.request_check(uid).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
}

/// Nothing is destroyed for it: the key may yet be delivered.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_id_of_the_key_encryption_key_destroys_nothing_that_the_secret_does_not_hold() {
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let mut world = World::started("otherkekgone").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.stop().await;
    edit(&world, OTHER_KEK).await;
    world.secret("s", OTHER).await;
    world.start().await;
    eventually("the new key is in use", async || {
        states(&world, "c").await.first() == Some(&(2, Current))
    })
    .await;
    assert_eq!(
        states(&world, "c").await,
        [(2, Current), (1, VersionState::Previous)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphertexts_that_change_places_open_for_neither_credential() {
    let (_vendor, world, controller) = two_keys("swapped").await;
    edit(
        &world,
        "UPDATE credential_versions v
         SET kek_id = o.kek_id, wrapped_key = o.wrapped_key, payload = o.payload
         FROM credential_versions o WHERE o.credential_uid <> v.credential_uid",
    )
    .await;
    both_are_told(&world).await;
    let held = keys(&world, &world.db().await).await;
    assert_eq!(held, json!({ "c": { "1": KEY }, "d": { "1": OTHER } }));
    assert_eq!(controller.metric(COUNTED).await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_sealed_anew_is_destroyed_and_the_secrets_is_in_use_at_once() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let mut world = World::started("replaced").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    world.stop().await;
    edit(&world, FLIPPED).await;
    world.secret("s", OTHER).await;
    // Nothing judges the new one.
    vendor.break_with(500);
    world.start().await;
    eventually("the new key is in use", async || {
        states(&world, "c").await == [(2, Current), (1, Destroyed)]
    })
    .await;
    let held = keys(&world, &world.db().await).await;
    assert_eq!(held, json!({ "c": { "2": OTHER } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secret_a_changed_key_waits_and_its_credential_says_so() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("secretless").await;
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    before.kill().await;
    edit(&world, FLIPPED).await;
    world.delete("Secret", "s").await;

    let controller = Process::controller(&world, &[]);
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotFound")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(said.contains("version 1 of the key"), "{said}");
    assert!(said.contains("does not authenticate"), "{said}");
    let reconciled = controller.metric("llmplane_reconciles_total").await;
    eventually("the Secret is looked for again", async || {
        controller.metric("llmplane_reconciles_total").await > reconciled
    })
    .await;
    assert_eq!(states(&world, "c").await, [(1, Current)]);

    world.secret("s", KEY).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let held = keys(&world, &world.db().await).await;
    assert_eq!(held, json!({ "c": { "1": KEY } }));
    assert_eq!(controller.metric(COUNTED).await, Some(1.0), "told of once");
    assert_eq!(lines(&controller.log()), 1, "{}", controller.log());
}
