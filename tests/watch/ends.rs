//! When a stream ends: with the right, with the account, with the replica.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams};
use nix::sys::signal::Signal;
use reqwest::Method;

use super::{names, open, watch, watcher};
use crate::support::api::{KINDS, TestApi, answer, models};
use crate::support::events::Events;
use crate::support::plane::eventually;
use crate::support::process::{Process, viewer};
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_right_within_fifteen_seconds_and_others_go_on() {
    let api = TestApi::start().await;
    let stays = watcher(&api).await;
    let goes = api.account("goes", &["watch", "list"], &KINDS).await;
    let provider = api.provider("p").await;
    let mut staying = open(&api, &stays.token, "", None).await;
    let mut going = open(&api, &goes.token, "?kind=LlmModel", None).await;
    staying.until_id().await;
    going.until_id().await;
    // Long enough that what was known of its rights is not what it was let in with.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let client = api.plane.client().await;
    let bindings: Api<RoleBinding> = Api::namespaced(client, &api.namespace.name);
    bindings
        .delete("goes", &DeleteParams::default())
        .await
        .unwrap();
    let ended = Instant::now();
    going.until_end().await;
    assert!(
        ended.elapsed() < Duration::from_secs(15),
        "{:?}",
        ended.elapsed()
    );
    let refused = answer(watch(&api, &goes.token, "?kind=LlmModel")).await;
    assert_eq!(refused.status, 403);
    api.write(models(vec![api.model(provider, "m")])).await;
    let told = staying.change().await.unwrap();
    assert_eq!(told.data["name"], "m");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_account() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let mut events = open(&api, &watcher.token, "", None).await;
    events.until_id().await;
    let client = api.plane.client().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client, &api.namespace.name);
    let begun = Instant::now();
    let delete = DeleteParams::default();
    accounts.delete("watcher", &delete).await.unwrap();
    events.until_end().await;
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    let refused = answer(watch(&api, &watcher.token, "")).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_ends_tells_each_stream_when_to_come_back() {
    let world = World::new("drains").await;
    world.db().await.lead("test").await.unwrap();
    let mut api = Process::api(&world, &[]);
    api.ready().await;
    let token = viewer(&world).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let request = api.request(Method::GET, &token, "/watch");
        let mut events = Events::open(request).await;
        assert_eq!(names(&events.until_id().await), ["reset", "heartbeat"]);
        events.retry = None;
        streams.push(events);
    }
    api.signal(Signal::SIGTERM);
    let begun = Instant::now();
    let mut retries = Vec::new();
    for events in &mut streams {
        assert_eq!(events.until_end().await, []);
        retries.push(events.retry.expect("it was told"));
    }
    assert!(api.ended().await.success());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    retries.sort_unstable();
    retries.dedup();
    assert!(retries.len() > 10, "not all at once: {retries:?}");
    assert!(!api.log().contains(&token), "no token in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nothing_happens_to_is_heard_of_and_frees_its_place() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let mut events = open(&api, &watcher.token, "", None).await;
    events.until_id().await;
    let begun = Instant::now();
    let beat = events.next().await.unwrap();
    assert_eq!(beat.name, "heartbeat");
    let waited = begun.elapsed().as_secs();
    assert!(waited >= 13, "{waited}");
    assert_eq!(api.metric("llmplane_api_watches").await, 1.0);
    drop(events);
    api.provider("p").await;
    eventually("its place is free", async || {
        api.metric("llmplane_api_watches").await == 0.0
    })
    .await;
}
