//! How many streams there may be, and what becomes of a reader who takes nothing.

use std::collections::BTreeSet;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{names, open, watch, watcher};
use crate::support::api::{KINDS, TestApi, answer, models};
use crate::support::plane::{Plane, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_has_half_of_the_streams_and_is_told_what_to_do() {
    let plane = Plane::shared().await;
    let api = TestApi::with(plane, |settings| settings.max_watches = 4).await;
    let one = watcher(&api).await;
    let verbs = ["watch", "list"];
    let other = api.account("other", &verbs, &KINDS).await;
    let third = api.account("third", &verbs, &KINDS).await;
    let mut streams = Vec::new();
    for caller in [&one, &one] {
        streams.push(open(&api, &caller.token, "", None).await);
    }
    let refused = answer(watch(&api, &one.token, "")).await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (429, "too-many-requests")
    );
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    assert!(
        refused.detail().contains("If-None-Match"),
        "{}",
        refused.text
    );
    for caller in [&other, &other] {
        streams.push(open(&api, &caller.token, "", None).await);
    }
    let refused = answer(watch(&api, &third.token, "")).await;
    assert_eq!((refused.status, &*refused.problem()), (503, "overloaded"));
    assert!(
        refused.detail().contains("LLMPLANE_MAX_WATCHES"),
        "{}",
        refused.text
    );
    // Reads go on.
    assert_eq!(third.get("/models").await.status, 200);
    streams.pop();
    eventually("a place is free", async || {
        answer_of_a_stream(&api, &third.token).await == 200
    })
    .await;
}

async fn answer_of_a_stream(api: &TestApi, token: &str) -> u16 {
    let answer = watch(api, token, "").send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_takes_nothing_is_cut_off_and_loses_nothing() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let heard = watcher.get("/models").await.revision();
    let address = api.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/watch HTTP/1.1\r\nHost: llmplane\r\nAuthorization: Bearer {}\r\nLast-Event-ID: {heard}\r\n\r\n",
        watcher.token
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    eventually("the stream is open", async || {
        api.metric("llmplane_api_watches").await == 1.0
    })
    .await;
    // More than the system and the server hold for it; one who reads is told all the while.
    let mut reader = open(&api, &watcher.token, "", None).await;
    reader.until_id().await;
    let mut last = 0;
    for number in 0..120 {
        let mut model = api.model(provider, &format!("m-{number}"));
        model.display_name = Some("x".repeat(60_000));
        last = api.write(models(vec![model])).await.0;
        let told = reader.until_id().await;
        assert_eq!(names(&told), ["upsert"]);
    }
    eventually("the one who takes nothing is cut off", async || {
        api.metric("llmplane_api_watches").await == 1.0
    })
    .await;
    drop(socket);
    let id = heard.to_string();
    let mut again = open(&api, &watcher.token, "", Some(&id)).await;
    let mut told = BTreeSet::new();
    let first = again.next().await.expect("the stream goes on");
    assert_eq!(first.name, "reset", "so much is told as a whole");
    // The provider, and every model.
    while told.len() < 121 {
        let event = again.next().await.expect("the stream goes on");
        assert_eq!(event.name, "upsert", "after {} rows", told.len());
        told.insert(event.data["name"].to_string());
    }
    let end = again.next().await.expect("the stream goes on");
    let last = last.to_string();
    assert_eq!((&*end.name, end.id.as_deref()), ("heartbeat", Some(&*last)));
}
