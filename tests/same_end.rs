//! What a resource says in the end depends on what is declared, on its Secret and on the world, and
//! not on how it came there.

use llmplane::crd::{ProviderType, credential::VersionState};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    vendors::{
        Fake,
        certificates::{Certificate, authority_pem},
    },
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const ROTATED: &str = "sk-test-fedcba9876543210";

/// A world whose model is listed by the key's account.
async fn listed(prefix: &str) -> (FakeVendor, World) {
    let vendor = FakeVendor::start(&[KEY, ROTATED], &["gpt-a"]).await;
    let world = World::started(prefix).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    model_is_listed(&world).await;
    (vendor, world)
}

async fn model_is_listed(world: &World) {
    world
        .says("LlmModel", "m", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
}

async fn no_key_lists_it(world: &World) {
    world
        .says("LlmModel", "m", "Available", "Unknown", "NoValidCredential")
        .await;
    let message = world.message("LlmModel", "m", "Available").await;
    assert!(message.contains("it was last listed at 20"), "{message}");
}

/// States of the credential's versions, the newest first.
async fn states(world: &World) -> Vec<VersionState> {
    let db = world.db().await;
    let Some(row) = db.credential_rows_all(true).await.unwrap().pop() else {
        return Vec::new();
    };
    let versions = db.credential_version_rows(&[row.uid]).await.unwrap();
    versions.iter().map(|version| version.state).collect()
}

async fn come_to(world: &World, wanted: &[VersionState]) {
    eventually(&format!("the versions are {wanted:?}"), async || {
        states(world).await == wanted
    })
    .await;
}

async fn credential(world: &World, more: Value) {
    let mut spec = json!({ "providerRef": { "name": "p" }, "secretRef": { "name": "s" } });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.apply("LlmCredential", "c", spec).await;
}

/// The Secret `s` with these labels and annotations.
async fn relabelled(world: &World, labels: Value, annotations: Value) {
    let object = json!({
        "metadata": { "name": "s", "labels": labels, "annotations": annotations },
        "stringData": { "api-key": KEY },
    });
    world.apply_object("Secret", object).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_last_credential_goes_says_so_and_when_it_was_last_listed() {
    let (vendor, world) = listed("lastkey").await;
    world.delete("LlmCredential", "c").await;
    no_key_lists_it(&world).await;

    world.credential("c", "s").await;
    model_is_listed(&world).await;
    credential(&world, json!({ "enabled": false })).await;
    no_key_lists_it(&world).await;

    credential(&world, json!({ "enabled": true })).await;
    model_is_listed(&world).await;
    vendor.refuse(KEY);
    world.check_key("1").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "KeyRejected")
        .await;
    no_key_lists_it(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_goes_while_the_controller_is_away_takes_its_list_with_it() {
    let (_vendor, mut world) = listed("awaykey").await;
    world.stop().await;
    world.delete("LlmCredential", "c").await;
    world.start().await;
    no_key_lists_it(&world).await;
}

/// How often a model list was read, or tried to be.
async fn lists_read(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM health_probes WHERE kind = 'ModelList'")
        .fetch_one(&mut world.owner().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_switched_off_reads_no_list_while_its_row_is_behind() {
    let (_vendor, world) = listed("behind").await;
    let before = lists_read(&world).await;
    let mut holds = world.owner().await;
    let mut holding = holds.begin().await.unwrap();
    sqlx::query("SELECT FROM credentials FOR UPDATE")
        .execute(&mut *holding)
        .await
        .unwrap();
    credential(&world, json!({ "enabled": false })).await;
    eventually("the list is read once more", async || {
        lists_read(&world).await > before
    })
    .await;
    holding.commit().await.unwrap();
    no_key_lists_it(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_a_key_is_not_for_any_more_counts_no_more() {
    let (vendor, world) = listed("notfor").await;
    world.endpoint("f", &vendor.url(), json!({})).await;
    eventually("both endpoints list it", async || {
        let message = world.message("LlmModel", "m", "Available").await;
        message == "the vendor lists it at endpoint e, f"
    })
    .await;
    credential(&world, json!({ "endpointRefs": [{ "name": "f" }] })).await;
    eventually("one of them lists it", async || {
        let message = world.message("LlmModel", "m", "Available").await;
        message == "the vendor lists it at endpoint f"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_made_again_with_another_type_is_judged_by_it_and_back_by_the_first() {
    let (vendor, world) = listed("retyped").await;
    for down in [false, true] {
        // A server that does not answer does not say that it wants a key either.
        let unlisted = match down {
            true => "CheckInconclusive",
            false => "NoValidCredential",
        };
        if down {
            vendor.break_with(500);
        }
        world.delete("LlmProvider", "p").await;
        world.provider("p", json!({ "type": "OpenAI" })).await;
        world
            .says("LlmCredential", "c", "Valid", "False", "HostNotAllowed")
            .await;
        world
            .says("LlmModel", "m", "Available", "Unknown", unlisted)
            .await;
        let live = |state: &VersionState| *state != VersionState::Destroyed;
        eventually("its key is destroyed", async || {
            !states(&world).await.iter().any(live)
        })
        .await;
        vendor.mend();

        world.delete("LlmProvider", "p").await;
        world.provider("p", json!({})).await;
        model_is_listed(&world).await;
        eventually("the provider counts its key", async || {
            let status = world.get("LlmProvider", "p").await["status"].clone();
            status["credentials"] == json!({ "total": 1, "valid": 1 })
                && status["endpoints"] == json!({ "total": 1, "healthy": 1 })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syncing_provider_deleted_and_made_again_at_once_is_synced() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("resynced").await;
    world.secret("s", KEY).await;
    let sync = json!({ "modelSync": { "enabled": true } });
    world.provider("p", sync.clone()).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world.credential("c", "s").await;
    world.ready("LlmProvider", "p").await;

    world.delete("LlmProvider", "p").await;
    world.provider("p", sync).await;
    let uid = world.get("LlmProvider", "p").await["metadata"]["uid"].clone();
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    eventually("its model is made for the new provider", async || {
        let models = world.all("LlmModel").await;
        models.len() == 1 && models[0]["metadata"]["ownerReferences"][0]["uid"] == uid
    })
    .await;
}

fn another_authority() -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_with_other_certificates_counts_for_nothing() {
    let tls = Fake::tls(ProviderType::OpenAICompatible, Certificate::Good).await;
    tls.accept(KEY);
    tls.list_only(&["gpt-a"]);
    let world = World::started("certificates").await;
    world.secret("s", KEY).await;
    world.provider("p", json!({})).await;
    let good = json!({ "caBundle": authority_pem() });
    world.endpoint("e", &tls.url(), good.clone()).await;
    world.credential("c", "s").await;
    world.model("m", "gpt-a").await;
    for bad in [json!({}), json!({ "caBundle": another_authority() })] {
        model_is_listed(&world).await;
        world.endpoint("e", &tls.url(), bad).await;
        world
            .says("LlmEndpoint", "e", "Healthy", "False", "ProbeFailed")
            .await;
        for (kind, name, condition) in [
            ("LlmCredential", "c", "Valid"),
            ("LlmModel", "m", "Available"),
        ] {
            world
                .says(kind, name, condition, "Unknown", "CheckInconclusive")
                .await;
        }
        world.endpoint("e", &tls.url(), good.clone()).await;
    }
    model_is_listed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_broken_and_healed_leaves_nothing_behind() {
    let fake = Fake::of(ProviderType::Bedrock).await;
    let (access, secret) = (
        "AKIDEXAMPLE0000000000",
        "wJalrXUtnFEMI0K7MDENG0bPxRfiCYzzzzzzzzzz",
    );
    fake.accept_pair(access, secret, None);
    fake.list_only(&["meta.llama3-8b-instruct-v1:0"]);
    let world = World::started("region").await;
    let pair = json!({ "api-key": access, "secret-key": secret });
    world.secret_of(ProviderType::Bedrock, "s", pair).await;
    world.provider("p", json!({ "type": "Bedrock" })).await;
    let in_region = |region: &str| json!({ "region": region });
    world
        .endpoint("e", &fake.url(), in_region("us-east-1"))
        .await;
    let keys = json!({ "name": "s", "keys": { "apiKey": "api-key", "secretKey": "secret-key" } });
    credential(&world, json!({ "secretRef": keys })).await;
    world.model("m", "meta.llama3-8b-instruct-v1:0").await;
    model_is_listed(&world).await;
    world
        .endpoint("e", &fake.url(), in_region("nowhere-1"))
        .await;
    world
        .says("LlmEndpoint", "e", "Ready", "False", "InvalidSpec")
        .await;
    world
        .says("LlmModel", "m", "Available", "Unknown", "NoEndpoint")
        .await;
    world
        .says("LlmCredential", "c", "Valid", "Unknown", "NoEndpoint")
        .await;
    world
        .endpoint("e", &fake.url(), in_region("us-east-1"))
        .await;
    model_is_listed(&world).await;
    world.ready("LlmEndpoint", "e").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_that_nobody_checks_is_in_use_at_once() {
    let (vendor, world) = listed("unchecked").await;
    credential(&world, json!({ "validation": { "enabled": false } })).await;
    world
        .says("LlmCredential", "c", "Valid", "Unknown", "CheckDisabled")
        .await;
    vendor.refuse(ROTATED);
    world.secret("s", ROTATED).await;
    come_to(&world, &[VersionState::Current, VersionState::Previous]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_in_use_once_nobody_checks_it() {
    let (_vendor, world) = listed("nolonger").await;
    world.secret("s", "sk-refused-0123456789").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    credential(&world, json!({ "validation": { "enabled": false } })).await;
    come_to(&world, &[VersionState::Current, VersionState::Previous]).await;
    world.ready("LlmCredential", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_owner_withdraws_his_consent_is_destroyed_at_once() {
    let (_vendor, world) = listed("withdrawn").await;
    let own = json!({ "llmplane.dev/credential": "OpenAICompatible" });
    let hosts = |hosts: &str| json!({ "llmplane.dev/allowed-hosts": hosts });
    let mut sealed = vec![VersionState::Current];
    for (labels, annotations, reason) in [
        (json!({}), hosts("127.0.0.1"), "SecretNotLabelled"),
        (
            json!({ "llmplane.dev/credential": "OpenAI" }),
            hosts("127.0.0.1"),
            "HostNotAllowed",
        ),
        (own.clone(), hosts("*.example.com"), "HostNotAllowed"),
    ] {
        relabelled(&world, labels, annotations).await;
        world
            .says("LlmCredential", "c", "Valid", "False", reason)
            .await;
        sealed.fill(VersionState::Destroyed);
        come_to(&world, &sealed).await;
        let said = world.message("LlmCredential", "c", "Valid").await;
        assert!(said.contains("the stored key has been destroyed"), "{said}");
        let status = world.get("LlmCredential", "c").await["status"].clone();
        assert!(status.get("maskedKey").is_none(), "{status}");
        relabelled(&world, own.clone(), hosts("127.0.0.1")).await;
        model_is_listed(&world).await;
        sealed.insert(0, VersionState::Current);
        come_to(&world, &sealed).await;
    }
}

/// Lets what the version in use has left of its time be over.
async fn time_is_up(world: &mut World) {
    world.stop().await;
    sqlx::query("UPDATE credential_versions SET grace_until = now() WHERE state = 'Current'")
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    world.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_secret_is_deleted_is_destroyed_unless_it_comes_back() {
    let (_vendor, mut world) = listed("secretgone").await;
    world.delete("Secret", "s").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotFound")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(said.contains("unless the Secret comes back"), "{said}");
    come_to(&world, &[VersionState::Current]).await;
    world.secret("s", KEY).await;
    model_is_listed(&world).await;
    come_to(&world, &[VersionState::Current]).await;

    world.delete("Secret", "s").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotFound")
        .await;
    let left: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM grace_until - now())::float8 FROM credential_versions",
    )
    .fetch_one(&mut world.owner().await)
    .await
    .unwrap();
    assert!(left <= 60.0, "{left}");
    time_is_up(&mut world).await;
    come_to(&world, &[VersionState::Destroyed]).await;
    eventually("it is said", async || {
        let said = world.message("LlmCredential", "c", "Valid").await;
        said.contains("the stored key has been destroyed")
    })
    .await;
    no_key_lists_it(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_its_secret_no_longer_holds_stays_for_its_grace() {
    let (_vendor, mut world) = listed("entrygone").await;
    for (n, data) in [
        json!({ "other": "x" }),
        json!({ "api-key": "" }),
        json!({ "api-key": "a\nb" }),
    ]
    .into_iter()
    .enumerate()
    {
        world.delete("Secret", "s").await;
        world.secret_with("s", data).await;
        let reason = if n == 0 {
            "SecretFieldMissing"
        } else {
            "KeyMalformed"
        };
        world
            .says("LlmCredential", "c", "Valid", "False", reason)
            .await;
        assert_eq!(states(&world).await[0], VersionState::Current);
        let said = world.message("LlmCredential", "c", "Valid").await;
        assert!(said.contains("the stored key is destroyed at 20"), "{said}");
        world.secret("s", KEY).await;
        model_is_listed(&world).await;
        assert_eq!(states(&world).await, [VersionState::Current]);
    }
    world.delete("Secret", "s").await;
    world.secret_with("s", json!({ "other": "x" })).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretFieldMissing")
        .await;
    time_is_up(&mut world).await;
    come_to(&world, &[VersionState::Destroyed]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_keeps_no_key_that_its_secret_does_not_hold() {
    use VersionState::{Current, Destroyed};
    let (_vendor, world) = listed("offkey").await;
    credential(&world, json!({ "enabled": false })).await;
    world
        .says("LlmCredential", "c", "Ready", "True", "Disabled")
        .await;
    world.secret("s", ROTATED).await;
    come_to(&world, &[Current, Destroyed]).await;
    credential(&world, json!({ "enabled": true })).await;
    model_is_listed(&world).await;

    world.provider("p", json!({ "enabled": false })).await;
    world
        .says("LlmCredential", "c", "Ready", "True", "ProviderDisabled")
        .await;
    relabelled(&world, json!({}), json!({})).await;
    come_to(&world, &[Destroyed, Destroyed]).await;
}

/// Names of the rows that the read API has.
async fn rows(world: &World) -> Vec<String> {
    let db = world.db().await;
    let endpoints = db.endpoint_rows_all(false).await.unwrap();
    let credentials = db.credential_rows_all(false).await.unwrap();
    let models = db.model_rows_all(false).await.unwrap();
    let mut names: Vec<String> = (endpoints.into_iter().map(|row| row.name.clone()))
        .chain(credentials.into_iter().map(|row| row.name.clone()))
        .chain(models.into_iter().map(|row| row.name.clone()))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_in_force_has_no_row_whatever_it_was_before() {
    let (vendor, world) = listed("norow").await;
    world.model("n", "gpt-n").await;
    eventually("all have rows", async || {
        rows(&world).await == ["c", "e", "m", "n"]
    })
    .await;
    let gone = async |what: &str, left: &[&str]| {
        eventually(what, async || rows(&world).await == left).await;
    };
    // A model becomes a duplicate, and is one no more.
    world.model("n", "gpt-a").await;
    world
        .says("LlmModel", "n", "Ready", "False", "DuplicateModel")
        .await;
    gone("the duplicate has none", &["c", "e", "m"]).await;
    world.model("n", "gpt-n").await;
    gone("it has one again", &["c", "e", "m", "n"]).await;
    // An endpoint's certificates cannot be read.
    let no_certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    world
        .endpoint("e", &vendor.url(), json!({ "caBundle": no_certificate }))
        .await;
    world
        .says("LlmEndpoint", "e", "Ready", "False", "InvalidSpec")
        .await;
    gone("the invalid endpoint has none", &["c", "m", "n"]).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    model_is_listed(&world).await;
    gone("it has one again", &["c", "e", "m", "n"]).await;
    // Each kind of child is pointed at a provider that is not there.
    let nobody = json!({ "name": "nobody" });
    let (url, here) = (vendor.url(), json!({ "name": "p" }));
    for provider in [&nobody, &here] {
        let endpoint = json!({ "providerRef": provider, "baseUrl": url });
        world.apply("LlmEndpoint", "e", endpoint).await;
        credential(&world, json!({ "providerRef": provider })).await;
        let model = json!({ "providerRef": provider, "modelId": "gpt-a" });
        world.apply("LlmModel", "m", model).await;
        let left: &[&str] = match provider["name"].as_str() {
            Some("p") => &["c", "e", "m", "n"],
            _ => &["n"],
        };
        gone("the children follow their provider", left).await;
    }
    model_is_listed(&world).await;
}

async fn syncing(world: &World) {
    world
        .provider("p", json!({ "modelSync": { "enabled": true } }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_providers_model_has_is_told_and_the_rest_is_synced() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b"]).await;
    let world = World::started("nametaken").await;
    world.secret("s", KEY).await;
    world.provider("q", json!({})).await;
    syncing(&world).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    world.credential("c", "s").await;
    world.ready("LlmProvider", "p").await;
    let made = world.all("LlmModel").await;
    let of_a = made.iter().find(|m| m["spec"]["modelId"] == "gpt-a");
    let name = of_a.unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();

    world.delete("LlmProvider", "p").await;
    eventually("its models are collected", async || {
        world.all("LlmModel").await.is_empty()
    })
    .await;
    let spec = json!({ "providerRef": { "name": "q" }, "modelId": "other" });
    world.apply("LlmModel", &name, spec).await;
    syncing(&world).await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    world.ready("LlmProvider", "p").await;
    let said = world.message("LlmProvider", "p", "ModelsSynced").await;
    assert!(
        said.contains("1 has no LlmModel") && said.contains(&name),
        "{said}"
    );
    let models = world.all("LlmModel").await;
    let ids: Vec<&Value> = models.iter().map(|m| &m["spec"]["modelId"]).collect();
    assert!(ids.contains(&&json!("gpt-b")) && ids.len() == 2, "{ids:?}");
}
