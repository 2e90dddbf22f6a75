//! How a key is proven or refused where the vendor's answer names no cause.

use llmplane::crd::credential::VersionState::{Current, Pending};
use serde_json::json;

use crate::support::{
    fake_vendor::FakeVendor,
    keys::{states, words},
    plane::eventually,
    vendors::{Fault, fixture::Answer},
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const SECOND: &str = "sk-second-0123456789abcd";

/// Refusals of shapes that no vendor's table knows.
fn shapes() -> Vec<(&'static str, Answer)> {
    let text = |status, text: &str| Answer::new(status, text.as_bytes().to_vec());
    vec![
        ("forbidden", Answer::json(403, &json!({ "x": 1 }))),
        ("empty", text(403, "")),
        ("bad-request", Answer::json(400, &json!(["no"]))),
        ("unprocessable", text(422, "no")),
        (
            "page",
            text(401, "<html>sign in</html>").with("content-type", "text/html"),
        ),
        (
            "login",
            text(200, "<html>sign in</html>").with("content-type", "text/html"),
        ),
        (
            "elsewhere",
            text(302, "").with("location", "https://login.example/"),
        ),
        (
            "error-as-success",
            Answer::json(200, &json!({ "error": "no" })),
        ),
    ]
}

/// Refuses this key so, whatever the vendor thinks of it.
fn refuse(vendor: &FakeVendor, key: &'static str, answer: Answer) {
    vendor.fail_when(
        move |request| request.bearer() == Some(key),
        Fault::Answer(answer),
    );
}

/// As if so much time had passed for what is stored of the keys.
async fn age(world: &World, hours: i32) {
    let statement = "UPDATE credential_versions v SET since = since - make_interval(hours => $1),
        verdicts = (SELECT jsonb_object_agg(e.key, jsonb_set(e.value, '{since}',
            to_jsonb(((e.value ->> 'since')::timestamptz - make_interval(hours => $1))::text::timestamptz)))
            FROM jsonb_each(v.verdicts) e)
        WHERE verdicts <> '{}'";
    let done = sqlx::query(statement)
        .bind(hours)
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    assert!(done.rows_affected() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_alone_is_refused_is_rejected_whatever_the_refusal_looks_like() {
    let world = World::started("refused").await;
    world.provider("p", json!({})).await;
    let mut vendors = Vec::new();
    for (name, answer) in shapes() {
        let vendor = FakeVendor::start(&[KEY], &[]).await;
        refuse(&vendor, SECOND, answer);
        world.secret(name, KEY).await;
        world.endpoint(name, &vendor.url(), json!({})).await;
        let spec = json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": name },
            "endpointRefs": [{ "name": name }],
        });
        world.apply("LlmCredential", name, spec).await;
        vendors.push((name, vendor));
    }
    for (name, _) in &vendors {
        world
            .says("LlmCredential", name, "Valid", "True", "KeyAccepted")
            .await;
        world.secret(name, SECOND).await;
    }
    for (name, _) in &vendors {
        world
            .says("LlmCredential", name, "Ready", "False", "KeyRejected")
            .await;
        let message = world.message("LlmCredential", name, "Ready").await;
        assert!(
            message.contains("version 1 stays in use"),
            "{name}: {message}"
        );
        assert!(!message.contains("HTTP 200"), "{name}: {message}");
        let valid = world.said("LlmCredential", name, "Valid").await;
        assert_eq!(valid, Some(("True".into(), "KeyAccepted".into())), "{name}");
        let kept = words(&[(2, Pending), (1, Current)]);
        assert_eq!(states(&world, name).await, kept, "{name}");
    }
}

/// A key that was never any good is not said to be in use because the next one is none either.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_key_and_the_next_are_refused_none_is_said_to_be_in_use() {
    let vendor = FakeVendor::start(&[], &[]).await;
    let world = World::started("neither").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "KeyRejected")
        .await;
    world.secret("s", SECOND).await;
    eventually("it says what became of both", async || {
        let message = world.message("LlmCredential", "c", "Ready").await;
        let is_of_second = message.contains("version 2 of the key, now in Secret s, is refused");
        assert!(!message.contains("stays in use"), "{message}");
        is_of_second && message.contains("so is version 1")
    })
    .await;
}

/// The vendor refuses whoever comes: that is no fault of the keys, and none displaces the other,
/// however long it lasts and whatever becomes of this process.
#[tokio::test(flavor = "multi_thread")]
async fn while_every_key_is_refused_none_displaces_the_other_and_nobody_is_blamed() {
    let vendor = FakeVendor::start(&[KEY, SECOND], &[]).await;
    let mut world = World::started("outage").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    vendor.fail(Fault::Answer(Answer::json(403, &json!({ "x": 1 }))));
    world.secret("s", SECOND).await;
    // The key in use was accepted; after a few refusals in a row that is said no more.
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    let message = world.message("LlmCredential", "c", "Valid").await;
    assert!(message.contains("took this key before"), "{message}");
    assert!(message.contains("does not replace version 1"), "{message}");
    world.ready("LlmCredential", "c").await;

    world.abandon().await;
    age(&world, 24).await;
    world.start().await;
    world.check_key("1").await;
    let both = words(&[(2, Pending), (1, Current)]);
    assert_eq!(states(&world, "c").await, both);

    vendor.mend();
    world.check_key("2").await;
    eventually("the new key is in use", async || {
        states(&world, "c").await.first() == words(&[(2, Current)]).first()
    })
    .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
}

/// The server breaks on the new key alone: that may be anybody's fault, and the key in use goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_a_server_breaks_on_waits_while_the_other_is_answered() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let mut world = World::started("broken").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    refuse(&vendor, SECOND, Answer::json(500, &json!({ "error": "x" })));
    world.secret("s", SECOND).await;
    eventually("it says what the new key waits for", async || {
        let message = world.message("LlmCredential", "c", "Ready").await;
        message.contains("does not replace version 1")
            && message.contains("answers the same call with version 1")
    })
    .await;
    world.abandon().await;
    age(&world, 24).await;
    world.start().await;
    world.check_key("1").await;
    let both = words(&[(2, Pending), (1, Current)]);
    assert_eq!(states(&world, "c").await, both);
    world.ready("LlmCredential", "c").await;
}

/// A server that changes its mind between two calls says nothing of either key.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_refusal_rejects_no_key() {
    let vendor = FakeVendor::start(&[KEY, SECOND], &[]).await;
    let world = World::started("flaps").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    vendor.fail_times(1, Fault::Answer(Answer::json(403, &json!({ "x": 1 }))));
    // The probe may be the one that is refused.
    world.secret("s", SECOND).await;
    eventually("the new key is in use", async || {
        states(&world, "c").await.first() == words(&[(2, Current)]).first()
    })
    .await;
    let ready = world.said("LlmCredential", "c", "Ready").await;
    assert_eq!(ready, Some(("True".into(), "KeyAccepted".into())));
}

/// The old key was revoked before the new one was checked.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_accepted_replaces_one_that_is_refused_meanwhile() {
    let vendor = FakeVendor::start(&[KEY, SECOND], &[]).await;
    let world = World::started("revoked").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    refuse(&vendor, KEY, Answer::json(403, &json!({ "x": 1 })));
    world.secret("s", SECOND).await;
    eventually("the new key is in use", async || {
        states(&world, "c").await.first() == words(&[(2, Current)]).first()
    })
    .await;
}
