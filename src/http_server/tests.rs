//! Over real sockets, with short limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures::future::join_all;
use h2::client::SendRequest;
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

const MEBIBYTE: usize = 1 << 20;

struct Running {
    address: SocketAddr,
    counts: ConnectionCounts,
    memory: AnswerMemory,
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
        under_pressure: Duration::from_millis(200),
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
    let memory = AnswerMemory::default();
    let of_memory = memory.clone();
    let reserved = async move |Extension(share): Extension<ConnectionShare>| match of_memory
        .reserve(&share, MEBIBYTE)
        .await
    {
        Ok(reserved) => Ok(reserved.hold(vec![0; MEBIBYTE].into()).1),
        Err(NoMemory) => Err(axum::http::StatusCode::SERVICE_UNAVAILABLE),
    };
    let router = Router::new()
        .route("/reserved", get(reserved))
        .route("/", get(async || "here"))
        .route("/slow", get(slow))
        .route("/seldom", get(seldom))
        .route("/large", get(async || vec![0_u8; 32 << 20]));
    let serving = serve(
        router,
        listener,
        None,
        limits,
        counts.clone(),
        memory.clone(),
        shutdown.clone(),
    );
    Running {
        address,
        counts,
        memory,
        shutdown,
        most_at_once,
        task: tokio::spawn(serving),
    }
}

/// A part, and two more, each after a longer time than a reader may take nothing in.
async fn seldom() -> Body {
    let parts = futures::stream::unfold(0, async |number| {
        if number > 0 {
            tokio::time::sleep(limits().no_sign_of_life * 3 / 2).await;
        }
        (number < 3).then_some((Ok::<_, Infallible>("part"), number + 1))
    });
    Body::from_stream(parts)
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

    async fn holds_nothing(&self) {
        let begun = Instant::now();
        while self.memory.held() > 0 {
            let held = self.memory.held();
            assert!(begun.elapsed() < Duration::from_secs(20), "{held} bytes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

/// A client of HTTP/2 that lets the server send so much of each answer, and answers every ping.
async fn with_window(running: &Running, bytes: u32) -> SendRequest<Bytes> {
    let stream = running.connect().await;
    let (requests, connection) = h2::client::Builder::new()
        .initial_window_size(bytes)
        .handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

/// Asks for this path, and waits for what comes before the body.
async fn ask(requests: &SendRequest<Bytes>, path: &str) -> Option<h2::RecvStream> {
    let request = Request::get(format!("http://x{path}"))
        .body(())
        .expect("a request");
    let mut requests = requests.clone().ready().await.ok()?;
    let (answer, _) = requests.send_request(request, true).ok()?;
    let answer = answer.await.ok()?;
    assert_eq!(answer.status(), 200);
    Some(answer.into_body())
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_ended_and_its_connection_is_not() {
    const STREAMS: usize = 20;
    let running = start(limits());
    // Nothing, and a byte, after which the rest of a part would be kept by the HTTP library.
    for window in [0, 1] {
        let before = running.counts.stalled.get();
        let requests = with_window(&running, window).await;
        // As many that are reserved for as a connection may have at once.
        let paths = (0..STREAMS).map(|n| if n < 2 { "/reserved" } else { "/large" });
        let asked = join_all(paths.map(|path| ask(&requests, path)));
        for body in asked.await {
            let mut body = body.expect("an answer");
            while let Some(data) = body.data().await {
                if data.is_err() {
                    break;
                }
            }
        }
        assert_eq!(
            running.counts.stalled.get() - before,
            STREAMS as u64,
            "{window}"
        );
        running.holds_nothing().await;
        assert_eq!(running.counts.open.get(), 1);
        drop(requests);
        running.open(0).await;
    }
}

#[tokio::test]
async fn who_takes_an_answer_slowly_gets_all_of_it() {
    let running = start(limits());
    let requests = with_window(&running, 64 << 10).await;
    let mut body = ask(&requests, "/reserved").await.expect("an answer");
    let (begun, mut taken) = (Instant::now(), 0);
    while let Some(data) = body.data().await {
        let data = data.expect("it goes on");
        taken += data.len();
        body.flow_control()
            .release_capacity(data.len())
            .expect("it was taken");
        if begun.elapsed() < limits().no_sign_of_life * 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(taken, MEBIBYTE);
    assert_eq!(running.counts.stalled.get(), 0);
}

#[tokio::test]
async fn an_answer_that_says_little_is_not_one_that_nobody_takes() {
    let running = start(limits());
    let requests = with_window(&running, 64 << 10).await;
    let mut body = ask(&requests, "/seldom").await.expect("an answer");
    let mut parts = Vec::new();
    while let Some(data) = body.data().await {
        parts.push(data.expect("it goes on"));
    }
    assert_eq!(parts.concat(), b"partpartpart");
    assert_eq!(running.counts.stalled.get(), 0);
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_bounded_memory_and_keep_nobody_else_from_one() {
    let running = start(limits());
    let mut hostile = Vec::new();
    for _ in 0..40 {
        hostile.push(with_window(&running, 0).await);
    }
    let flood = hostile.iter().flat_map(|requests| {
        (0..100).map(move |_| async move { drop(ask(requests, "/reserved").await) })
    });
    let flood = async {
        join_all(flood).await;
    };
    let (memory, most) = (running.memory.clone(), AtomicUsize::new(0));
    let others = async {
        let [(_, http1), (_, http2)] = clients();
        for client in [&http1, &http2, &http1, &http2] {
            most.fetch_max(memory.held(), Ordering::SeqCst);
            let answer = client
                .get(running.url("/reserved"))
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.bytes().await.expect("all of it").len(), MEBIBYTE);
        }
    };
    tokio::select! {
        () = others => {}
        () = async { flood.await; std::future::pending().await } => {}
    }
    assert!(most.load(Ordering::SeqCst) <= 64 * MEBIBYTE, "{most:?}");
    drop(hostile);
    running.holds_nothing().await;
}

#[tokio::test]
async fn the_oldest_connection_makes_way_where_nobody_may_be_kept_out() {
    let running = start(ConnectionLimits {
        connections: 2,
        when_full: WhenFull::CloseOldest,
        ..limits()
    });
    let oldest = running.answered(GET).await;
    let mut second = running.answered(GET).await;
    let mut third = running.answered(GET).await;
    ended(oldest, Duration::ZERO).await;
    running.open(2).await;
    for stream in [&mut second, &mut third] {
        stream.write_all(GET).await.expect("it is open");
        assert!(read_here(stream).await);
    }
    assert_eq!(running.counts.refused.get(), 1);
}

#[test]
fn a_process_has_the_descriptors_that_it_may_have_or_says_what_to_change() {
    assert!(make_room(100).is_ok());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert_eq!(soft, hard);
    assert!(soft >= 100 + descriptors::RESERVED, "{soft}");
    let refused = make_room(usize::MAX).expect_err("nobody has so many");
    let says = refused.to_string();
    assert!(says.contains("LLMPLANE_MAX_CONNECTIONS"), "{says}");
}
