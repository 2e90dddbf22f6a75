//! What is to be: providers, endpoints, credentials, models and classes, gathered from wherever the source names
//! them. What means the same is one object; each has a name of its own, and the same source always gives
//! the same names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::manifests::Manifest;
use super::secrets::KeyRef;
use super::source::Field;
use super::values::{Names, allowed_host, first_label, host, slug};
use super::vendor::Vendor;
use crate::crd::{Kind, MAX_CREDENTIALS_PER_PROVIDER, MAX_ENDPOINTS_PER_PROVIDER, ProviderType};

/// How a provider is called: what makes one endpoint another than the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Where.
    pub base_url: Option<String>,
    /// With which version of the API.
    pub api_version: Option<String>,
    /// In which region.
    pub region: Option<String>,
    /// With which headers.
    pub headers: BTreeMap<String, String>,
    /// Seconds that an answer may take.
    pub read_timeout: Option<i64>,
    /// Further attempts.
    pub retries: Option<i64>,
    /// Failover order.
    pub priority: Option<i64>,
    /// What it is called in the source, where that has a name for it.
    pub name: Option<String>,
}

/// Where something of a plan stands: a provider, and an endpoint and a credential of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    provider: usize,
    endpoint: usize,
}

#[derive(Debug)]
struct Provider<'a> {
    vendor: Vendor,
    name: String,
    spec: Map<String, Value>,
    endpoints: Vec<(Call, String)>,
    credentials: Vec<Credential<'a>>,
}

#[derive(Debug)]
struct Credential<'a> {
    key: KeyRef,
    name: String,
    spec: Map<String, Value>,
    endpoints: BTreeSet<usize>,
    /// The fields of the source that hold the key, or say where it is.
    sources: Vec<Field<'a>>,
}

#[derive(Debug)]
struct Model {
    provider: usize,
    name: String,
    spec: Map<String, Value>,
    endpoints: BTreeSet<usize>,
}

#[derive(Debug)]
struct Class {
    name: String,
    display_name: Option<String>,
    models: Vec<String>,
}

/// Everything that is to be.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    namespace: Option<String>,
    providers: Vec<Provider<'a>>,
    models: Vec<Model>,
    /// Models by provider and the vendor's id.
    by_id: BTreeMap<(usize, String), usize>,
    classes: Vec<Class>,
    names: [Names; Kind::ALL.len()],
}

/// What became of a model.
pub enum Placed {
    /// It is a new one, of this name.
    New(String),
    /// Its provider has it already, under this name: this is one more endpoint of it, or nothing new.
    Known(String),
}

impl<'a> Plan<'a> {
    /// For one namespace, or for whichever it is applied to.
    pub fn new(namespace: Option<&str>) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            ..Self::default()
        }
    }

    fn name(&mut self, kind: Kind, wanted: &str) -> String {
        self.names[kind as usize].give(&slug(wanted))
    }

    /// The endpoint at which a vendor is called so, with the key that it takes.
    pub fn place(&mut self, vendor: &Vendor, call: Call, key: Option<&KeyRef>) -> Place {
        let fits = |provider: &Provider<'_>| {
            let has = provider.endpoints.iter().any(|(known, _)| *known == call);
            let known = |key: &KeyRef| provider.credentials.iter().any(|it| it.key == *key);
            let room = provider.credentials.len() < MAX_CREDENTIALS_PER_PROVIDER;
            same(&provider.vendor, &provider.endpoints, vendor, &call)
                && (has || provider.endpoints.len() < MAX_ENDPOINTS_PER_PROVIDER)
                && key.is_none_or(|key| known(key) || room)
        };
        let provider = match self.providers.iter().position(fits) {
            Some(provider) => provider,
            None => self.add_provider(vendor, &call),
        };
        let known = self.providers[provider].endpoints.iter();
        let endpoint = match known.clone().position(|(known, _)| *known == call) {
            Some(endpoint) => endpoint,
            None => {
                let wanted = self.endpoint_name(provider, &call);
                let name = self.name(Kind::Endpoint, &wanted);
                self.providers[provider].endpoints.push((call, name));
                self.providers[provider].endpoints.len() - 1
            }
        };
        Place { provider, endpoint }
    }

    fn add_provider(&mut self, vendor: &Vendor, call: &Call) -> usize {
        let server = call.base_url.as_deref().and_then(first_label);
        let wanted = match server {
            Some(server) if vendor.is_nameless() => format!("{}-{server}", vendor.name),
            _ => vendor.name.clone(),
        };
        let name = self.name(Kind::Provider, &wanted);
        self.providers.push(Provider {
            vendor: vendor.clone(),
            name,
            spec: Map::new(),
            endpoints: Vec::new(),
            credentials: Vec::new(),
        });
        self.providers.len() - 1
    }

    fn endpoint_name(&self, provider: usize, call: &Call) -> String {
        let provider = &self.providers[provider];
        let label = call.base_url.as_deref().and_then(first_label);
        match (&call.name, &call.region, label) {
            (Some(name), ..) => name.clone(),
            _ if provider.endpoints.is_empty() => provider.name.clone(),
            (None, Some(region), _) => format!("{}-{region}", provider.name),
            (None, None, Some(label)) => format!("{}-{label}", provider.name),
            (None, None, None) => provider.name.clone(),
        }
    }

    /// A key for an endpoint; `sources` are the fields that it comes from. Answers the credential's
    /// name.
    pub fn credential(
        &mut self,
        place: Place,
        key: KeyRef,
        spec: Map<String, Value>,
        sources: Vec<Field<'a>>,
    ) -> String {
        for source in &sources {
            source.take();
        }
        let known = self.providers[place.provider].credentials.iter();
        let index = match known.clone().position(|it| it.key == key) {
            Some(index) => index,
            None => {
                let name = self.name(Kind::Credential, &key.secret);
                let provider = &mut self.providers[place.provider];
                provider.credentials.push(Credential {
                    key,
                    name,
                    spec,
                    endpoints: BTreeSet::new(),
                    sources: Vec::new(),
                });
                provider.credentials.len() - 1
            }
        };
        let credential = &mut self.providers[place.provider].credentials[index];
        credential.endpoints.insert(place.endpoint);
        credential.sources.extend(sources);
        credential.name.clone()
    }

    /// A model at an endpoint. Of one that is known already the first declaration counts.
    pub fn model(
        &mut self,
        place: Place,
        id: &str,
        wanted: &str,
        mut spec: Map<String, Value>,
    ) -> Placed {
        let known = (place.provider, id.to_owned());
        if let Some(model) = self.by_id.get(&known) {
            let model = &mut self.models[*model];
            model.endpoints.insert(place.endpoint);
            return Placed::Known(model.name.clone());
        }
        let name = self.name(Kind::Model, wanted);
        spec.insert("modelId".to_owned(), id.into());
        self.by_id.insert(known, self.models.len());
        self.models.push(Model {
            provider: place.provider,
            name: name.clone(),
            spec,
            endpoints: [place.endpoint].into(),
        });
        Placed::New(name)
    }

    /// A name for a class, to be declared later.
    pub fn class_name(&mut self, wanted: &str) -> String {
        self.name(Kind::ModelClass, wanted)
    }

    /// A class of these models, the preferred one first.
    pub fn class(&mut self, name: String, display_name: Option<String>, models: Vec<String>) {
        self.classes.push(Class {
            name,
            display_name,
            models,
        });
    }

    /// The spec of a place's provider.
    pub fn provider_spec(&mut self, place: Place) -> &mut Map<String, Value> {
        &mut self.providers[place.provider].spec
    }

    /// What findings call a place's provider.
    pub fn provider_title(&self, place: Place) -> String {
        format!("LlmProvider/{}", self.providers[place.provider].name)
    }

    /// What findings call a place's endpoint.
    pub fn endpoint_title(&self, place: Place) -> String {
        let provider = &self.providers[place.provider];
        format!("LlmEndpoint/{}", provider.endpoints[place.endpoint].1)
    }

    /// The objects. What has to be done for the Secrets is said of the fields that their keys come from.
    pub fn finish(mut self) -> Vec<Manifest> {
        self.one_type_a_secret();
        self.tell_secrets();
        let namespace = self.namespace.as_deref();
        let mut manifests = Vec::new();
        for provider in &self.providers {
            provider.finish(namespace, &mut manifests);
        }
        for model in self.models {
            let provider = &self.providers[model.provider];
            let mut spec = model.spec;
            spec.insert("providerRef".to_owned(), json!({ "name": provider.name }));
            provider.refer(&mut spec, &model.endpoints);
            manifests.push(Manifest::new(Kind::Model, namespace, &model.name, spec));
        }
        for class in self.classes {
            let models: Vec<Value> = class
                .models
                .iter()
                .map(|name| json!({ "name": name }))
                .collect();
            let mut spec = Map::from_iter([("models".to_owned(), models.into())]);
            if let Some(name) = class.display_name {
                spec.insert("displayName".to_owned(), name.into());
            }
            let kind = Kind::ModelClass;
            manifests.push(Manifest::new(kind, namespace, &class.name, spec));
        }
        manifests
    }
}

impl Plan<'_> {
    /// A Secret has one label, and that names one type: a key that providers of several types have is in a
    /// Secret of each.
    fn one_type_a_secret(&mut self) {
        let credentials = self.providers.iter().flat_map(|it| &it.credentials);
        let mut names = Names::default();
        for name in credentials
            .map(|it| &it.key.secret)
            .collect::<BTreeSet<_>>()
        {
            names.give(name);
        }
        let mut types: BTreeMap<String, ProviderType> = BTreeMap::new();
        let mut renamed: BTreeMap<(String, ProviderType), String> = BTreeMap::new();
        for provider in &mut self.providers {
            let type_ = provider.vendor.type_;
            for credential in &mut provider.credentials {
                let secret = credential.key.secret.clone();
                if *types.entry(secret.clone()).or_insert(type_) == type_ {
                    continue;
                }
                let own = renamed
                    .entry((secret.clone(), type_))
                    .or_insert_with(|| names.give(&slug(&format!("{secret}-{type_}"))));
                credential.key.copied_to(own);
            }
        }
    }

    /// Says of the fields that keys come from what has to be done for their Secrets: the commands once a
    /// Secret, with the hosts of all who take the key.
    fn tell_secrets(&self) {
        let all = || {
            let of = |provider| move |credential| (provider, credential);
            let providers = self.providers.iter();
            providers.flat_map(move |it| it.credentials.iter().map(of(it)))
        };
        let mut hosts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (provider, credential) in all() {
            let known = hosts.entry(&credential.key.secret).or_default();
            known.extend(provider.foreign_hosts(credential));
        }
        let mut told = BTreeSet::new();
        for (provider, credential) in all() {
            let (key, type_) = (&credential.key, provider.vendor.type_);
            let (why, commands) = key.steps(type_, &hosts[&*key.secret], self.namespace.as_deref());
            let target = format!("LlmCredential/{} spec.secretRef", credential.name);
            for source in &credential.sources {
                match told.insert(&key.secret) {
                    true => source.manual_by(target.clone(), why.clone(), commands.clone()),
                    false => source.manual_by(target.clone(), MADE_ONCE.to_owned(), Vec::new()),
                }
            }
        }
    }
}

/// Of further fields that a Secret's key comes from, or is for.
const MADE_ONCE: &str =
    "its Secret is made, or labelled, by the commands at the first field that its key comes from";

/// Whether a call goes to this provider: for vendors that are servers of somebody's own the server
/// decides.
fn same(known: &Vendor, endpoints: &[(Call, String)], wanted: &Vendor, call: &Call) -> bool {
    if known != wanted {
        return false;
    }
    let server = |call: &Call| call.base_url.as_deref().and_then(host);
    !known.is_by_server()
        || endpoints
            .iter()
            .all(|(known, _)| server(known) == server(call))
}

impl Provider<'_> {
    fn finish(&self, namespace: Option<&str>, manifests: &mut Vec<Manifest>) {
        let mut spec = self.spec.clone();
        spec.insert("type".to_owned(), self.vendor.type_.as_str().into());
        manifests.push(Manifest::new(Kind::Provider, namespace, &self.name, spec));
        for (call, name) in &self.endpoints {
            let spec = endpoint_spec(call, &self.name);
            manifests.push(Manifest::new(Kind::Endpoint, namespace, name, spec));
        }
        for credential in &self.credentials {
            let mut spec = credential.spec.clone();
            spec.insert("providerRef".to_owned(), json!({ "name": self.name }));
            spec.insert("secretRef".to_owned(), credential.key.secret_ref());
            self.refer(&mut spec, &credential.endpoints);
            manifests.push(Manifest::new(
                Kind::Credential,
                namespace,
                &credential.name,
                spec,
            ));
        }
    }

    /// `endpointRefs`, where it is not all of them.
    fn refer(&self, spec: &mut Map<String, Value>, endpoints: &BTreeSet<usize>) {
        if endpoints.len() < self.endpoints.len() {
            let names = endpoints.iter().map(|index| &self.endpoints[*index].1);
            let refs: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
            spec.insert("endpointRefs".to_owned(), refs.into());
        }
    }

    /// Hosts that the owner of a credential's Secret has to name.
    fn foreign_hosts(&self, credential: &Credential<'_>) -> impl Iterator<Item = String> {
        credential.endpoints.iter().filter_map(|index| {
            let url = self.endpoints[*index].0.base_url.as_deref()?;
            (!is_own_host(self.vendor.type_, url)).then(|| allowed_host(url))?
        })
    }
}

/// Whether a key of this type goes to this host without a word from its Secret's owner.
fn is_own_host(type_: ProviderType, url: &str) -> bool {
    let own = match type_ {
        ProviderType::OpenAI => "api.openai.com",
        ProviderType::Anthropic => "api.anthropic.com",
        ProviderType::Gemini => "generativelanguage.googleapis.com",
        _ => return false,
    };
    host(url).is_some_and(|host| host == own)
}

fn endpoint_spec(call: &Call, provider: &str) -> Map<String, Value> {
    let mut spec = Map::new();
    let mut set = |field: &str, value: Option<Value>| {
        spec.extend(value.map(|value| (field.to_owned(), value)));
    };
    set("providerRef", Some(json!({ "name": provider })));
    set("baseUrl", call.base_url.clone().map(Value::from));
    set("apiVersion", call.api_version.clone().map(Value::from));
    set("region", call.region.clone().map(Value::from));
    set("readTimeoutSeconds", call.read_timeout.map(Value::from));
    set("retry", call.retries.map(|count| json!({ "count": count })));
    set("priority", call.priority.map(Value::from));
    let headers = call.headers.iter();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    set("headers", (!headers.is_empty()).then(|| headers.into()));
    spec
}
