//! A key is followed through its whole life, and looked for in everything that anybody can read.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use llmplane::{crd::ProviderType, local::state::Component};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{
    collector::Collector,
    fake_vendor::FakeVendor,
    plane::eventually,
    postgres::tool,
    process::{Process, agent, viewer},
    vendors::Fake,
    world::World,
};

/// Keys, in the order in which the credential has them.
const ACCEPTED: &str = "sk-canary-Zq7/first+0123456789";
const REFUSED: &str = "sk-canary-Zq7/second+123456789";
const ROTATED: &str = "sk-canary-Zq7/third+0123456789";
const KEYS: [&str; 3] = [ACCEPTED, REFUSED, ROTATED];
/// Nobody's key: it is put where keys must not be, so that the search is seen to find.
const PLANTED: &str = "sk-canary-Zq7/planted+23456789";

/// What a text may look like after somebody has encoded it.
fn forms(key: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([
        key.to_owned(),
        hex::encode(key),
        hex::encode_upper(key),
        key.replace('/', "%2F").replace('+', "%2B"),
        key.replace('/', "\\/"),
        format!("{:?}", key.as_bytes()),
    ]);
    // In base64 a text looks in three ways, by where in three bytes it begins; the characters that
    // it shares with its neighbours are left out.
    for shift in 0..3 {
        let shifted = [vec![b'x'; shift], key.as_bytes().to_vec()].concat();
        for encoded in [
            STANDARD_NO_PAD.encode(&shifted),
            URL_SAFE_NO_PAD.encode(&shifted),
        ] {
            let first = (shift * 8).div_ceil(6);
            forms.insert(encoded[first..encoded.len() - 1].to_owned());
        }
    }
    forms
}

/// The forms of a key that are in a text.
fn found(key: &str, text: &str) -> Vec<String> {
    forms(key)
        .into_iter()
        .filter(|form| text.contains(form))
        .collect()
}

/// All that is stored, as `pg_dump` writes it: bytes in hex.
fn dump(world: &World) -> String {
    let output = tool("pg_dump", &world.database).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

async fn events(world: &World) -> String {
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    let listed = events.list(&ListParams::default()).await.unwrap();
    serde_json::to_string(&listed.items).unwrap()
}

async fn objects(world: &World) -> String {
    let mut text = String::new();
    for kind in ["LlmProvider", "LlmEndpoint", "LlmCredential", "LlmModel"] {
        text += &serde_json::to_string(&world.all(kind).await).unwrap();
    }
    text
}

/// Every `GET` of the read API, of every object that there is.
async fn answers(world: &World, api: &Process, token: &str) -> String {
    let mut paths: Vec<String> = [
        "/providers",
        "/models",
        "/models/by-capability/Chat",
        "/providers?limit=-1",
        "/models/absent",
    ]
    .map(str::to_owned)
    .into();
    for (kind, routes) in [
        (
            "LlmProvider",
            [
                "/providers/*",
                "/providers/*/endpoints",
                "/providers/*/credentials",
            ]
            .as_slice(),
        ),
        ("LlmEndpoint", &["/endpoints/*", "/endpoints/*/health"]),
        ("LlmCredential", &["/credentials/*"]),
        ("LlmModel", &["/models/*"]),
    ] {
        for object in world.all(kind).await {
            let name = object["metadata"]["name"].as_str().unwrap();
            paths.extend(routes.iter().map(|route| route.replace('*', name)));
        }
    }
    let described = reqwest::get(format!("http://{}/openapi.json", api.listen())).await;
    let described = described.unwrap().text().await.unwrap();
    assert!(described.contains("\"openapi\""), "{described}");
    let mut text = format!("/openapi.json {described}\n");
    for path in &paths {
        let answer = api.get(token, path).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
        text += &format!("{path} {:?} {}\n", answer.headers, answer.text);
    }
    text
}

/// Waits until the API gives this key out: the only place in which it may be.
async fn given(api: &Process, token: &str, key: &str) {
    let asked = json!({ "model": "m", "with_secret": true, "purpose": "a nightly run" });
    api.gives(token, asked, Some(key)).await;
}

/// Everything that anybody can read, by where it is.
async fn everything(
    world: &World,
    controller: &Process,
    api: &Process,
    collector: &Collector,
    token: &str,
) -> Vec<(&'static str, String)> {
    vec![
        ("database", dump(world)),
        ("answers", answers(world, api, token).await),
        ("objects", objects(world).await),
        ("events", events(world).await),
        ("kubectl describe", described(world).await),
        ("PostgreSQL's log", database_log(world)),
        ("controller's metrics", controller.admin("/metrics").await.1),
        (
            "controller's readiness",
            controller.admin("/readyz").await.1,
        ),
        ("API's metrics", api.admin("/metrics").await.1),
        ("controller's log", controller.log()),
        ("API's log", api.log()),
        ("traces", collector.text()),
    ]
}

/// Settings that log everything, and send every span soon.
fn loudest(collector: &str) -> [(&'static str, &str); 3] {
    [
        ("RUST_LOG", "trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ]
}

/// What `kubectl describe` shows of every object of the namespace, Secrets among them: it prints their
/// entries' lengths.
async fn described(world: &World) -> String {
    let kinds = "llmproviders,llmendpoints,llmcredentials,llmmodels,secrets,events";
    let output = world
        .plane
        .kubectl(&["describe", kinds, "--namespace", world.ns()])
        .await;
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Has PostgreSQL log every statement with its parameters, as a careless administrator would, on
/// connections that are made from now on.
async fn log_everything(world: &World) {
    let mut superuser = PgConnection::connect(&world.database.superuser_url)
        .await
        .unwrap();
    for setting in [
        "log_statement = 'all'",
        "log_parameter_max_length = -1",
        "log_parameter_max_length_on_error = -1",
        "log_min_error_statement = error",
    ] {
        let set = format!("ALTER DATABASE {} SET {setting}", world.database.name);
        superuser.execute(AssertSqlSafe(set)).await.unwrap();
    }
}

/// What PostgreSQL has logged of this world's database.
fn database_log(world: &World) -> String {
    let bytes = std::fs::read(world.plane.state_dir().log(Component::Postgres)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn assert_no_key(places: &[(&str, String)], keys: &[&str], when: &str) {
    for (place, text) in places {
        assert!(!text.is_empty(), "{place} is empty");
        for key in keys {
            assert_eq!(found(key, text), [""; 0], "{when}: in the {place}");
        }
    }
}

fn place<'a>(places: &'a [(&str, String)], name: &str) -> &'a str {
    &places.iter().find(|(place, _)| *place == name).unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_nowhere_through_its_whole_life() {
    let vendor = FakeVendor::start(&[ACCEPTED, ROTATED], &["gpt-a"]).await;
    let world = World::new("canary").await;
    log_everything(&world).await;
    let collector = Collector::start().await;
    let url = collector.url();
    let all = loudest(&url);
    let controller = Process::controller(&world, &all);
    let api = Process::api_with_keys(&world, &all).await;
    let (token, agent) = (viewer(&world).await, agent(&world).await);
    world.secret("s", ACCEPTED).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    world.ready("LlmCredential", "c").await;
    world.ready("LlmModel", "m").await;
    eventually("the API shows the model", async || {
        api.get(&token, "/models").await.names() == ["m"]
    })
    .await;
    given(&api, &agent, ACCEPTED).await;
    eventually("the trace of it is there", async || {
        !collector.named("POST /api/v1/resolve").is_empty()
    })
    .await;
    assert_no_key(
        &everything(&world, &controller, &api, &collector, &token).await,
        &KEYS,
        "accepted",
    );

    // A second credential is refused: the vendor's answer repeats the key, and an Event tells.
    world.secret("t", REFUSED).await;
    world.credential("refused", "t").await;
    world
        .says("LlmCredential", "refused", "Valid", "False", "KeyRejected")
        .await;
    eventually("an Event tells of it", async || {
        events(&world).await.contains("KeyRejected")
    })
    .await;
    assert_no_key(
        &everything(&world, &controller, &api, &collector, &token).await,
        &KEYS,
        "refused",
    );

    world.secret("s", ROTATED).await;
    eventually("the rotated key is in use", async || {
        let status = world.get("LlmCredential", "c").await["status"].clone();
        status["versions"][0]["version"] == 2 && status["versions"][0]["state"] == "Current"
    })
    .await;
    given(&api, &agent, ROTATED).await;
    assert_no_key(
        &everything(&world, &controller, &api, &collector, &token).await,
        &KEYS,
        "rotated",
    );

    // A key with a line break inside is malformed, and is not quoted.
    world.secret("t", &format!("{REFUSED}\n{ACCEPTED}")).await;
    world
        .says("LlmCredential", "refused", "Ready", "False", "KeyMalformed")
        .await;
    for name in ["c", "refused"] {
        world.delete("LlmCredential", name).await;
    }
    let db = world.db().await;
    eventually("their rows are gone", async || {
        db.credential_rows_all(false).await.unwrap().is_empty()
    })
    .await;
    let places = everything(&world, &controller, &api, &collector, &token).await;
    assert_no_key(&places, &KEYS, "deleted");

    // The logs were as loud as they get, and the search finds what is there.
    for log in ["controller's log", "API's log"] {
        let text = place(&places, log);
        assert!(text.contains("TRACE"), "{log}: {text}");
    }
    let audited = place(&places, "database").matches("a nightly run").count();
    assert!(audited >= 2, "each key that was given out has its row");
    for (service, name) in [
        ("llmplane-controller", "reconcile credential"),
        ("llmplane-controller", "check Validation"),
        ("llmplane-api", "GET /api/v1/models"),
        ("llmplane-api", "POST /api/v1/resolve"),
    ] {
        let spans = collector.named(name);
        assert!(
            spans.iter().any(|span| span.service == service),
            "{name} of {service}"
        );
    }
    let logged = place(&places, "PostgreSQL's log");
    assert!(logged.contains("INSERT INTO credential_versions") && logged.contains("$10 = "));
    let spread = json!({
        "displayName": PLANTED,
        "description": format!("{} {}", hex::encode(PLANTED), STANDARD_NO_PAD.encode(format!("k={PLANTED}!"))),
    });
    world.provider("p", spread).await;
    world.ready("LlmProvider", "p").await;
    eventually("the API shows what was planted", async || {
        !found(PLANTED, &api.get(&token, "/providers/p").await.text).is_empty()
    })
    .await;
    let places = everything(&world, &controller, &api, &collector, &token).await;
    for name in [
        "database",
        "answers",
        "objects",
        "kubectl describe",
        "PostgreSQL's log",
    ] {
        let seen = found(PLANTED, place(&places, name));
        assert_eq!(
            seen.len(),
            3,
            "plain, hex and base64 in the {name}: {seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_crashes_leaves_nothing_of_its_memory() {
    let vendor = FakeVendor::start(&[ACCEPTED], &["gpt-a"]).await;
    let world = World::new("crash").await;
    world.secret("s", ACCEPTED).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    // Whatever the shell that starts it allows.
    setrlimit_of_children();
    let mut controller = Process::controller(&world, &[]);
    world.ready("LlmCredential", "c").await;
    world.ready("LlmModel", "m").await;
    let mut api = Process::api_with_keys(&world, &[]).await;
    given(&api, &agent(&world).await, ACCEPTED).await;
    for process in [&mut controller, &mut api] {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let core: Vec<&str> = core.unwrap().split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"], "{core:?}");
        process.signal(Signal::SIGABRT);
        let ended = process.ended().await;
        assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32));
        assert!(!ended.core_dumped());
        assert_eq!(found(ACCEPTED, &process.log()), [""; 0]);
    }
}

/// Allows what this process starts to leave core dumps, as far as it may itself.
fn setrlimit_of_children() {
    let (_, most) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    setrlimit(Resource::RLIMIT_CORE, most, most).unwrap();
}

/// The parts of keys that have several, and the entries beside them.
const PARTS: [&str; 10] = [
    "AKIACANARY0ZQ7PAIR01",
    "canary/Zq7/secret+of+the+pair+0123456789",
    "ASIACANARY0ZQ7TEMP01",
    "canary/Zq7/secret+of+the+temporary+45678",
    "canary/Zq7/session+token+0123456789/abcdef==",
    "canary/Zq7/session+token+that+is+over/abcd==",
    "canary/Zq7/access+token+of+a+gateway/012345",
    "canary/Zq7/beside+it+in+the+Secret/0123456",
    "canary/Zq7/access+token+of+anthropic/012345",
    "canary/Zq7/access+token+of+azure/0123456789",
];

/// A provider `name` of this type with an endpoint at the fake.
async fn offer(world: &World, name: &str, fake: &Fake, type_: ProviderType) {
    world
        .apply("LlmProvider", name, json!({ "type": type_ }))
        .await;
    let mut endpoint = json!({ "providerRef": { "name": name }, "baseUrl": fake.url() });
    if type_ == ProviderType::Bedrock {
        endpoint["region"] = "us-east-1".into();
    }
    world.apply("LlmEndpoint", name, endpoint).await;
}

/// A credential of the provider, and its Secret of the same name, with these entries.
async fn key(world: &World, provider: (&str, ProviderType), name: &str, entries: Value) {
    let (provider, type_) = provider;
    let own: serde_json::Map<String, Value> = entries
        .as_object()
        .unwrap()
        .keys()
        .map(|entry| (entry.clone(), entry.as_str().into()))
        .collect();
    let mut data = entries.clone();
    // What the credential does not name is none of its business.
    data["other"] = PARTS[7].into();
    world.secret_of(type_, name, data).await;
    let spec = json!({
        "providerRef": { "name": provider },
        "secretRef": { "name": name, "keys": own },
    });
    world.apply("LlmCredential", name, spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_key_of_several_parts_is_found_anywhere() {
    use ProviderType::{Anthropic, AzureOpenAI, Bedrock, OpenAICompatible};
    let [
        id,
        secret,
        temporary,
        its_secret,
        session,
        over,
        token,
        _,
        claude,
        entra,
    ] = PARTS;
    let (aws, gateway, anthropic, azure) = (
        Fake::of(Bedrock).await,
        Fake::of(OpenAICompatible).await,
        Fake::of(Anthropic).await,
        Fake::of(AzureOpenAI).await,
    );
    aws.accept_pair(id, secret, None);
    aws.accept_pair(temporary, its_secret, Some(session));
    gateway.accept(token);
    anthropic.shop().tokens.push(claude.to_owned());
    azure.shop().tokens.push(entra.to_owned());
    let world = World::new("parts").await;
    let collector = Collector::start().await;
    let url = collector.url();
    let all = loudest(&url);
    let controller = Process::controller(&world, &all);
    let api = Process::api(&world, &all);
    let viewer = viewer(&world).await;
    offer(&world, "aws", &aws, Bedrock).await;
    offer(&world, "gw", &gateway, OpenAICompatible).await;
    offer(&world, "ant", &anthropic, Anthropic).await;
    offer(&world, "azure", &azure, AzureOpenAI).await;

    let bedrock = ("aws", Bedrock);
    let pair = json!({ "apiKey": id, "secretKey": secret });
    key(&world, bedrock, "pair", pair).await;
    let of_session =
        |session| json!({ "apiKey": temporary, "secretKey": its_secret, "accessToken": session });
    key(&world, bedrock, "temporary", of_session(session)).await;
    key(&world, bedrock, "over", of_session(over)).await;
    let lone = |token| json!({ "accessToken": token });
    key(&world, ("gw", OpenAICompatible), "token", lone(token)).await;
    key(&world, ("ant", Anthropic), "claude", lone(claude)).await;
    key(&world, ("azure", AzureOpenAI), "entra", lone(entra)).await;
    // Parts that its type does not take together.
    let both = json!({ "apiKey": id, "secretKey": secret, "accessToken": token });
    key(&world, ("gw", OpenAICompatible), "both", both).await;

    for name in ["pair", "temporary", "token", "claude", "entra"] {
        world
            .says("LlmCredential", name, "Valid", "True", "KeyAccepted")
            .await;
    }
    world
        .says("LlmCredential", "over", "Valid", "False", "KeyRejected")
        .await;
    world
        .says("LlmCredential", "both", "Valid", "False", "KeyMalformed")
        .await;
    for (name, model) in [
        ("aws", "amazon.nova-lite-v1:0"),
        ("gw", "ft:gpt-4o-mini:acme::A1b2"),
        ("ant", "claude-sonnet-4-5-20250929"),
        ("azure", "chat"),
    ] {
        let tested = json!({
            "providerRef": { "name": name }, "modelId": model,
            "availabilityTest": { "enabled": true },
        });
        world.apply("LlmModel", name, tested).await;
        world.ready("LlmModel", name).await;
    }
    api.ready().await;
    eventually("the API shows all that is declared", async || {
        api.get(&viewer, "/models").await.names().len() == 4
    })
    .await;
    eventually("Events tell of both refusals", async || {
        let told = events(&world).await;
        told.contains("KeyRejected") && told.contains("KeyMalformed")
    })
    .await;
    let sent: Vec<_> = aws
        .requests()
        .into_iter()
        .filter(|r| r.holds(session))
        .collect();
    assert!(!sent.is_empty(), "the vendor got what nobody else may see");
    let places = everything(&world, &controller, &api, &collector, &viewer).await;
    assert_no_key(&places, &PARTS, "checked");
    for name in ["temporary", "over"] {
        let masked = world.get("LlmCredential", name).await["status"]["maskedKey"].clone();
        assert!(masked.as_str().unwrap().starts_with("ASI"), "{masked}");
    }
    for log in ["controller's log", "API's log"] {
        assert!(place(&places, log).contains("TRACE"), "{log}");
    }
}

#[test]
fn every_form_of_a_key_is_recognised() {
    for text in [
        PLANTED.to_owned(),
        format!("\\x00{}ff", hex::encode(PLANTED)),
        STANDARD_NO_PAD.encode(format!("a{PLANTED}b")),
        STANDARD_NO_PAD.encode(format!("ab{PLANTED}")),
        URL_SAFE_NO_PAD.encode(format!("abc{PLANTED}bc")),
        "https://h/?k=sk-canary-Zq7%2Fplanted%2B23456789".to_owned(),
        format!("key: {:?}", PLANTED.as_bytes()),
    ] {
        assert!(!found(PLANTED, &text).is_empty(), "{text}");
        assert_eq!(found(ACCEPTED, &text), [""; 0]);
    }
}
