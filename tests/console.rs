//! `llmplane console`: one person's page on their own machine. It answers the page that it opened and nobody
//! else, only reads, and keeps its token to itself. And the same page, served by the API.

mod way;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{
    fake_vendor::FakeVendor,
    plane::eventually,
    process::{Process, viewer},
    world::World,
};

const KEY: &str = "sk-canary-Co4planted23456789";

/// A running console; it is killed when dropped.
struct Console {
    _child: Child,
    /// `http://127.0.0.1:PORT`.
    origin: String,
    code: String,
    client: Client,
}

impl Console {
    async fn start(world: &World, api_url: &str) -> Self {
        Self::run(command(world).args(["--api", api_url])).await
    }

    /// Waits for its address.
    async fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let address = line.unwrap().unwrap().expect("it prints its address");
        let (origin, code) = address.split_once("/console/#code=").expect("an address");
        Self {
            _child: child,
            origin: origin.to_owned(),
            code: code.to_owned(),
            client: Client::new(),
        }
    }

    fn asked(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.origin))
    }

    /// Opens a session as the page does.
    async fn session(&self) -> String {
        let opened = self.asked(Method::POST, "/console/session");
        let opened = opened
            .header("llmplane-console-code", &self.code)
            .send()
            .await
            .unwrap();
        assert_eq!(opened.status(), 200);
        let said: Value = opened.json().await.unwrap();
        said["session"].as_str().unwrap().to_owned()
    }

    /// A question of the page's.
    fn of_page(&self, session: &str, method: Method, path: &str) -> RequestBuilder {
        self.asked(method, path)
            .header("llmplane-console-session", session)
            .header("origin", &self.origin)
            .header("sec-fetch-site", "same-origin")
    }
}

/// `llmplane console` for this world; it finds no API by itself.
fn command(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    command
        .args(["console", "--no-open", "--namespace", world.ns()])
        .env("KUBECONFIG", world.plane.kubeconfig())
        .env_remove("LLMPLANE_API_URL")
        .env_remove("LLMPLANE_API_CA");
    command
}

/// What it says instead of starting, in one line.
async fn refusal(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await;
    let output = output.expect("it ends within a minute").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn json_of(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {status} {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_it_opened_is_answered_and_nobody_else() {
    let world = World::started("consoleguard").await;
    viewer(&world).await;
    let api = Process::api(&world, &[]);
    api.ready().await;
    let console = Console::start(&world, &format!("http://{}", api.listen())).await;
    let models = "/api/v1/models";

    let page = console
        .asked(Method::GET, "/console/")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");

    // Who has no session learns nothing, and no made-up code opens one.
    for path in [
        models,
        "/console/session",
        "/console/refused",
        "/console/remedies.json",
    ] {
        assert_eq!(
            status(console.asked(Method::GET, path)).await,
            401,
            "{path}"
        );
    }
    let open = || console.asked(Method::POST, "/console/session");
    assert_eq!(status(open()).await, 401);
    assert_eq!(
        status(open().header("llmplane-console-code", "made-up")).await,
        401
    );

    let session = console.session().await;
    let asked = |path| console.of_page(&session, Method::GET, path);
    assert_eq!(status(asked(models)).await, 200);
    let said = json_of(asked("/console/session")).await;
    assert_eq!(said["namespace"], world.ns());
    assert_eq!(
        said["user"],
        format!("system:serviceaccount:{}:default", world.ns())
    );
    assert!(
        said["namespaces"]
            .as_array()
            .unwrap()
            .contains(&json!(world.ns())),
        "{said}"
    );
    let remedies = json_of(asked("/console/remedies.json")).await;
    assert!(
        remedies["KeyRejected"].as_str().unwrap().contains("Secret"),
        "{remedies}"
    );

    // A name that was made to lead here, and a page of another origin, with all that they could know.
    let port = console.origin.rsplit(':').next().unwrap();
    for host in [
        format!("evil.example:{port}"),
        "127.0.0.1:1".to_owned(),
        "127.0.0.1".to_owned(),
    ] {
        let request = asked(models).header("host", &host);
        assert_eq!(status(request).await, 421, "{host}");
        let page = console
            .asked(Method::GET, "/console/")
            .header("host", &host);
        assert_eq!(status(page).await, 421, "{host}");
    }
    let own = asked(models).header("host", format!("localhost:{port}"));
    assert_eq!(status(own).await, 200);
    let from = |name: &str, value: &str| {
        console
            .asked(Method::GET, models)
            .header("llmplane-console-session", &session)
            .header(name, value)
    };
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(status(from(name, value)).await, 403, "{name}: {value}");
        let opened = open()
            .header("llmplane-console-code", &console.code)
            .header(name, value);
        assert_eq!(status(opened).await, 403, "{name}: {value}");
    }
    let preflight = console
        .asked(Method::OPTIONS, models)
        .header("origin", "http://evil.example");
    let preflight = preflight.send().await.unwrap();
    assert!(
        !preflight
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reads_and_resolves_without_a_key_and_passes_changes_on_as_they_come() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::started("consoleread").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world
        .apply(
            "LlmModel",
            "lost",
            json!({ "providerRef": { "name": "nowhere" }, "modelId": "x" }),
        )
        .await;
    world.ready("LlmModel", "m").await;
    let token = viewer(&world).await;
    let api = Process::api(&world, &[]);
    api.ready().await;
    let console = Console::start(&world, &format!("http://{}", api.listen())).await;
    let session = console.session().await;
    let ns = world.ns();
    let asked = |method, path: &str| console.of_page(&session, method, path);

    // As the account would be answered itself.
    let list = format!("/models?namespace={ns}");
    let own = api.get(&token, &list).await.json();
    let passed = json_of(asked(Method::GET, &format!("/api/v1{list}"))).await;
    assert_eq!(passed["items"], own["items"]);
    let missing = asked(Method::GET, "/api/v1/models/nobody")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(
        missing.headers()["content-type"],
        "application/problem+json"
    );

    let resolve = |body: Value| asked(Method::POST, "/api/v1/resolve").json(&body);
    let answer = json_of(resolve(json!({ "model": "m" }))).await;
    assert_eq!(answer["model"]["name"], "m", "{answer}");
    assert_eq!(answer["targets"][0]["credential"]["name"], "c", "{answer}");
    assert!(!answer.to_string().contains(KEY) && !answer.to_string().contains(&token));
    assert_eq!(
        status(resolve(json!({ "model": "m", "with_secret": true }))).await,
        403
    );
    for (method, path) in [
        (Method::POST, "/api/v1/providers"),
        (Method::DELETE, "/api/v1/models/m"),
        (Method::POST, "/api/v1/audit/whose-key"),
        (Method::POST, "/api/v1/endpoints/e/health-check"),
    ] {
        assert_eq!(status(asked(method, path)).await, 405, "{path}");
    }
    for path in ["/api/v1/../../metrics", "/docs/", "/openapi.json"] {
        let url = format!("{path}?namespace={ns}");
        assert_eq!(status(asked(Method::GET, &url)).await, 404, "{path}");
    }

    // What is declared and has no row is told by the cluster.
    eventually("what is refused is told", async || {
        let path = format!("/console/refused?namespace={ns}");
        let refused = json_of(asked(Method::GET, &path)).await;
        let refused = refused.as_array().unwrap();
        refused.len() == 1
            && refused[0]["name"] == "lost"
            && refused[0]["reason"] == "ProviderNotFound"
    })
    .await;

    // A stream goes on, and what changes comes while it does.
    let path = format!("/api/v1/watch?namespace={ns}");
    let mut stream = asked(Method::GET, &path).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut told = String::new();
    let mut changed = false;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !told.contains("\"display_name\":\"Changed meanwhile\"") {
        let chunk = tokio::time::timeout_at(deadline, stream.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("no change within a minute: {told}"));
        told.push_str(&String::from_utf8_lossy(
            &chunk.unwrap().expect("the stream goes on"),
        ));
        if !changed && told.contains("event: heartbeat") {
            changed = true;
            let spec = json!({ "providerRef": { "name": "p" }, "modelId": "gpt-a", "displayName": "Changed meanwhile" });
            world.apply("LlmModel", "m", spec).await;
        }
    }
}

/// An API that takes no token but the second, and says which came.
async fn forgetful_api(seen: Arc<Mutex<Vec<String>>>) -> String {
    let answer = move |sent: HeaderMap| {
        let mut seen = seen.lock();
        seen.push(sent["authorization"].to_str().unwrap().to_owned());
        let is_first = seen.iter().all(|token| *token == seen[0]);
        async move {
            match is_first {
                true => StatusCode::UNAUTHORIZED.into_response(),
                false => "{}".into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/models", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_api_takes_no_more_is_replaced_and_one_that_it_never_takes_is_no_end_of_the_session()
 {
    let world = World::started("consoletoken").await;
    viewer(&world).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let console = Console::start(&world, &forgetful_api(seen.clone()).await).await;
    let session = console.session().await;
    let asked = || console.of_page(&session, Method::GET, "/api/v1/models");
    // Tokens that are made within one second are the same: the first question may have none that is new.
    eventually("another token is used", async || {
        status(asked()).await == 200
    })
    .await;
    let tokens = seen.lock().clone();
    assert!(
        tokens.iter().all(|token| token.starts_with("Bearer ey")),
        "tokens of the account"
    );

    // Another audience than the API's: a 401 would tell the page that its own session has ended.
    let api = Process::api(&world, &[("LLMPLANE_AUDIENCE", "another")]);
    api.ready().await;
    let console = Console::start(&world, &format!("http://{}", api.listen())).await;
    let session = console.session().await;
    let answer = json_of(console.of_page(&session, Method::GET, "/api/v1/models")).await;
    assert_eq!(answer["status"], 502, "{answer}");
    assert!(
        answer["detail"].as_str().unwrap().contains("audience"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_serves_the_page_only_where_its_operator_wants_it() {
    let world = World::started("consoleapi").await;
    let without = Process::api(&world, &[]);
    without.ready().await;
    let url = format!("http://{}/console/", without.listen());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);

    let with = Process::api(&world, &[("LLMPLANE_CONSOLE", "true")]);
    with.ready().await;
    let at = |path: &str| reqwest::get(format!("http://{}{path}", with.listen()));
    let page = at("/console").await.unwrap();
    assert_eq!(page.url().path(), "/console/");
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(page.text().await.unwrap().contains("console.js"));
    let said: Value = at("/console/session").await.unwrap().json().await.unwrap();
    assert_eq!(said["mode"], "token");
    let remedies: Value = at("/console/remedies.json")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(remedies["KeyRejected"].is_string());
    for path in [
        "/console/nothing",
        "/console/refused",
        "/console/../Cargo.toml",
    ] {
        assert_eq!(at(path).await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_said_in_one_line() {
    let world = World::new("consolestart").await;
    viewer(&world).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, wanted) in [
        (
            vec!["--service-account", "nobody"],
            "name another with --service-account",
        ),
        (vec!["--port", &port], "give another with --port"),
        (
            vec!["--api-ca", "/nowhere.pem"],
            "/nowhere.pem cannot be read",
        ),
        (vec!["--port", "70000"], "--port"),
        (
            vec![],
            "the API at http://127.0.0.1:1/ does not answer; see whether it runs there",
        ),
    ] {
        let said = refusal(
            command(&world)
                .args(["--api", "http://127.0.0.1:1"])
                .args(&args),
        )
        .await;
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}
