//! From manifests to an agent, while the token is renewed under it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use llmplane::crd::ProviderType;
use reqwest::Method;
use serde_json::{Value, json};

use super::site::{ACCOUNT, agreement, declare, grant, make_account, start};
use crate::support::{
    plane::eventually,
    postgres::tool,
    process::Process,
    vendors::{
        Fake,
        token_service::{Issued, TokenService},
    },
    world::World,
};

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const ROLE: &str = "arn:aws:iam::123456789012:role/llm";
const ANTHROPIC: &str = "https://api.anthropic.com";
const AWS: &str = "sts.amazonaws.com";
/// Shortest life of a token that is kept: it is renewed after half of it.
const LIFE: Duration = Duration::from_secs(60);

/// A model of a vendor's own list, and whether its API takes what was given last.
struct Vendor {
    name: &'static str,
    api: Arc<Fake>,
    tokens: TokenService,
}

impl Vendor {
    async fn anthropic(world: &World) -> Self {
        let ids = [
            ("federation_rule_id", "fdrl_1"),
            ("organization_id", UUID),
            ("service_account_id", "svac_1"),
        ];
        let agreement = agreement(world, ANTHROPIC, &ids, LIFE).await;
        let api = Arc::new(Fake::of(ProviderType::Anthropic).await);
        let tokens = TokenService::of("anthropic", agreement).await;
        let taken = api.clone();
        tokens.on_issue(move |issued| taken.shop().tokens.push(issued.token.clone()));
        Self {
            name: "anthropic",
            api,
            tokens,
        }
    }

    async fn bedrock(world: &World) -> Self {
        let agreement = agreement(world, AWS, &[("RoleArn", ROLE)], LIFE).await;
        let api = Arc::new(Fake::of(ProviderType::Bedrock).await);
        let tokens = TokenService::of("aws", agreement).await;
        let taken = api.clone();
        tokens.on_issue(move |issued| {
            taken.accept_pair(&issued.token, &issued.secret, Some(&issued.session));
        });
        Self {
            name: "bedrock",
            api,
            tokens,
        }
    }
}

/// What an agent is given for a model.
pub(super) async fn resolved(api: &Process, token: &str, model: &str, with_secret: bool) -> Value {
    let body = json!({ "model": model, "with_secret": with_secret });
    let request = api.request(Method::POST, token, "/resolve").json(&body);
    let answer = request.send().await.unwrap();
    answer.json().await.unwrap()
}

/// The key in an answer, as its vendor gave it.
pub(super) fn given(answer: &Value) -> Option<Issued> {
    let secret = &answer["targets"][0]["secret"];
    let text = |name: &str| secret[name].as_str().map(str::to_owned);
    match text("api_key") {
        Some(token) => Some(Issued {
            token,
            secret: text("secret_key").unwrap_or_default(),
            session: text("access_token").unwrap_or_default(),
        }),
        None => Some(Issued {
            token: text("access_token")?,
            secret: String::new(),
            session: String::new(),
        }),
    }
}

#[tokio::test]
async fn anthropic_and_bedrock_go_without_a_key_while_their_tokens_are_renewed() {
    let mut world = World::new("keyless").await;
    let vendors = [
        Vendor::anthropic(&world).await,
        Vendor::bedrock(&world).await,
    ];
    make_account(&world, "127.0.0.1").await;
    grant(&world).await;
    let [anthropic, bedrock] = &vendors;
    start(&mut world, &[&anthropic.tokens, &bedrock.tokens]).await;
    let ids = json!({
        "federationRuleId": "fdrl_1", "organizationId": UUID, "serviceAccountId": "svac_1",
    });
    let endpoint = json!({ "baseUrl": anthropic.api.url() });
    declare(
        &world,
        "anthropic",
        "Anthropic",
        endpoint,
        ANTHROPIC,
        ("anthropic", ids),
    )
    .await;
    let endpoint = json!({ "baseUrl": bedrock.api.url(), "region": "us-east-1" });
    let ids = json!({ "roleArn": ROLE });
    declare(&world, "bedrock", "Bedrock", endpoint, AWS, ("aws", ids)).await;
    for (vendor, field) in [(anthropic, "id"), (bedrock, "modelId")] {
        let listed = vendor.api.shop().models[0][field]
            .as_str()
            .unwrap()
            .to_owned();
        let spec = json!({ "providerRef": { "name": vendor.name }, "modelId": listed });
        world.apply("LlmModel", vendor.name, spec).await;
        world.ready("LlmCredential", vendor.name).await;
        world
            .says("LlmCredential", vendor.name, "Valid", "True", "KeyAccepted")
            .await;
    }

    let services = vendors.iter().map(|vendor| vendor.tokens.setting());
    let services = services.collect::<Vec<_>>().join(",");
    let settings = [("LLMPLANE_TOKEN_SERVICES", services.as_str())];
    let api = Process::api_with_keys(&world, &settings).await;
    let kinds = [
        "llmproviders",
        "llmendpoints",
        "llmcredentials",
        "llmmodels",
    ];
    let agent = world
        .account("agent", &["get", "list", "use"], &kinds, &[])
        .await;

    for vendor in &vendors {
        // No key leaves before the first sweep.
        eventually("a key is given out", async || {
            given(&resolved(&api, &agent, vendor.name, true).await).is_some()
        })
        .await;
        let first = resolved(&api, &agent, vendor.name, true).await;
        let token = given(&first).unwrap_or_else(|| panic!("no key: {first}"));
        assert!(
            vendor
                .tokens
                .issued()
                .iter()
                .any(|issued| same(issued, &token))
        );
        assert!(
            first["targets"][0]["secret"]["valid_until"].is_string(),
            "{first}"
        );
        assert!(first["targets"][0]["exchange"].is_null(), "{first}");

        // Without asking for a key: how to exchange a token of one's own.
        let offered = resolved(&api, &agent, vendor.name, false).await;
        let exchange = &offered["targets"][0]["exchange"];
        let host = vendor.tokens.host();
        assert!(
            exchange["token_url"].as_str().unwrap().contains(&host),
            "{offered}"
        );
        assert!(
            exchange["audience"].is_string() && exchange["ids"].is_object(),
            "{offered}"
        );
        assert!(offered["targets"][0]["secret"].is_null(), "{offered}");

        let before = vendor.tokens.issued().len();
        eventually("the token is renewed", async || {
            vendor.tokens.issued().len() > before
        })
        .await;
        eventually("the renewed one is given out", async || {
            let next = resolved(&api, &agent, vendor.name, true).await;
            given(&next).is_some_and(|next| next.token != token.token)
        })
        .await;
        world.ready("LlmCredential", vendor.name).await;
    }
    answers_the_agent(anthropic, &api, &agent).await;
    no_token_is_seen(&world, &vendors, &api).await;
    for vendor in &vendors {
        let presented = vendor.tokens.presented();
        let distinct: BTreeSet<&String> = presented.iter().collect();
        assert_eq!(distinct.len(), presented.len(), "a token was sent twice");
    }
    world.stop().await;
}

fn same(issued: &Issued, given: &Issued) -> bool {
    issued.token == given.token
        && (given.secret.is_empty()
            || (&issued.secret, &issued.session) == (&given.secret, &given.session))
}

/// The vendor answers what LangChain would send it.
async fn answers_the_agent(vendor: &Vendor, api: &Process, agent: &str) {
    let answer = resolved(api, agent, vendor.name, true).await;
    let langchain = &answer["targets"][0]["langchain"];
    let argument = &langchain["secret_kwargs"]["default_headers.Authorization"];
    assert_eq!(argument, "access_token", "{langchain}");
    assert_eq!(langchain["callable_kwargs"], json!(null), "{langchain}");
    let token = given(&answer).unwrap().token;
    let model = langchain["model"].as_str().unwrap();
    let base = langchain["kwargs"]["base_url"].as_str().unwrap();
    let asked = reqwest::Client::new()
        .get(format!("{base}/v1/models/{model}"))
        .header("anthropic-version", "2023-06-01")
        .bearer_auth(token);
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
}

/// Neither the cluster's tokens nor the vendors' are in anything that is stored or shown.
async fn no_token_is_seen(world: &World, vendors: &[Vendor], api: &Process) {
    let dump = tool("pg_dump", &world.database).output().unwrap();
    let mut seen = String::from_utf8(dump.stdout).unwrap();
    for kind in ["LlmProvider", "LlmEndpoint", "LlmCredential", "LlmModel"] {
        seen += &serde_json::to_string(&world.all(kind).await).unwrap();
    }
    seen += &api.log();
    assert!(seen.contains(ACCOUNT));
    for vendor in vendors {
        for issued in vendor.tokens.issued() {
            for secret in [&issued.token, &issued.secret, &issued.session] {
                assert!(!seen.contains(secret.as_str()), "{secret} is seen");
            }
        }
        for token in vendor.tokens.presented() {
            let signature = token.rsplit('.').next().unwrap();
            assert!(
                !seen.contains(signature),
                "a ServiceAccount's token is seen"
            );
        }
    }
}
