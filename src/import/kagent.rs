//! kagent's `ModelConfig` and `ModelProviderConfig`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::litellm::header;
use super::manifests::Manifest;
use super::plan::{Call, Placed, Plan};
use super::secrets::{self, KeyRef, Origin};
use super::source::Field;
use super::vendor::Vendor;
use crate::crd::{Kind, ProviderType};

/// The section of the spec that a provider's settings are in, and the vendor; none for those that
/// llmplane cannot reach.
fn vendor_of(provider: &str) -> Option<(&'static str, Vendor)> {
    use ProviderType as T;
    Some(match provider {
        "OpenAI" => ("openAI", Vendor::of(T::OpenAI, "openai")),
        "Anthropic" => ("anthropic", Vendor::of(T::Anthropic, "anthropic")),
        "AzureOpenAI" => ("azureOpenAI", Vendor::of(T::AzureOpenAI, "azure-openai")),
        "Ollama" => ("ollama", Vendor::of(T::Ollama, "ollama")),
        "Bedrock" => ("bedrock", Vendor::of(T::Bedrock, "bedrock")),
        "Gemini" => ("gemini", Vendor::of(T::Gemini, "gemini")),
        _ => return None,
    })
}

/// Parameters of calls, by kagent's words.
const PARAMETERS: [(&str, &str); 12] = [
    ("temperature", "temperature"),
    ("maxTokens", "max_tokens"),
    ("maxCompletionTokens", "max_completion_tokens"),
    ("maxOutputTokens", "max_output_tokens"),
    ("topP", "top_p"),
    ("topK", "top_k"),
    ("frequencyPenalty", "frequency_penalty"),
    ("presencePenalty", "presence_penalty"),
    ("seed", "seed"),
    ("n", "n"),
    ("reasoningEffort", "reasoning_effort"),
    ("stopSequences", "stop"),
];

/// Converts the objects of each namespace by themselves.
pub fn convert(sources: &[Field<'_>], namespace: Option<&str>) -> Vec<Manifest> {
    let mut plans: BTreeMap<Option<&str>, Plan<'_>> = BTreeMap::new();
    for source in sources {
        let own = namespace.or_else(|| super::envoy::namespace(source));
        let plan = plans.entry(own).or_insert_with(|| Plan::new(own));
        match (source.document().group(), source.document().kind()) {
            (Some("kagent.dev"), Some("ModelConfig")) => model(plan, source),
            (Some("kagent.dev"), Some("ModelProviderConfig")) => provider(plan, source),
            _ => super::envoy::stranger(source),
        }
    }
    plans.into_values().flat_map(Plan::finish).collect()
}

fn model<'a>(plan: &mut Plan<'a>, source: &Field<'a>) {
    let Some(spec) = source.get("spec") else {
        return source.manual("not converted: it has no spec");
    };
    let provider = spec.text_at("provider").unwrap_or("OpenAI");
    let Some((section, vendor)) = vendor_of(provider) else {
        return source.unsupported(format!(
            "not converted: llmplane has no driver for {provider:?}; where it has an OpenAI-compatible address, declare that as OpenAICompatible"
        ));
    };
    let settings = spec.get(section);
    let setting = |name: &str| settings.as_ref().and_then(|it| it.get(name));
    let deployment = setting("azureDeployment").filter(|it| it.text().is_some());
    let Some(id) = deployment
        .or_else(|| spec.get("model"))
        .filter(|it| it.text().is_some())
    else {
        return source.manual("not converted: it names no model");
    };
    let address = ["baseUrl", "azureEndpoint", "host"]
        .iter()
        .find_map(|name| setting(name));
    let base_url = address.as_ref().and_then(Field::url);
    if address.is_some() && base_url.is_none() {
        return source.manual("not converted: its address cannot be carried over");
    }
    let vendor = vendor.at(base_url.as_deref());
    let text = |field: Option<Field<'_>>, name: &str| {
        let field = field?;
        let value = field.fitting(Kind::Endpoint, name, field.plain_text()?.into())?;
        value.as_str().map(str::to_owned)
    };
    let timeout = setting("timeout").or_else(|| setting("readTimeout"));
    let call = Call {
        base_url: base_url.or_else(|| vendor.base_url.map(str::to_owned)),
        api_version: text(setting("apiVersion"), "apiVersion"),
        region: text(setting("region"), "region"),
        headers: headers(&spec, setting("organization")),
        read_timeout: timeout.as_ref().and_then(|it| it.integer(1, 3600)),
        ..Call::default()
    };
    if let Some(lacking) = vendor.lacks(&call) {
        return source.manual(format!(
            "not converted: an endpoint of this type needs {lacking}"
        ));
    }
    let key = key(&spec);
    let place = plan.place(&vendor, call, key.as_ref().map(|(key, _)| key));
    let endpoint = plan.endpoint_title(place);
    tell(
        &endpoint,
        [
            (address, "spec.baseUrl"),
            (setting("apiVersion"), "spec.apiVersion"),
            (setting("region"), "spec.region"),
            (setting("organization"), "spec.headers"),
            (timeout, "spec.readTimeoutSeconds"),
        ],
    );
    for (_, field) in spec.get("defaultHeaders").iter().flat_map(Field::entries) {
        tell(&endpoint, [(Some(field), "spec.headers")]);
    }
    if let Some((key, sources)) = key {
        plan.credential(place, key, Map::new(), sources);
    }
    let parameters = parameters(settings.as_ref());
    let mut model = Map::new();
    if !parameters.is_empty() {
        let all = parameters
            .iter()
            .map(|(name, value, _)| ((*name).to_owned(), value.clone()));
        model.insert(
            "defaultParameters".to_owned(),
            all.collect::<Map<_, _>>().into(),
        );
    }
    if id
        .fitting(Kind::Model, "modelId", id.value().clone())
        .is_none()
    {
        return source.manual("not converted: its model's id cannot be carried over");
    }
    let wanted = source.document().name().unwrap_or_default();
    let title = match plan.model(place, id.text().unwrap_or_default(), wanted, model) {
        Placed::New(name) => {
            let title = format!("LlmModel/{name}");
            for (name, _, field) in &parameters {
                field.exact(format!("{title} spec.defaultParameters.{name}"));
            }
            title
        }
        Placed::Known(name) => {
            let title = format!("LlmModel/{name}");
            for (.., field) in &parameters {
                field.approximate(
                    &*title,
                    "left out: the same model was declared before; see that it says the same",
                );
            }
            title
        }
    };
    id.exact(format!("{title} spec.modelId"));
    tell_rest(source, &spec, &title, settings.as_ref());
}

/// Says where fields went of which nothing was said yet.
fn tell<'a>(title: &str, fields: impl IntoIterator<Item = (Option<Field<'a>>, &'static str)>) {
    for (field, target) in fields {
        if let Some(field) = field.filter(|field| !field.is_told()) {
            field.exact(format!("{title} {target}"));
        }
    }
}

fn headers(spec: &Field<'_>, organization: Option<Field<'_>>) -> BTreeMap<String, String> {
    let given = spec.get("defaultHeaders");
    let given = given.iter().flat_map(Field::entries);
    let mut headers: BTreeMap<String, String> = given
        .filter_map(|(name, field)| Some((name.to_owned(), header(name, &field)?)))
        .collect();
    if let Some(text) = organization.and_then(|field| field.plain_text().map(str::to_owned)) {
        headers.insert("OpenAI-Organization".to_owned(), text);
    }
    headers
}

/// The Secret that a ModelConfig names: it stays where it is.
fn key<'a>(spec: &Field<'a>) -> Option<(KeyRef, Vec<Field<'a>>)> {
    let secret = spec.get("apiKeySecret")?;
    let entry = spec.get("apiKeySecretKey");
    let entry_name = entry.as_ref().and_then(Field::text).unwrap_or("api-key");
    let wanted = json!({ "name": secret.value(), "keys": { "apiKey": entry_name } });
    secret.fitting(Kind::Credential, "secretRef", wanted)?;
    if spec.text_at("provider") == Some("Bedrock") {
        secret.manual("left out: Bedrock takes an access key pair; declare which entries of the Secret hold it");
        if let Some(entry) = entry {
            entry.manual("left out: it goes with the Secret");
        }
        return None;
    }
    let key = KeyRef {
        secret: secret.text()?.to_owned(),
        parts: vec![("apiKey", Origin::Entry(entry_name.to_owned()))],
    };
    Some((key, [Some(secret), entry].into_iter().flatten().collect()))
}

/// Parameters that clients send; kagent writes numbers as text.
fn parameters<'a>(settings: Option<&Field<'a>>) -> Vec<(&'static str, Value, Field<'a>)> {
    let Some(settings) = settings else {
        return Vec::new();
    };
    let known = PARAMETERS.iter().filter_map(|(name, target)| {
        let field = settings.get(name)?;
        if secrets::holds_key(field.value()) {
            field.manual("left out: it looks like a key, and manifests hold none");
            return None;
        }
        let number = field
            .text()
            .and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok());
        let value = match number {
            Some(number) => Value::Number(number),
            None => field.value().clone(),
        };
        let one = json!({ *target: value });
        field.fitting(Kind::Model, "defaultParameters", one)?;
        Some((*target, value, field))
    });
    known.collect()
}

fn tell_rest(source: &Field<'_>, spec: &Field<'_>, title: &str, settings: Option<&Field<'_>>) {
    for (field, target) in [
        (spec.get("model"), "spec.modelId"),
        (spec.get("provider"), "spec.providerRef"),
    ] {
        tell(title, [(field, target)]);
    }
    super::envoy::tell_object(source, title);
    let manual = [
        (
            "apiKeyPassthrough",
            "left out: llmplane gives out keys that are declared, never a caller's own; its callers sign in at the vendor by themselves",
        ),
        (
            "tls",
            "left out: paste the certificates themselves into the endpoint's spec.caBundle; checking of certificates cannot be switched off",
        ),
    ];
    for (name, message) in manual {
        if let Some(field) = spec.get(name) {
            field.manual(message);
        }
    }
    let inner = [
        ("guardrail", "left out: guardrails are a gateway's business"),
        (
            "promptCaching",
            "left out: it is a setting of the client that calls the model",
        ),
        (
            "cacheTTL",
            "left out: it is a setting of the client that calls the model",
        ),
        (
            "apiFormat",
            "left out: it is a setting of the client that calls the model",
        ),
        (
            "options",
            "left out: they are settings of the client that calls the model",
        ),
    ];
    for (name, message) in inner {
        if let Some(field) = settings.and_then(|it| it.get(name)) {
            field.unsupported(message);
        }
    }
    let identities = ["azureAdToken", "tokenExchange"];
    for field in identities.iter().filter_map(|name| settings?.get(name)) {
        field.manual("left out: no key is made from it; give the model a credential with a key");
    }
}

/// A provider whose models kagent finds by itself.
fn provider<'a>(plan: &mut Plan<'a>, source: &Field<'a>) {
    let Some(spec) = source.get("spec") else {
        return source.manual("not converted: it has no spec");
    };
    let type_ = spec.text_at("type").unwrap_or_default();
    let Some((_, vendor)) = vendor_of(type_) else {
        return source.unsupported("not converted: llmplane has no driver for this type");
    };
    let address = spec.get("endpoint");
    let base_url = address.as_ref().and_then(Field::url);
    if address.is_some() && base_url.is_none() {
        return source.manual("not converted: its address cannot be carried over");
    }
    let vendor = vendor.at(base_url.as_deref());
    let call = Call {
        base_url: base_url.or_else(|| vendor.base_url.map(str::to_owned)),
        ..Call::default()
    };
    if let Some(lacking) = vendor.lacks(&call) {
        return source.manual(format!(
            "not converted: an endpoint of this type needs {lacking}"
        ));
    }
    let place = plan.place(&vendor, call, None);
    tell(&plan.endpoint_title(place), [(address, "spec.baseUrl")]);
    let sync = json!({ "enabled": true });
    plan.provider_spec(place).entry("modelSync").or_insert(sync);
    let title = plan.provider_title(place);
    tell(&title, [(spec.get("type"), "spec.type")]);
    super::envoy::tell_object(source, &title);
    if let Some(secret) = spec.get("secretRef") {
        secret.manual("left out: kagent takes the one entry of this Secret, whatever it is called; declare an LlmCredential that names it");
    }
}
