//! Each fault, at each vendor, for each question: what is said of it, and within which bounds.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use llmplane::{
    crd::{
        ProviderType::{self, *},
        reasons::Reason::{self, *},
    },
    vendors::CheckResult,
};
use tokio::net::TcpSocket;
use url::Url;

use super::asking::{Ask, Caller, KEY, TYPES, fake, tls_fake};
use crate::support::vendors::{
    Fault,
    attacker::Attacker,
    certificates::{Certificate, authority_pem},
};

const TIME: Duration = Duration::from_secs(3);

/// Asks every vendor every question while this goes wrong.
async fn everywhere(fault: Fault) -> Vec<(ProviderType, Ask, CheckResult)> {
    let cases = TYPES.into_iter().flat_map(|provider| {
        Ask::ALL.map(|ask| {
            let fault = fault.clone();
            async move {
                let fake = fake(provider).await;
                fake.fail(fault);
                let begun = Instant::now();
                let said = Caller::of(&fake, provider).within(TIME).ask(ask).await;
                let took = begun.elapsed();
                assert!(
                    took < TIME + Duration::from_secs(2),
                    "{provider} {ask:?}: {took:?}"
                );
                assert!(!format!("{said:?}").contains(KEY));
                (provider, ask, said)
            }
        })
    });
    stream::iter(cases).buffer_unordered(8).collect().await
}

/// All of them fail, and say one of these.
async fn fails_everywhere(fault: Fault, words: &[&str]) {
    for (provider, ask, said) in everywhere(fault.clone()).await {
        let context = format!("{provider} {ask:?} {fault:?}: {said:?}");
        assert_eq!(said.reason, ask.failed(), "{context}");
        assert!(words.iter().any(|w| said.message.contains(w)), "{context}");
    }
}

fn is_good(reason: Reason) -> bool {
    matches!(
        reason,
        ProbeSucceeded | KeyAccepted | SyncSucceeded | ModelListed | ModelAnswered
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_an_answer() {
    for (provider, ask, said) in everywhere(Fault::Slow(Duration::from_millis(300))).await {
        assert!(is_good(said.reason), "{provider} {ask:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_never_answers_is_left_when_the_time_is_up() {
    fails_everywhere(
        Fault::Hang,
        &["no answer within the check's time from 127.0.0.1:"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_broke_off() {
    fails_everywhere(Fault::Reset, &["broke off"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_none() {
    fails_everywhere(Fault::Truncated, &["broke off"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_no_answer() {
    fails_everywhere(Fault::NotHttp, &["not HTTP"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_no_answer() {
    let words = ["cannot be read", "no model list"];
    fails_everywhere(Fault::Garbage, &words).await;
    let page = Fault::Body("<html>Welcome to the hotel's network</html>".to_owned());
    fails_everywhere(page, &words).await;
    fails_everywhere(Fault::Body("[1, 2".to_owned()), &words).await;
    fails_everywhere(Fault::Body("\"a text\"".to_owned()), &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_none() {
    for (provider, ask, said) in everywhere(Fault::Empty).await {
        let context = format!("{provider} {ask:?}: {said:?}");
        assert_eq!(said.reason, ask.failed(), "{context}");
        let words = ["cannot be read", "no model list"];
        assert!(words.iter().any(|w| said.message.contains(w)), "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endless_answer_no_more_is_read_than_a_check_may() {
    for provider in TYPES {
        for ask in Ask::ALL {
            let fake = fake(provider).await;
            fake.fail(Fault::Huge);
            let caller = Caller::of(&fake, provider).within(Duration::from_secs(20));
            let said = caller.ask(ask).await;
            assert_eq!(said.reason, ask.failed(), "{provider} {ask:?}: {said:?}");
            assert!(
                said.message.contains("larger than 8 MiB"),
                "{}",
                said.message
            );
            // What was taken beyond the limit lies in the sockets' buffers, which are the kernel's.
            let (calls, sent) = (fake.calls(), fake.sent());
            assert!(
                sent < calls * 40 * 1024 * 1024,
                "{provider} {ask:?}: {sent} in {calls}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_fails_and_tells_its_status() {
    fails_everywhere(Fault::Status(500), &["500"]).await;
    fails_everywhere(Fault::Status(503), &["503", "engine is dead"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_on_the_same_host_is_followed_by_reads() {
    for status in [301, 302, 307, 308] {
        for provider in TYPES {
            let fake = fake(provider).await;
            let moved = |to: &str| Fault::Redirect(status, format!("{to}?moved=1&page_size=9"));
            let paths = [
                "/v1beta/models",
                "/v1/models",
                "/v2/models",
                "/api/v1/models",
                "/api/tags",
            ];
            for path in paths {
                fake.fail_when(
                    move |r| r.path == path && !r.query.contains("moved"),
                    moved(path),
                );
            }
            let moves = matches!(
                provider,
                OpenAI | Anthropic | DashScope | Qianfan | Gemini | OpenAICompatible
            );
            let said = Caller::of(&fake, provider).ask(Ask::Validate).await;
            assert_eq!(said.reason, KeyAccepted, "{provider} {status}: {said:?}");
            let followed = fake.requests().iter().any(|r| r.query.contains("moved"));
            assert!(followed || !moves, "{provider} {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_does_not_end_is_left() {
    for provider in TYPES {
        let fake = fake(provider).await;
        fake.fail(Fault::Redirect(302, "/again".to_owned()));
        let said = Caller::of(&fake, provider).ask(Ask::Validate).await;
        assert_eq!(said.reason, CheckInconclusive);
        assert!(said.message.contains("redirects"), "{}", said.message);
        assert!(fake.calls() <= 4, "{provider}: {}", fake.calls());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_refused_and_says_so() {
    let attacker = Attacker::listen("127.0.0.1:0").await;
    let to = format!("http://{}/v1/models", attacker.address);
    for status in [301, 302, 303, 307, 308] {
        fails_everywhere(
            Fault::Redirect(status, to.clone()),
            &["redirects elsewhere"],
        )
        .await;
    }
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_named_for_what_is_wrong_with_it() {
    for provider in TYPES {
        for ask in Ask::ALL {
            for (certificate, trusted, words) in [
                (Certificate::Expired, true, "has expired"),
                (Certificate::OtherHost, true, "for another host"),
                (Certificate::Good, false, "caBundle"),
            ] {
                let fake = tls_fake(provider, certificate).await;
                let mut caller = Caller::of(&fake, provider);
                if trusted {
                    caller = caller.trusting(authority_pem());
                }
                let said = caller.ask(ask).await;
                let context = format!("{provider} {ask:?} {certificate:?}: {said:?}");
                assert_eq!(said.reason, ask.failed(), "{context}");
                assert!(said.message.contains(words), "{context}");
                assert_eq!(fake.calls(), 0, "{context}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_an_endpoint_trusts_is_good() {
    for provider in TYPES {
        let fake = tls_fake(provider, Certificate::Good).await;
        let caller = Caller::of(&fake, provider).trusting(authority_pem());
        for ask in Ask::ALL {
            let said = caller.ask(ask).await;
            assert!(is_good(said.reason), "{provider} {ask:?}: {said:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_told_as_that() {
    // Bound and not listening, so that nobody else comes to listen there meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    for provider in TYPES {
        let mut gone = Url::parse(&fake(provider).await.url()).unwrap();
        gone.set_port(Some(port)).unwrap();
        for ask in Ask::ALL {
            let said = Caller::new(provider, gone.as_str())
                .within(TIME)
                .ask(ask)
                .await;
            assert_eq!(said.reason, ask.failed(), "{provider} {ask:?}: {said:?}");
            let tried = format!("no connection to 127.0.0.1:{port}:");
            assert!(said.message.starts_with(&tried), "{}", said.message);
        }
    }
}
