//! `examples/gitops`: what it declares is taken by a real apiserver with Flux's, Argo CD's and External Secrets'
//! definitions, refers to what is there, and holds no key.

mod copied;
mod reasons;
mod states;

use std::collections::BTreeSet;
use std::path::Path;

use llmplane::crd::crds;
use llmplane::lint::documents::{self, Source};
use llmplane::lint::report::Severity;
use serde_json::Value;

use crate::manifests::{argocd_health, health_by};
use crate::support::history::{kstatus, summary};
use crate::support::plane::Plane;
use crate::support::tools::{apply_definitions, tool};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MODELS: [&str; 2] = ["models/staging", "models/production"];

/// What kstatus concludes.
const PASSES: &str = "Current";
const WAITS: &str = "InProgress";
const FAILS: &str = "Failed";

fn objects(name: &str, text: &str) -> Vec<Value> {
    let read = documents::parse(name, text);
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    let documents = read.documents.into_iter();
    documents.map(|object| object.value).collect()
}

/// What kustomize makes of a folder.
async fn kustomize(folder: &str) -> String {
    let plane = Plane::shared().await;
    let rendered = plane
        .kubectl(&["kustomize", &format!("{ROOT}/{folder}")])
        .await;
    let said = String::from_utf8_lossy(&rendered.stderr);
    assert!(rendered.status.success(), "{folder}: {said}");
    String::from_utf8(rendered.stdout).unwrap()
}

/// What Flux and Argo CD are told: file by file.
fn declarations() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for tool in ["flux", "argocd"] {
        for entry in std::fs::read_dir(format!("{ROOT}/examples/gitops/{tool}")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    assert!(found.len() >= 5);
    found
}

#[tokio::test]
async fn what_it_declares_is_without_fault() {
    for folder in MODELS {
        let text = kustomize(&format!("examples/gitops/{folder}")).await;
        let source = Source {
            file: folder.to_owned(),
            found: false,
            content: documents::parse(folder, &text),
        };
        let report = llmplane::lint::lint(&[source]);
        assert_eq!(report.count(Severity::Error), 0, "{folder}: {report:?}");
    }
}

#[tokio::test]
async fn the_apiserver_takes_it_with_the_tools_definitions() {
    let plane = Plane::shared().await;
    apply_definitions(plane).await;
    let namespace = plane.namespace("gitops").await;
    let mut texts = declarations();
    for folder in MODELS {
        let text = kustomize(&format!("examples/gitops/{folder}")).await;
        texts.push((folder.to_owned(), text));
    }
    for (name, text) in texts {
        for mut object in objects(&name, &text) {
            object["metadata"]["namespace"] = namespace.name.as_str().into();
            // SOPS's own entry is gone once it is decrypted.
            object.as_object_mut().unwrap().remove("sops");
            plane.takes(&name, &object.to_string()).await;
        }
    }
}

#[test]
fn paths_and_dependencies_are_there() {
    let mut kustomizations = BTreeSet::new();
    let mut sources = BTreeSet::new();
    let all: Vec<Value> = declarations()
        .iter()
        .flat_map(|(name, text)| objects(name, text))
        .collect();
    for object in &all {
        let name = object["metadata"]["name"].as_str().unwrap();
        match object["kind"].as_str().unwrap() {
            "Kustomization" => kustomizations.insert(name),
            "GitRepository" => sources.insert(name),
            kind => {
                assert_eq!(kind, "Application");
                continue;
            }
        };
    }
    for object in &all {
        let path = object["spec"]["path"]
            .as_str()
            .or(object["spec"]["source"]["path"].as_str());
        if let Some(path) = path {
            let folder = Path::new(ROOT).join(path);
            match object["spec"]["source"]["directory"]["exclude"].as_str() {
                Some(file) => assert!(folder.join(file).is_file(), "{path} has no {file}"),
                None => assert!(
                    folder.join("kustomization.yaml").is_file(),
                    "{path} has no kustomization.yaml"
                ),
            }
        }
        for on in object["spec"]["dependsOn"].as_array().into_iter().flatten() {
            assert!(kustomizations.contains(on["name"].as_str().unwrap()));
        }
        if let Some(source) = object["spec"]["sourceRef"]["name"].as_str() {
            assert!(sources.contains(source));
        }
    }
}

/// An expression that judges `Ready` fails what another object is about to end; kstatus waits for it.
#[test]
fn flux_is_given_no_expression_of_its_own() {
    let mut waits = 0;
    for (name, text) in declarations() {
        for object in objects(&name, &text) {
            assert!(object["spec"]["healthCheckExprs"].is_null(), "{name}");
            waits += usize::from(object["spec"]["wait"] == true);
        }
    }
    assert_eq!(waits, 3);
    let page = std::fs::read_to_string(format!("{ROOT}/docs/gitops.md")).unwrap();
    assert!(!page.contains("healthCheckExprs:"));
}

/// With a definition every resource of it would go: Flux is told to prune none.
#[tokio::test]
async fn flux_keeps_the_definitions_when_it_prunes() {
    let text =
        std::fs::read_to_string(format!("{ROOT}/examples/gitops/flux/llmplane.yaml")).unwrap();
    let declared = objects("flux", &text);
    let found = declared
        .iter()
        .find(|object| object["kind"] == "Kustomization");
    let spec = &found.unwrap()["spec"];
    assert_eq!(spec["prune"], true);
    // Flux has kustomize apply the patches, as a kustomization over the path would.
    let folder = tempfile::tempdir_in(format!("{ROOT}/target")).unwrap();
    let path = spec["path"].as_str().unwrap().trim_start_matches("./");
    let over = serde_json::json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [format!("../../{path}")], "patches": spec["patches"],
    });
    std::fs::write(folder.path().join("kustomization.yaml"), over.to_string()).unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let text = kustomize(&format!("target/{name}")).await;
    let mut kept = 0;
    for object in objects("llmplane", &text) {
        let prune = &object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"];
        let definition = object["kind"] == "CustomResourceDefinition";
        assert_eq!(
            prune == "disabled",
            definition,
            "{}",
            object["metadata"]["name"]
        );
        kept += usize::from(definition);
    }
    assert_eq!(kept, crds().len());
}

/// What is in Git is encrypted, the label apart that opts in.
#[tokio::test]
async fn no_secret_is_in_plain() {
    let mut secrets = 0;
    for folder in MODELS {
        let text = kustomize(&format!("examples/gitops/{folder}")).await;
        for object in objects(folder, &text) {
            if object["kind"] != "Secret" {
                continue;
            }
            secrets += 1;
            assert_eq!(
                object["metadata"]["labels"]["llmplane.dev/credential"],
                "OpenAI"
            );
            assert!(object["sops"]["mac"].is_string());
            for entries in ["data", "stringData"] {
                for value in object[entries]
                    .as_object()
                    .into_iter()
                    .flat_map(|map| map.values())
                {
                    assert!(
                        value.as_str().unwrap().starts_with("ENC[AES256_GCM,"),
                        "{folder}"
                    );
                }
            }
        }
    }
    assert_eq!(secrets, 1);
}

/// What a change of one environment must not do to the other.
#[tokio::test]
async fn environments_differ_in_what_their_overlay_says_and_in_nothing_else() {
    let mut models = Vec::new();
    for folder in MODELS {
        let text = kustomize(&format!("examples/gitops/{folder}")).await;
        let mut all = objects(folder, &text);
        all.retain(|object| object["kind"] == "LlmModel");
        assert_eq!(all.len(), 1);
        models.append(&mut all);
    }
    let [staging, production] = &models[..] else {
        unreachable!()
    };
    assert_ne!(staging["spec"]["modelId"], production["spec"]["modelId"]);
    let names = |model: &Value| {
        let capabilities = model["spec"]["capabilities"].as_array().unwrap().iter();
        let names = capabilities.map(|capability| capability["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<String>>()
    };
    assert_eq!(
        names(staging),
        names(production),
        "a patch of one capability leaves the others"
    );
}

#[tokio::test]
async fn argocd_is_taught_the_health_of_every_kind() {
    let text = kustomize("manifests/argocd").await;
    let map = &objects("argocd", &text)[0];
    let script = std::fs::read_to_string(format!("{ROOT}/manifests/argocd/health.lua")).unwrap();
    let entries = map["data"].as_object().unwrap();
    for crd in crds() {
        let key = format!(
            "resource.customizations.health.llmplane.dev_{}",
            crd.spec.names.kind
        );
        assert_eq!(entries[&key], script, "{key}");
    }
    let of_applications = "resource.customizations.health.argoproj.io_Application";
    let script = format!("{ROOT}/manifests/argocd/application-health.lua");
    let script = std::fs::read_to_string(script).unwrap();
    assert_eq!(entries[of_applications], script);
    assert_eq!(entries.len(), crds().len() + 1);
}

/// Without one of its own a sync wave would not wait for the Applications of the wave before.
#[test]
fn an_application_is_as_healthy_as_what_argocd_found_of_its_resources() {
    let found = |status: Value| {
        let object = serde_json::json!({ "kind": "Application", "status": status });
        health_by("argocd/application-health.lua", &object)
    };
    let pair = |status: &str, message: &str| (status.to_owned(), message.to_owned());
    assert_eq!(found(Value::Null), pair("Progressing", ""));
    assert_eq!(
        found(serde_json::json!({ "sync": { "status": "OutOfSync" } })),
        pair("Progressing", "")
    );
    for status in ["Healthy", "Progressing", "Degraded", "Missing"] {
        let health = serde_json::json!({ "health": { "status": status } });
        assert_eq!(found(health), pair(status, ""));
    }
    let health = serde_json::json!({ "health": { "status": "Degraded", "message": "why" } });
    assert_eq!(found(health), pair("Degraded", "why"));
}

/// kstatus, what the tests take for it, and Argo CD's script conclude the same of each object.
fn agree(objects: &[Value], mut wanted: impl FnMut(&Value) -> &'static str) {
    for (object, said) in objects.iter().zip(real_kstatus(objects)) {
        let wanted = wanted(object);
        assert_eq!(said, wanted, "{}", summary(object));
        assert_eq!(kstatus(object), said, "{}", summary(object));
        let health = argocd_health(object).0;
        assert_eq!(health, argocd(&said), "{}", summary(object));
    }
}

/// What Argo CD calls the same.
fn argocd(kstatus: &str) -> &'static str {
    match kstatus {
        "Current" => "Healthy",
        "Failed" => "Degraded",
        _ => "Progressing",
    }
}

/// What kstatus itself concludes of each object.
fn real_kstatus(objects: &[Value]) -> Vec<String> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(tool("kstatus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(Value::from(objects.to_vec()).to_string().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
