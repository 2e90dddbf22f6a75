//! A reverse proxy in front of the kube-apiserver: plain HTTP on loopback for the process behind
//! it, which brings its own token. Answers are passed on as they come, so that watches work.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::Gate;

/// A running proxy; it ends when dropped.
pub struct ApiserverProxy {
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

struct Shared {
    gate: Arc<Gate>,
    client: reqwest::Client,
    upstream: String,
    away: AtomicBool,
    severed: Mutex<CancellationToken>,
    to_cut: AtomicUsize,
    cut: AtomicUsize,
    expired: AtomicUsize,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    everyone_is: Mutex<Option<String>>,
    answers: Mutex<HashMap<String, (StatusCode, Value)>>,
    taken: AtomicUsize,
}

impl ApiserverProxy {
    /// In front of the server that this kubeconfig names.
    pub async fn start(gate: Arc<Gate>, kubeconfig: &Path) -> Self {
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
        let cluster = &mut config["clusters"][0]["cluster"];
        let ca = STANDARD
            .decode(cluster["certificate-authority-data"].as_str().unwrap())
            .unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .no_proxy()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            gate,
            client,
            upstream: cluster["server"].as_str().unwrap().to_owned(),
            away: AtomicBool::new(false),
            severed: Mutex::default(),
            to_cut: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            expired: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            everyone_is: Mutex::default(),
            answers: Mutex::default(),
            taken: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        *cluster = json!({ "server": format!("http://{address}") });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        let router = Router::new().fallback(forward).with_state(shared.clone());
        Self {
            shared,
            kubeconfig: path,
            _folder: folder,
            task: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    /// The kubeconfig of whoever is to go through here.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Breaks what is under way and answers nobody, until [`Self::mend`].
    pub fn sever(&self) {
        self.shared.away.store(true, Ordering::Release);
        self.shared.severed.lock().unwrap().cancel();
    }

    /// Passes on again.
    pub fn mend(&self) {
        *self.shared.severed.lock().unwrap() = CancellationToken::new();
        self.shared.away.store(false, Ordering::Release);
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// From now on every token that counts is this user's.
    pub fn everyone_is(&self, username: &str) {
        *self.shared.everyone_is.lock().unwrap() = Some(username.to_owned());
    }

    /// From now on every request for this path is answered so, as a cluster would that is another.
    pub fn answers(&self, path: &str, status: u16, answer: Value) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), (status, answer));
    }

    /// How many writes were under way at once at most.
    pub fn most_under_way(&self) -> usize {
        self.shared.most_under_way.load(Ordering::Acquire)
    }

    /// How many writes went to a path that ends so.
    pub fn writes(&self, path: &str) -> usize {
        let writes = self.shared.gate.writes();
        writes.iter().filter(|write| write.ends_with(path)).count()
    }

    /// How many writes the kube-apiserver has not refused.
    pub fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::Acquire)
    }

    /// Cuts so many of the next events of watches in their middle, and their connections with them.
    pub fn cut_events(&self, count: usize) {
        self.shared.to_cut.fetch_add(count, Ordering::AcqRel);
    }

    /// How many events were cut.
    pub fn cut(&self) -> usize {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// How many watches were told that their history is gone.
    pub fn expired(&self) -> usize {
        self.shared.expired.load(Ordering::Acquire)
    }
}

impl Drop for ApiserverProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::AcqRel);
    let severed = shared.severed.lock().unwrap().clone();
    if shared.away.load(Ordering::Acquire) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let answer = shared
        .answers
        .lock()
        .unwrap()
        .get(request.uri().path())
        .cloned();
    if let Some((status, answer)) = answer {
        return (status, axum::Json(answer)).into_response();
    }
    tokio::select! {
        () = severed.cancelled() => StatusCode::BAD_GATEWAY.into_response(),
        answer = pass(shared, request, severed.clone()) => answer,
    }
}

async fn pass(shared: Arc<Shared>, request: Request, severed: CancellationToken) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let target = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method);
    let number = match reads {
        true => None,
        false => match shared
            .gate
            .arrive(format!(
                "{}{} {}",
                parts.method,
                tried(&target),
                parts.uri.path()
            ))
            .await
        {
            Some(number) => Some(number),
            None => return std::future::pending().await,
        },
    };
    for ours in [header::HOST, header::CONNECTION, header::ACCEPT_ENCODING] {
        parts.headers.remove(ours);
    }
    let url = format!("{}{target}", shared.upstream);
    if !reads {
        let under_way = shared.under_way.fetch_add(1, Ordering::AcqRel) + 1;
        shared.most_under_way.fetch_max(under_way, Ordering::AcqRel);
    }
    let sent = shared
        .client
        .request(parts.method, url)
        .headers(parts.headers)
        .body(body)
        .send()
        .await;
    if !reads {
        shared.under_way.fetch_sub(1, Ordering::AcqRel);
    }
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if !reads && answer.status().is_success() {
        shared.taken.fetch_add(1, Ordering::AcqRel);
    }
    let watches = target.contains("watch=true");
    if watches && answer.status() == StatusCode::GONE {
        shared.expired.fetch_add(1, Ordering::AcqRel);
    }
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    if watches {
        return response.body(watched(shared, answer, severed)).unwrap();
    }
    let Ok(text) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if let Some(number) = number
        && !shared.gate.answered(number)
    {
        return std::future::pending().await;
    }
    let user = shared.everyone_is.lock().unwrap().clone();
    match user.filter(|_| parts.uri.path().ends_with("/tokenreviews")) {
        Some(user) => response.body(Body::from(of_user(&text, &user))).unwrap(),
        None => response.body(Body::from(text)).unwrap(),
    }
}

/// What tells a write that is only tried from one that counts.
fn tried(target: &str) -> &'static str {
    match target.contains("dryRun=All") {
        true => "(dry-run)",
        false => "",
    }
}

/// A TokenReview's answer with another user in it.
fn of_user(review: &[u8], user: &str) -> String {
    let mut review: Value = serde_json::from_slice(review).unwrap();
    review["status"]["user"] = json!({ "username": user });
    review.to_string()
}

/// A watch's events as they come, until somebody cuts.
fn watched(shared: Arc<Shared>, answer: reqwest::Response, severed: CancellationToken) -> Body {
    let broken = || std::io::Error::other("cut");
    let end = severed.clone();
    // A watch that the apiserver ends by itself ends here as well: its last event must arrive.
    let break_if_severed = futures::stream::once(async move { end.is_cancelled() })
        .filter_map(move |severed| std::future::ready(severed.then(|| Err(broken()))));
    let chunks = answer
        .bytes_stream()
        .map(move |chunk| chunk.map_err(std::io::Error::other))
        .take_until(severed.cancelled_owned())
        .chain(break_if_severed);
    let cut = chunks.flat_map(move |chunk| {
        let pieces: Vec<Result<Bytes, std::io::Error>> = match chunk {
            Ok(chunk) => {
                if String::from_utf8_lossy(&chunk).contains("\"code\":410") {
                    shared.expired.fetch_add(1, Ordering::AcqRel);
                }
                if take_one(&shared.to_cut) {
                    shared.cut.fetch_add(1, Ordering::AcqRel);
                    vec![Ok(chunk.slice(..chunk.len() / 2)), Err(broken())]
                } else {
                    vec![Ok(chunk)]
                }
            }
            Err(error) => vec![Err(error)],
        };
        futures::stream::iter(pieces)
    });
    Body::from_stream(cut)
}

fn take_one(count: &AtomicUsize) -> bool {
    count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1))
        .is_ok()
}
