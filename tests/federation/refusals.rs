//! What keeps a token from being exchanged, and how it mends.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use llmplane::crd::ProviderType;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::agents::{given, resolved};
use super::site::{ACCOUNT, agreement, declare, document, grant, make_account, start};
use crate::support::{
    plane::eventually,
    process::Process,
    vendors::{Fake, Fault, token_service::TokenService},
    world::World,
};

const AUDIENCE: &str = "https://openrouter.ai";
const IDS: [(&str, &str); 1] = [("federation_policy_id", "pol_1")];

struct Site {
    world: World,
    api: Fake,
    tokens: TokenService,
}

impl Site {
    /// A vendor that knows this cluster, and a controller that runs.
    async fn new(prefix: &str) -> Self {
        let mut world = World::new(prefix).await;
        let life = Duration::from_secs(900);
        let agreement = agreement(&world, AUDIENCE, &IDS, life).await;
        let tokens = TokenService::of("openRouter", agreement).await;
        let api = Fake::of(ProviderType::OpenAICompatible).await;
        api.shop().wants_key = false;
        start(&mut world, &[&tokens]).await;
        Self { world, api, tokens }
    }

    /// One whose token is accepted, with model `m` of its list.
    async fn with_model(prefix: &str) -> Self {
        let site = Self::new(prefix).await;
        make_account(&site.world, "127.0.0.1").await;
        grant(&site.world).await;
        site.declare(AUDIENCE).await;
        let listed = site.api.shop().models[0]["id"].clone();
        let model = json!({ "providerRef": { "name": "c" }, "modelId": listed });
        site.world.apply("LlmModel", "m", model).await;
        site.world.ready("LlmCredential", "c").await;
        site
    }

    async fn declare(&self, audience: &str) {
        let endpoint = json!({ "baseUrl": self.api.url() });
        let ids = json!({ "federationPolicyId": "pol_1" });
        declare(
            &self.world,
            "c",
            "OpenAICompatible",
            endpoint,
            audience,
            ("openRouter", ids),
        )
        .await;
    }

    async fn refused(&self) -> String {
        let world = &self.world;
        world
            .says("LlmCredential", "c", "Valid", "False", "ExchangeRefused")
            .await;
        world
            .says("LlmCredential", "c", "Ready", "False", "ExchangeRefused")
            .await;
        world.message("LlmCredential", "c", "Valid").await
    }
}

#[tokio::test]
async fn a_missing_account_then_a_missing_right_are_told_with_the_remedy_and_mend_by_themselves() {
    let mut site = Site::new("keyless-mint").await;
    site.declare(AUDIENCE).await;
    let said = site.refused().await;
    // Who may not look cannot tell whether the account is there.
    assert!(said.contains("resourceNames: [llm]"), "{said}");
    grant(&site.world).await;
    eventually("the missing account is told of", async || {
        let said = site.world.message("LlmCredential", "c", "Valid").await;
        said.contains("there is no ServiceAccount llm")
    })
    .await;
    assert_eq!(site.tokens.requests().len(), 0);
    make_account(&site.world, "127.0.0.1").await;
    site.world.ready("LlmCredential", "c").await;
    site.world.stop().await;
}

#[tokio::test]
async fn a_vendors_refusal_says_what_was_sent_and_ends_when_the_vendor_is_told() {
    let mut site = Site::new("keyless-refused").await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    let subject = site.tokens.agreement().subject.clone();
    site.tokens.agreement().subject = "system:serviceaccount:other:llm".to_owned();
    site.declare(AUDIENCE).await;
    let said = site.refused().await;
    let issuer = site.tokens.agreement().issuer.clone();
    for part in [&subject, &issuer, AUDIENCE, "pol_1", "invalid_grant"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for token in site.tokens.presented() {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!said.contains(signature), "{said}");
    }
    site.tokens.agreement().subject = subject;
    site.world.ready("LlmCredential", "c").await;
    let status = &site.world.get("LlmCredential", "c").await["status"];
    assert_eq!(status["exchange"]["audience"], AUDIENCE, "{status}");
    assert!(status["exchange"]["keyId"].is_string(), "{status}");
    site.world.stop().await;
}

#[tokio::test]
async fn a_token_that_was_given_stays_in_use_when_the_vendor_gives_no_other() {
    let mut site = Site::with_model("keyless-kept").await;
    let api = Process::api_with_keys(&site.world, &[]).await;
    let kinds = [
        "llmproviders",
        "llmendpoints",
        "llmcredentials",
        "llmmodels",
    ];
    let verbs = ["get", "list", "use"];
    let agent = site.world.account("agent", &verbs, &kinds, &[]).await;
    eventually("the token is given out", async || {
        given(&resolved(&api, &agent, "m", true).await).is_some()
    })
    .await;
    site.tokens.agreement().subject = "system:serviceaccount:other:llm".to_owned();
    let asked = json!({ "metadata": {
        "name": "c", "annotations": { "llmplane.dev/reconcile-requested-at": "now" },
    } });
    let spec = site.world.get("LlmCredential", "c").await["spec"].clone();
    let mut object = asked;
    object["spec"] = spec;
    site.world.apply_object("LlmCredential", object).await;
    let said = site.refused().await;
    assert!(said.contains("version 1 stays usable until"), "{said}");
    let status = &site.world.get("LlmCredential", "c").await["status"];
    assert_eq!(status["versions"][0]["state"], "Current", "{status}");
    let answer = resolved(&api, &agent, "m", true).await;
    let token = given(&answer).map(|given| given.token);
    assert_eq!(
        token,
        Some(site.tokens.issued()[0].token.clone()),
        "{answer}"
    );
    site.world.stop().await;
}

/// A site whose token service has a request for `c` and does not answer it yet.
async fn under_way(prefix: &str) -> (Site, CancellationToken) {
    let site = Site::new(prefix).await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    let released = CancellationToken::new();
    site.tokens.fail(Fault::Until(released.clone()));
    site.declare(AUDIENCE).await;
    eventually("a token is sent", async || {
        site.tokens.requests().len() == 1
    })
    .await;
    (site, released)
}

/// Lets the token come, and waits until one that was asked for later is stored.
async fn comes_at_last(site: &Site, released: &CancellationToken) {
    released.cancel();
    let token = site.tokens.issued()[0].token.clone();
    eventually("the vendor's API is asked with it", async || {
        let asked = site.api.requests();
        asked
            .iter()
            .any(|request| request.bearer() == Some(token.as_str()))
    })
    .await;
    site.tokens.mend();
    let ids = json!({ "federationPolicyId": "pol_1" });
    let federation = json!({
        "serviceAccountRef": { "name": ACCOUNT }, "audience": AUDIENCE, "openRouter": ids,
    });
    let spec = json!({ "providerRef": { "name": "c" }, "federation": federation });
    site.world.apply("LlmCredential", "later", spec).await;
    site.world.ready("LlmCredential", "later").await;
}

#[tokio::test]
async fn a_token_that_comes_for_a_deleted_credential_is_not_stored() {
    let (mut site, released) = under_way("keyless-gone").await;
    site.world.delete("LlmCredential", "c").await;
    eventually("its row is deleted", async || {
        let mut owner = site.world.owner().await;
        let deleted = "SELECT count(*) FROM credentials WHERE deleted_at IS NOT NULL";
        let deleted: i64 = sqlx::query_scalar(deleted)
            .fetch_one(&mut owner)
            .await
            .unwrap();
        deleted == 1
    })
    .await;
    comes_at_last(&site, &released).await;
    let mut owner = site.world.owner().await;
    let kept =
        "SELECT count(*) FROM credential_versions v JOIN credentials c ON c.uid = v.credential_uid
                WHERE c.deleted_at IS NOT NULL AND v.payload IS NOT NULL";
    let kept: i64 = sqlx::query_scalar(kept)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(kept, 0);
    site.world.stop().await;
}

#[tokio::test]
async fn a_token_that_comes_for_a_credential_with_a_secret_takes_no_place() {
    let (mut site, released) = under_way("keyless-left").await;
    site.world.secret("s", "sk-of-a-secret").await;
    let spec = json!({
        "providerRef": { "name": "c" }, "secretRef": { "name": "s" }, "validation": { "enabled": false },
    });
    site.world.apply("LlmCredential", "c", spec).await;
    let current = async |site: &Site| {
        let status = &site.world.get("LlmCredential", "c").await["status"];
        let versions = status["versions"].as_array().cloned().unwrap_or_default();
        let in_use = versions.into_iter().find(|one| one["state"] == "Current");
        in_use.map(|version| (version["version"].clone(), version["maskedKey"].clone()))
    };
    eventually("the Secret's key is in use", async || {
        current(&site).await.is_some()
    })
    .await;
    let before = current(&site).await;
    comes_at_last(&site, &released).await;
    assert_eq!(current(&site).await, before);
    site.world.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_token_service_is_inconclusive_and_nothing_is_stored() {
    let mut site = Site::new("keyless-outage").await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    site.tokens
        .fail(Fault::Body("<html>maintenance</html>".to_owned()));
    site.declare(AUDIENCE).await;
    let world = &site.world;
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(said.contains("nothing was stored"), "{said}");
    let status = &world.get("LlmCredential", "c").await["status"];
    assert!(status["versions"].is_null(), "{status}");
    site.tokens.mend();
    world.ready("LlmCredential", "c").await;
    site.world.stop().await;
}

#[tokio::test]
async fn a_token_for_the_cluster_itself_is_asked_for_and_sent_nowhere() {
    let mut site = Site::new("keyless-own").await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    let discovery = document(&site.world.client, "/.well-known/openid-configuration").await;
    site.declare(discovery["issuer"].as_str().unwrap()).await;
    let world = &site.world;
    world
        .says("LlmCredential", "c", "Valid", "False", "InvalidSpec")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(said.contains("the kube-apiserver's own"), "{said}");
    assert_eq!(site.tokens.requests().len(), 0);
    site.world.stop().await;
}

#[tokio::test]
async fn a_token_for_llmplanes_own_api_is_sent_nowhere() {
    let mut site = Site::new("keyless-api").await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    site.declare("llmplane").await;
    let world = &site.world;
    world
        .says("LlmCredential", "c", "Valid", "False", "InvalidSpec")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(said.contains("that of llmplane's API"), "{said}");
    assert_eq!(site.tokens.requests().len(), 0);
    site.world.stop().await;
}

#[tokio::test]
async fn a_token_goes_where_the_accounts_owner_lets_it_and_nowhere_else() {
    let mut site = Site::new("keyless-hosts").await;
    make_account(&site.world, "gateway.example").await;
    grant(&site.world).await;
    site.declare(AUDIENCE).await;
    let world = &site.world;
    world
        .says("LlmCredential", "c", "Valid", "False", "HostNotAllowed")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    assert!(
        said.contains(&format!("ServiceAccount {ACCOUNT}")),
        "{said}"
    );
    let bearers = site.api.requests();
    assert!(bearers.iter().all(|request| request.bearer().is_none()));
    make_account(world, "127.0.0.1").await;
    world.ready("LlmCredential", "c").await;
    site.world.stop().await;
}

#[tokio::test]
async fn an_exchange_of_another_vendor_than_the_providers_is_no_valid_declaration() {
    let mut site = Site::new("keyless-type").await;
    site.declare(AUDIENCE).await;
    let ids = json!({ "identityProviderId": "idp_1", "serviceAccountId": "svc_1" });
    let federation = json!({
        "serviceAccountRef": { "name": ACCOUNT }, "audience": AUDIENCE, "openAI": ids,
    });
    let spec = json!({ "providerRef": { "name": "c" }, "federation": federation });
    site.world.apply("LlmCredential", "other", spec).await;
    let world = &site.world;
    world
        .says("LlmCredential", "other", "Ready", "False", "InvalidSpec")
        .await;
    let said = world.message("LlmCredential", "other", "Ready").await;
    assert!(
        said.contains("google or spec.federation.openRouter"),
        "{said}"
    );
    site.world.stop().await;
}

#[tokio::test]
async fn federation_show_prints_what_the_vendor_has_to_know() {
    let mut site = Site::new("keyless-show").await;
    make_account(&site.world, "127.0.0.1").await;
    grant(&site.world).await;
    site.declare(AUDIENCE).await;
    site.world.ready("LlmCredential", "c").await;
    let show = async |more: &[&str]| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
            .args(["federation", "show", "c", "-n", site.world.ns()])
            .args(more)
            .env("KUBECONFIG", site.world.plane.kubeconfig())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let agreement = site.tokens.agreement().clone();
    let shown = show(&[]).await;
    for part in [&agreement.issuer, &agreement.subject, &agreement.audience] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("warning"), "{shown}");
    let jwks: serde_json::Value = serde_json::from_str(&show(&["--jwks"]).await).unwrap();
    assert_eq!(jwks, agreement.jwks);
    site.world.stop().await;
}

/// Asks for an object's checks, and waits until they were made.
async fn checked(world: &World, kind: &str, name: &str, asked: &str) {
    let patch = json!({ "metadata": { "annotations": {
        "llmplane.dev/reconcile-requested-at": asked,
    } } });
    let patch = Patch::Merge(patch);
    let objects = world.dynamic(kind);
    objects
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("the checks were made", async || {
        world.get(kind, name).await["status"]["lastHandledReconcileAt"] == asked
    })
    .await;
}

/// A list that was read with the token before is no less true for that.
#[tokio::test]
async fn an_outage_of_the_vendor_over_a_renewal_takes_no_model_away() {
    let mut site = Site::with_model("keyless-outage").await;
    let is_listed = async || {
        site.world
            .says("LlmModel", "m", "Available", "True", "ModelListed")
            .await;
        site.world.ready("LlmModel", "m").await;
    };
    is_listed().await;

    site.api.fail(Fault::Status(503));
    checked(&site.world, "LlmCredential", "c", "renewed").await;
    eventually("another token is in use", async || {
        let status = &site.world.get("LlmCredential", "c").await["status"];
        let newest = &status["versions"][0];
        newest["version"] == 2 && newest["state"] == "Current"
    })
    .await;
    checked(&site.world, "LlmProvider", "c", "with the other").await;
    let token = site.tokens.issued().last().unwrap().token.clone();
    let asked = site.api.requests();
    assert!(
        asked
            .iter()
            .any(|request| request.bearer() == Some(token.as_str()))
    );
    let steady = site.world.get("LlmModel", "m").await["status"].clone();
    is_listed().await;
    checked(&site.world, "LlmModel", "m", "and told").await;
    is_listed().await;
    let told = site.world.get("LlmModel", "m").await["status"].clone();
    assert_eq!(told["conditions"], steady["conditions"]);
    site.world.stop().await;
}
