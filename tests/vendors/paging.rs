//! Lists of several pages: read whole, or not at all.

use llmplane::crd::{
    ProviderType::{self, *},
    reasons::Reason,
};

use super::asking::{Ask, Caller, fake};
use crate::support::vendors::{Fake, Fault, Recorded};

type IsLater = fn(&Recorded) -> bool;

/// Vendors whose lists have pages, and what tells a later page from the first.
const PAGED: [(ProviderType, IsLater); 5] = [
    (Anthropic, |r| r.param("after_id").is_some()),
    (DashScope, |r| r.param("page_no").is_some_and(|n| n != "1")),
    (Gemini, |r| r.param("pageToken").is_some()),
    (OpenAI, |r| r.param("after").is_some()),
    (OpenAICompatible, |r| r.param("after").is_some()),
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

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_list_is_no_list() {
    let body = |more: serde_json::Value| {
        let mut body = serde_json::json!({ "data": [{ "id": "a" }] });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        Fault::Body(body.to_string())
    };
    for provider in [OpenAI, OpenAICompatible, VLLM, Qianfan, AzureOpenAI] {
        for more in [
            serde_json::json!({ "next": "/v1/models?page=2" }),
            serde_json::json!({ "next_page_token": "x" }),
        ] {
            let fake = fake(provider).await;
            fake.fail(body(more));
            let said = Caller::of(&fake, provider).list().await.unwrap_err();
            assert_eq!(said.reason, Reason::SyncFailed, "{provider}: {said:?}");
            assert!(said.message.contains("further pages"), "{}", said.message);
        }
        let fake = fake(provider).await;
        let last = serde_json::json!({ "has_more": false, "next": null, "next_page_token": "" });
        fake.fail(body(last));
        let list = Caller::of(&fake, provider).list().await.unwrap();
        assert_eq!(list.models.len(), 1, "{provider}");
    }
}

/// A model that moves to a later page while the list is read pushes another out of sight.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_moves_while_it_is_read_is_not_whole() {
    let (fake, _) = paged(DashScope).await;
    let page = |from: usize, to: usize| {
        let models = (from..to).map(|n| format!(r#"{{"model":"model-{n:02}"}}"#));
        let models = models.collect::<Vec<_>>().join(",");
        Fault::Body(format!(
            r#"{{"output":{{"total":25,"models":[{models}]}}}}"#
        ))
    };
    let is_page = |wanted: &'static str| {
        move |r: &Recorded| r.param("page_no").is_some_and(|number| number == wanted)
    };
    for (number, from, to) in [("1", 0, 10), ("2", 9, 19), ("3", 19, 24), ("4", 0, 0)] {
        fake.fail_when(is_page(number), page(from, to));
    }
    let said = Caller::of(&fake, DashScope).list().await.unwrap_err();
    assert_eq!(said.reason, Reason::SyncFailed, "{said:?}");
}

/// Keys are proved by the smallest page.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_checked_by_one_small_page() {
    for (provider, size) in [
        (Anthropic, "limit"),
        (DashScope, "page_size"),
        (Gemini, "pageSize"),
    ] {
        let (fake, _) = paged(provider).await;
        let said = Caller::of(&fake, provider).ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::KeyAccepted);
        let requests = fake.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].param(size).as_deref(), Some("1"), "{provider}");
    }
}
