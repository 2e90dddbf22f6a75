//! Keys and their hosts, from manifests on: what users can declare to turn a key elsewhere.

use serde_json::{Value, json};

use super::asking::KEY;
use crate::support::{
    fake_vendor::FakeVendor, plane::eventually, vendors::attacker::Attacker, world::World,
};

struct Scene {
    world: World,
    vendor: FakeVendor,
    attacker: Attacker,
}

impl Scene {
    /// A key in order, for a vendor on 127.0.0.1, and somebody listening elsewhere.
    async fn set(name: &str) -> Self {
        let vendor = FakeVendor::start(&[KEY], &["m"]).await;
        let scene = Self {
            attacker: Attacker::listen("127.0.0.2:0").await,
            world: World::started(name).await,
            vendor,
        };
        scene.world.secret("s", KEY).await;
        scene.world.apply_basics(&scene.vendor.url()).await;
        scene.world.ready("LlmCredential", "c").await;
        scene
    }

    fn elsewhere(&self) -> String {
        format!("http://{}/v1", self.attacker.address)
    }

    async fn refused(&self, reason: &str) {
        self.world
            .says("LlmCredential", "c", "Valid", "False", reason)
            .await;
    }

    /// The Secret as it is, but for its label and annotation.
    async fn consent(&self, label: &str, hosts: &str) {
        let metadata = json!({
            "name": "s",
            "labels": { "llmplane.dev/credential": label },
            "annotations": { "llmplane.dev/allowed-hosts": hosts },
        });
        let secret = json!({ "metadata": metadata, "stringData": { "api-key": KEY } });
        self.world.apply_object("Secret", secret).await;
    }

    /// Requests that carried the key to the vendor itself.
    fn keyed(&self) -> usize {
        self.vendor
            .requests()
            .iter()
            .filter(|r| r.holds(KEY))
            .count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_moves_leaves_the_key_behind() {
    let scene = Scene::set("moved").await;
    let often = json!({ "healthCheck": { "periodSeconds": 5, "credentialRef": { "name": "c" } } });
    scene.world.model("m", "m").await;
    scene.world.endpoint("e", &scene.elsewhere(), often).await;
    scene.refused("HostNotAllowed").await;
    scene.world.ready("LlmEndpoint", "e").await;
    let message = scene.world.message("LlmCredential", "c", "Valid").await;
    assert!(message.contains("llmplane.dev/allowed-hosts"), "{message}");
    // It is called on and on, as any endpoint is.
    eventually("three requests at the new host", async || {
        scene.attacker.heard().matches("HTTP/1.1").count() >= 3
    })
    .await;
    scene.attacker.must_not_know(KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_made_again_with_another_type_gets_no_key() {
    let scene = Scene::set("retyped").await;
    scene.world.delete("LlmProvider", "p").await;
    scene
        .world
        .says("LlmCredential", "c", "Ready", "False", "ProviderNotFound")
        .await;
    let keyed = scene.keyed();
    scene.world.provider("p", json!({ "type": "VLLM" })).await;
    scene.refused("HostNotAllowed").await;
    scene
        .world
        .endpoint("e", &scene.elsewhere(), json!({}))
        .await;
    scene.world.ready("LlmEndpoint", "e").await;
    assert_eq!(scene.keyed(), keyed, "the old host got it once more");
    scene.attacker.must_not_know(KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_is_withdrawn_counts_at_once() {
    let scene = Scene::set("withdrawn").await;
    scene.consent("OpenAICompatible", "").await;
    scene.refused("HostNotAllowed").await;
    let keyed = scene.keyed();
    // Whatever is asked for now is done without it.
    scene.world.model("m", "m").await;
    let asked = json!({
        "metadata": { "name": "p", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "type": "OpenAICompatible", "modelSync": { "enabled": true } },
    });
    scene.world.apply_object("LlmProvider", asked).await;
    eventually("the list was asked for without the key", async || {
        let said = scene.world.said("LlmProvider", "p", "ModelsSynced").await;
        said.is_some_and(|(_, reason)| reason == "NoValidCredential")
    })
    .await;
    assert_eq!(scene.keyed(), keyed);
    scene.consent("OpenAICompatible", "127.0.0.1").await;
    scene.world.ready("LlmCredential", "c").await;
    eventually("the key is used again", async || scene.keyed() > keyed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_labelled_for_another_vendor_is_not_used() {
    let scene = Scene::set("relabelled").await;
    scene.consent("OpenAI", "127.0.0.1").await;
    scene.refused("HostNotAllowed").await;
    let keyed = scene.keyed();
    let asked = json!({
        "metadata": { "name": "c", "annotations": { "llmplane.dev/reconcile-requested-at": "1" } },
        "spec": { "providerRef": { "name": "p" }, "secretRef": { "name": "s" } },
    });
    scene.world.apply_object("LlmCredential", asked).await;
    eventually("the request is answered", async || {
        scene.world.get("LlmCredential", "c").await["status"]["lastHandledReconcileAt"] == "1"
    })
    .await;
    assert_eq!(scene.keyed(), keyed);
}

fn endpoint(url: &str, more: Value) -> Value {
    let mut spec = json!({ "providerRef": { "name": "p" }, "baseUrl": url });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({ "metadata": { "name": "odd" }, "spec": spec })
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_say_one_host_and_mean_another_are_refused_at_apply() {
    let world = World::new("spelled").await;
    for url in [
        "http://127.0.0.1@127.0.0.2/v1",
        "http://127.0.0.1:80@127.0.0.2/v1",
        "http://user:pass@127.0.0.1/v1",
        "http://2130706434/v1",
        "http://0x7f000002/v1",
        "http://0177.0.0.2/v1",
        "http://127.2/v1",
        "http://127.0.0.02/v1",
        "http://127.0.0.2./v1",
        "http://gw.example./v1",
        "http://gw.example\\@127.0.0.2/v1",
        "http://gw。example/v1",
        "http://gw%2eexample/v1",
        "http:///v1",
        "http:/127.0.0.2/v1",
        "//127.0.0.2/v1",
        "ftp://127.0.0.2/v1",
        "file:///etc/passwd",
        "http://127.0.0.2/v1#gw.example",
        "http://127.0.0.2/v1?x=gw.example",
        "http://127.0.0.2:0/v1",
        "http://127.0.0.2:99999/v1",
        "http://gw.example/\r\nHost: evil.example",
        " http://127.0.0.2/v1",
    ] {
        let refused = world
            .try_apply("LlmEndpoint", endpoint(url, json!({})))
            .await;
        let error = refused.expect_err(url).to_string();
        assert!(error.contains("baseUrl"), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_route_a_request_elsewhere_are_refused_at_apply() {
    let world = World::new("headers").await;
    for name in [
        "Host",
        "HOST",
        "Authorization",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Connection",
        "Transfer-Encoding",
        "Content-Length",
        "Upgrade",
        "Cookie",
        "x-api-key",
        "Api-Key",
        "Metadata",
        "X-aws-ec2-metadata-token",
        "Metadata-Flavor",
        "X-Bad Name",
        "X:Y",
        "",
    ] {
        let headers = json!({ "headers": [{ "name": name, "value": "evil.example" }] });
        let object = endpoint("http://127.0.0.1/v1", headers);
        let refused = world.try_apply("LlmEndpoint", object).await;
        let error = refused.expect_err(name).to_string();
        assert!(error.contains("headers"), "{name}: {error}");
    }
    for value in ["a\r\nHost: evil.example", "a\nb", "\u{e9}"] {
        let headers = json!({ "headers": [{ "name": "X-Team", "value": value }] });
        let object = endpoint("http://127.0.0.1/v1", headers);
        assert!(
            world.try_apply("LlmEndpoint", object).await.is_err(),
            "{value:?}"
        );
    }
}
