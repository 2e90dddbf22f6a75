//! What is declared in a namespace at one moment, and the ways from one such moment to the next.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub const KEY: &str = "sk-test-0123456789abcdef";
pub const ROTATED: &str = "sk-test-fedcba9876543210";
const REFUSED: &str = "sk-test-refused-0000000000";

/// Objects by kind and name, and what the vendor does. `URL` stands for the vendor's address.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub objects: BTreeMap<(&'static str, &'static str), Value>,
    /// Keys that the vendor takes.
    pub keys: Vec<&'static str>,
    /// The vendor answers with HTTP 500.
    pub down: bool,
}

impl Declaration {
    /// One provider, two endpoints, a key, a model and a class: everything that a field may speak of.
    pub fn base() -> Self {
        let provider = json!({ "name": "p" });
        let endpoint = json!({ "providerRef": provider, "baseUrl": "URL" });
        let credential = json!({
            "providerRef": provider, "secretRef": { "name": "s" },
            "rotation": { "graceSeconds": 5 },
            // What the vendor says of the key changes on some paths, and is seen by the next check.
            "validation": { "periodSeconds": 60 },
        });
        let mut base = Self {
            objects: BTreeMap::new(),
            keys: vec![KEY, ROTATED],
            down: false,
        };
        base.spec("LlmProvider", "p", json!({ "type": "OpenAICompatible" }));
        base.spec("LlmEndpoint", "e", endpoint.clone());
        base.spec("LlmEndpoint", "f", endpoint);
        base.spec("LlmCredential", "c", credential);
        base.spec(
            "LlmModel",
            "m",
            json!({ "providerRef": provider, "modelId": "gpt-a" }),
        );
        let class = json!({ "models": [{ "name": "m" }] });
        base.spec("LlmModelClass", "k", class);
        base.secret(
            Some("OpenAICompatible"),
            "127.0.0.1",
            json!({ "api-key": KEY }),
        )
    }

    fn spec(&mut self, kind: &'static str, name: &'static str, spec: Value) {
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        self.objects.insert((kind, name), object);
    }

    fn secret(mut self, label: Option<&str>, hosts: &str, data: Value) -> Self {
        let labels = label.map_or(json!({}), |l| json!({ "llmplane.dev/credential": l }));
        let object = json!({
            "metadata": {
                "name": "s", "labels": labels,
                "annotations": { "llmplane.dev/allowed-hosts": hosts },
            },
            "stringData": data,
        });
        self.objects.insert(("Secret", "s"), object);
        self
    }

    /// With another value of a field.
    pub fn with(
        mut self,
        kind: &'static str,
        name: &'static str,
        field: &str,
        value: Value,
    ) -> Self {
        let spec = &mut self.objects.get_mut(&(kind, name)).unwrap()["spec"];
        // Of some fields an object has one alone.
        for choice in [["secretRef", "federation"], ["models", "need"]] {
            if choice.contains(&field) {
                let spec = spec.as_object_mut().unwrap();
                spec.retain(|name, _| !choice.contains(&name.as_str()));
            }
        }
        spec[field] = value;
        self
    }

    fn without(mut self, kind: &'static str, name: &'static str) -> Self {
        self.objects.remove(&(kind, name)).unwrap();
        self
    }

    fn taking(mut self, keys: &[&'static str]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    fn down(mut self) -> Self {
        self.down = true;
        self
    }
}

/// A way from what is in force to what is declared last.
pub struct Path {
    pub name: String,
    pub from: Declaration,
    /// One after another; the fault strikes when the first was applied.
    pub steps: Vec<Declaration>,
}

impl Path {
    pub fn end(&self) -> &Declaration {
        self.steps.last().unwrap()
    }
}

/// A field of each kind's spec, the name of the object that has it, and another value.
pub fn fields() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let nobody = json!({ "name": "nobody" });
    let of_f = json!([{ "name": "f" }]);
    let provider = [
        ("displayName", json!("P")),
        ("description", json!("P")),
        ("enabled", json!(false)),
        ("defaultEndpointRef", json!({ "name": "f" })),
        (
            "modelSync",
            // What it makes is declared too, and stays.
            json!({ "enabled": true, "exclude": ["*"] }),
        ),
    ];
    let endpoint = [
        ("providerRef", nobody.clone()),
        ("baseUrl", json!("URL/")),
        ("apiVersion", json!("v2")),
        ("region", json!("eu")),
        ("headers", json!([{ "name": "X-Team", "value": "a" }])),
        (
            "caBundle",
            json!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        ),
        ("healthCheck", json!({ "credentialRef": { "name": "c" } })),
        ("displayName", json!("E")),
        ("connectTimeoutSeconds", json!(7)),
        ("readTimeoutSeconds", json!(7)),
        ("retry", json!({ "count": 7 })),
        ("priority", json!(7)),
        ("enabled", json!(false)),
    ];
    let credential = [
        ("providerRef", nobody.clone()),
        ("endpointRefs", of_f.clone()),
        (
            "secretRef",
            json!({ "name": "s", "keys": { "apiKey": "other" } }),
        ),
        (
            "federation",
            json!({
                "serviceAccountRef": nobody, "audience": "https://openrouter.ai",
                "openRouter": { "federationPolicyId": "pol_1" },
            }),
        ),
        ("alias", json!("A")),
        ("description", json!("A")),
        ("enabled", json!(false)),
        ("expiresAt", json!("2020-01-01T00:00:00Z")),
        (
            "quota",
            json!({ "limit": 7, "unit": "Requests", "period": "Day" }),
        ),
        ("priority", json!(7)),
        ("rotation", json!({ "graceSeconds": 6 })),
        ("validation", json!({ "enabled": false })),
    ];
    let class = [
        ("displayName", json!("K")),
        ("description", json!("K")),
        ("enabled", json!(false)),
        ("models", json!([nobody, { "name": "m" }])),
        ("need", json!({ "modalities": { "output": ["Text"] } })),
        ("prefer", json!("Context")),
        ("allowDeprecated", json!(true)),
    ];
    let model = [
        ("providerRef", nobody),
        ("endpointRefs", of_f),
        ("modelId", json!("gpt-b")),
        ("type", json!("Embedding")),
        ("availabilityTest", json!({ "enabled": true })),
        ("displayName", json!("M")),
        ("version", json!("2")),
        ("enabled", json!(false)),
        ("contextWindow", json!(7)),
        ("maxInputTokens", json!(7)),
        ("maxOutputTokens", json!(7)),
        (
            "pricing",
            json!({ "currency": "EUR", "inputPer1kTokens": "0.1" }),
        ),
        ("lifecycle", json!("Deprecated")),
        ("capabilities", json!([{ "name": "Chat" }])),
        ("recommendedFor", json!(["a"])),
        ("defaultParameters", json!({ "a": 1 })),
        ("baseModel", json!("gpt-4o")),
        ("embeddingDimensions", json!(7)),
        ("modalities", json!({ "input": ["Text"] })),
        (
            "limits",
            json!([{ "unit": "Requests", "limit": 7, "period": "Day" }]),
        ),
        ("deprecatedAt", json!("2020-01-01T00:00:00Z")),
        ("retiresAt", json!("2020-01-01T00:00:00Z")),
        ("replacement", json!({ "modelId": "gpt-b" })),
    ];
    let of = |kind, name| move |(field, value)| (kind, name, field, value);
    (provider.into_iter().map(of("LlmProvider", "p")))
        .chain(endpoint.into_iter().map(of("LlmEndpoint", "e")))
        .chain(credential.into_iter().map(of("LlmCredential", "c")))
        .chain(model.into_iter().map(of("LlmModel", "m")))
        .chain(class.into_iter().map(of("LlmModelClass", "k")))
        .collect()
}

/// Each field there, and there and back.
fn over_fields() -> Vec<Path> {
    let mut paths = Vec::new();
    for (kind, name, field, value) in fields() {
        let base = Declaration::base();
        let changed = base.clone().with(kind, name, field, value);
        let mut path = |how: &str, steps| {
            let name = format!("{kind} {field} {how}");
            paths.push(Path {
                name,
                from: base.clone(),
                steps,
            });
        };
        path("changed", vec![changed.clone()]);
        path("changed and back", vec![changed, base.clone()]);
    }
    paths
}

/// Every way.
pub fn paths() -> Vec<Path> {
    let base = Declaration::base();
    let mut paths = over_fields();
    let mut path = |name: &str, from: &Declaration, steps: Vec<Declaration>| {
        paths.push(Path {
            name: name.to_owned(),
            from: from.clone(),
            steps,
        });
    };
    let typed =
        |d: &Declaration, type_: &str| d.clone().with("LlmProvider", "p", "type", json!(type_));
    let gone = base.clone().without("LlmProvider", "p");
    let vllm = typed(&base, "VLLM");
    path(
        "credential deleted",
        &base,
        vec![base.clone().without("LlmCredential", "c")],
    );
    path(
        "credential deleted and back",
        &base,
        vec![base.clone().without("LlmCredential", "c"), base.clone()],
    );
    path("key refused", &base, vec![base.clone().taking(&[ROTATED])]);
    path("provider deleted", &base, vec![gone.clone()]);
    path(
        "provider made again",
        &base,
        vec![gone.clone(), base.clone()],
    );
    path(
        "provider made again, another type",
        &base,
        vec![gone.clone(), vllm.clone()],
    );
    path(
        "provider made again, another type, vendor down",
        &base,
        vec![gone.clone().down(), vllm.clone().down()],
    );
    path(
        "provider made again, another type and back",
        &base,
        vec![gone.clone(), vllm, gone.clone(), base.clone()],
    );
    let sync = json!({ "enabled": true });
    let syncing = base.clone().with("LlmProvider", "p", "modelSync", sync);
    path(
        "syncing provider made again",
        &syncing,
        vec![gone, syncing.clone()],
    );
    let secret = |label, hosts, data| base.clone().secret(label, hosts, data);
    let (ours, host) = (Some("OpenAICompatible"), "127.0.0.1");
    let rotated = secret(ours, host, json!({ "api-key": ROTATED }));
    let unchecked = json!({ "enabled": false });
    let checked_no_more = rotated
        .clone()
        .with("LlmCredential", "c", "validation", unchecked);
    let unused = base
        .clone()
        .with("LlmCredential", "c", "enabled", json!(false));
    let off_rotated = rotated
        .clone()
        .with("LlmCredential", "c", "enabled", json!(false));
    path("key rotated", &base, vec![rotated.clone()]);
    path("key rotated and back", &base, vec![rotated, base.clone()]);
    path("key rotated unchecked", &base, vec![checked_no_more]);
    path("key rotated while off", &unused, vec![off_rotated]);
    path(
        "label removed",
        &base,
        vec![secret(None, host, json!({ "api-key": KEY }))],
    );
    path(
        "label changed",
        &base,
        vec![secret(Some("OpenAI"), host, json!({ "api-key": KEY }))],
    );
    path(
        "hosts malformed",
        &base,
        vec![secret(ours, "*.x", json!({ "api-key": KEY }))],
    );
    path(
        "Secret deleted",
        &base,
        vec![base.clone().without("Secret", "s")],
    );
    path(
        "Secret deleted and back",
        &base,
        vec![base.clone().without("Secret", "s"), base.clone()],
    );
    let emptied = secret(ours, host, json!({ "other": "x" }));
    path(
        "Secret's entry gone",
        &base,
        vec![base.clone().without("Secret", "s"), emptied],
    );
    let mut refused = secret(ours, host, json!({ "api-key": REFUSED }));
    path(
        "refused key and back",
        &base,
        vec![refused.clone(), base.clone()],
    );
    refused.keys.push(REFUSED);
    path("refused key, then taken", &base, vec![refused]);
    let mut twin = base.clone();
    let named = json!({ "providerRef": { "name": "p" }, "modelId": "gpt-b" });
    twin.spec("LlmModel", "n", named);
    let duplicate = twin
        .clone()
        .with("LlmModel", "n", "modelId", json!("gpt-a"));
    path(
        "model a duplicate and back",
        &twin,
        vec![duplicate, twin.clone()],
    );
    let renamed = base
        .clone()
        .with("LlmModel", "m", "modelId", json!("gpt-none"));
    path("model not listed", &base, vec![renamed]);
    path(
        "endpoint deleted",
        &base,
        vec![base.clone().without("LlmEndpoint", "e")],
    );
    let off = json!(false);
    let endpoints_off = (base.clone())
        .with("LlmEndpoint", "e", "enabled", off.clone())
        .with("LlmEndpoint", "f", "enabled", off.clone());
    path("all endpoints off", &base, vec![endpoints_off.clone()]);
    path(
        "all endpoints off and back",
        &base,
        vec![endpoints_off.clone(), base.clone()],
    );
    // What it makes would stay.
    let lists = json!({ "enabled": true, "exclude": ["*"] });
    let listing = |d: Declaration| d.with("LlmProvider", "p", "modelSync", lists.clone());
    path(
        "all endpoints of a syncing provider off",
        &listing(base.clone()),
        vec![listing(endpoints_off)],
    );
    // Of a vendor whose models nobody calls without a key.
    let keyed = typed(&base, "OpenAI");
    let keyed = keyed.secret(Some("OpenAI"), host, json!({ "api-key": KEY }));
    let keyed_off = keyed.clone().with("LlmCredential", "c", "enabled", off);
    path(
        "credential off at a vendor that wants keys",
        &keyed,
        vec![keyed_off.clone()],
    );
    path(
        "credential off at a vendor that wants keys and back",
        &keyed,
        vec![keyed_off, keyed.clone()],
    );
    path(
        "vendor down and back",
        &base,
        vec![base.clone().down(), base.clone()],
    );
    paths
}
