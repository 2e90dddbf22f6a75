//! Waiting as long as a vendor asks, if the check's time allows it.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use llmplane::{
    crd::{ProviderType, reasons::Reason},
    vendors::Retry,
};

use super::asking::{Ask, Caller, TYPES, fake};
use crate::support::vendors::{Fake, Fault, fixture::Answer};

/// The checks that ask something of the vendor, each with what it says where it succeeds.
const ASKS: [(Ask, &[Reason]); 3] = [
    (Ask::Validate, &[Reason::KeyAccepted]),
    (Ask::List, &[Reason::SyncSucceeded]),
    (Ask::Test, &[Reason::ModelListed, Reason::ModelAnswered]),
];

fn validation(fake: &Fake, provider: ProviderType) -> Caller {
    Caller::of(fake, provider).within(Duration::from_secs(6))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_fits_is_waited_and_the_check_succeeds() {
    let waits = TYPES.into_iter().flat_map(|provider| {
        ASKS.map(|(ask, good)| async move {
            let fake = fake(provider).await;
            fake.fail_times(1, Fault::RateLimited("1".to_owned()));
            let said = validation(&fake, provider).ask(ask).await;
            assert!(good.contains(&said.reason), "{provider} {ask:?}: {said:?}");
            let requests = fake.requests();
            let waited = requests[1].at - requests[0].at;
            assert!(waited >= Duration::from_secs(1), "{provider}: {waited:?}");
            assert!(waited < Duration::from_secs(3), "{provider}: {waited:?}");
        })
    });
    let waited: Vec<()> = stream::iter(waits).buffer_unordered(8).collect().await;
    assert_eq!(waited.len(), TYPES.len() * ASKS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn milliseconds_and_dates_are_read_too() {
    let provider = ProviderType::OpenAI;
    let fake = fake(provider).await;
    let limited = |name: &str, value: &str| {
        let answer = Answer::new(429, b"{}".to_vec());
        Fault::Answer(answer.with(name, value))
    };
    fake.fail_times(1, limited("retry-after-ms", "1300"));
    assert_eq!(
        validation(&fake, provider).ask(Ask::Validate).await.reason,
        Reason::KeyAccepted
    );
    let requests = fake.requests();
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(1300));

    fake.mend();
    let later = Timestamp::now() + Duration::from_secs(3);
    let date = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    fake.fail_times(1, limited("retry-after", &date));
    assert_eq!(
        validation(&fake, provider).ask(Ask::Validate).await.reason,
        Reason::KeyAccepted
    );
    let requests = fake.requests();
    assert!(requests[3].at - requests[2].at >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_the_checks_time_is_not_begun_and_is_told() {
    let asks = TYPES
        .into_iter()
        .flat_map(|p| ASKS.map(|(ask, _)| (p, ask)));
    for (provider, ask) in asks {
        let fake = fake(provider).await;
        fake.fail(Fault::RateLimited("86400".to_owned()));
        let begun = Instant::now();
        let said = validation(&fake, provider).ask(ask).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{provider}");
        assert_eq!(said.reason, ask.failed(), "{provider} {ask:?}: {said:?}");
        let day = Duration::from_secs(86_400);
        assert_eq!(said.retry, Retry::After(day), "{provider} {ask:?}");
        // Qianfan's test asks the list first, and then the model.
        let calls = match (provider, ask) {
            (ProviderType::Qianfan, Ask::Test) => 2,
            _ => 1,
        };
        assert_eq!(fake.calls(), calls, "{provider} {ask:?}");
    }
}

/// Waiting heals no bill: one request, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_not_tried_again() {
    for (provider, fixture) in [
        (ProviderType::OpenAI, "insufficient_quota"),
        (ProviderType::Anthropic, "spend_limit"),
        (ProviderType::DashScope, "insufficient_quota"),
        (ProviderType::Qianfan, "arrears"),
    ] {
        let fake = fake(provider).await;
        fake.fail_with(fixture);
        let said = validation(&fake, provider).ask(Ask::Validate).await;
        assert_eq!(
            (said.reason, said.retry),
            (Reason::QuotaExhausted, Retry::No)
        );
        assert_eq!(fake.calls(), 1, "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_vendor_is_asked_three_times_at_most() {
    for provider in TYPES {
        let fake = fake(provider).await;
        fake.fail(Fault::Status(503));
        let said = validation(&fake, provider).ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::CheckInconclusive, "{provider}");
        assert_eq!(fake.calls(), 3, "{provider}");
    }
}
