//! What the chart renders, against what kustomize renders and what the apiserver takes.

use std::collections::{BTreeMap, BTreeSet};

use llmplane::lint::documents;
use llmplane::preflight::installed;
use serde_json::Value;

use super::helm::{CHART, Helm, NAMESPACE, objects, read_values, template};
use crate::support::{plane::Plane, tools::apply_definitions};

/// Kustomizations, and the values that say the same.
const SAME: [(&str, &str); 4] = [
    ("base", ""),
    ("overlays/all-namespaces", "namespaces: ['*']"),
    ("overlays/api-keyring", "disclosure: true"),
    ("overlays/federation", "federation: {default: [llm]}"),
];

const KEEP: &str = "helm.sh/resource-policy";
const CHECKSUM: &str = "checksum/environment";

/// Kind, namespace and name.
type Identity = (String, Option<String>, String);

fn by_identity(objects: Vec<Value>) -> BTreeMap<Identity, Value> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let identity = |object: &Value| {
        let metadata = &object["metadata"];
        let name = text(&metadata["name"]).unwrap();
        (
            text(&object["kind"]).unwrap(),
            text(&metadata["namespace"]),
            name,
        )
    };
    let count = objects.len();
    let found: BTreeMap<_, _> = objects
        .into_iter()
        .map(|mut object| {
            plain_numbers(&mut object);
            (identity(&object), object)
        })
        .collect();
    assert_eq!(found.len(), count, "an object is there twice");
    found
}

/// The same number in one form: `1.0` and `1` are one.
fn plain_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        Value::Object(fields) => fields.values_mut().for_each(plain_numbers),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0) {
                *value = Value::from(whole);
            }
        }
        _ => {}
    }
}

/// Takes an annotation out, and its map where nothing else is in it.
fn without_annotation(metadata: &mut Value, name: &str) -> Option<Value> {
    let annotations = metadata["annotations"].as_object_mut()?;
    let taken = annotations.remove(name);
    if annotations.is_empty() {
        metadata.as_object_mut().unwrap().remove("annotations");
    }
    taken
}

/// The chart's objects without the three things that only helm needs: its hooks, the annotation that
/// keeps the definitions, and the one that has pods start anew.
async fn chart(values: &str) -> BTreeMap<Identity, Value> {
    let mut found = objects(&template(values).await);
    found.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    for object in &mut found {
        match object["kind"].as_str().unwrap() {
            "CustomResourceDefinition" => {
                let kept = without_annotation(&mut object["metadata"], KEEP);
                assert_eq!(kept, Some(Value::from("keep")));
            }
            "Deployment" => {
                let pod = &mut object["spec"]["template"]["metadata"];
                assert!(without_annotation(pod, CHECKSUM).is_some());
            }
            _ => {}
        }
    }
    by_identity(found)
}

#[tokio::test]
async fn it_installs_what_the_manifests_install() {
    for (kustomization, values) in SAME {
        let mut manifests = by_identity(crate::manifests::rendered(kustomization).await);
        // Helm installs into a namespace that is there.
        let namespace = ("Namespace".to_owned(), None, NAMESPACE.to_owned());
        assert!(manifests.remove(&namespace).is_some());
        let chart = chart(values).await;
        let names = |objects: &BTreeMap<Identity, Value>| {
            objects.keys().cloned().collect::<Vec<Identity>>()
        };
        assert_eq!(names(&chart), names(&manifests), "{kustomization}");
        for (identity, object) in &manifests {
            assert_eq!(
                &chart[identity], object,
                "{kustomization} and {values:?} differ in {identity:?}"
            );
        }
    }
}

#[test]
fn every_overlay_is_a_value() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/overlays");
    for overlay in std::fs::read_dir(folder).unwrap() {
        let name = overlay.unwrap().file_name().into_string().unwrap();
        let kustomization = format!("overlays/{name}");
        let known = SAME.iter().any(|(same, _)| *same == kustomization);
        assert!(known, "which values stand for {kustomization}?");
    }
}

/// What `charts/llmplane/README.md` documents, by the values that it takes, and values that name what the chart names
/// too.
const COMBINATIONS: [(&str, &str); 10] = [
    ("defaults", ""),
    (
        "URLs",
        "
database:
  controller: {url: 'postgres://c:p@db/llmplane'}
  api: {url: 'postgres://a:p@db/llmplane'}
  owner: {url: 'postgres://o:p@db/llmplane'}
",
    ),
    (
        "Secrets of other names",
        "
database:
  controller: {existingSecret: db-controller}
  api: {existingSecret: db-api}
  owner: {existingSecret: db-owner}
keyring: {existingSecret: ring, auditKeySecret: audit}
api: {tls: {existingSecret: tls}}
settingsFromSecret: secret-settings
",
    ),
    (
        "cert-manager",
        "
api:
  tls:
    certManager:
      enabled: true
      issuerRef: {name: ca, kind: ClusterIssuer}
      dnsNames: [llm.example.com]
",
    ),
    (
        "keys given out, from several namespaces",
        "
disclosure: true
namespaces: [default, kube-public]
sharedNamespaces: [kube-public]
",
    ),
    (
        "without keys, in every namespace",
        "
namespaces: ['*']
federation: {kube-public: [llm]}
",
    ),
    (
        "watched by the Prometheus operator",
        "
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
dashboard: {enabled: true}
networkPolicy: {monitoringNamespace: observability}
",
    ),
    (
        "one replica of each on one node, no policies",
        "
controller: {replicas: 1}
api: {replicas: 1}
podDisruptionBudget: {enabled: false}
topologySpread: {enabled: false}
networkPolicy: {enabled: false}
crds: {install: false}
",
    ),
    (
        "placed, pulled and set otherwise",
        "
image:
  repository: registry.example.com/llmplane
  digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
  pullPolicy: Always
  pullSecrets: [{name: pull}]
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
topologySpread: {topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}
podDisruptionBudget: {maxUnavailable: 50%}
podAnnotations: {team: platform}
settings: {LLMPLANE_ALLOW_CIDRS: 10.0.0.0/8, LLMPLANE_MAX_CONNECTIONS: 2048}
database: {port: 6432}
",
    ),
    (
        "annotated and labelled otherwise than by the chart",
        "
podAnnotations: {prometheus.io/scrape: 'false', prometheus.io/port: '1', checksum/environment: mine}
serviceMonitor: {enabled: true, labels: {app.kubernetes.io/part-of: platform}}
prometheusRule: {enabled: true, labels: {app.kubernetes.io/part-of: platform}}
dashboard: {enabled: true, labels: {app.kubernetes.io/part-of: platform}}
",
    ),
];

/// Of two, each reader takes another, or none.
#[tokio::test]
async fn no_object_has_a_key_twice() {
    let errors = |text: &str| documents::parse("rendered", text).errors;
    assert!(!errors("a: {b: 1, b: 2}").is_empty(), "the reader is lax");
    for (what, values) in COMBINATIONS {
        let errors = errors(&template(values).await);
        assert!(errors.is_empty(), "{what}: {errors:?}");
    }
}

#[tokio::test]
async fn every_documented_combination_is_taken_by_the_apiserver() {
    let plane = Plane::shared().await;
    apply_definitions(plane).await;
    let namespace = plane.namespace("chart").await;
    let restricted = "pod-security.kubernetes.io/warn=restricted";
    let label = ["label", "namespace", &namespace.name, restricted];
    assert!(plane.kubectl(&label).await.status.success());
    for (what, values) in COMBINATIONS {
        let manifests = template(values).await.replace(NAMESPACE, &namespace.name);
        plane.takes(what, &manifests).await;
    }
}

/// Group, resource in the plural, and namespace of an object.
fn resource(object: &Value) -> (String, String, Option<String>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let version = text(&object["apiVersion"]).unwrap();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    let namespace = text(&object["metadata"]["namespace"]);
    (group.to_owned(), plural, namespace)
}

#[tokio::test]
async fn preflight_takes_each_and_asks_for_the_right_to_all_that_is_installed() {
    for (what, values) in COMBINATIONS {
        let mut rendered = objects(&template(values).await);
        rendered.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"] != "test");
        let rendered: BTreeSet<_> = rendered.iter().map(resource).collect();
        let values = read_values(values);
        assert_eq!(values.faults(), [""; 0], "{what}");
        let asked: BTreeSet<_> = installed(&values, NAMESPACE)
            .into_iter()
            .map(|it| (it.group.to_owned(), it.resource.to_owned(), it.namespace))
            .collect();
        assert_eq!(asked, rendered, "{what}");
    }
}

#[tokio::test]
async fn it_is_of_this_release_and_without_fault() {
    let helm = Helm::offline();
    helm.done(&["lint", "--strict", CHART]).await;
    let chart = helm.done(&["show", "chart", CHART]).await;
    let version = env!("CARGO_PKG_VERSION");
    for field in ["version", "appVersion"] {
        let line = format!("{field}: {version}");
        assert!(
            chart.lines().any(|said| said == line),
            "{line} is not in {chart}"
        );
    }
}

/// In any namespace, and under any name of the release.
#[tokio::test]
async fn nothing_names_the_default_namespace_where_it_is_another() {
    let manifests = Helm::offline()
        .done(&["template", "other", CHART, "--namespace", "llm"])
        .await;
    assert!(!manifests.contains(NAMESPACE));
    assert!(manifests.contains("namespace: llm\n"));
}

/// A pod takes its environment when it starts.
#[tokio::test]
async fn a_changed_setting_starts_the_pods_anew() {
    let checksum = |manifests: &str| {
        let line = manifests.lines().find(|line| line.contains(CHECKSUM));
        line.unwrap().to_owned()
    };
    let before = checksum(&template("").await);
    assert_eq!(checksum(&template("api: {replicas: 3}").await), before);
    for values in [
        "log: {level: debug}",
        "database: {api: {url: 'postgres://a:p@db/x'}}",
    ] {
        assert_ne!(checksum(&template(values).await), before, "{values}");
    }
}

/// The key of the certificate stays with the API.
#[tokio::test]
async fn the_test_pod_mounts_the_certificate_authority_alone() {
    let all = objects(&template("").await);
    let pod = all.iter().find(|object| object["kind"] == "Pod").unwrap();
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 1);
    let items = volumes[0]["secret"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["key"], "ca.crt");
}
