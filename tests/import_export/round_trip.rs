//! Every field that there is goes out of one namespace and into another.

use std::collections::BTreeSet;
use std::path::Path;

use llmplane::crd::federation::EXCHANGERS;
use llmplane::crd::fields::snake_case;
use llmplane::crd::{Kind, crds};
use llmplane::lint::documents;
use serde_json::{Value, json};

use super::{llmplane, stderr, stdout};
use crate::support::api::{Caller, TestApi};
use crate::support::plane::{Plane, eventually};
use crate::support::world::World;

const CANARY: &str = "sk-canary-4711471147114711";

/// One object of each kind with every field that there is but for a key's alternative, and its Secret.
fn full() -> String {
    let text = sample("full.yaml");
    text.replace("REPLACE-ME-api-key", CANARY)
}

fn sample(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/samples/valid");
    std::fs::read_to_string(samples.join(name)).unwrap()
}

fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(inner, &path, found);
        found.insert(path);
    }
    if schema["items"].is_object() {
        fields(&schema["items"], path, found);
    }
}

fn set(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (name, inner) in entries {
                let path = format!("{path}.{name}");
                set(inner, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| set(item, path, found)),
        _ => {}
    }
}

#[test]
fn the_sample_that_is_exported_has_every_field() {
    // A credential has a Secret or is exchanged, never both.
    let both = format!("{}\n---\n{}", full(), sample("keyless.yaml"));
    let objects = documents::parse("full.yaml", &both);
    for crd in crds() {
        let kind = &crd.spec.names.kind;
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        let (mut known, mut given) = (BTreeSet::new(), BTreeSet::new());
        fields(&schema["properties"]["spec"], kind, &mut known);
        for object in objects.documents.iter().filter(|o| o.kind() == Some(kind)) {
            set(&object.value["spec"], kind, &mut given);
        }
        let missing: Vec<_> = known.difference(&given).collect();
        assert!(missing.is_empty(), "add to full.yaml: {missing:?}");
    }
}

async fn applied(plane: &Plane, namespace: &str, manifests: &str) {
    let args = ["apply", "--validate=strict", "-n", namespace, "-f", "-"];
    let output = plane.kubectl_with_input(&args, manifests).await;
    assert!(output.status.success(), "{}", stderr(&output));
}

async fn stored(world: &World) {
    for kind in Kind::ALL {
        stored_as(world, kind, "full").await;
    }
}

async fn stored_as(world: &World, kind: Kind, name: &str) {
    let what = format!("{kind} {name} is stored");
    eventually(&what, async || {
        let said = world.said(kind.kubernetes(), name, "Synced").await;
        said.is_some_and(|(status, _)| status == "True")
    })
    .await;
}

/// What people have declared of an object.
async fn declared(world: &World, kind: Kind, name: &str) -> Value {
    let object = world.get(kind.kubernetes(), name).await;
    let metadata = &object["metadata"];
    let mut annotations = metadata["annotations"].clone();
    for tool in [
        "kubectl.kubernetes.io/last-applied-configuration",
        "llmplane.dev/reconcile-requested-at",
    ] {
        if let Some(all) = annotations.as_object_mut() {
            all.remove(tool);
        }
    }
    let mut spec = object["spec"].clone();
    if let Some(time) = spec["expiresAt"].as_str() {
        // A moment may be written in several ways.
        let time: jiff::Timestamp = time.parse().unwrap();
        spec["expiresAt"] = time.to_string().into();
    }
    json!({ "labels": metadata["labels"], "annotations": annotations, "spec": spec })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_yields_the_same_configuration_in_an_empty_namespace() {
    let here = World::started("export-from").await;
    let plane = here.plane;
    applied(plane, here.ns(), &full()).await;
    stored(&here).await;
    let note = [
        "-n",
        here.ns(),
        "annotate",
        "llmmodel",
        "full",
        "team/note=on: yes # \"é\"",
    ];
    assert!(plane.kubectl(&note).await.status.success());

    let url = here.database.api_url.clone();
    let api = TestApi::with(plane, |settings| settings.database_url = url.into()).await;
    let viewer = api.viewer().await;
    let kinds = Kind::ALL.map(Kind::plural);
    api.grant(here.ns(), "viewer", &["get", "list"], &kinds, &[])
        .await;
    let path = format!("/export?namespace={}", here.ns());
    eventually("the annotation is stored", async || {
        viewer.get(&path).await.text.contains("team/note")
    })
    .await;
    let exported = viewer.get(&path).await;
    assert_eq!(exported.status, 200, "{}", exported.text);
    assert_eq!(exported.header("content-type"), "application/yaml");
    assert!(!exported.text.contains(CANARY));
    assert!(
        exported.text.ends_with("# 6 objects.\n"),
        "{}",
        exported.text
    );

    let there = World::started("export-to").await;
    applied(plane, there.ns(), &exported.text).await;
    for kind in Kind::ALL {
        assert_eq!(
            declared(&there, kind, "full").await,
            declared(&here, kind, "full").await
        );
    }

    // The command reads the cluster, and says the same of both.
    let kubeconfig = plane.kubeconfig();
    let json = viewer.get(&format!("{path}&format=json")).await;
    for (format, from_api) in [("yaml", exported.text), ("json", json.text)] {
        for world in [&here, &there] {
            let args = ["export", "-n", world.ns(), "--format", format];
            let output = llmplane(&kubeconfig, &args, "").await;
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(stdout(&output), from_api);
        }
    }
}

/// Credentials without a key, one for each vendor that exchanges tokens.
const KEYLESS: [&str; 6] = [
    "keyless-openai",
    "keyless-anthropic",
    "keyless-aws",
    "keyless-entra",
    "keyless-google",
    "keyless-openrouter",
];
const OF_KEYLESS: [Kind; 3] = [Kind::Provider, Kind::Endpoint, Kind::Credential];

#[tokio::test(flavor = "multi_thread")]
async fn credentials_without_keys_come_back_as_they_were_for_every_vendor() {
    assert_eq!(KEYLESS.len(), EXCHANGERS.len());
    let here = World::started("keyless-from").await;
    let plane = here.plane;
    applied(plane, here.ns(), &sample("keyless.yaml")).await;
    let all = || {
        OF_KEYLESS
            .into_iter()
            .flat_map(|kind| KEYLESS.map(|name| (kind, name)))
    };
    for (kind, name) in all() {
        stored_as(&here, kind, name).await;
    }
    let api = api_of(&here).await;
    let from = api.viewer().await;
    let exported = export(&from, &here).await;
    assert!(exported.ends_with("# 18 objects.\n"), "{exported}");

    let there = World::started("keyless-to").await;
    applied(plane, there.ns(), &exported).await;
    for (kind, name) in all() {
        stored_as(&there, kind, name).await;
        let (before, after) = (
            declared(&here, kind, name).await,
            declared(&there, kind, name).await,
        );
        assert_eq!(after, before, "{kind} {name}");
    }
    let api_there = api_of(&there).await;
    let to = api_there.viewer().await;
    assert_eq!(export(&to, &there).await, exported);
    for (name, exchanger) in KEYLESS.into_iter().zip(EXCHANGERS) {
        let path = |world: &World| format!("/credentials/{name}?namespace={}", world.ns());
        let before = from.get(&path(&here)).await.json();
        let after = to.get(&path(&there)).await.json();
        let exchanger = snake_case(exchanger);
        assert!(before["federation"][&exchanger].is_object(), "{before}");
        assert_eq!(after["federation"], before["federation"]);
        assert_eq!(after["is_active"], before["is_active"]);
    }
    let kubeconfig = plane.kubeconfig();
    for world in [&here, &there] {
        let output = llmplane(&kubeconfig, &["export", "-n", world.ns()], "").await;
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), exported);
    }
}

/// The API of a world; its viewer may read there.
async fn api_of(world: &World) -> TestApi {
    let url = world.database.api_url.clone();
    let api = TestApi::with(world.plane, |settings| settings.database_url = url.into()).await;
    let kinds = Kind::ALL.map(Kind::plural);
    let verbs = ["get", "list"];
    api.grant(world.ns(), "viewer", &verbs, &kinds, &[]).await;
    api
}

async fn export(viewer: &Caller<'_>, world: &World) -> String {
    let exported = viewer
        .get(&format!("/export?namespace={}", world.ns()))
        .await;
    assert_eq!(exported.status, 200, "{}", exported.text);
    exported.text
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_namespaces_each_manifest_names_its_own() {
    let world = World::new("export-all").await;
    world.provider("p", json!({})).await;
    let output = llmplane(&world.plane.kubeconfig(), &["export", "-A"], "").await;
    assert!(output.status.success(), "{}", stderr(&output));
    let objects = documents::parse("-", &stdout(&output)).documents;
    assert!(
        objects
            .iter()
            .any(|object| object.namespace() == Some(world.ns()))
    );
    assert!(objects.iter().all(|object| object.namespace().is_some()));
}
