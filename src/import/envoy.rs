//! Manifests of Envoy AI Gateway: backends become endpoints, their security policies credentials, the
//! models that routes name models. How calls are spread over them is the gateway's.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, json};

use super::litellm::header;
use super::manifests::Manifest;
use super::plan::{Call, Place, Placed, Plan};
use super::secrets::{KeyRef, Origin};
use super::source::Field;
use super::vendor::Vendor;
use crate::crd::names::is_namespace;
use crate::crd::{Kind, ProviderType};

const GROUP: &str = "aigateway.envoyproxy.io";

/// The namespace of a manifest, if it names one that can be.
pub fn namespace<'a>(source: &Field<'a>) -> Option<&'a str> {
    source
        .document()
        .namespace()
        .filter(|name| is_namespace(name))
}

/// Says of what came along with manifests that it stays what it is.
pub fn stranger(source: &Field<'_>) {
    if source.document().is_secret() {
        source.manual("not imported: no key passes through an import; the Secret stays as it is");
    } else {
        source.unsupported("not converted: it is a gateway's or an agent's business");
    }
}

/// Says where a manifest's name and kind went.
pub fn tell_object(source: &Field<'_>, title: &str) {
    let metadata = source.get("metadata");
    let names = ["name", "namespace"].map(|name| metadata.as_ref()?.get(name));
    let fields = [source.get("apiVersion"), source.get("kind")].into_iter();
    for field in fields
        .chain(names)
        .flatten()
        .filter(|field| !field.is_told())
    {
        field.exact(title);
    }
}

type Key<'a> = (Option<&'a str>, &'a str);

/// Objects of the source by kind, namespace and name.
#[derive(Default)]
struct Objects<'a> {
    backends: HashMap<Key<'a>, Field<'a>>,
    /// By the AIServiceBackend that they are for.
    policies: HashMap<Key<'a>, Vec<Field<'a>>>,
}

/// Converts all of them together: they refer to each other.
pub fn convert(sources: &[Field<'_>], wanted: Option<&str>) -> Vec<Manifest> {
    let mut objects = Objects::default();
    let (mut services, mut routes) = (Vec::new(), Vec::new());
    for source in sources {
        let document = source.document();
        let name = document.name().unwrap_or_default();
        let own = document.namespace();
        match (document.group(), document.kind()) {
            (Some("gateway.envoyproxy.io"), Some("Backend")) => {
                objects.backends.insert((own, name), source.clone());
            }
            (Some(GROUP), Some("AIServiceBackend")) => services.push(source),
            (Some(GROUP), Some("AIGatewayRoute")) => routes.push(source),
            (Some(GROUP), Some("BackendSecurityPolicy")) => objects.add_policy(source),
            (Some(GROUP), Some("QuotaPolicy")) => {
                source.unsupported("not converted: limits of calls are the gateway's to enforce");
            }
            (Some("gateway.networking.k8s.io"), Some("BackendTLSPolicy")) => {
                source.manual("not converted: paste the certificates of its authority into the endpoint's spec.caBundle; at the vendors' own hosts that does not apply");
            }
            _ => stranger(source),
        }
    }
    let mut plans: BTreeMap<Option<&str>, Plan<'_>> = BTreeMap::new();
    let priorities = priorities(&routes);
    let mut places = HashMap::new();
    for service in services {
        let own = wanted.or_else(|| namespace(service));
        let plan = plans.entry(own).or_insert_with(|| Plan::new(own));
        let key = key_of(service);
        if let Some(place) = objects.service(plan, service, priorities.get(&key).copied()) {
            places.insert(key, place);
        }
    }
    for route in routes {
        let own = wanted.or_else(|| namespace(route));
        let plan = plans.entry(own).or_insert_with(|| Plan::new(own));
        convert_route(plan, route, &places);
    }
    plans.into_values().flat_map(Plan::finish).collect()
}

fn key_of<'a>(source: &Field<'a>) -> Key<'a> {
    let document = source.document();
    (document.namespace(), document.name().unwrap_or_default())
}

/// By AIServiceBackend: the priority that a route gives it, the best where several do.
fn priorities<'a>(routes: &[&Field<'a>]) -> HashMap<Key<'a>, i64> {
    let mut all = HashMap::new();
    for route in routes {
        for reference in backend_refs(route) {
            let Some(name) = reference.text_at("name") else {
                continue;
            };
            let priority = reference.value().get("priority").and_then(|it| it.as_i64());
            if let Some(priority) = priority.filter(|it| (0..=1_000_000).contains(it)) {
                let own = route.document().namespace();
                let known = all.entry((own, name)).or_insert(priority);
                *known = priority.min(*known);
            }
        }
    }
    all
}

fn backend_refs<'a>(route: &Field<'a>) -> Vec<Field<'a>> {
    let rules = route.at(&["spec", "rules"]);
    let rules = rules.iter().flat_map(Field::items);
    rules
        .flat_map(|rule| {
            rule.get("backendRefs")
                .map_or_else(Vec::new, |refs| refs.items())
        })
        .collect()
}

impl<'a> Objects<'a> {
    fn add_policy(&mut self, source: &Field<'a>) {
        let own = source.document().namespace();
        let targets = source.at(&["spec", "targetRefs"]);
        for target in targets.iter().flat_map(Field::items) {
            if let Some(name) = target.text_at("name") {
                target.exact("LlmCredential spec.endpointRefs");
                self.policies
                    .entry((own, name))
                    .or_default()
                    .push(source.clone());
            }
        }
    }

    /// A backend with its address and its key.
    fn service(
        &self,
        plan: &mut Plan<'a>,
        source: &Field<'a>,
        priority: Option<i64>,
    ) -> Option<Place> {
        let (own, name) = key_of(source);
        let spec = source.get("spec")?;
        let schema = spec.get("schema");
        let word = schema
            .as_ref()
            .and_then(|it| it.text_at("name"))
            .unwrap_or_default();
        let Some(type_) = provider_type(word) else {
            source
                .unsupported("not converted: llmplane has no driver for what this backend speaks");
            return None;
        };
        let reference = spec.get("backendRef");
        let backend = reference.as_ref().and_then(|it| it.text_at("name"));
        let backend = backend.and_then(|name| self.backends.get(&(own, name)));
        let Some(url) = backend.and_then(|backend| address(backend, &spec, type_)) else {
            source.manual("not converted: its address is not among these manifests; add the Backend that it refers to");
            return None;
        };
        let policies = self
            .policies
            .get(&(own, name))
            .map_or([].as_slice(), Vec::as_slice);
        let region = policies.iter().find_map(|policy| {
            let region = policy.at(&["spec", "awsCredentials", "region"])?;
            let value = region.fitting(Kind::Endpoint, "region", region.plain_text()?.into())?;
            Some((value.as_str()?.to_owned(), region))
        });
        let vendor = vendor(type_, &url);
        let version = schema.as_ref().and_then(|it| it.get("version"));
        let version = version.filter(|_| type_ == ProviderType::AzureOpenAI);
        let api_version = version.as_ref().and_then(|field| {
            let value = field.fitting(Kind::Endpoint, "apiVersion", field.plain_text()?.into())?;
            Some(value.as_str()?.to_owned())
        });
        let call = Call {
            base_url: Some(url),
            api_version,
            region: region.as_ref().map(|(region, _)| region.clone()),
            headers: headers(&spec),
            priority,
            name: Some(name.to_owned()),
            ..Call::default()
        };
        let place = plan.place(&vendor, call, None);
        let title = plan.endpoint_title(place);
        tell_object(source, &title);
        let fields = [schema, reference, version, region.map(|(_, field)| field)];
        for field in fields
            .into_iter()
            .flatten()
            .filter(|field| !field.is_told())
        {
            field.exact(&*title);
        }
        self.key(plan, place, policies);
        Some(place)
    }

    fn key(&self, plan: &mut Plan<'a>, place: Place, policies: &[Field<'a>]) {
        if let [_, _, ..] = policies {
            for policy in policies {
                policy.manual("left out: several policies say how to sign in at one backend; keep one, and import again");
            }
            return;
        }
        for policy in policies {
            let Some(spec) = policy.get("spec") else {
                continue;
            };
            match policy_key(policy, &spec) {
                Some((key, reference)) => {
                    let name = plan.credential(place, key, Map::new(), vec![reference]);
                    let title = format!("LlmCredential/{name}");
                    tell_object(policy, &title);
                    if let Some(type_) = spec.get("type") {
                        type_.exact(title);
                    }
                }
                None => {
                    tell_object(policy, "LlmCredential");
                    if let Some(type_) = spec.get("type").filter(|type_| !type_.is_told()) {
                        type_.manual("left out: no credential is made");
                    }
                }
            }
        }
    }
}

/// The Secret that a policy names, where it holds a key that llmplane can take.
fn policy_key<'a>(policy: &Field<'a>, spec: &Field<'a>) -> Option<(KeyRef, Field<'a>)> {
    let sections = ["apiKey", "azureAPIKey", "anthropicAPIKey"];
    let key = sections.iter().find_map(|section| spec.get(section));
    let identities = ["awsCredentials", "azureCredentials", "gcpCredentials"];
    for field in identities.iter().filter_map(|section| spec.get(section)) {
        for (name, field) in field.entries() {
            if name != "region" {
                field.manual("left out: no key is made from an identity of the gateway's, nor from a credentials file; give the endpoint a credential with a key");
            }
        }
    }
    if let Some(type_) = spec.get("type").filter(|_| key.is_none()) {
        type_.manual(
            "left out: the gateway signs in without a key; give the endpoint a credential with one",
        );
    }
    let reference = key?.get("secretRef")?;
    let name = reference.text_at("name")?;
    let other = reference.text_at("namespace");
    if other.is_some() && other != policy.document().namespace() {
        reference.manual("left out: the Secret is in another namespace, and a reference never leaves its own; copy the Secret here, and declare an LlmCredential that names it");
        return None;
    }
    let wanted = json!({ "name": name, "keys": { "apiKey": "apiKey" } });
    reference.fitting(Kind::Credential, "secretRef", wanted)?;
    let key = KeyRef {
        secret: name.to_owned(),
        parts: vec![("apiKey", Origin::Entry("apiKey".to_owned()))],
    };
    Some((key, reference))
}

fn provider_type(schema: &str) -> Option<ProviderType> {
    use ProviderType as T;
    Some(match schema {
        "OpenAI" => T::OpenAI,
        "Anthropic" => T::Anthropic,
        "AWSBedrock" | "AWSAnthropic" => T::Bedrock,
        "AzureOpenAI" => T::AzureOpenAI,
        _ => return None,
    })
}

fn vendor(type_: ProviderType, url: &str) -> Vendor {
    let name = match type_ {
        ProviderType::OpenAI => "openai",
        ProviderType::Anthropic => "anthropic",
        ProviderType::AzureOpenAI => "azure-openai",
        _ => "bedrock",
    };
    Vendor::of(type_, name).at(Some(url))
}

/// Where a Backend is: the gateway speaks TLS on port 443, and appends the schema's path.
fn address(backend: &Field<'_>, spec: &Field<'_>, type_: ProviderType) -> Option<String> {
    let endpoints = backend.at(&["spec", "endpoints"])?.items();
    let [first, rest @ ..] = &endpoints[..] else {
        return None;
    };
    for other in rest {
        other.manual("left out: an endpoint has one address; declare another for this one");
    }
    let place = first.get("fqdn").or_else(|| first.get("ip"))?;
    let name = place.get("hostname").or_else(|| place.get("address"))?;
    let name_text = name.plain_text()?;
    let port = place
        .get("port")
        .map_or(Some(443), |port| port.integer(1, 65_535))?;
    let prefix = spec.at(&["schema", "prefix"]);
    let path = match (&prefix, type_) {
        (Some(prefix), _) => prefix.plain_text()?.trim_matches('/').to_owned(),
        (None, ProviderType::OpenAI) => "v1".to_owned(),
        (None, _) => String::new(),
    };
    let authority = match port {
        443 => format!("https://{name_text}"),
        port => format!("http://{name_text}:{port}"),
    };
    let url = format!("{authority}/{path}");
    let url = url.trim_end_matches('/');
    name.fitting(Kind::Endpoint, "baseUrl", url.into())?;
    let title = "LlmEndpoint spec.baseUrl";
    tell_object(backend, title);
    match place.get("port") {
        Some(port) if port.value() != 443 => port.approximate(
            title,
            "plain http is assumed; write https:// where the backend speaks TLS on this port",
        ),
        Some(port) => port.exact(title),
        None => {}
    }
    name.exact(title);
    if let Some(prefix) = prefix {
        prefix.exact(title);
    }
    Some(url.to_owned())
}

fn headers(spec: &Field<'_>) -> BTreeMap<String, String> {
    let mutation = spec.get("headerMutation");
    let set = mutation.as_ref().and_then(|it| it.get("set"));
    let mut headers = BTreeMap::new();
    for item in set.iter().flat_map(Field::items) {
        if let (Some(name), Some(field)) = (item.text_at("name"), item.get("value"))
            && let Some(value) = header(name, &field)
        {
            headers.insert(name.to_owned(), value);
            item.exact("LlmEndpoint spec.headers");
        } else if let Some(name) = item.get("name") {
            name.manual("left out with its value");
        }
    }
    if let Some(remove) = mutation.and_then(|it| it.get("remove")) {
        remove.unsupported("left out: rewriting of calls is a gateway's business");
    }
    headers
}

fn convert_route<'a>(plan: &mut Plan<'a>, route: &Field<'a>, places: &HashMap<Key<'a>, Place>) {
    let own = route.document().namespace();
    let rules = route.at(&["spec", "rules"]);
    for rule in rules.iter().flat_map(Field::items) {
        let header = asked(&rule);
        let asked = header.as_ref().and_then(|header| header.get("value"));
        let refs = rule.get("backendRefs");
        for reference in refs.iter().flat_map(Field::items) {
            let name = reference.get("name");
            let place = name
                .as_ref()
                .and_then(Field::text)
                .and_then(|name| places.get(&(own, name)));
            let Some(place) = place else {
                reference.manual("not converted: the backend that it names is not among these manifests, or was not converted");
                continue;
            };
            let id = reference.get("modelNameOverride").or_else(|| asked.clone());
            let Some(id) = id.filter(|id| id.plain_text().is_some()) else {
                reference.manual(
                    "not converted: no model is named for this backend; declare an LlmModel",
                );
                continue;
            };
            if id
                .fitting(Kind::Model, "modelId", id.value().clone())
                .is_none()
            {
                continue;
            }
            let text = id.text().unwrap_or_default();
            let placed = plan.model(*place, text, text, Map::new());
            let (Placed::New(object) | Placed::Known(object)) = placed;
            let title = format!("LlmModel/{object}");
            id.exact(format!("{title} spec.modelId"));
            if let Some(name) = name {
                name.exact(format!("{title} spec.providerRef"));
            }
            if let Some(priority) = reference.get("priority") {
                priority.approximate(
                    format!("{} spec.priority", plan.endpoint_title(*place)),
                    "it orders a provider's endpoints; between models of different providers agents choose by what they need",
                );
            }
            if let Some(weight) = reference.get("weight") {
                weight.unsupported("left out: how calls are spread is a gateway's business");
            }
        }
        if let Some(asked) = asked.filter(|it| !it.is_told()) {
            asked.unsupported(
                "left out: a model is asked for by its own name, or by what it must be",
            );
        }
        for field in ["name", "type"]
            .iter()
            .filter_map(|name| header.as_ref()?.get(name))
        {
            field.exact("LlmModel spec.modelId");
        }
        for field in ["timeouts", "retry"]
            .iter()
            .filter_map(|name| rule.get(name))
        {
            field.unsupported("left out: how calls are made is the gateway's business; endpoints have time-outs and retries of their own");
        }
    }
    let rest = ["parentRefs", "llmRequestCosts", "filterConfig", "hostnames"];
    for field in rest.iter().filter_map(|name| route.at(&["spec", name])) {
        field.unsupported("left out: it is a gateway's business");
    }
    tell_object(route, "LlmModel");
}

/// The header by which clients ask for a model.
fn asked<'a>(rule: &Field<'a>) -> Option<Field<'a>> {
    let matches = rule.get("matches")?.items();
    let headers = matches.iter().filter_map(|it| it.get("headers"));
    let mut headers = headers.flat_map(|headers| headers.items());
    headers.find(|header| header.text_at("name") == Some("x-ai-eg-model"))
}
