//! A controller that starts again goes on where it was, and asks no vendor what it knows already.

use serde_json::json;

use super::asking::KEY;
use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

fn keyed(vendor: &FakeVendor) -> usize {
    vendor.requests().iter().filter(|r| r.holds(KEY)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_validated_and_no_list_read_before_its_period_is_over() {
    let vendor = FakeVendor::start(&[KEY], &["m"]).await;
    let mut world = World::started("restarts").await;
    world.secret("s", KEY).await;
    world
        .provider("p", json!({ "modelSync": { "enabled": true } }))
        .await;
    let often = json!({ "healthCheck": { "periodSeconds": 5 } });
    world.endpoint("e", &vendor.url(), often).await;
    world.credential("c", "s").await;
    world.model("m", "m").await;
    for (kind, name) in [
        ("LlmCredential", "c"),
        ("LlmModel", "m"),
        ("LlmProvider", "p"),
    ] {
        world.ready(kind, name).await;
    }
    let before = keyed(&vendor);
    for _ in 0..3 {
        world.stop().await;
        let calls = vendor.calls();
        world.start().await;
        // Two probes later it has long planned everything there is.
        eventually("two more probes", async || vendor.calls() >= calls + 2).await;
        assert_eq!(keyed(&vendor), before);
    }
    let said = world.said("LlmCredential", "c", "Valid").await;
    assert_eq!(said, Some(("True".to_owned(), "KeyAccepted".to_owned())));

    // A key that is new is checked, at once and once.
    vendor.accept("tk-second-7Qw3Er5Ty");
    world.secret("s", "tk-second-7Qw3Er5Ty").await;
    eventually("the new key was validated", async || {
        let requests = vendor.requests();
        requests.iter().any(|r| r.holds("tk-second-7Qw3Er5Ty"))
    })
    .await;
}
