//! A real kustomize with the component of `manifests/kustomize`.

use std::fs;

use llmplane::crd::{crds, json_schema};
use serde_json::{Value, json};

use crate::support::plane::Plane;

const RESOURCES: &str = "
apiVersion: llmplane.dev/v1alpha1
kind: LlmProvider
metadata: {name: p}
spec: {type: OpenAI, defaultEndpointRef: {name: e}}
---
apiVersion: llmplane.dev/v1alpha1
kind: LlmEndpoint
metadata: {name: e}
spec: {providerRef: {name: p}, healthCheck: {credentialRef: {name: c}}}
---
apiVersion: llmplane.dev/v1alpha1
kind: LlmCredential
metadata: {name: c}
spec: {providerRef: {name: p}, endpointRefs: [{name: e}], secretRef: {name: s}}
---
apiVersion: llmplane.dev/v1alpha1
kind: LlmModel
metadata: {name: m}
spec:
  providerRef: {name: p}
  endpointRefs: [{name: e}]
  modelId: m
  capabilities: [{name: Chat, score: 3}, {name: Vision}]
";

const KUSTOMIZATION: &str = "
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namePrefix: team-
nameSuffix: -eu
resources: [resources.yaml]
components: [COMPONENT]
secretGenerator:
  - name: s
    literals: [api-key=sk-1]
    options: {labels: {llmplane.dev/credential: OpenAI}}
patches:
  - patch: |
      apiVersion: llmplane.dev/v1alpha1
      kind: LlmModel
      metadata: {name: m}
      spec: {capabilities: [{name: Chat, score: 5}]}
";

/// What kustomize makes of the resources, by kind.
async fn built() -> Vec<Value> {
    let plane = Plane::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("llmplane");
    fs::create_dir(&component).unwrap();
    let shipped = format!("{}/manifests/kustomize", env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(shipped).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), component.join(entry.file_name())).unwrap();
    }
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("resources.yaml"), RESOURCES).unwrap();
    let kustomization = KUSTOMIZATION.replace("COMPONENT", "../llmplane");
    fs::write(app.join("kustomization.yaml"), kustomization).unwrap();
    let output = plane.kubectl(&["kustomize", app.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = llmplane::lint::documents::parse("built", &text);
    assert!(objects.errors.is_empty(), "{:?}", objects.errors);
    objects
        .documents
        .into_iter()
        .map(|object| object.value)
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("{kind} is missing"))
}

#[tokio::test]
async fn prefixes_suffixes_and_hashes_reach_every_reference() {
    let objects = built().await;
    let secret = of_kind(&objects, "Secret")["metadata"]["name"].clone();
    let hashed = secret.as_str().unwrap();
    assert!(hashed.starts_with("team-s-eu-") && hashed.len() > "team-s-eu-".len());
    let (provider, endpoint) = (json!("team-p-eu"), json!("team-e-eu"));
    for (kind, path, name) in [
        ("LlmProvider", "/spec/defaultEndpointRef/name", &endpoint),
        ("LlmEndpoint", "/spec/providerRef/name", &provider),
        (
            "LlmEndpoint",
            "/spec/healthCheck/credentialRef/name",
            &json!("team-c-eu"),
        ),
        ("LlmCredential", "/spec/providerRef/name", &provider),
        ("LlmCredential", "/spec/endpointRefs/0/name", &endpoint),
        ("LlmCredential", "/spec/secretRef/name", &secret),
        ("LlmModel", "/spec/providerRef/name", &provider),
        ("LlmModel", "/spec/endpointRefs/0/name", &endpoint),
    ] {
        assert_eq!(
            of_kind(&objects, kind).pointer(path),
            Some(name),
            "{kind} {path}"
        );
    }
}

#[tokio::test]
async fn a_patch_of_one_capability_leaves_the_others() {
    let objects = built().await;
    let capabilities = &of_kind(&objects, "LlmModel")["spec"]["capabilities"];
    assert_eq!(
        capabilities,
        &json!([{ "name": "Chat", "score": 5 }, { "name": "Vision" }])
    );
}

/// Paths of the fields of a schema that are references by name.
fn references(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        if name.ends_with("Ref") || name.ends_with("Refs") {
            found.push(format!("{}/name", path.trim_start_matches('/')));
        } else {
            references(property, &path, found);
        }
    }
}

#[test]
fn every_reference_of_the_schemas_is_configured() {
    let file = format!(
        "{}/manifests/kustomize/name-reference.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let configured: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let configured: Vec<(String, String)> =
        (configured["nameReference"].as_array().unwrap().iter())
            .flat_map(|kind| kind["fieldSpecs"].as_array().unwrap())
            .map(|field| {
                let text = |key: &str| field[key].as_str().unwrap().to_owned();
                (text("kind"), text("path"))
            })
            .collect();
    for crd in crds() {
        let mut found = Vec::new();
        references(&json_schema::json_schema(&crd), "", &mut found);
        if crd.spec.names.kind == "LlmModelClass" {
            found.push("spec/models/name".to_owned());
        }
        assert!(!found.is_empty());
        for path in found {
            let field = (crd.spec.names.kind.clone(), path);
            assert!(
                configured.contains(&field),
                "{field:?} is not in name-reference.yaml"
            );
        }
    }
}

#[test]
fn the_openapi_document_is_current() {
    let file = format!(
        "{}/manifests/kustomize/openapi.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let committed: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        committed == json_schema::kustomize_openapi(&crds()),
        "run `make generate`"
    );
}
