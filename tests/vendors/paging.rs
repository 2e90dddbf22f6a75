//! Lists of several pages: read whole, or not at all.

use llmplane::crd::{
    ProviderType::{self, *},
    reasons::Reason,
};

use super::asking::{Ask, Caller, fake};
use crate::support::vendors::{Fake, Fault, Recorded};

type IsLater = fn(&Recorded) -> bool;

/// Vendors whose lists have pages, and what tells a later page from the first.
const PAGED: [(ProviderType, IsLater); 2] = [
    (Anthropic, |r| r.param("after_id").is_some()),
    (DashScope, |r| r.param("page_no").is_some_and(|n| n != "1")),
];

/// 25 models on pages of ten.
async fn paged(provider: ProviderType) -> (Fake, Vec<String>) {
    let fake = fake(provider).await;
    let ids: Vec<String> = (0..25).map(|n| format!("model-{n:02}")).collect();
    let words: Vec<&str> = ids.iter().map(String::as_str).collect();
    fake.list_only(&words);
    fake.shop().page_limit = 10;
    (fake, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_read() {
    for (provider, _) in PAGED {
        let (fake, ids) = paged(provider).await;
        let list = Caller::of(&fake, provider).list().await.unwrap();
        let found: Vec<_> = list.models.iter().map(|m| m.id.clone()).collect();
        assert_eq!(found, ids, "{provider}");
        assert_eq!(fake.calls(), 3, "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_is_enough_where_there_are_no_others() {
    for provider in [OpenAI, OpenAICompatible, VLLM, Qianfan, Ollama] {
        let fake = fake(provider).await;
        let ids: Vec<String> = (0..300).map(|n| format!("model-{n:03}")).collect();
        let words: Vec<&str> = ids.iter().map(String::as_str).collect();
        fake.list_only(&words);
        let list = Caller::of(&fake, provider).list().await.unwrap();
        assert_eq!((list.models.len(), fake.calls()), (300, 1), "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_midway_fails_the_list() {
    let faults = [
        Fault::Status(500),
        Fault::Garbage,
        Fault::Empty,
        Fault::Truncated,
        Fault::Reset,
        Fault::Body("{}".to_owned()),
        Fault::RateLimited("86400".to_owned()),
    ];
    for (provider, is_later) in PAGED {
        for fault in &faults {
            let (fake, _) = paged(provider).await;
            fake.fail_when(is_later, fault.clone());
            let said = Caller::of(&fake, provider).list().await.unwrap_err();
            assert_eq!(
                said.reason,
                Reason::SyncFailed,
                "{provider} {fault:?}: {said:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_end_is_left() {
    for (provider, _) in PAGED {
        let fake = fake(provider).await;
        fake.shop().endless = true;
        let caller = Caller::of(&fake, provider).within(std::time::Duration::from_secs(20));
        let said = caller.list().await.unwrap_err();
        assert_eq!(said.reason, Reason::SyncFailed, "{provider}: {said:?}");
        assert!(
            said.message.contains("pages"),
            "{provider}: {}",
            said.message
        );
        assert!(fake.calls() <= 101, "{provider}: {}", fake.calls());
    }
}

/// Keys are proved by the smallest page.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_checked_by_one_small_page() {
    for (provider, size) in [(Anthropic, "limit"), (DashScope, "page_size")] {
        let (fake, _) = paged(provider).await;
        let said = Caller::of(&fake, provider).ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::KeyAccepted);
        let requests = fake.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].param(size).as_deref(), Some("1"), "{provider}");
    }
}
