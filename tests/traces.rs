//! Traces by OTLP: what is in them, what is not, and what a collector that is away costs.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{
    api::{answer, free_address, token_for},
    collector::{Collector, Span},
    fake_vendor::FakeVendor,
    plane::eventually,
    process::{Process, viewer},
    world::World,
};

/// Settings that send spans soon.
fn traced(url: &str) -> [(&'static str, &str); 2] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_with_its_route_and_no_value_of_it() {
    let collector = Collector::start().await;
    let world = World::new("traced").await;
    let _controller = Process::controller(&world, &[]);
    let api = Process::api(&world, &traced(&collector.url()));
    let token = viewer(&world).await;
    api.ready().await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let request = api
        .request(
            Method::GET,
            &token,
            "/models/absent-canary?namespace=query-canary",
        )
        .header("traceparent", format!("00-{trace}-{parent}-01"))
        .header("tracestate", "vendor=state-canary");
    let status = answer(request).await.status;
    let odd = Method::from_bytes(b"CANARY").unwrap();
    answer(api.request(odd, &token, "/models")).await;
    answer(api.request(Method::GET, &token, "/nowhere/canary")).await;
    let name = "GET /api/v1/models/{id}";
    eventually("the three spans come", async || {
        !collector.named(name).is_empty()
            && !collector.named("_OTHER /api/v1/models").is_empty()
            && !collector.named("GET").is_empty()
    })
    .await;
    let span = collector.named(name).remove(0);
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (trace, parent));
    assert_eq!(span.service, "llmplane-api");
    assert_eq!(
        span.attributes["http.response.status_code"],
        status.to_string()
    );
    assert_eq!(span.attributes["http.route"], "/api/v1/models/{id}");
    assert_eq!((span.events, span.is_error), (0, false));
    let own = collector.named("GET").remove(0);
    assert_eq!(own.parent, "", "a trace of its own: {own:?}");
    assert!(!collector.text().contains("canary"), "{}", collector.text());
    assert!(!collector.text().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_is_called_below_the_check_and_the_reconcile_that_waits_for_it() {
    const KEY: &str = "sk-canary-Tr4planted23456789";
    let collector = Collector::start().await;
    let vendor = FakeVendor::start(&[KEY], &["gpt-a"]).await;
    let world = World::new("tracedchecks").await;
    let _controller = Process::controller(&world, &traced(&collector.url()));
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    // From a call of the vendor up to where its trace begins.
    let lineage = |of: &Span| {
        let mut above = vec![of.clone()];
        while let Some(parent) = collector.parent(&above[above.len() - 1]) {
            above.push(parent);
        }
        above
    };
    let calls_of = |check: &str, reconcile: &str| {
        let mut calls = collector.named("GET");
        calls.retain(|call| {
            let names: Vec<String> = lineage(call).into_iter().map(|span| span.name).collect();
            names == ["GET", check, reconcile]
        });
        calls
    };
    for (check, reconcile) in [
        ("check Validation", "reconcile credential"),
        ("check Probe", "reconcile endpoint"),
    ] {
        eventually(
            &format!("the call of a {check} has its place"),
            async || !calls_of(check, reconcile).is_empty(),
        )
        .await;
        let call = calls_of(check, reconcile).remove(0);
        assert_eq!(call.attributes["server.address"], "127.0.0.1", "{call:?}");
        let [_, check, reconcile] = &lineage(&call)[..] else {
            panic!("three spans");
        };
        assert_eq!(reconcile.attributes["k8s.namespace.name"], world.ns());
        assert_eq!(
            reconcile.parent, "",
            "where the trace begins: {reconcile:?}"
        );
        for parent in [check, reconcile] {
            eventually("what it stores stands below it", async || {
                let mut spans = collector.spans().into_iter();
                spans.any(|span| span.name.starts_with("postgresql ") && span.parent == parent.id)
            })
            .await;
        }
        let below = collector.spans().into_iter();
        let below: Vec<Span> = below.filter(|span| span.parent == call.id).collect();
        assert!(below.is_empty(), "{below:?}");
    }
    assert!(!collector.text().contains("canary"), "{}", collector.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_write_tells_the_audit_stands_below_its_request() {
    let collector = Collector::start().await;
    let world = World::new("tracedwrite").await;
    let _controller = Process::controller(&world, &[]);
    let api = Process::api(&world, &traced(&collector.url()));
    let verbs = ["get", "create"];
    world
        .account("writer", &verbs, &["llmproviders"], &[])
        .await;
    let audiences = ["llmplane", "https://kubernetes.default.svc"];
    let token = token_for(&world.client, world.ns(), "writer", &audiences).await;
    api.ready().await;
    let path = format!("/providers?namespace={}", world.ns());
    let body = json!({ "name": "p", "type": "OpenAI" });
    let made = answer(api.request(Method::POST, &token, &path).json(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    eventually("the call stands below the request", async || {
        let calls = collector.named("postgresql call");
        let mut parents = calls.iter().filter_map(|call| collector.parent(call));
        parents.any(|parent| parent.name == "POST /api/v1/providers")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_one_line_and_no_answer() {
    let world = World::new("traced").await;
    let _controller = Process::controller(&world, &[]);
    let address = free_address();
    let url = format!("http://{address}");
    let settings = [&traced(&url)[..], &[("OTEL_BSP_MAX_QUEUE_SIZE", "16")]].concat();
    let api = Process::api(&world, &settings);
    let token = viewer(&world).await;
    api.ready().await;
    let asked = async || assert_eq!(api.get(&token, "/models").await.status, 200);
    let said = |what: &str| api.log().matches(what).count();
    eventually("the log says that nobody takes traces", async || {
        asked().await;
        said("traces are not taken") == 1
    })
    .await;
    for _ in 0..100 {
        asked().await;
    }
    let collector = Collector::at(address).await;
    eventually("traces are taken", async || {
        asked().await;
        !collector.spans().is_empty()
    })
    .await;
    eventually("the log says so", async || {
        said("traces are taken again") == 1
    })
    .await;
    assert_eq!(said("traces are not taken"), 1, "{}", api.log());
    assert!(
        said("OTEL_EXPORTER_OTLP_ENDPOINT") == 1 && said(&url) == 2,
        "{}",
        api.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_keeps_no_process_from_ending() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let world = World::new("traced").await;
    let mut controller = Process::controller(&world, &traced(&url));
    controller.ready().await;
    let (_held, _) = silent.accept().await.unwrap();
    controller.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = tokio::time::timeout(Duration::from_secs(30), controller.ended()).await;
    assert!(ended.expect("it ends").success());
}

#[test]
fn settings_that_cannot_be_are_refused_in_one_line() {
    for (settings, words) in [
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:hunter2")][..],
            &["OTEL_EXPORTER_OTLP_ENDPOINT", "http or https URL"][..],
        ),
        (
            &[(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://u:hunter2@127.0.0.1:4318",
            )],
            &["user or a password", "OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ],
            &["\"grpc\"", "http/protobuf alone", "4318"],
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4318"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
            ],
            &["OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"],
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_llmplane"))
            .arg("api")
            .env_clear()
            .env("DATABASE_URL", "postgres://u@127.0.0.1:1/llmplane")
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
}
