//! What a probe leaves behind, by fault and recovery.

use std::time::Duration;

use llmplane::{
    crd::{Kind, reasons::Reason},
    db::CheckKind,
};

use super::asking::{TYPES, fake};
use crate::support::{
    checks::RunningChecks,
    plane::eventually,
    vendors::{Fake, Fault},
};

/// How a stored endpoint stands.
async fn stands(checks: &RunningChecks, endpoint: uuid::Uuid) -> Option<Reason> {
    let row = checks.db.endpoint_row(endpoint).await.unwrap().unwrap();
    row.found.verdict.map(|verdict| verdict.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_measures_how_long_the_vendor_took() {
    let checks = RunningChecks::start().await;
    for type_ in TYPES {
        let vendor = fake(type_).await;
        vendor.fail(Fault::Slow(Duration::from_millis(250)));
        let provider = checks.provider(type_).await;
        let endpoint = checks.endpoint(provider, &vendor.url(), None).await;
        let made = checks.made(CheckKind::Probe, endpoint, endpoint).await;
        assert_eq!(made, Some(Reason::ProbeSucceeded), "{type_}");
        let history = checks.db.health_history(endpoint, None, 1).await.unwrap();
        let latency = history[0].latency_ms;
        assert!((250..2000).contains(&latency), "{type_}: {latency}");
    }
}

/// By the defaults: three failures in a row, one success.
#[tokio::test(flavor = "multi_thread")]
async fn thresholds_hold_both_ways_and_an_endpoint_recovers_by_itself() {
    let checks = RunningChecks::start().await;
    let type_ = TYPES[0];
    let vendor: Fake = fake(type_).await;
    let provider = checks.provider(type_).await;
    let endpoint = checks.endpoint(provider, &vendor.url(), None).await;
    let probe = async || checks.made(CheckKind::Probe, endpoint, endpoint).await;
    assert_eq!(probe().await, Some(Reason::ProbeSucceeded));
    for fault in [Fault::Status(503), Fault::Reset] {
        vendor.fail(fault);
        for expected in [
            Reason::ProbeSucceeded,
            Reason::ProbeSucceeded,
            Reason::ProbeFailed,
        ] {
            assert_eq!(probe().await, Some(Reason::ProbeFailed));
            assert_eq!(stands(&checks, endpoint).await, Some(expected));
        }
        vendor.mend();
        assert_eq!(probe().await, Some(Reason::ProbeSucceeded));
        assert_eq!(
            stands(&checks, endpoint).await,
            Some(Reason::ProbeSucceeded)
        );
    }
}

/// Nobody asks for it: the period alone brings it back.
#[tokio::test(flavor = "multi_thread")]
async fn the_period_alone_finds_a_vendor_that_is_back() {
    let checks = RunningChecks::start().await;
    let vendor = fake(TYPES[0]).await;
    vendor.fail(Fault::Garbage);
    let provider = checks.provider(TYPES[0]).await;
    let endpoint = checks.endpoint(provider, &vendor.url(), None).await;
    let period = Duration::from_secs(1);
    checks
        .plan_every(Kind::Endpoint, CheckKind::Probe, endpoint, endpoint, period)
        .await;
    eventually("it failed", async || {
        stands(&checks, endpoint).await == Some(Reason::ProbeFailed)
    })
    .await;
    vendor.mend();
    eventually("it is back", async || {
        stands(&checks, endpoint).await == Some(Reason::ProbeSucceeded)
    })
    .await;
}
