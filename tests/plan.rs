//! `llmplane plan`: what it says that agents would be answered is what they are answered once it is done.

mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::fake_vendor::FakeVendor;
use crate::support::process::{Process, agent};
use crate::support::world::World;

const KEY: &str = "sk-plan-0123456789abcdef";
const ROUNDS: usize = 20;
const CHANGES: usize = 10;

type Manifests = BTreeMap<(&'static str, String), Value>;

async fn llmplane(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmplane"));
    command.env_clear().args(arguments);
    command.envs(variables.iter().copied());
    command.output().await.unwrap()
}

fn write(folder: &Path, manifests: &Manifests) {
    let items: Vec<&Value> = manifests.values().collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    std::fs::write(folder.join("all.json"), list.to_string()).unwrap();
}

fn manifest(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": kind,
        "metadata": { "name": name, "labels": {} }, "spec": spec,
    })
}

/// What is declared, and how it may change.
struct Site {
    random: StdRng,
    urls: [String; 2],
    manifests: Manifests,
}

impl Site {
    fn new(seed: u64, urls: [String; 2]) -> Self {
        let mut site = Self {
            random: StdRng::seed_from_u64(seed),
            urls,
            manifests: Manifests::new(),
        };
        for provider in ["p", "q"] {
            let spec = json!({ "type": "OpenAICompatible", "displayName": provider });
            site.put("LlmProvider", provider, spec);
            site.endpoint(&format!("{provider}-e0"), provider);
            site.credential(&format!("{provider}-c0"), provider);
        }
        for number in 0..5 {
            site.model(&format!("m{number}"));
        }
        let models = json!([{ "name": "m1" }, { "name": "m0" }]);
        site.put("LlmModelClass", "fast", json!({ "models": models }));
        let need = json!({ "capabilities": ["Chat"] });
        site.put(
            "LlmModelClass",
            "smart",
            json!({ "need": need, "prefer": "Price" }),
        );
        site
    }

    fn put(&mut self, kind: &'static str, name: &str, spec: Value) {
        let manifest = manifest(kind, name, spec);
        self.manifests.insert((kind, name.to_owned()), manifest);
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(&mut self.random).unwrap().clone()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let of_kind = self.manifests.keys().filter(|(it, _)| *it == kind);
        of_kind.map(|(_, name)| name.clone()).collect()
    }

    fn endpoint(&mut self, name: &str, provider: &str) {
        let url = self.urls[usize::from(provider == "q")].clone();
        let spec = json!({
            "providerRef": { "name": provider }, "baseUrl": url, "region": self.pick(&["eu", "us"]),
            "priority": self.pick(&[10, 20, 100]),
        });
        self.put("LlmEndpoint", name, spec);
    }

    fn credential(&mut self, name: &str, provider: &str) {
        let spec = json!({
            "providerRef": { "name": provider }, "secretRef": { "name": "s" },
            "priority": self.pick(&[1, 2, 3]),
        });
        self.put("LlmCredential", name, spec);
    }

    fn price(&mut self) -> Value {
        json!({
            "currency": self.pick(&["USD", "USD", "EUR"]),
            "inputPer1kTokens": self.pick(&["0.001", "0.002", "0.0020", "0.01"]),
            "outputPer1kTokens": self.pick(&["0.004", "0.03"]),
        })
    }

    fn capabilities(&mut self) -> Value {
        let mut all = Vec::new();
        for name in ["Chat", "Vision", "FunctionCalling"] {
            if self.chance(60) {
                all.push(json!({ "name": name, "score": self.pick(&[1, 3, 5]) }));
            }
        }
        all.into()
    }

    fn model(&mut self, name: &str) {
        let id = format!("vendor-{}", self.random.random_range(0..9));
        let spec = json!({
            "providerRef": { "name": self.pick(&["p", "q"]) }, "modelId": id,
            "capabilities": self.capabilities(), "pricing": self.price(),
            "contextWindow": self.pick(&[8192, 32768, 131_072]),
        });
        self.put("LlmModel", name, spec);
    }

    /// One change, in words.
    fn change(&mut self) -> String {
        let kind = self.pick(&[
            "LlmModel",
            "LlmModel",
            "LlmModel",
            "LlmModel",
            "LlmEndpoint",
            "LlmEndpoint",
            "LlmCredential",
            "LlmCredential",
            "LlmModelClass",
            "LlmProvider",
        ]);
        let names = self.names(kind);
        let few = names.len() <= 2;
        let what = self.random.random_range(0..100);
        if kind != "LlmProvider" && (few || what < 20) && names.len() < 8 {
            let free = |number: &usize| !names.contains(&format!("{}{number}", prefix(kind)));
            let number = (0..).find(free).unwrap();
            let name = format!("{}{number}", prefix(kind));
            let provider = self.pick(&["p", "q"]);
            match kind {
                "LlmModel" => self.model(&name),
                "LlmEndpoint" => self.endpoint(&name, provider),
                "LlmCredential" => self.credential(&name, provider),
                _ => self.class(&name),
            }
            return format!("add {kind} {name}");
        }
        let name = self.pick(&names);
        if kind != "LlmProvider" && what < 35 {
            self.manifests.remove(&(kind, name.clone()));
            return format!("remove {kind} {name}");
        }
        let (field, value) = self.edit(kind);
        let manifest = self.manifests.get_mut(&(kind, name.clone())).unwrap();
        match field.strip_prefix("labels.") {
            Some(label) => manifest["metadata"]["labels"][label] = value.clone(),
            None if value.is_null() => {
                manifest["spec"].as_object_mut().unwrap().remove(field);
            }
            None => manifest["spec"][field] = value.clone(),
        }
        format!("{kind} {name}: {field} = {value}")
    }

    fn class(&mut self, name: &str) {
        let models = self.names("LlmModel");
        let spec = match self.chance(50) || models.is_empty() {
            true => json!({
                "need": { "capabilities": self.pick(&[vec!["Chat"], vec!["Vision", "Chat"]]) },
                "prefer": self.pick(&["Price", "Score", "Context"]),
            }),
            false => {
                let named: BTreeSet<String> = (0..3).map(|_| self.pick(&models)).collect();
                let named: Vec<Value> = named.iter().map(|it| json!({ "name": it })).collect();
                json!({ "models": named, "prefer": self.pick(&["Order", "Price"]) })
            }
        };
        self.put("LlmModelClass", name, spec);
    }

    fn edit(&mut self, kind: &str) -> (&'static str, Value) {
        let endpoints = self.names("LlmEndpoint");
        let some_endpoint = match endpoints.is_empty() || self.chance(50) {
            true => Value::Null,
            false => json!([{ "name": self.pick(&endpoints) }]),
        };
        let (past, future) = ("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
        let end = self.pick(&[json!(past), json!(future), Value::Null, Value::Null]);
        let on = json!(self.chance(60));
        let of_model = [
            ("capabilities", self.capabilities()),
            ("capabilities", self.capabilities()),
            ("pricing", self.price()),
            ("pricing", self.price()),
            ("enabled", on.clone()),
            ("retiresAt", end.clone()),
            ("labels.tier", json!(self.pick(&["gold", "silver"]))),
            ("contextWindow", json!(self.pick(&[8192, 131_072]))),
            (
                "lifecycle",
                json!(self.pick(&["Available", "Deprecated", "Maintenance", "Available"])),
            ),
            ("displayName", json!(self.pick(&["Best", "Second"]))),
            (
                "recommendedFor",
                json!(self.pick(&[vec!["summaries"], vec![]])),
            ),
            ("endpointRefs", some_endpoint.clone()),
        ];
        let of_endpoint = [
            ("priority", json!(self.pick(&[1, 10, 20, 100]))),
            ("region", json!(self.pick(&["eu", "us"]))),
            ("enabled", on.clone()),
        ];
        let of_credential = [
            ("priority", json!(self.pick(&[1, 2, 3]))),
            ("enabled", on.clone()),
            ("expiresAt", end),
            ("endpointRefs", some_endpoint),
        ];
        let of_class = [
            ("enabled", on.clone()),
            ("allowDeprecated", json!(self.chance(50))),
            ("description", json!(self.pick(&["one", "another"]))),
        ];
        let default = match endpoints.is_empty() {
            true => Value::Null,
            false => json!({ "name": self.pick(&endpoints) }),
        };
        let of_provider = [
            ("enabled", json!(self.chance(85))),
            ("defaultEndpointRef", default),
        ];
        match kind {
            "LlmModel" => self.pick(&of_model),
            "LlmEndpoint" => self.pick(&of_endpoint),
            "LlmCredential" => self.pick(&of_credential),
            "LlmModelClass" => self.pick(&of_class),
            _ => self.pick(&of_provider),
        }
    }
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "LlmModel" => "m",
        "LlmEndpoint" => "e",
        "LlmCredential" => "c",
        _ => "class",
    }
}

/// Needs of every form.
fn needs(namespace: &str) -> Vec<Value> {
    let mut bodies: Vec<Value> = (0..8)
        .map(|n| json!({ "model": format!("m{n}") }))
        .collect();
    bodies.extend((0..9).map(|n| json!({ "model": format!("vendor-{n}") })));
    bodies.extend(["fast", "smart", "class0", "class1"].map(|name| json!({ "class": name })));
    bodies.extend([
        json!({ "model": "fast" }),
        json!({ "model": "Best" }),
        json!({ "prefer": "price" }),
        json!({ "prefer": "context" }),
        json!({ "capabilities": ["Chat"], "prefer": "price" }),
        json!({ "capabilities": ["Vision"], "prefer": "score" }),
        json!({ "capabilities": ["FunctionCalling"], "min_score": 3, "prefer": "score" }),
        json!({ "currency": "USD", "max_input_price": "0.002", "prefer": "price" }),
        json!({ "currency": "EUR", "prefer": "price", "prompt_tokens": 3000, "output_tokens": 500 }),
        json!({ "selector": { "tier": "gold" }, "prefer": "price" }),
        json!({ "regions": ["eu"], "prefer": "price" }),
        json!({ "recommended_for": ["summaries"], "prefer": "price" }),
        json!({ "allow_deprecated": true, "prefer": "price" }),
        json!({ "exclude": ["m0", "m1"], "prefer": "price" }),
        json!({ "min_context_window": 100_000, "prefer": "price" }),
        json!({ "provider_types": ["OpenAICompatible"], "prefer": "price" }),
        json!({ "class": "smart", "with_secret": true }),
        json!({ "class": "fast", "with_secret": true }),
        json!({ "model": "m1", "with_secret": true }),
        json!({ "prefer": "price", "with_secret": true }),
        json!({ "regions": ["us"], "prefer": "price", "with_secret": true }),
    ]);
    let asked = |need| json!({ "namespaces": [[namespace]], "need": need, "count": 1 });
    bodies.into_iter().map(asked).collect()
}

/// An answer of `POST /resolve`, as a plan tells it.
fn told(body: &Value, status: u16) -> Value {
    if status != 200 {
        assert!(status == 404 || status == 409, "{status}: {body}");
        let considered = body["considered"].as_array().cloned().unwrap_or_default();
        let passed: Vec<Value> = (considered.iter().take(3))
            .map(|it| json!([it["namespace"], it["model"], it["reason"]]))
            .collect();
        return json!({ "nothing": passed });
    }
    let targets = body["targets"].as_array().unwrap().iter().map(|target| {
        json!([
            target["model"],
            target["endpoint"]["name"],
            target["credential"]["name"],
            target["credential_reason"]
        ])
    });
    let model = &body["model"];
    json!({
        "model": [model["namespace"], model["name"]], "class": body["class"],
        "targets": targets.collect::<Vec<_>>(),
        "price": [model["currency"], plain(&model["input_price"]), plain(&model["output_price"])],
    })
}

/// One form for what is written in several.
fn plain(price: &Value) -> Value {
    let text = price.as_str().map(|text| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    });
    json!(text)
}

/// The same of what a plan says.
fn predicted(outcome: &Value) -> Value {
    if let Some(nothing) = outcome.get("nothing") {
        let passed = nothing["passed_over"].as_array().unwrap().iter();
        let passed = passed.map(|it| json!([it["namespace"], it["model"], it["reason"]]));
        return json!({ "nothing": passed.collect::<Vec<_>>() });
    }
    let found = &outcome["found"];
    let targets = found["targets"].as_array().unwrap().iter().map(|target| {
        json!([
            target["model"],
            target["endpoint"],
            target["credential"],
            target["credential_reason"]
        ])
    });
    let price = &found["price"];
    json!({
        "model": [found["namespace"], found["model"]], "class": found["class"],
        "targets": targets.collect::<Vec<_>>(),
        "price": [price["currency"], plain(&price["input"]), plain(&price["output"])],
    })
}

struct Agent {
    api: Process,
    token: String,
}

impl Agent {
    async fn new(world: &World) -> Self {
        Self {
            api: Process::api_with_keys(world, &[]).await,
            token: agent(world).await,
        }
    }

    async fn asks(&self, need: &Value) -> Value {
        let answer = self.api.resolve(&self.token, need.clone()).await;
        told(&answer.json(), answer.status)
    }
}

/// Makes what is declared the manifests, as a tool that prunes would.
async fn apply(world: &World, before: &Manifests, after: &Manifests) {
    for kind in [
        "LlmProvider",
        "LlmEndpoint",
        "LlmCredential",
        "LlmModel",
        "LlmModelClass",
    ] {
        for ((_, name), manifest) in after.iter().filter(|((it, _), _)| *it == kind) {
            if before.get(&(kind, name.clone())) != Some(manifest) {
                world.apply_object(kind, manifest.clone()).await;
            }
        }
        for (_, name) in before.keys().filter(|(it, _)| *it == kind) {
            if !after.contains_key(&(kind, name.clone())) {
                world.delete(kind, name).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_predicted_is_what_agents_are_answered_over_200_random_changes() {
    let ids: Vec<String> = (0..9).map(|n| format!("vendor-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let vendors = [
        FakeVendor::start(&[KEY], &ids).await,
        FakeVendor::start(&[KEY], &ids).await,
    ];
    let world = World::started("plan").await;
    world.secret("s", KEY).await;
    let seed = std::env::var("PLAN_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut site = Site::new(seed, [vendors[0].url(), vendors[1].url()]);
    apply(&world, &Manifests::new(), &site.manifests).await;
    for (kind, name) in site.manifests.keys() {
        if *kind == "LlmEndpoint" || *kind == "LlmCredential" {
            world.ready(kind, name).await;
        }
    }
    let agent = Agent::new(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let needs = needs(world.ns());
    let needs_file = folder.path().join("needs.txt");
    let file = json!({ "items": needs, "days": 30 });
    std::fs::write(&needs_file, file.to_string()).unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let kubeconfig = world.plane.kubeconfig();
    let variables = [
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("DATABASE_URL", world.database.api_url.as_str()),
    ];
    let arguments = [
        "plan",
        "-f",
        manifests.to_str().unwrap(),
        "-n",
        world.ns(),
        "--prune",
        "--all",
        "--needs",
        needs_file.to_str().unwrap(),
        "-o",
        "json",
    ];
    let (mut moved, mut lost) = (0, 0);
    for round in 0..ROUNDS {
        let before = site.manifests.clone();
        let changes: Vec<String> = (0..CHANGES).map(|_| site.change()).collect();
        write(&manifests, &site.manifests);
        let output = llmplane(&arguments, &variables).await;
        let plan: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let code = output.status.code().unwrap();
        assert_eq!(plan["exit_code"], code);
        assert!([0, 3, 4, 5].contains(&code), "{plan:#}");
        let told: BTreeMap<String, (Value, Value)> =
            (plan["needs"]["changes"].as_array().unwrap().iter())
                .map(|it| {
                    (
                        it["need"].to_string(),
                        (predicted(&it["after"]), it["effect"].clone()),
                    )
                })
                .collect();
        assert_eq!(told.len(), needs.len());
        let effects = told.values().map(|(_, effect)| effect);
        moved += effects.clone().filter(|effect| effect.is_string()).count();
        lost += effects.filter(|effect| **effect == "nowhere").count();

        apply(&world, &before, &site.manifests).await;
        let differences = async || {
            let mut found = Vec::new();
            for asked in &needs {
                let need = &asked["need"];
                let (predicted, _) = &told[&need.to_string()];
                let answered = agent.asks(need).await;
                if answered != *predicted {
                    found.push(format!(
                        "{need}\n  predicted {predicted}\n  answered  {answered}"
                    ));
                }
            }
            found
        };
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let found = differences().await;
            if found.is_empty() {
                break;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "seed {seed}, round {round}: {changes:#?}\n{}\nrefused: {:#}",
                found.join("\n"),
                plan["refused"]
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert!(
        moved > 100 && lost > 10,
        "the changes matter: {moved}, {lost}"
    );
}

/// Manifests of one provider with two models, a class and a credential.
fn small_set() -> Manifests {
    let provider = json!({ "name": "p" });
    let models = [("cheap", "0.001", "gpt-a"), ("dear", "0.01", "gpt-b")];
    let mut set = Manifests::new();
    let mut put = |kind, name: &str, spec| {
        set.insert((kind, name.to_owned()), manifest(kind, name, spec));
    };
    put("LlmProvider", "p", json!({ "type": "OpenAI" }));
    put("LlmEndpoint", "main", json!({ "providerRef": provider }));
    let secret = json!({ "name": "s" });
    put(
        "LlmCredential",
        "key",
        json!({ "providerRef": provider, "secretRef": secret }),
    );
    for (name, price, id) in models {
        let pricing = json!({ "currency": "USD", "inputPer1kTokens": price });
        let capabilities = json!([{ "name": "Chat" }]);
        put(
            "LlmModel",
            name,
            json!({
                "providerRef": provider, "modelId": id, "pricing": pricing, "capabilities": capabilities,
            }),
        );
    }
    put(
        "LlmModelClass",
        "smart",
        json!({ "models": [{ "name": "dear" }, { "name": "cheap" }] }),
    );
    set
}

struct Offline {
    folder: tempfile::TempDir,
}

impl Offline {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["now", "then"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        write(&folder.path().join("now"), &small_set());
        let asked = |need: Value, count| json!({ "namespaces": [["default"]], "need": need, "count": count });
        let needs = json!({
            "items": [
                asked(json!({ "capabilities": ["Chat"], "prefer": "price" }), 40),
                asked(json!({ "model": "gpt-b", "with_secret": true }), 2),
            ],
            "days": 30, "counted_together": null, "next_cursor": null, "revision": 8,
        });
        std::fs::write(folder.path().join("needs"), needs.to_string()).unwrap();
        Self { folder }
    }

    async fn plan(&self, then: &Manifests, more: &[&str]) -> (i32, String) {
        write(&self.folder.path().join("then"), then);
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (then, now, needs) = (path("then"), path("now"), path("needs"));
        let arguments = [
            "plan",
            "-f",
            &then,
            "--against",
            &now,
            "--needs",
            &needs,
            "--prune",
        ];
        let output = llmplane(&[&arguments[..], more].concat(), &[]).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.is_empty(), "{stderr}");
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }
}

#[tokio::test]
async fn the_code_says_what_a_change_means_to_those_who_ask() {
    let offline = Offline::new();
    let code = async |change: fn(&mut Manifests)| {
        let mut then = small_set();
        change(&mut then);
        offline.plan(&then, &[]).await
    };
    let model = |name: &str| ("LlmModel", name.to_owned());
    let (nothing, text) = code(|_| ()).await;
    assert_eq!(nothing, 0, "{text}");
    let described = |set: &mut Manifests| {
        set.get_mut(&("LlmModelClass", "smart".to_owned())).unwrap()["spec"]["description"] =
            "d".into();
    };
    assert_eq!(code(described).await.0, 0);
    let (retiring, text) = code(|set| {
        let model = set.get_mut(&("LlmModel", "dear".to_owned())).unwrap();
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 7);
        model["spec"]["retiresAt"] = soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        model["spec"]["replacement"] = json!({ "modelId": "gpt-a" });
    })
    .await;
    assert_eq!(retiring, 3, "{text}");
    assert!(text.contains("default/dear ends at "), "{text}");
    assert!(text.contains("its replacement is gpt-a"), "{text}");
    let (dearer, text) = code(|set| {
        let model = set.get_mut(&("LlmModel", "cheap".to_owned())).unwrap();
        model["spec"]["pricing"]["inputPer1kTokens"] = "0.02".into();
    })
    .await;
    assert_eq!(dearer, 4, "{text}");
    assert!(
        text.contains("spec.pricing.inputPer1kTokens: \"0.001\" -> \"0.02\""),
        "{text}"
    );
    assert!(text.contains("40 requests in default"), "{text}");
    let mut then = small_set();
    then.remove(&model("dear"));
    let (gone, text) = offline.plan(&then, &[]).await;
    assert_eq!(gone, 5, "{text}");
    assert!(text.contains("- LlmModel default/dear"), "{text}");
    let (keyless, text) = code(|set| {
        set.remove(&("LlmCredential", "key".to_owned()));
    })
    .await;
    assert_eq!(keyless, 5, "{text}");
    assert!(text.contains("without a key (NoCredential)"), "{text}");
    let (refused, text) = code(|set| {
        let model = set.get_mut(&("LlmModel", "dear".to_owned())).unwrap();
        model["spec"]["contextWindow"] = "large".into();
    })
    .await;
    assert_eq!(refused, 6, "{text}");
    assert!(text.contains("spec.contextWindow"), "{text}");
}

#[tokio::test]
async fn without_prune_nothing_goes_and_a_selector_spares_what_has_other_labels() {
    let offline = Offline::new();
    let mut then = small_set();
    then.remove(&("LlmModel", "dear".to_owned()));
    let (code, text) = offline.plan(&then, &["-l", "app=llm"]).await;
    assert_eq!(code, 0, "{text}");
    let folder = offline.folder.path();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (then, now) = (path("then"), path("now"));
    let output = llmplane(&["plan", "-f", &then, "--against", &now], &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("0 new, 0 changed, 0 gone, 6 as they are"),
        "{text}"
    );
    assert!(text.contains("What agents ask for is not known"), "{text}");
}

#[tokio::test]
async fn a_plan_is_told_to_people_to_machines_and_on_a_pull_request() {
    let offline = Offline::new();
    let mut then = small_set();
    then.remove(&("LlmModel", "dear".to_owned()));
    let added =
        json!({ "providerRef": { "name": "p" }, "modelId": "gpt-c", "displayName": "@all <b>|x" });
    then.insert(
        ("LlmModel", "new".to_owned()),
        manifest("LlmModel", "new", added),
    );
    let (_, text) = offline.plan(&then, &[]).await;
    for line in [
        "Objects: 1 new, 0 changed, 1 gone, 5 as they are",
        "  + LlmModel default/new",
        "  - LlmModel default/dear",
        "Of 42 requests in 30 days (2 different), 2 would be answered otherwise, 2 of them without what they had",
        "  2 requests in default, model \"gpt-b\", with a key: no answer any more",
        "      default/dear at main with key, USD 0.01 / ?",
        "   -> nothing (NotNamed)",
        "class default/smart: another model",
    ] {
        assert!(text.lines().any(|it| it == line), "{line:?} in\n{text}");
    }
    let (code, json) = offline.plan(&then, &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["finding"].as_str(), json["exit_code"].as_i64()),
        (Some("nowhere"), Some(code.into()))
    );
    assert_eq!(json["objects"]["new"][0]["name"], "new");
    let change = &json["needs"]["changes"][0];
    assert_eq!(change["effect"], "nowhere");
    assert_eq!(change["before"]["found"]["model"], "dear");
    assert_eq!(change["after"]["nothing"]["why"], "NotNamed");
    let (_, markdown) = offline.plan(&then, &["-o", "markdown"]).await;
    assert!(
        markdown.starts_with("<!-- llmplane plan -->\n### llmplane plan: some are left"),
        "{markdown}"
    );
    assert!(markdown.contains("| 2 | default |"), "{markdown}");
    assert!(
        !markdown.contains("@all") && !markdown.contains("<b>"),
        "{markdown}"
    );
}
