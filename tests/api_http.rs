//! The read API as a server of HTTP: methods and paths.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::api::{Caller, TestApi, answer, models};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_answered_as_a_get_is_but_for_the_body() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![api.model(provider, "gpt")])).await;
    for (path, status) in [
        ("/providers", 200),
        ("/providers/openai", 200),
        ("/providers/openai/credentials", 200),
        ("/models", 200),
        ("/models/gpt", 200),
        ("/models/by-capability/Chat", 200),
        ("/models/nobody", 404),
        ("/models?limit=0", 400),
        ("/nothing", 404),
        ("/models?include_deleted=true", 403),
    ] {
        let get = viewer.get(path).await;
        let head = viewer.ask(Method::HEAD, path, &[]).await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.text, "", "{path}");
        for name in ["etag", "content-type", "cache-control", "llmplane-revision"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        let length = get.text.len().to_string();
        assert_eq!(head.header("content-length"), length, "{path}");
    }
    let tag = viewer.get("/models").await.header("etag").to_owned();
    let headers = [("if-none-match", tag.as_str())];
    let same = viewer.ask(Method::HEAD, "/models", &headers).await;
    assert_eq!(same.status, 304);
    let url = format!("{}/api/v1/models", api.url);
    let nobody = answer(reqwest::Client::new().head(url)).await;
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate")),
        (401, "Bearer")
    );
}

/// The answer to a request whose path no client has tidied up.
async fn raw(caller: &Caller<'_>, path: &str) -> String {
    let address = caller.api.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: llmplane\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        caller.token
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_leads_nowhere_but_where_it_says() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    api.provider("openai").await;
    let straight = raw(&viewer, "/api/v1/providers/openai").await;
    assert!(straight.starts_with("HTTP/1.1 200 "), "{straight}");
    for path in [
        "/api/v1/models/../providers/openai",
        "/api/v1/models/../../v1/providers",
        "/api/v1/./providers",
        "/api/v1//providers",
        "//api/v1/providers",
        "/../api/v1/providers",
        "/api/v1/providers/../providers",
        "/api/v1/providers/..",
        "/api/v1/providers/../endpoints",
        "/api/v1/models/%2e%2e/providers",
        "/api/v1/models%2f..%2fproviders",
        "/api/v1/providers/..%2fproviders%2fopenai",
        "/openapi.json/../api/v1/providers",
        "/api/v1/../../../../etc/passwd",
        "/api/v1/providers/",
    ] {
        let answer = raw(&viewer, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{path}: {answer}"
        );
        assert!(!answer.contains("openai"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_the_pattern_of_their_route_and_by_status() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![api.model(provider, "gpt")])).await;
    for path in [
        "/models/gpt",
        "/models/gpt?limit=1",
        "/models/nobody",
        "/models",
        "/models/by-capability/Chat",
        "/providers/openai/credentials",
        "/nothing/here",
    ] {
        viewer.get(path).await;
    }
    for _ in 0..2 {
        viewer.get("/models/gpt").await;
        viewer.ask(Method::POST, "/models", &[]).await;
    }
    for (route, status, count) in [
        ("/api/v1/models/{id}", 200, 3.0),
        ("/api/v1/models/{id}", 400, 1.0),
        ("/api/v1/models/{id}", 404, 1.0),
        ("/api/v1/models", 200, 1.0),
        ("/api/v1/models", 405, 2.0),
        ("/api/v1/models/by-capability/{capability}", 200, 1.0),
        ("/api/v1/providers/{id}/credentials", 200, 1.0),
        ("", 404, 1.0),
    ] {
        let name = "llmplane_api_request_duration_seconds_count";
        let counted = api
            .metric(&format!("{name}{{route=\"{route}\",status=\"{status}\"}}"))
            .await;
        assert_eq!(counted, count, "{route} {status}");
    }
}
