//! Hosts that send what no vendor sends: without end, out of turn, or back what they were sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use llmplane::crd::{
    ProviderType::{AzureOpenAI, OpenAICompatible},
    reasons::Reason::*,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::asking::{Ask, Caller, KEY, fake};
use crate::support::vendors::Fault;

/// A host that answers with bytes as they are; it ends when dropped.
struct RawHost {
    url: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawHost {
    /// `answer` gets the number of the connection, counted from 1, once a request was read.
    async fn start<F>(answer: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let mut request = Vec::new();
                while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                        break;
                    }
                }
                tokio::spawn(answer(number, stream));
            }
        });
        Self {
            url,
            connections,
            task,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for RawHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn message(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn list(id: &str) -> String {
    message(&format!(r#"{{"data":[{{"id":"{id}"}}]}}"#))
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_without_end_are_left() {
    let host = RawHost::start(|_, mut stream: TcpStream| async move {
        let many = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
        while stream.write_all(&many).await.is_ok() {}
    })
    .await;
    let caller = Caller::new(OpenAICompatible, &host.url).within(Duration::from_secs(60));
    for ask in [Ask::Probe, Ask::Validate, Ask::List] {
        let said = caller.ask(ask).await;
        assert_eq!(said.reason, ask.failed());
        assert!(said.message.contains("interim answers"), "{}", said.message);
    }
    // Nobody asks such a host twice for one check.
    assert_eq!(host.connections(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_interim_answers_are_none_of_the_callers_business() {
    let host = RawHost::start(|_, mut stream: TcpStream| async move {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(3);
        let _ = stream.write_all((hints + &list("m")).as_bytes()).await;
    })
    .await;
    let listed = Caller::new(OpenAICompatible, &host.url).list().await;
    assert_eq!(listed.unwrap().models[0].id, "m");
}

/// One endpoint's host answers twice, in advance for whoever calls next.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_asked_for_is_read_by_nobody() {
    let host = RawHost::start(|number, mut stream: TcpStream| async move {
        let both = list(&format!("answer-{number}")) + &list("unasked");
        let _ = stream.write_all(both.as_bytes()).await;
        // It stays open, as one that may be used again.
        let _ = stream.read_u8().await;
    })
    .await;
    let one = Caller::new(OpenAICompatible, &host.url);
    let other = one.clone().with_key("another-owners-key-0123456789");
    for (number, caller) in [&one, &other, &one, &other].into_iter().enumerate() {
        let list = caller.list().await.unwrap();
        assert_eq!(list.models[0].id, format!("answer-{}", number + 1));
    }
    assert_eq!(host.connections(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_left() {
    let host = RawHost::start(|_, mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let many = b"x-more: 0123456789\r\n".repeat(1000);
        while stream.write_all(&many).await.is_ok() {}
    })
    .await;
    let caller = Caller::new(OpenAICompatible, &host.url).within(Duration::from_secs(60));
    let said = caller.ask(Ask::Probe).await;
    assert_eq!(said.reason, ProbeFailed);
    assert!(said.message.contains("broke off"), "{}", said.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_refusal_without_end_the_beginning_is_read() {
    let host = RawHost::start(|_, mut stream: TcpStream| async move {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    })
    .await;
    let caller = Caller::new(OpenAICompatible, &host.url).within(Duration::from_secs(60));
    let said = caller.ask(Ask::Validate).await;
    assert_eq!(said.http_status, Some(400), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_large_pages_is_left_at_its_limit() {
    let host = RawHost::start(|number, mut stream: TcpStream| async move {
        let padding = " ".repeat(7 * 1024 * 1024);
        let page = format!(
            r#"{{"data":[{{"id":"m-{number}"}}],{padding}"has_more":true,"last_id":"m-{number}"}}"#
        );
        let _ = stream.write_all(message(&page).as_bytes()).await;
    })
    .await;
    let caller = Caller::new(OpenAICompatible, &host.url).within(Duration::from_secs(60));
    let said = caller.list().await.expect_err("no list");
    assert_eq!(said.reason, SyncFailed);
    assert!(said.message.contains("32 MiB together"), "{}", said.message);
    assert_eq!(host.connections(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_too_many_models_says_so() {
    let fake = fake(OpenAICompatible).await;
    let entries: Vec<_> = (0..500_000)
        .map(|n| format!(r#"{{"id":"m{n}"}}"#))
        .collect();
    let mut body = format!(r#"{{"data":[{}]}}"#, entries.join(","));
    body.truncate(8 * 1024 * 1024);
    fake.fail(Fault::Body(body));
    let caller = Caller::of(&fake, OpenAICompatible).within(Duration::from_secs(60));
    let said = caller.list().await.expect_err("no list");
    assert_eq!(said.reason, SyncFailed);
    assert!(
        said.message.contains("more than 10,000 models"),
        "{}",
        said.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shows_a_key_of_any_length_is_refused() {
    for key in ["k3y-9x8w7v6u5t", "tk-4fK2mQ8zR1vXw7Lb0nTc9"] {
        for shown in [key.to_owned(), hex::encode(key), key.to_uppercase()] {
            let fake = fake(OpenAICompatible).await;
            fake.accept(key);
            fake.list_only(&["gpt-4o", &shown]);
            let caller = Caller::of(&fake, OpenAICompatible).with_key(key);
            let said = caller.list().await.expect_err("no list");
            assert!(said.message.contains("shows the key"), "{}", said.message);
            fake.list_only(&["gpt-4o"]);
            assert!(caller.list().await.is_ok());
        }
    }
}

/// What is kept of a list beside the ids: a gateway's word for what to use in a model's place, and the
/// model behind a deployment.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shows_a_key_beside_an_id_is_refused() {
    let replaced = |id: &str| json!({ "id": "m", "deprecation_replacement_model": id });
    let deployed = |id: &str| json!({ "id": "m", "model": id });
    for shown in [KEY.to_owned(), hex::encode(KEY)] {
        for (type_, shows, harmless) in [
            (OpenAICompatible, replaced(&shown), replaced("n")),
            (AzureOpenAI, deployed(&shown), deployed("n")),
        ] {
            let fake = fake(type_).await;
            let caller = Caller::of(&fake, type_);
            let list = |entry| Fault::Body(json!({ "data": [entry] }).to_string());
            fake.fail(list(shows));
            let said = caller.list().await.expect_err("no list");
            assert_eq!(said.reason, SyncFailed, "{type_}");
            assert!(said.message.contains("shows the key"), "{}", said.message);
            fake.mend();
            fake.fail(list(harmless));
            assert_eq!(caller.list().await.unwrap().models[0].id, "m", "{type_}");
        }
    }
}
