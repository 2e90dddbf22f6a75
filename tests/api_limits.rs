//! What one request may say, and how much of one caller may be under way.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;

use crate::support::api::{KINDS, TestApi, answer};
use crate::support::plane::eventually;
use crate::support::rows;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_says_too_much_is_told_how_much_it_may_say() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let long = viewer
        .get(&format!("/models?name={}", "x".repeat(9_000)))
        .await;
    assert_eq!((long.status, &*long.problem()), (414, "uri-too-long"));
    assert!(long.detail().contains("8192"), "{}", long.text);
    let large = "y".repeat(140 << 10);
    let large = viewer.get_with("/models", &[("x-large", &large)]).await;
    assert_eq!(
        (large.status, &*large.problem()),
        (431, "headers-too-large")
    );
    let most = "y".repeat(100 << 10);
    let most = viewer.get_with("/models", &[("x-large", &most)]).await;
    assert_eq!(most.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_much_under_way_waits_and_nobody_else_does() {
    let api = Arc::new(TestApi::start().await);
    let provider = api.provider("p").await;
    let mut endpoint = rows::endpoint(provider, "e");
    endpoint.namespace.clone_from(&api.namespace.name);
    api.write(move |tx| async move { tx.upsert(&endpoint).await.map(drop) }.boxed())
        .await;
    let eager = api
        .account("eager", &["get", "list", "check"], &KINDS)
        .await;
    let other = api.viewer().await;
    assert_eq!(eager.get("/models").await.status, 200);
    // Nobody makes the checks: each request waits.
    let url = format!(
        "{}/api/v1/endpoints/e/health-check?wait_seconds=20",
        api.url
    );
    let (client, mut waiting) = (reqwest::Client::new(), JoinSet::new());
    for _ in 0..256 {
        let request = client.post(&url).bearer_auth(&eager.token);
        waiting.spawn(async move { answer(request).await.status });
    }
    eventually("all of them are under way", async || {
        eager.get("/models").await.status == 429
    })
    .await;
    let refused = eager.get("/models").await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (429, "too-many-requests")
    );
    assert_eq!(refused.header("retry-after"), "1");
    // As many tokens as it likes: it is one caller.
    let token = api.token("eager", "llmplane").await;
    let again = client
        .get(format!("{}/api/v1/models", api.url))
        .bearer_auth(token);
    assert_eq!(answer(again).await.status, 429);
    assert_eq!(other.get("/models").await.status, 200);
    let told = tokio::time::timeout(Duration::from_secs(40), waiting.join_all()).await;
    let told = told.expect("each is answered in its time");
    assert!(told.iter().all(|status| *status == 202), "{told:?}");
    assert_eq!(eager.get("/models").await.status, 200);
}
