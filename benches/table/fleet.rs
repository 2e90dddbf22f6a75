//! The declared resources: one namespace that agents ask about, and many more beside it.

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams,
};
use llmplane::crd::Kind;
use serde_json::{Value, json};

use crate::plane::Plane;
use crate::vendor;

/// The namespace of the agents and of the 100 models that they ask about.
pub const AGENTS: &str = "bench-agents";
/// The namespace of everything else.
pub const REST: &str = "bench-rest";
/// A namespace that no controller watches.
pub const UNWATCHED: &str = "bench-unwatched";
/// What the controller watches.
pub const WATCHED: [&str; 2] = [AGENTS, REST];

/// Models of the agents' namespace.
pub const MODELS: usize = 100;
/// Every so manieth of them can call functions.
const CALLS_FUNCTIONS: usize = 5;
/// Models that the vendor lists.
pub const LISTED_MODELS: usize = 120;

/// A provider of the rest: itself, two endpoints, a credential and these models.
const MODELS_OF_A_PROVIDER: usize = 36;
const ENDPOINTS_OF_A_PROVIDER: usize = 2;
const OTHERS_OF_A_PROVIDER: usize = 2 + ENDPOINTS_OF_A_PROVIDER;

/// Applies that are under way at once.
const AT_ONCE: usize = 16;

/// One object to apply.
pub struct Object {
    pub kind: Kind,
    pub namespace: &'static str,
    pub name: String,
    pub spec: Value,
}

/// All objects.
pub struct Fleet {
    pub objects: Vec<Object>,
    secrets: Vec<ProviderSecret>,
}

/// A Secret: each provider has one of its own.
struct ProviderSecret {
    namespace: &'static str,
    name: String,
    /// Where its key may go.
    host: String,
}

impl Fleet {
    /// So many objects of llmplane's. The providers take turns at these URLs.
    pub fn of(resources: usize, urls: &[String]) -> Self {
        let mut fleet = Self {
            objects: Vec::with_capacity(resources),
            secrets: Vec::new(),
        };
        fleet.add_provider(AGENTS, "provider-0", MODELS, &urls[0]);
        let mut number = 1;
        while fleet.objects.len() < resources {
            let left = resources - fleet.objects.len();
            let whole = OTHERS_OF_A_PROVIDER + MODELS_OF_A_PROVIDER;
            // The last one takes what would be no provider of its own; the vendor lists enough.
            let models = match left < 2 * whole {
                true => left.saturating_sub(OTHERS_OF_A_PROVIDER),
                false => MODELS_OF_A_PROVIDER,
            };
            let url = &urls[number % urls.len()];
            fleet.add_provider(REST, &format!("provider-{number}"), models, url);
            number += 1;
        }
        fleet
    }

    fn add_provider(&mut self, namespace: &'static str, provider: &str, models: usize, url: &str) {
        let reference = json!({ "name": provider });
        let mut add = |kind, name: String, spec| {
            self.objects.push(Object {
                kind,
                namespace,
                name,
                spec,
            });
        };
        let spec = json!({ "type": "OpenAICompatible", "displayName": "A provider" });
        add(Kind::Provider, provider.to_owned(), spec);
        for number in 0..ENDPOINTS_OF_A_PROVIDER {
            let spec = json!({ "providerRef": reference, "baseUrl": url });
            add(Kind::Endpoint, format!("{provider}-{number}"), spec);
        }
        let spec = json!({ "providerRef": reference, "secretRef": { "name": provider } });
        add(Kind::Credential, provider.to_owned(), spec);
        for number in 0..models {
            let spec = model_spec(provider, number, "A model");
            add(Kind::Model, model_name(provider, number), spec);
        }
        let host = url::Url::parse(url).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned));
        self.secrets.push(ProviderSecret {
            namespace,
            name: provider.to_owned(),
            host: host.unwrap_or_default(),
        });
    }

    /// How many objects there are of llmplane's.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Applies everything.
    pub async fn apply(&self, plane: &Plane) -> Result<()> {
        for namespace in [AGENTS, REST, UNWATCHED] {
            let object = Namespace {
                metadata: ObjectMeta {
                    name: Some(namespace.to_owned()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            let api: Api<Namespace> = Api::all(plane.client.clone());
            api.create(&PostParams::default(), &object).await?;
        }
        self.apply_objects(plane).await
    }

    /// Applies everything into namespaces that are there.
    async fn apply_objects(&self, plane: &Plane) -> Result<()> {
        stream::iter(&self.secrets)
            .map(|secret| apply_secret(plane, secret))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        stream::iter(&self.objects)
            .map(|object| apply(&plane.client, object))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }
}

/// Adds a provider of this name at this URL, with a credential of the same name and one model.
pub async fn add_provider(
    plane: &Plane,
    namespace: &'static str,
    name: &str,
    url: &str,
) -> Result<()> {
    let mut fleet = Fleet {
        objects: Vec::new(),
        secrets: Vec::new(),
    };
    fleet.add_provider(namespace, name, 1, url);
    fleet.apply_objects(plane).await
}

/// The name of a provider's model.
pub fn model_name(provider: &str, number: usize) -> String {
    format!("{provider}-model-{number}")
}

/// The vendor's name of a model.
pub fn model_id(number: usize) -> String {
    format!("bench-model-{number}")
}

/// A model as a team would declare it.
pub fn model_spec(provider: &str, number: usize, display_name: &str) -> Value {
    let mut capabilities = vec![
        json!({ "name": "Chat", "score": 4 }),
        json!({ "name": "Streaming" }),
    ];
    if number.is_multiple_of(CALLS_FUNCTIONS) {
        capabilities.push(json!({ "name": "FunctionCalling", "score": 3 }));
    }
    json!({
        "providerRef": { "name": provider },
        "modelId": model_id(number),
        "displayName": display_name,
        "type": "Chat",
        "contextWindow": 128_000,
        "maxOutputTokens": 16_384,
        "pricing": { "currency": "USD", "inputPer1kTokens": "0.0025", "outputPer1kTokens": "0.01" },
        "capabilities": capabilities,
        "recommendedFor": ["summaries", "drafts"],
    })
}

/// An API of one kind in a namespace.
pub fn api(client: &kube::Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

/// A kind, as kube knows it.
pub fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk("llmplane.dev", "v1alpha1", kind.kubernetes());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// Applies one object, as a team's GitOps tool would.
pub async fn apply(client: &kube::Client, object: &Object) -> Result<()> {
    let body = json!({
        "apiVersion": "llmplane.dev/v1alpha1",
        "kind": object.kind.kubernetes(),
        "metadata": { "name": object.name },
        "spec": object.spec,
    });
    api(client, object.kind, object.namespace)
        .patch(&object.name, &params(), &Patch::Apply(body))
        .await?;
    Ok(())
}

async fn apply_secret(plane: &Plane, secret: &ProviderSecret) -> Result<()> {
    let name = &secret.name;
    let body = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": { "llmplane.dev/credential": "OpenAICompatible" },
            "annotations": { "llmplane.dev/allowed-hosts": secret.host },
        },
        "stringData": { "api-key": vendor::KEY },
    });
    let api: Api<Secret> = Api::namespaced(plane.client.clone(), secret.namespace);
    api.patch(name, &params(), &Patch::Apply(body)).await?;
    Ok(())
}

fn params() -> PatchParams {
    PatchParams::apply("bench").force()
}
