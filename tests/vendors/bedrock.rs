//! Bedrock's signatures, pages and clocks, against a verifier of its own.

use std::time::Duration;

use jiff::SignedDuration;
use llmplane::{
    crd::{ProviderType::Bedrock, reasons::Reason},
    encryption::SecretFields,
};

use super::asking::{Ask, Caller, KEY, fake};
use crate::support::vendors::{Fake, Fault};

const ACCESS_KEY: &str = "AKIATESTKEYID0123456";
const SECRET_KEY: &str = "wJ4lrXUtnF3MI5K7MDxNG9bPxRf1CYTESTSECRET0";
const PROFILE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn pair(access_key: &str, secret_key: &str, session: Option<&str>) -> SecretFields {
    SecretFields {
        api_key: Some(access_key.into()),
        secret_key: Some(secret_key.into()),
        access_token: session.map(Into::into),
    }
}

fn with_pair(fake: &Fake, key: SecretFields) -> Caller {
    Caller {
        key: Some(key),
        ..Caller::of(fake, Bedrock)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_signs_every_call_and_its_secret_half_is_not_sent() {
    for session in [None, Some("FwoGZXIvYXdzE-session-token/with+signs==")] {
        let fake = Fake::of(Bedrock).await;
        fake.accept_pair(ACCESS_KEY, SECRET_KEY, session);
        let caller = with_pair(&fake, pair(ACCESS_KEY, SECRET_KEY, session));
        assert_eq!(caller.ask(Ask::Validate).await.reason, Reason::KeyAccepted);
        assert_eq!(caller.ask(Ask::Test).await.reason, Reason::ModelListed);
        let said = caller.ask_about(Ask::Test, PROFILE).await;
        assert_eq!(said.reason, Reason::ModelListed, "{said:?}");
        let ids: Vec<_> = caller.list().await.unwrap().models;
        assert!(
            ids.iter().any(|m| m.id == PROFILE) && ids.len() >= 5,
            "{ids:?}"
        );
        for request in fake.requests() {
            assert!(!request.holds(SECRET_KEY));
            assert_eq!(request.header("x-amz-security-token"), session);
            assert!(!request.path.contains(':'), "{}", request.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_wrong_is_told_by_which_half() {
    let fake = Fake::of(Bedrock).await;
    fake.accept_pair(ACCESS_KEY, SECRET_KEY, None);
    fake.accept_pair("ASIATESTKEYID0123456", SECRET_KEY, Some("the-session"));
    for (key, words) in [
        (
            pair("AKIAUNKNOWN000000000", SECRET_KEY, None),
            "access key id",
        ),
        (pair(ACCESS_KEY, "another-secret", None), "does not belong"),
        (
            pair("ASIATESTKEYID0123456", SECRET_KEY, Some("an-older-session")),
            "session token",
        ),
    ] {
        let said = with_pair(&fake, key).ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::KeyRejected, "{said:?}");
        assert!(said.message.contains(words), "{}", said.message);
        let text = format!("{said:?}");
        assert!(
            !text.contains(ACCESS_KEY) && !text.contains(SECRET_KEY),
            "{text}"
        );
    }
}

/// The region in a signature's scope has to be the host's.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_for_another_region_is_refused() {
    let fake = Fake::of(Bedrock).await;
    fake.accept_pair(ACCESS_KEY, SECRET_KEY, None);
    let caller = Caller {
        region: Some("eu-west-1".to_owned()),
        ..with_pair(&fake, pair(ACCESS_KEY, SECRET_KEY, None))
    };
    assert_eq!(caller.ask(Ask::Validate).await.reason, Reason::KeyRejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_named_and_no_key_is_blamed() {
    for (minutes, words) in [(20, "20 minutes behind"), (-20, "20 minutes ahead")] {
        let fake = Fake::of(Bedrock).await;
        fake.accept_pair(ACCESS_KEY, SECRET_KEY, None);
        fake.shop().clock = SignedDuration::from_mins(minutes);
        let caller = with_pair(&fake, pair(ACCESS_KEY, SECRET_KEY, None));
        for ask in [Ask::Validate, Ask::List, Ask::Test] {
            let said = caller.ask(ask).await;
            assert_eq!(said.reason, ask.failed(), "{ask:?}: {said:?}");
            assert!(said.message.contains("clock"), "{ask:?}: {}", said.message);
            assert!(said.message.contains(words), "{ask:?}: {}", said.message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_profiles_is_read_or_the_list_fails() {
    let fake = fake(Bedrock).await;
    fake.shop().page_limit = 1;
    let caller = Caller::of(&fake, Bedrock);
    let list = caller.list().await.unwrap();
    assert!(
        list.models
            .iter()
            .any(|m| m.id == "us.amazon.nova-lite-v1:0")
    );
    assert_eq!(
        fake.calls(),
        4,
        "one list of models and three pages of profiles"
    );
    for fault in [
        Fault::Status(500),
        Fault::Garbage,
        Fault::Truncated,
        Fault::Body("{}".to_owned()),
    ] {
        fake.mend();
        fake.fail_when(|r| r.param("nextToken").is_some(), fault.clone());
        let said = caller.list().await.unwrap_err();
        assert_eq!(said.reason, Reason::SyncFailed, "{fault:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_without_end_are_left() {
    let fake = fake(Bedrock).await;
    fake.shop().endless = true;
    let caller = Caller::of(&fake, Bedrock).within(Duration::from_secs(20));
    let said = caller.list().await.unwrap_err();
    assert_eq!(said.reason, Reason::SyncFailed, "{said:?}");
    assert!(said.message.contains("pages"), "{}", said.message);
    assert!(fake.calls() <= 30, "{}", fake.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_list_is_none_and_the_right_that_lacks_is_named() {
    let fake = fake(Bedrock).await;
    let denied = Fault::documented("bedrock", "access_denied");
    fake.fail_when(|r| r.path == "/inference-profiles", denied);
    let said = Caller::of(&fake, Bedrock).list().await.unwrap_err();
    assert_eq!(said.reason, Reason::SyncFailed);
    assert!(
        said.message.contains("ListInferenceProfiles"),
        "{}",
        said.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_agreement_lacks_is_listed_and_not_granted() {
    let fake = fake(Bedrock).await;
    let not_agreed = Fault::documented("bedrock", "not_agreed");
    fake.fail_when(
        |r| r.path.starts_with("/foundation-model-availability/"),
        not_agreed,
    );
    let said = Caller::of(&fake, Bedrock).ask(Ask::Test).await;
    assert_eq!(said.reason, Reason::ModelAccessDenied, "{said:?}");
}

/// A key that may only call models says so by calling one.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_asked_where_the_key_may_not_read_about_it() {
    let fake = fake(Bedrock).await;
    let denied = Fault::documented("bedrock", "access_denied");
    fake.fail_when(|r| r.method == "GET", denied);
    let said = Caller::of(&fake, Bedrock).ask(Ask::Test).await;
    assert_eq!(said.reason, Reason::ModelAnswered, "{said:?}");
    let asked = fake.requests().pop().unwrap();
    assert_eq!(asked.json()["inferenceConfig"]["maxTokens"], 1);
    assert_eq!(asked.bearer(), Some(KEY));
}
