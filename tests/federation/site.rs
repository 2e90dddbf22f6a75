//! A namespace whose controller exchanges tokens at a vendor's token service.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    vendors::token_service::{Agreement, TokenService},
    world::World,
};

/// The ServiceAccount that vendors know.
pub const ACCOUNT: &str = "llm";

/// What the cluster says of itself.
pub async fn document(client: &Client, path: &str) -> Value {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    client.request(request).await.unwrap()
}

/// An agreement with this cluster, about the ServiceAccount of this namespace.
pub async fn agreement(
    world: &World,
    audience: &str,
    ids: &[(&str, &str)],
    life: Duration,
) -> Agreement {
    let client = &world.client;
    let discovery = document(client, "/.well-known/openid-configuration").await;
    let own = |(name, id): &(&str, &str)| ((*name).to_owned(), (*id).to_owned());
    let ids: BTreeMap<String, String> = ids.iter().map(own).collect();
    Agreement {
        issuer: discovery["issuer"].as_str().unwrap().to_owned(),
        subject: format!("system:serviceaccount:{}:{ACCOUNT}", world.ns()),
        audience: audience.to_owned(),
        jwks: document(client, "/openid/v1/jwks").await,
        ids,
        life: i64::try_from(life.as_secs()).unwrap(),
        clock: SignedDuration::ZERO,
    }
}

/// Starts a controller whose exchanges go to these services.
pub async fn start(world: &mut World, services: &[&TokenService]) {
    let mut settings = world.settings();
    let parsed = services
        .iter()
        .map(|service| service.setting().parse().unwrap());
    settings.token_services = parsed.collect();
    world.start_with(settings).await;
}

/// Makes the ServiceAccount, whose owner lets tokens go to these hosts.
pub async fn make_account(world: &World, hosts: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), world.ns());
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": ACCOUNT, "annotations": { "llmplane.dev/allowed-hosts": hosts } },
    });
    let params = PatchParams::apply("test").force();
    accounts
        .patch(ACCOUNT, &params, &Patch::Apply(account))
        .await
        .unwrap();
}

/// Lets the controller ask for its tokens, as the overlay does.
pub async fn grant(world: &World) {
    let params = PostParams::default();
    let roles: Api<Role> = Api::namespaced(world.client.clone(), world.ns());
    let role = json!({
        "metadata": { "name": "llmplane-federation" },
        "rules": [
            { "apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [ACCOUNT], "verbs": ["get"] },
            {
                "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [ACCOUNT],
                "verbs": ["create"],
            },
        ],
    });
    roles
        .create(&params, &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), world.ns());
    let binding = json!({
        "metadata": { "name": "llmplane-federation" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "llmplane-federation",
        },
        "subjects": [{
            "kind": "ServiceAccount", "name": "llmplane-controller", "namespace": "llmplane-system",
        }],
    });
    let binding = serde_json::from_value(binding).unwrap();
    bindings.create(&params, &binding).await.unwrap();
}

/// Provider, endpoint and credential of this name.
pub async fn declare(
    world: &World,
    name: &str,
    type_: &str,
    endpoint: Value,
    audience: &str,
    (exchange, ids): (&str, Value),
) {
    world
        .apply("LlmProvider", name, json!({ "type": type_ }))
        .await;
    let mut spec = endpoint;
    spec["providerRef"] = json!({ "name": name });
    world.apply("LlmEndpoint", name, spec).await;
    let mut federation = json!({ "serviceAccountRef": { "name": ACCOUNT }, "audience": audience });
    federation[exchange] = ids;
    let spec = json!({ "providerRef": { "name": name }, "federation": federation });
    world.apply("LlmCredential", name, spec).await;
}
