//! What is told of a cluster in which agents have asked, with its database and without.

use llmplane::db::AuditFilter;

use super::*;
use crate::support::plane::eventually;

/// A provider with two endpoints, a credential and a model, in a cluster, and in a folder to be changed.
struct Live {
    world: World,
    folder: tempfile::TempDir,
    set: Manifests,
    _vendor: FakeVendor,
}

fn set(url: &str) -> Manifests {
    let provider = json!({ "name": "p" });
    let specs = [
        ("LlmProvider", "p", json!({ "type": "OpenAICompatible" })),
        (
            "LlmEndpoint",
            "main",
            json!({ "providerRef": provider, "baseUrl": url, "priority": 1 }),
        ),
        (
            "LlmEndpoint",
            "spare",
            json!({ "providerRef": provider, "baseUrl": url, "priority": 2 }),
        ),
        (
            "LlmCredential",
            "key",
            json!({ "providerRef": provider, "secretRef": { "name": "s" } }),
        ),
        (
            "LlmModel",
            "m",
            json!({ "providerRef": provider, "modelId": "vendor-0" }),
        ),
    ];
    let manifests = specs.into_iter().map(|(kind, name, spec)| {
        let manifest = manifest(kind, name, spec);
        ((kind, name.to_owned()), manifest)
    });
    manifests.collect()
}

impl Live {
    async fn new(prefix: &str) -> Self {
        let vendor = FakeVendor::start(&[KEY], &["vendor-0", "vendor-1"]).await;
        let set = set(&vendor.url());
        Self::of(prefix, vendor, set).await
    }

    async fn of(prefix: &str, vendor: FakeVendor, set: Manifests) -> Self {
        let world = World::started(prefix).await;
        world.secret("s", KEY).await;
        apply(&world, &Manifests::new(), &set).await;
        for (kind, name) in set.keys() {
            world.ready(kind, name).await;
        }
        Self {
            world,
            folder: tempfile::tempdir().unwrap(),
            set,
            _vendor: vendor,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Manifests)) -> Manifests {
        let mut set = self.set.clone();
        change(&mut set);
        set
    }

    async fn plan(&self, then: &Manifests, url: Option<&str>, more: &[&str]) -> (i32, String) {
        write(self.folder.path(), then);
        let kubeconfig = self.world.plane.kubeconfig();
        let mut variables = vec![("KUBECONFIG", kubeconfig.to_str().unwrap())];
        variables.extend(url.map(|url| ("DATABASE_URL", url)));
        let folder = self.folder.path().to_str().unwrap();
        let arguments = ["plan", "-f", folder, "-n", self.world.ns(), "--prune"];
        let output = llmplane(&[&arguments[..], more].concat(), &variables).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.is_empty(), "{stderr}");
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    /// With the API's account of the database.
    async fn known(&self, then: &Manifests, more: &[&str]) -> (i32, String) {
        let url = self.world.database.api_url.clone();
        self.plan(then, Some(&url), more).await
    }
}

fn spec<'a>(set: &'a mut Manifests, kind: &'static str, name: &str) -> &'a mut Value {
    &mut set.get_mut(&(kind, name.to_owned())).unwrap()["spec"]
}

fn says(text: &str, line: &str) {
    assert!(
        text.lines().any(|it| it.starts_with(line)),
        "{line:?} in\n{text}"
    );
}

/// What a pull request does to the manifests.
type Change = fn(&mut Manifests);

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_agents_were_given_and_would_not_be_given_any_more_are_told() {
    let live = Live::new("planned-keys").await;
    let agent = Agent::new(&live.world).await;
    let need = json!({ "model": "m", "with_secret": true });
    let db = live.world.db().await;
    let given = async || {
        let filter = AuditFilter {
            action: Some("Disclose".to_owned()),
            result: Some("Disclosed".to_owned()),
            ..AuditFilter::default()
        };
        db.audit_rows(&filter, None, 100).await.unwrap().len()
    };
    eventually("keys are given", async || {
        agent.asks(&need).await;
        given().await >= 3
    })
    .await;
    let times = given().await;
    let ns = live.world.ns();
    let whom = format!("to system:serviceaccount:{ns}:agent");

    let (code, text) = live.known(&live.set, &[]).await;
    assert_eq!(code, 0, "{text}");
    says(
        &text,
        "No key that was given out in 30 days would be withheld",
    );

    let changes: [(Change, &str); 5] = [
        (
            |set| drop(set.remove(&("LlmCredential", "key".to_owned()))),
            "the credential is gone, or not in force",
        ),
        (
            |set| spec(set, "LlmCredential", "key")["enabled"] = false.into(),
            "the credential, or its provider, is switched off",
        ),
        (
            |set| {
                spec(set, "LlmCredential", "key")["expiresAt"] = "2026-01-01T00:00:00Z".into();
            },
            "the credential has expired",
        ),
        (
            |set| {
                spec(set, "LlmCredential", "key")["endpointRefs"] = json!([{ "name": "spare" }]);
            },
            "the credential is for other endpoints",
        ),
        (
            |set| drop(set.remove(&("LlmEndpoint", "main".to_owned()))),
            "the endpoint is gone, or not in force",
        ),
    ];
    for (change, why) in changes {
        let (code, text) = live.known(&live.with(change), &[]).await;
        assert_eq!(code, 5, "{text}");
        says(
            &text,
            "1 key that was given out in 30 days would be withheld",
        );
        says(&text, &format!("  {ns}/key at main for m: {why}"));
        says(&text, &format!("      given {times} times, last at "));
        assert!(text.contains(&whom), "{text}");
    }

    let then = live.with(changes[4].0);
    let (_, json) = live.known(&then, &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["finding"], "nowhere");
    let lost = &json["keys"]["lost"][0];
    assert_eq!(
        (&lost["credential"], &lost["endpoint"], &lost["why"]),
        (&json!("key"), &json!("main"), &json!("EndpointGone"))
    );
    assert_eq!(
        (&lost["given"], &lost["callers"]),
        (&json!(times), &json!(1))
    );
    let (_, markdown) = live.known(&then, &["-o", "markdown"]).await;
    let row = format!("| <code>{ns}/key at main for m</code> | the endpoint is gone");
    assert!(markdown.contains(&row), "{markdown}");

    let spared = live.with(|set| drop(set.remove(&("LlmEndpoint", "spare".to_owned()))));
    let (_, text) = live.known(&spared, &[]).await;
    says(
        &text,
        "No key that was given out in 30 days would be withheld",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_objects_and_classes_are_told_and_what_was_not_looked_at() {
    let live = Live::new("planned-live").await;
    let ns = live.world.ns();
    let (code, text) = live.plan(&live.set, None, &[]).await;
    assert_eq!(code, 0, "{text}");
    says(&text, "Objects: 0 new, 0 changed, 0 gone, 5 as they are");
    says(
        &text,
        "What agents ask for is not known: give --needs FILE, or set DATABASE_URL.",
    );
    says(
        &text,
        "To whom keys were given was not looked at: set DATABASE_URL.",
    );
    says(
        &text,
        "note: Of what checks have found no more is known than the objects' statuses say",
    );

    let then = live.with(|set| {
        spec(set, "LlmProvider", "p")["displayName"] = "P".into();
        set.remove(&("LlmEndpoint", "spare".to_owned()));
        let model = json!({ "providerRef": { "name": "p" }, "modelId": "vendor-1" });
        let new = manifest("LlmModel", "new", model);
        set.insert(("LlmModel", "new".to_owned()), new);
    });
    let (code, text) = live.plan(&then, None, &[]).await;
    assert_eq!(code, 0, "{text}");
    says(&text, "Objects: 1 new, 1 changed, 1 gone, 3 as they are");
    says(&text, &format!("  + LlmModel {ns}/new"));
    says(&text, &format!("  ~ LlmProvider {ns}/p"));
    says(&text, "      spec.displayName: nothing -> \"P\"");
    says(&text, &format!("  - LlmEndpoint {ns}/spare"));

    // Of other namespaces nothing is told.
    assert!(!text.contains("model sync"), "{text}");

    let refused = live.with(|set| {
        set.remove(&("LlmProvider", "p".to_owned()));
    });
    let (code, json) = live.plan(&refused, None, &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["finding"]),
        (3, &json!("warnings")),
        "{json:#}"
    );
    assert_eq!(
        (&json["needs"], &json["keys"]),
        (&Value::Null, &Value::Null)
    );

    // A need from a file is answered by what the cluster's objects say.
    let file = live.folder.path().join("needs.txt");
    let asked = json!({ "namespaces": [[ns]], "need": { "model": "m" }, "count": 7 });
    let needs = json!({ "items": [asked], "days": 30 });
    std::fs::write(&file, needs.to_string()).unwrap();
    let gone = live.with(|set| drop(set.remove(&("LlmModel", "m".to_owned()))));
    let (code, text) = live
        .plan(&gone, None, &["--needs", file.to_str().unwrap()])
        .await;
    assert_eq!(code, 5, "{text}");
    says(
        &text,
        &format!("  7 requests in {ns}, model \"m\": no answer any more"),
    );
}

/// The names of models that model sync made, by id.
async fn made(live: &Live) -> BTreeMap<String, String> {
    let models = live.world.all("LlmModel").await.into_iter();
    let made =
        models.filter(|it| it["metadata"]["labels"]["llmplane.dev/generated-by"].is_string());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    made.map(|it| (text(&it["spec"]["modelId"]), text(&it["metadata"]["name"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_model_sync_would_make_and_delete_are_foreseen() {
    let vendor = FakeVendor::start(&[""], &["gpt-a", "gpt-b", "llama-x"]).await;
    let provider = json!({ "name": "p" });
    let sync = |include: &str| json!({ "enabled": true, "include": [include] });
    let mut set = Manifests::new();
    let spec_of = json!({ "type": "VLLM", "modelSync": sync("gpt-*") });
    let endpoint = json!({ "providerRef": provider, "baseUrl": vendor.url() });
    for (kind, name, spec) in [
        ("LlmProvider", "p", spec_of),
        ("LlmEndpoint", "main", endpoint),
    ] {
        set.insert((kind, name.to_owned()), manifest(kind, name, spec));
    }
    let live = Live::of("planned-sync", vendor, set).await;
    let ns = live.world.ns();
    eventually("models are made", async || {
        let ids: Vec<String> = made(&live).await.into_keys().collect();
        ids == ["gpt-a", "gpt-b"]
    })
    .await;
    let file = live.folder.path().join("needs.txt");
    let asked = |id: &str| json!({ "namespaces": [[ns]], "need": { "model": id }, "count": 5 });
    let needs = json!({ "items": [asked("llama-x"), asked("gpt-a")], "days": 30 });
    std::fs::write(&file, needs.to_string()).unwrap();
    let needs = ["--needs", file.to_str().unwrap()];
    eventually("what was made is in force", async || {
        let (_, json) = live
            .known(&live.set, &[&needs[..], &["-o", "json", "--all"]].concat())
            .await;
        let json: Value = serde_json::from_str(&json).unwrap();
        let changes = json["needs"]["changes"].as_array().unwrap();
        changes.iter().any(|it| it["before"]["found"].is_object())
    })
    .await;
    let (code, text) = live.known(&live.set, &needs).await;
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("model sync"), "{text}");

    let other = live.with(|set| {
        spec(set, "LlmProvider", "p")["modelSync"] = sync("llama-*");
    });
    let (code, text) = live.known(&other, &needs).await;
    assert_eq!(code, 4, "{text}");
    let of = format!("model sync of {ns}/p");
    says(&text, &format!("{of} makes models of: llama-x"));
    let left = "takes no more, and leaves the models that it made, of: gpt-a, gpt-b";
    says(&text, &format!("{of} {left}"));
    let (_, json) = live
        .known(&other, &[&needs[..], &["-o", "json"]].concat())
        .await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["synced"][0]["made"], json!(["llama-x"]));
    let [change] = &json["needs"]["changes"].as_array().unwrap()[..] else {
        panic!("{json:#}");
    };
    assert_eq!(change["effect"], "found");
    let (_, markdown) = live
        .known(&other, &[&needs[..], &["-o", "markdown"]].concat())
        .await;
    assert!(markdown.contains("**Model sync**"), "{markdown}");

    apply(&live.world, &live.set, &other).await;
    eventually("the third is made", async || made(&live).await.len() == 3).await;
    assert_eq!(
        change["after"]["found"]["model"],
        made(&live).await["llama-x"].as_str()
    );

    let mut declared = other.clone();
    let mine = json!({ "providerRef": provider, "modelId": "gpt-a" });
    let mine = manifest("LlmModel", "mine", mine);
    declared.insert(("LlmModel", "mine".to_owned()), mine);
    let (_, text) = live.known(&declared, &needs).await;
    let deleted = "deletes its models of what is declared now: gpt-a";
    says(&text, &format!("{of} {deleted}"));
    assert!(!text.contains("takes no more"), "{text}");
    apply(&live.world, &other, &declared).await;
    eventually("it is deleted", async || {
        !made(&live).await.contains_key("gpt-a")
    })
    .await;

    let (_, text) = live.plan(&live.set, None, &[]).await;
    let unknown = "note: It is taken that each of these gains and loses no model by model sync: \
                   what all its endpoints list is not known: LlmProvider";
    says(&text, unknown);
}
