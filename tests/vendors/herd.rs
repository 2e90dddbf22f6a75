//! Many endpoints of one host, counted by the second.

use std::time::Duration;

use futures::{StreamExt, stream};
use llmplane::{
    crd::{Kind, ProviderType::OpenAICompatible, reasons::Reason},
    db::CheckKind,
};

use crate::support::{
    checks::RunningChecks,
    plane::eventually,
    vendors::{Fake, Fault},
};

const ENDPOINTS: usize = 1000;
/// A tenth of them. The pace is a hundred in a second; a second of the count may begin within one.
const MOST: usize = ENDPOINTS / 10 + 5;

/// All of them are new at once, which is the worst there is: none has a verdict, so that all are
/// due. Then they go on, spread over their period.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_endpoints_of_one_host_make_no_herd() {
    let vendor = Fake::of(OpenAICompatible).await;
    let checks = RunningChecks::start().await;
    let provider = checks.provider(OpenAICompatible).await;
    let endpoints: Vec<_> = stream::iter(0..ENDPOINTS)
        .map(|_| checks.endpoint(provider, "http://127.0.0.1:9/v1", None))
        .buffer_unordered(64)
        .collect()
        .await;
    let mut owner = checks.database.connect("llmplane_owner").await;
    sqlx::query("UPDATE endpoints SET base_url = $1")
        .bind(vendor.url())
        .execute(&mut owner)
        .await
        .unwrap();
    let period = Duration::from_secs(15);
    for uid in &endpoints {
        checks
            .plan_every(Kind::Endpoint, CheckKind::Probe, *uid, *uid, period)
            .await;
    }
    eventually("each was probed twice", async || {
        vendor.calls() >= 2 * ENDPOINTS
    })
    .await;
    let by_second = vendor.by_second();
    let peak = by_second.iter().copied().max().unwrap();
    assert!(peak <= MOST, "{peak} in one second: {by_second:?}");
}

/// A slow host has a few requests open at a time, and its queue is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_keeps_no_other_waiting() {
    let (slow, quick) = (
        Fake::of(OpenAICompatible).await,
        Fake::at(OpenAICompatible, "127.0.0.3:0").await,
    );
    slow.fail(Fault::Hang);
    let checks = RunningChecks::start().await;
    let provider = checks.provider(OpenAICompatible).await;
    let period = Duration::from_secs(3600);
    for _ in 0..100 {
        let uid = checks.endpoint(provider, &slow.url(), None).await;
        checks
            .plan_every(Kind::Endpoint, CheckKind::Probe, uid, uid, period)
            .await;
    }
    eventually("the slow host is called", async || slow.calls() > 0).await;
    let begun = std::time::Instant::now();
    let uid = checks.endpoint(provider, &quick.url(), None).await;
    checks.made(CheckKind::Probe, uid, uid).await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(slow.calls() <= 8, "{}", slow.calls());
}

/// One tenant has eight hosts that never answer, and checks that wait for them for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_slow_hosts_keep_no_other_tenant_waiting() {
    let checks = RunningChecks::start().await;
    let provider = checks.provider(OpenAICompatible).await;
    let mut slow = Vec::new();
    let mut waiting = Vec::new();
    let times = (Duration::from_secs(3600), Duration::from_secs(60));
    for number in 0..8 {
        let vendor = Fake::at(OpenAICompatible, &format!("127.0.0.{}:0", 50 + number)).await;
        vendor.fail(Fault::Hang);
        for _ in 0..4 {
            let uid = checks.endpoint(provider, &vendor.url(), None).await;
            checks
                .plan_within(Kind::Endpoint, CheckKind::Probe, uid, uid, times)
                .await;
            waiting.push(uid);
        }
        slow.push(vendor);
    }
    let called = || slow.iter().map(Fake::calls).sum::<usize>();
    eventually("slow hosts are called", async || called() >= 8).await;
    let quick = Fake::at(OpenAICompatible, "127.0.0.60:0").await;
    let uid = checks
        .endpoint_of("other", provider, &quick.url(), None)
        .await;
    let said = checks.made(CheckKind::Probe, uid, uid).await;
    assert_eq!(said, Some(Reason::ProbeSucceeded));
    // It did not wait for any of them: they are all still under way.
    for uid in waiting {
        let history = checks
            .db
            .check_history(uid, CheckKind::Probe, None, 1)
            .await;
        assert!(history.unwrap().is_empty());
    }
    assert!(called() <= 8, "{}", called());
}
