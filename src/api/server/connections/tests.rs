//! Over real sockets, with short limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
/// HTTP/2: the preface, empty SETTINGS, and `GET /` as stream 1.
const GET_H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";
/// The beginning of a frame of 128 bytes with the headers of stream 3.
const HALF_H2: &[u8] = b"\0\0\x80\x01\x05\0\0\0\x03";

/// How much later than it should a busy machine may end a connection that is else kept for ever.
const LATE: Duration = Duration::from_secs(4);

struct Running {
    address: SocketAddr,
    counts: ConnectionCounts,
    shutdown: CancellationToken,
    most_at_once: Arc<AtomicUsize>,
    task: JoinHandle<io::Result<()>>,
}

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        first_request: Duration::from_secs(1),
        next_request: Duration::from_secs(6),
        ping: Duration::from_millis(500),
        no_sign_of_life: Duration::from_millis(1_500),
        ..ConnectionLimits::new(100)
    }
}

fn start(limits: ConnectionLimits) -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (counts, shutdown) = (ConnectionCounts::default(), CancellationToken::new());
    let most_at_once = Arc::new(AtomicUsize::new(0));
    let (most, at_once) = (most_at_once.clone(), Arc::new(AtomicUsize::new(0)));
    let slow = async move || {
        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        at_once.fetch_sub(1, Ordering::SeqCst);
        "slow"
    };
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(slow))
        .route("/large", get(async || vec![0_u8; 32 << 20]));
    let serving = serve(
        router,
        listener,
        None,
        limits,
        counts.clone(),
        shutdown.clone(),
    );
    Running {
        address,
        counts,
        shutdown,
        most_at_once,
        task: tokio::spawn(serving),
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// A connection over which a request was answered.
    async fn answered(&self, request: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request).await.expect("it takes a request");
        assert!(read_here(&mut stream).await);
        stream
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn open(&self, connections: i64) {
        let begun = Instant::now();
        while self.counts.open.get() != connections {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{:?}",
                self.counts
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Reads up to an answer's body; false where the connection ends before.
async fn read_here(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    while !read.windows(4).any(|part| part == b"here") {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

/// How long the server bears one who sends a byte each 50 ms, and reads what comes.
async fn borne(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut read = [0; 1024];
    loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is borne");
        tokio::select! {
            got = stream.read(&mut read) => match got {
                Ok(0) | Err(_) => return begun.elapsed(),
                Ok(_) => {}
            },
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                if stream.write_all(b"a").await.is_err() {
                    return begun.elapsed();
                }
            }
        }
    }
}

fn clients() -> [(&'static str, reqwest::Client); 2] {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = || reqwest::Client::builder().no_proxy();
    [
        ("HTTP/1", client().http1_only().build().expect("a client")),
        (
            "HTTP/2",
            client().http2_prior_knowledge().build().expect("a client"),
        ),
    ]
}

#[tokio::test]
async fn headers_far_longer_than_any_token_are_read_and_endless_ones_refused() {
    let running = start(limits());
    for (version, client) in clients() {
        let send = |bytes: usize| {
            let request = client.get(running.url("/"));
            request.bearer_auth("a".repeat(bytes)).send()
        };
        let long = send(100 << 10).await.expect("an answer");
        assert_eq!(long.status(), 200, "{version}");
        // Where the refusal is lost, for the rest of the request is not read, the end is seen.
        if let Ok(refused) = send(400 << 10).await {
            assert_eq!(refused.status(), 431, "{version}");
        }
        let next = send(10).await.expect("an answer");
        assert_eq!(next.status(), 200, "{version}");
    }
}

#[tokio::test]
async fn who_sends_a_byte_at_a_time_is_ended() {
    let limits = limits();
    let running = start(limits.clone());
    let mut first = running.connect().await;
    first.write_all(&GET[..20]).await.expect("it reads");
    let mut next = running.answered(GET).await;
    next.write_all(&GET[..20]).await.expect("it reads");
    let mut next_h2 = running.answered(GET_H2).await;
    next_h2.write_all(HALF_H2).await.expect("it reads");
    let (silent, silent_h2) = (running.connect().await, running.answered(GET_H2).await);
    // The one says nothing at all, the other answers no ping.
    let (first, next, next_h2, (), ()) = tokio::join!(
        borne(first),
        borne(next),
        borne(next_h2),
        ended(silent, limits.first_request),
        ended(silent_h2, limits.ping + limits.no_sign_of_life),
    );
    assert!(first < limits.first_request + LATE, "{first:?}");
    assert!(next < limits.next_request * 2 + LATE, "{next:?}");
    assert!(next > limits.next_request, "{next:?}");
    let pinged = limits.ping + limits.no_sign_of_life;
    assert!(next_h2 < pinged + LATE, "{next_h2:?}");
    running.open(0).await;
}

async fn ended(mut stream: TcpStream, after: Duration) {
    let begun = Instant::now();
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    let took = begun.elapsed();
    assert!(took < after + LATE, "{took:?}");
}

#[tokio::test]
async fn an_idle_connection_lives_on() {
    let limits = limits();
    let running = start(limits.clone());
    let idle = limits.next_request / 2;
    assert!(idle > limits.first_request && idle > limits.ping + limits.no_sign_of_life);
    let mut http1 = running.answered(GET).await;
    let [_, (_, http2)] = clients();
    assert!(http2.get(running.url("/")).send().await.is_ok());
    for _ in 0..2 {
        tokio::time::sleep(idle).await;
        assert_eq!(running.counts.open.get(), 2);
        http1.write_all(GET).await.expect("it is open");
        assert!(read_here(&mut http1).await);
        assert!(http2.get(running.url("/")).send().await.is_ok());
        assert_eq!(running.counts.open.get(), 2, "the same two");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_displaces_none() {
    let running = start(ConnectionLimits {
        connections: 2,
        ..limits()
    });
    let mut open = [running.answered(GET).await, running.answered(GET).await];
    for refusals in 1..=3 {
        let mut refused = running.connect().await;
        let _ = refused.write_all(GET).await;
        assert!(!read_here(&mut refused).await);
        assert_eq!(running.counts.refused.get(), refusals);
    }
    for stream in &mut open {
        stream.write_all(GET).await.expect("it is open");
        assert!(read_here(stream).await);
    }
    let [gone, _stays] = open;
    drop(gone);
    running.open(1).await;
    running.answered(GET).await;
}

#[tokio::test]
async fn one_connection_asks_a_bounded_number_of_requests_at_once() {
    let running = start(ConnectionLimits {
        streams: 3,
        ..limits()
    });
    let [_, (_, http2)] = clients();
    // What is allowed is known once something was answered.
    assert!(http2.get(running.url("/")).send().await.is_ok());
    let slow = (0..12).map(|_| http2.get(running.url("/slow")).send());
    let answers = futures::future::join_all(slow).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(running.most_at_once.load(Ordering::SeqCst), 3);
    assert_eq!(running.counts.open.get(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_does_not_take_its_answer_is_ended() {
    let running = start(limits());
    let mut stream = running.connect().await;
    let ask = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(ask).await.expect("it takes a request");
    running.open(1).await;
    running.open(0).await;
}

#[tokio::test]
async fn what_is_under_way_at_the_end_is_answered_and_idle_connections_are_closed() {
    let running = start(limits());
    let [(_, http1), (_, http2)] = clients();
    let idle = running.answered(GET).await;
    for client in [&http1, &http2] {
        assert!(client.get(running.url("/")).send().await.is_ok());
    }
    let slow = |client: reqwest::Client| {
        let slow = client.get(running.url("/slow")).send();
        tokio::spawn(async move { slow.await?.text().await })
    };
    let under_way = [slow(http1), slow(http2)];
    while running.most_at_once.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = Instant::now();
    running.shutdown.cancel();
    for answer in under_way {
        let text = answer.await.expect("it ends").expect("an answer");
        assert_eq!(text, "slow");
    }
    ended(idle, Duration::ZERO).await;
    running.task.await.expect("it ends").expect("without error");
    assert!(asked.elapsed() < limits().grace, "{:?}", asked.elapsed());
}

#[test]
fn a_process_that_may_not_open_so_many_connections_says_what_to_change() {
    assert!(make_room(100).is_ok());
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert!(soft >= 100 + RESERVED, "{soft}");
    let refused = make_room(usize::MAX).expect_err("nobody has so many");
    let says = refused.to_string();
    assert!(says.contains("LLMPLANE_MAX_CONNECTIONS"), "{says}");
}
