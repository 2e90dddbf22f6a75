//! Callers with every right who ask for lists over HTTP/2 and take none of them.

use bytes::Bytes;
use futures::future::join_all;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

use crate::support::api::{TestApi, models};
use crate::support::plane::eventually;

const CONNECTIONS: usize = 30;
const STREAMS: usize = 100;
/// One caller alone may not have so much under way.
const CONNECTIONS_OF_A_CALLER: usize = 3;
/// What answers that wait for their readers may hold together.
const MOST: f64 = (64 << 20) as f64;

/// A client that lets the server send nothing of an answer's body, and answers every ping.
async fn without_window(address: &str) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let builder = builder.initial_window_size(0);
    let (requests, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Asks for this list, and for it again whenever it is refused or ended.
async fn ask_for_ever(requests: SendRequest<Bytes>, url: String, token: String) {
    loop {
        let request = Request::get(&url).header("authorization", format!("Bearer {token}"));
        let request = request.body(()).unwrap();
        let Ok(mut requests) = requests.clone().ready().await else {
            return;
        };
        let Ok((answer, _)) = requests.send_request(request, true) else {
            return;
        };
        if let Ok(answer) = answer.await {
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.data().await {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_nobody_takes_hold_bounded_memory_and_others_are_answered() {
    let api = TestApi::start().await;
    let mut hostile = Vec::new();
    for number in 0..CONNECTIONS / CONNECTIONS_OF_A_CALLER {
        let name = format!("hostile-{number}");
        hostile.push(api.account(&name, &["list"], &["llmmodels"]).await.token);
    }
    let viewer = api.account("other", &["list"], &["llmmodels"]).await;
    let provider = api.provider("openai").await;
    let large = (0..60).map(|number| {
        let mut model = api.model(provider, &format!("m{number:02}"));
        let text = "x".repeat(15 << 10).into();
        model.default_parameters = Some([("text".to_owned(), text)].into_iter().collect());
        model
    });
    api.write(models(large.collect())).await;
    let address = api.url.strip_prefix("http://").unwrap();

    let mut flood = Vec::new();
    for connection in 0..CONNECTIONS {
        let requests = without_window(address).await;
        for stream in 0..STREAMS {
            // Each list is another's: none comes from what was written out before.
            let limit = 60 + (connection * STREAMS + stream) % 900;
            let url = format!("{}/api/v1/models?limit={limit}&sort=created_at", api.url);
            let token = hostile[connection / CONNECTIONS_OF_A_CALLER].clone();
            let asking = ask_for_ever(requests.clone(), url, token);
            flood.push(tokio::spawn(asking));
        }
    }
    let memory = async || api.metric("llmplane_api_answer_memory_bytes").await;
    eventually("answers wait for their readers", async || {
        memory().await > MOST / 2.0
    })
    .await;
    for limit in 1..=20 {
        let answer = viewer
            .get(&format!("/models?limit={limit}&sort=-name"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.names().len(), limit);
        assert!(memory().await <= MOST);
    }
    eventually("what nobody takes is ended", async || {
        api.metric("llmplane_api_answers_stalled_total").await >= STREAMS as f64
    })
    .await;
    for asking in &flood {
        asking.abort();
    }
    let _ = join_all(flood).await;
    // What is left is kept for who asks next, and nobody's answer.
    eventually("their memory is free again", async || {
        memory().await <= (17 << 20) as f64
    })
    .await;
}
