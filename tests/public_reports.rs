//! Servers that answer as public bug reports show, through the whole controller: what stands in the
//! statuses afterwards.

use serde_json::{Value, json};

use crate::support::{
    plane::eventually,
    vendors::{Fake, Fault, Fixture, Recorded, fixture::Answer},
    world::World,
};
use llmplane::crd::ProviderType;

const KEY: &str = "tk-4fK2mQ8zR1vXw7Lb0nTc";

/// Answers that refuse a key (facts, 15.1).
const REFUSALS: [&str; 12] = [
    "key_detail",
    "key_authentication_error",
    "key_array_of_errors",
    "key_message",
    "key_json_string",
    "key_unauthorized",
    "key_error_string",
    "key_reason",
    "key_errors_list",
    "key_oauth",
    "key_problem",
    "key_localised",
];

async fn gateway() -> Fake {
    let fake = Fake::of(ProviderType::OpenAICompatible).await;
    fake.accept(KEY);
    fake
}

fn documented(name: &str) -> Fault {
    Fault::documented("gateways", name)
}

fn asks_for_list(request: &Recorded) -> bool {
    request.path == "/v1/models"
}

/// Lists this in the place of what it has.
fn lists(fake: &Fake, body: &Value) {
    fake.fail_when(asks_for_list, Fault::Answer(Answer::json(200, body)));
}

/// Kubernetes takes no underscores in names.
fn named(name: &str) -> String {
    name.replace('_', "-")
}

/// Provider, endpoint, Secret and credential of one name.
async fn declare(world: &World, name: &str, url: &str, provider: Value) {
    world.declare(name, url, KEY, provider).await;
}

async fn model(world: &World, name: &str, id: &str, more: Value) {
    let mut spec = json!({ "providerRef": { "name": name }, "modelId": id });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.apply("LlmModel", name, spec).await;
}

async fn check_now(world: &World, kind: &str, name: &str) {
    let object = world.get(kind, name).await;
    world
        .request_check(object["metadata"]["uid"].as_str().unwrap().parse().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_and_is_refused_later_is_rejected_whatever_the_refusals_shape() {
    let world = World::started("refusals").await;
    let mut fakes = Vec::new();
    for shape in REFUSALS {
        let fake = gateway().await;
        declare(&world, &named(shape), &fake.url(), json!({})).await;
        fakes.push(fake);
    }
    for (shape, fake) in REFUSALS.into_iter().zip(&fakes) {
        let name = named(shape);
        world
            .says("LlmCredential", &name, "Valid", "True", "KeyAccepted")
            .await;
        fake.fail(documented(shape));
        check_now(&world, "LlmCredential", &name).await;
    }
    for shape in REFUSALS {
        let name = named(shape);
        world
            .says("LlmCredential", &name, "Valid", "False", "KeyRejected")
            .await;
        world
            .says("LlmCredential", &name, "Ready", "False", "KeyRejected")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_used_up_is_no_request_to_slow_down() {
    let world = World::started("used-up").await;
    let fake = gateway().await;
    fake.fail(documented("quota_type"));
    declare(&world, "c", &fake.url(), json!({})).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "QuotaExhausted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_healthy_by_the_apis_own_answers_alone_and_says_which_url_is_likely() {
    let world = World::started("wrong-urls").await;
    let fake = gateway().await;
    let bare = gateway().await;
    bare.fail_when(asks_for_list, documented("no_such_path"));
    let in_place_of_the_api = [
        ("an-error", "error_as_success"),
        ("firewall", "firewall_page"),
        ("ingress", "ingress_404"),
    ];
    let mut others = Vec::new();
    for (name, fixture) in in_place_of_the_api {
        let other = gateway().await;
        other.fail(documented(fixture));
        declare(&world, name, &other.url(), json!({})).await;
        others.push(other);
    }
    let wrong_urls = [
        ("operation", format!("{}/chat/completions", fake.url())),
        ("no-version", fake.root()),
        ("version-twice", format!("{}/v1", fake.url())),
    ];
    fake.fail_when(
        |request| !request.path.starts_with("/v1/models") || request.path.contains("/v1/v1"),
        documented("no_such_path"),
    );
    for (name, url) in &wrong_urls {
        declare(&world, name, url, json!({})).await;
    }
    // No list is no reason to be unhealthy where the server refuses an empty call in its own words.
    declare(&world, "no-list", &bare.url(), json!({})).await;

    for (name, url) in &wrong_urls {
        world
            .says("LlmEndpoint", name, "Healthy", "False", "ProbeFailed")
            .await;
        let message = world.message("LlmEndpoint", name, "Healthy").await;
        assert!(
            message.contains(&format!("GET {url}/models")),
            "{name}: {message}"
        );
        assert!(message.contains("HTTP 404"), "{name}: {message}");
        let likely = format!("check baseUrl: {} is probably meant", fake.url());
        assert!(message.ends_with(&likely), "{name}: {message}");
    }
    for (name, _) in in_place_of_the_api {
        world
            .says("LlmEndpoint", name, "Healthy", "False", "ProbeFailed")
            .await;
        let message = world.message("LlmEndpoint", name, "Healthy").await;
        assert!(message.contains("check baseUrl"), "{name}: {message}");
        assert!(!message.contains("HTTP 200"), "{name}: {message}");
    }
    world
        .says(
            "LlmEndpoint",
            "no-list",
            "Healthy",
            "True",
            "ProbeSucceeded",
        )
        .await;
}

/// What people write, by the vendor's type, and what they mean.
const WRONG_URLS: [(ProviderType, &str, &str); 9] = [
    (ProviderType::VLLM, "", "/v1"),
    (ProviderType::VLLM, "/v1/chat/completions", "/v1"),
    (ProviderType::OpenAI, "", "/v1"),
    (ProviderType::OpenAI, "/v1/v1", "/v1"),
    (ProviderType::Anthropic, "/v1/messages", "/v1"),
    (ProviderType::Gemini, "/v1beta/models", "/v1beta"),
    (ProviderType::Ollama, "/api/chat", ""),
    (
        ProviderType::DashScope,
        "/compatible-mode/v1/chat/completions",
        "/compatible-mode/v1",
    ),
    (ProviderType::Qianfan, "/v2/chat/completions", "/v2"),
];

/// A sign of life outside the base URL, such as vLLM's `/health`, says nothing of what stands there.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_is_unhealthy_at_every_type_and_the_likely_one_is_named() {
    let world = World::started("wrong-paths").await;
    let mut fakes = Vec::new();
    for (number, (type_, wrong, _)) in WRONG_URLS.into_iter().enumerate() {
        let fake = Fake::of(type_).await;
        fake.fail_when(
            move |request| {
                let under = request.path.strip_prefix(wrong);
                under.is_some_and(|rest| rest != "/health")
            },
            documented("no_such_path"),
        );
        let name = format!("e{number}");
        let url = format!("{}{wrong}", fake.root());
        world
            .provider(&name, json!({ "type": type_.as_str() }))
            .await;
        let of = json!({ "providerRef": { "name": name } });
        world.endpoint(&name, &url, of).await;
        fakes.push(fake);
    }
    for (number, (type_, wrong, right)) in WRONG_URLS.into_iter().enumerate() {
        let name = format!("e{number}");
        world
            .says("LlmEndpoint", &name, "Healthy", "False", "ProbeFailed")
            .await;
        world
            .says("LlmEndpoint", &name, "Ready", "False", "ProbeFailed")
            .await;
        let message = world.message("LlmEndpoint", &name, "Healthy").await;
        let likely = format!("{}{right}", fakes[number].root());
        assert!(
            message.ends_with(&format!("check baseUrl: {likely} is probably meant")),
            "{type_} {wrong}: {message}"
        );
    }
}

/// Forms of a URL that name the same place: they are taken as they are meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_as_a_vendors_pages_show_it_is_taken_as_it_is_meant() {
    let world = World::started("forms").await;
    let forms = [
        (ProviderType::Anthropic, "/v1"),
        (ProviderType::AzureOpenAI, "/openai/v1"),
        (
            ProviderType::AzureOpenAI,
            "/openai/deployments/chat/chat/completions",
        ),
        (ProviderType::DashScope, "/compatible-mode/v1"),
        (ProviderType::Gemini, "/v1beta/openai"),
        (ProviderType::Ollama, "/v1"),
        (ProviderType::Qianfan, ""),
    ];
    let mut fakes = Vec::new();
    for (number, (type_, form)) in forms.into_iter().enumerate() {
        let fake = Fake::of(type_).await;
        fake.accept(KEY);
        let name = format!("e{number}");
        let url = format!("{}{form}", fake.root());
        let provider = json!({ "type": type_.as_str() });
        declare(&world, &name, &url, provider).await;
        fakes.push(fake);
    }
    for number in 0..forms.len() {
        let name = format!("e{number}");
        world
            .says("LlmEndpoint", &name, "Healthy", "True", "ProbeSucceeded")
            .await;
        world
            .says("LlmCredential", &name, "Valid", "True", "KeyAccepted")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_in_the_shapes_that_servers_send() {
    let world = World::started("lists").await;
    let shapes = [
        (
            "bare-array",
            json!([{ "id": "m", "max_context_length": 131_072 }]),
        ),
        (
            "float",
            json!({ "data": [{ "id": "m", "context_length": 131_072.0 }] }),
        ),
        (
            "text",
            json!({ "data": [{ "id": "m", "max_model_len": "131072" }] }),
        ),
        (
            "models",
            json!({ "models": [{ "name": "m", "context_window": 131_072 }] }),
        ),
    ];
    let mut fakes = Vec::new();
    for (name, body) in &shapes {
        let fake = gateway().await;
        lists(&fake, body);
        declare(
            &world,
            name,
            &fake.url(),
            json!({ "modelSync": { "enabled": true } }),
        )
        .await;
        model(&world, name, "m", json!({})).await;
        fakes.push(fake);
    }
    for (name, _) in &shapes {
        world
            .says("LlmEndpoint", name, "Healthy", "True", "ProbeSucceeded")
            .await;
        world
            .says("LlmProvider", name, "ModelsSynced", "True", "SyncSucceeded")
            .await;
        let message = world.message("LlmProvider", name, "ModelsSynced").await;
        assert!(message.ends_with("was read: 1 id"), "{message}");
        world
            .says("LlmModel", name, "Available", "True", "ModelListed")
            .await;
        eventually("the list fills in the window", async || {
            let status = &world.get("LlmModel", name).await["status"];
            status["effective"]["contextWindow"] == 131_072
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_prove_nothing_and_spellings_of_an_id_are_one_model() {
    let world = World::started("spellings").await;
    let fake = gateway().await;
    fake.list_only(&["acme/*", "models/gem"]);
    declare(
        &world,
        "p",
        &fake.url(),
        json!({ "modelSync": { "enabled": true } }),
    )
    .await;
    world.model("large", "acme/large").await;
    world.model("gem", "gem").await;
    world.model("missing", "other/large").await;
    world
        .says("LlmProvider", "p", "ModelsSynced", "True", "SyncSucceeded")
        .await;
    world
        .says("LlmModel", "gem", "Available", "True", "ModelListed")
        .await;
    world
        .says("LlmModel", "large", "Available", "Unknown", "Unverifiable")
        .await;
    world
        .says("LlmModel", "large", "Ready", "True", "Unverifiable")
        .await;
    assert_eq!(world.all("LlmModel").await.len(), 3);
    let message = world.message("LlmProvider", "p", "ModelsSynced").await;
    assert!(message.contains("1 pattern"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_tested_by_the_limits_older_name_where_the_newer_is_unknown() {
    let world = World::started("older-limit").await;
    let shapes = ["newer_limit_unknown", "newer_limit_forbidden"];
    let mut fakes = Vec::new();
    for shape in shapes {
        let fake = gateway().await;
        fake.list_only(&["m"]);
        fake.fail_when(
            |request| request.holds("max_completion_tokens"),
            documented(shape),
        );
        let name = named(shape);
        declare(&world, &name, &fake.url(), json!({})).await;
        model(
            &world,
            &name,
            "m",
            json!({ "availabilityTest": { "enabled": true } }),
        )
        .await;
        fakes.push(fake);
    }
    for shape in shapes {
        world
            .says(
                "LlmModel",
                &named(shape),
                "Available",
                "True",
                "ModelAnswered",
            )
            .await;
    }
}

/// Each of the shapes is a fixture, and each fixture is used here.
#[test]
fn every_shape_that_was_seen_is_walked() {
    let this = include_str!("public_reports.rs");
    let seen = Fixture::all().into_iter();
    let unused: Vec<_> = seen
        .filter(|(vendor, name, _)| vendor == "gateways" && !this.contains(&format!("\"{name}\"")))
        .map(|(_, name, _)| name)
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}
