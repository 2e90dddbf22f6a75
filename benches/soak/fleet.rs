//! What is declared: in each namespace a provider, two endpoints, a credential, and models.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use llmplane::crd::Kind;
use serde_json::{Value, json};

use crate::vendor;

/// Every namespace.
pub const WATCHED: [&str; 0] = [];
/// Models that a vendor lists.
pub const LISTED_MODELS: usize = 200;

/// Whose token reads.
const READER: &str = "soak-reader";
/// The reader's namespace.
const READERS: &str = "soak-0";
const PROVIDER: &str = "provider";
const ENDPOINTS: usize = 2;
/// A provider, its endpoints and its credential.
const OTHERS: usize = 2 + ENDPOINTS;
/// Applies that are under way at once.
const AT_ONCE: usize = 16;

/// The declared resources.
pub struct Fleet {
    namespaces: Vec<Site>,
}

/// A namespace.
pub struct Site {
    pub name: String,
    pub models: usize,
    url: String,
}

impl Fleet {
    /// So many resources in so many namespaces, the vendors taking turns.
    pub fn of(resources: usize, namespaces: usize, urls: &[String]) -> Self {
        let each = resources / namespaces;
        let models = each.saturating_sub(OTHERS).clamp(1, LISTED_MODELS / 2);
        let site = |number: usize| Site {
            name: format!("soak-{number}"),
            models,
            url: urls[number % urls.len()].clone(),
        };
        Self {
            namespaces: (0..namespaces).map(site).collect(),
        }
    }

    pub fn sites(&self) -> &[Site] {
        &self.namespaces
    }

    /// How many models there are.
    pub fn models(&self) -> usize {
        self.namespaces.iter().map(|site| site.models).sum()
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.models() + OTHERS * self.namespaces.len()
    }

    /// Applies everything.
    pub async fn apply(&self, client: &kube::Client) -> Result<()> {
        stream::iter(&self.namespaces)
            .map(|site| site.apply(client))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

impl Site {
    async fn apply(&self, client: &kube::Client) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": self.name } });
        namespaces
            .patch(&self.name, &params(), &Patch::Apply(namespace))
            .await?;
        let host = url::Url::parse(&self.url)?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": PROVIDER,
                "labels": { "llmplane.dev/credential": "OpenAICompatible" },
                "annotations": { "llmplane.dev/allowed-hosts": host.host_str() },
            },
            "stringData": { "api-key": vendor::KEY },
        });
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.name);
        secrets
            .patch(PROVIDER, &params(), &Patch::Apply(secret))
            .await?;
        let reference = json!({ "name": PROVIDER });
        let provider = json!({ "type": "OpenAICompatible" });
        apply(client, Kind::Provider, &self.name, PROVIDER, provider).await?;
        for number in 0..ENDPOINTS {
            let spec = json!({ "providerRef": reference, "baseUrl": self.url });
            apply(
                client,
                Kind::Endpoint,
                &self.name,
                &format!("endpoint-{number}"),
                spec,
            )
            .await?;
        }
        let spec = json!({ "providerRef": reference, "secretRef": { "name": PROVIDER } });
        apply(client, Kind::Credential, &self.name, PROVIDER, spec).await?;
        for number in 0..self.models {
            let spec = model_spec(number, "As declared");
            apply(client, Kind::Model, &self.name, &model_name(number), spec).await?;
        }
        Ok(())
    }
}

pub fn model_name(number: usize) -> String {
    format!("model-{number}")
}

/// The vendor's name of a model.
pub fn model_id(number: usize) -> String {
    format!("soak-model-{number}")
}

pub fn model_spec(number: usize, display_name: &str) -> Value {
    json!({
        "providerRef": { "name": PROVIDER },
        "modelId": model_id(number),
        "displayName": display_name,
        "type": "Chat",
        "contextWindow": 128_000,
        "pricing": { "currency": "USD", "inputPer1kTokens": "0.0025", "outputPer1kTokens": "0.01" },
        "capabilities": [{ "name": "Chat", "score": 4 }],
    })
}

/// An API of one kind in a namespace.
pub fn api(client: &kube::Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("llmplane.dev", "v1alpha1", kind.kubernetes());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Applies one object, as a team's GitOps tool would.
pub async fn apply(
    client: &kube::Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    spec: Value,
) -> Result<(), kube::Error> {
    let body = json!({
        "apiVersion": "llmplane.dev/v1alpha1",
        "kind": kind.kubernetes(),
        "metadata": { "name": name },
        "spec": spec,
    });
    let api = api(client, kind, namespace);
    api.patch(name, &params(), &Patch::Apply(body)).await?;
    Ok(())
}

/// A token that lives as long as the run, of somebody who may read all and use all keys.
pub async fn reader(client: &kube::Client) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), READERS);
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": READER } });
    accounts
        .patch(READER, &params(), &Patch::Apply(account))
        .await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    for role in ["llmplane-viewer", "llmplane-credential-user"] {
        let name = format!("{READER}-{role}");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": READER, "namespace": READERS }],
        });
        bindings
            .patch(&name, &params(), &Patch::Apply(binding))
            .await?;
    }
    let request: TokenRequest = serde_json::from_value(json!({
        "metadata": {},
        "spec": { "audiences": ["llmplane"], "expirationSeconds": 86_400 },
    }))?;
    let made = accounts
        .create_token_request(READER, &PostParams::default(), &request)
        .await?;
    Ok(made.status.context("a TokenRequest is answered")?.token)
}

fn params() -> PatchParams {
    PatchParams::apply("soak").force()
}
