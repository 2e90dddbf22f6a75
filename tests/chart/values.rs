//! What becomes of single values.

use serde_json::{Value, json};

use super::helm::{objects, template};
use crate::support::plane::Plane;

/// The rendered object of this kind and name.
async fn rendered(values: &str, kind: &str, name: &str) -> Value {
    let found = objects(&template(values).await)
        .into_iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{values}: no {kind} {name}"))
}

/// A file's numbers are floats to a template.
#[tokio::test]
async fn numbers_are_written_as_they_are_given() {
    let settings = "settings: {A: 2000000, B: 12345678901, C: 0.5, D: true, E: '1e6'}";
    let settings = rendered(settings, "ConfigMap", "llmplane-settings").await;
    let data = &settings["data"];
    let written = ["A", "B", "C", "D", "E"].map(|name| data[name].as_str().unwrap());
    assert_eq!(written, ["2000000", "12345678901", "0.5", "true", "1e6"]);

    let many = "
controller: {replicas: 1000000, resources: {limits: {memory: 536870912}}}
api: {replicas: 2000000}
podDisruptionBudget: {maxUnavailable: 3000000}
";
    let deployment = rendered(many, "Deployment", "llmplane-controller").await;
    assert_eq!(deployment["spec"]["replicas"], 1_000_000);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], 536_870_912);
    let deployment = rendered(many, "Deployment", "llmplane-api").await;
    assert_eq!(deployment["spec"]["replicas"], 2_000_000);
    let budget = rendered(many, "PodDisruptionBudget", "llmplane-api").await;
    assert_eq!(budget["spec"]["maxUnavailable"], 3_000_000);
}

/// A quota refuses a pod that does not say what it takes, those of hooks too.
#[tokio::test]
async fn every_pod_asks_for_what_its_component_is_given() {
    let values = "
database: {owner: {existingSecret: owner}}
controller: {resources: {limits: {cpu: 2}}}
api: {resources: {limits: {cpu: 3}}}
";
    let mut asked = Vec::new();
    for object in objects(&template(values).await) {
        let pod = match object["kind"].as_str().unwrap() {
            "Pod" => &object["spec"],
            _ => &object["spec"]["template"]["spec"],
        };
        for container in pod["containers"].as_array().into_iter().flatten() {
            let (name, resources) = (&object["metadata"]["name"], &container["resources"]);
            assert_eq!(resources["requests"]["memory"], "128Mi", "{name}");
            assert_eq!(resources["limits"]["memory"], "512Mi", "{name}");
            let cpu = resources["limits"]["cpu"].as_u64();
            asked.push((name.as_str().unwrap().to_owned(), cpu));
        }
    }
    asked.sort();
    let given = [
        ("llmplane-api", 3),
        ("llmplane-controller", 2),
        ("llmplane-migrate", 3),
        ("llmplane-test-api", 3),
    ];
    assert_eq!(asked, given.map(|(name, cpu)| (name.to_owned(), Some(cpu))));
}

/// But for the checksum, by which pods start anew.
#[tokio::test]
async fn annotations_and_labels_of_the_values_come_over_the_charts() {
    let values = "
podAnnotations: {prometheus.io/scrape: 'false', checksum/environment: mine, team: '1'}
serviceMonitor: {enabled: true, labels: {app.kubernetes.io/part-of: platform, release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
dashboard: {enabled: true, labels: {app.kubernetes.io/part-of: ''}}
";
    let found = async |kind: &str, name: &str, path: &str| {
        let object = rendered(values, kind, name).await;
        object.pointer(path).unwrap().clone()
    };
    let annotations = "/spec/template/metadata/annotations";
    for name in ["llmplane-controller", "llmplane-api"] {
        let mut annotations = found("Deployment", name, annotations).await;
        let checksum = annotations["checksum/environment"].take();
        assert_eq!(checksum.as_str().unwrap().len(), 64, "{checksum}");
        let rest = json!({
            "prometheus.io/scrape": "false", "prometheus.io/port": "8081", "team": "1",
            "checksum/environment": null,
        });
        assert_eq!(annotations, rest, "{name}");
    }
    for (kind, name, labels) in [
        (
            "ServiceMonitor",
            "llmplane",
            json!({ "app.kubernetes.io/part-of": "platform", "release": "prometheus" }),
        ),
        (
            "PrometheusRule",
            "llmplane",
            json!({ "app.kubernetes.io/part-of": "llmplane", "release": "prometheus" }),
        ),
        (
            "ConfigMap",
            "llmplane-dashboard",
            json!({ "app.kubernetes.io/part-of": "", "grafana_dashboard": "1" }),
        ),
    ] {
        assert_eq!(
            found(kind, name, "/metadata/labels").await,
            labels,
            "{kind}"
        );
    }
}

/// Names of digits alone are names.
#[tokio::test]
async fn a_name_of_digits_stays_a_text() {
    let values = "
namespaces: ['123']
federation: {'123': ['456']}
keyring: {existingSecret: '789'}
settingsFromSecret: '012'
networkPolicy: {monitoringNamespace: '345'}
";
    let binding = rendered(values, "RoleBinding", "llmplane-secrets").await;
    assert_eq!(binding["metadata"]["namespace"], "123");
    let role = rendered(values, "Role", "llmplane-federation").await;
    assert_eq!(role["metadata"]["namespace"], "123");
    let deployment = rendered(values, "Deployment", "llmplane-controller").await;
    let pod = &deployment["spec"]["template"]["spec"];
    let sources = &pod["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[0]["secret"]["name"], "789");
    assert_eq!(
        pod["containers"][0]["envFrom"][1]["secretRef"]["name"],
        "012"
    );
}

/// Ports that the API may connect to, but for those of DNS.
async fn reachable(values: &str) -> Vec<u64> {
    let policy = rendered(values, "NetworkPolicy", "llmplane-api").await;
    let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap();
    let tcp = ports.iter().filter(|it| it["protocol"] == "TCP");
    let numbers = tcp.map(|it| it["port"].as_u64().unwrap());
    numbers.filter(|port| ![53, 5353].contains(port)).collect()
}

/// Else the pods would be cut off from what they are told to use.
#[tokio::test]
async fn the_api_may_reach_the_ports_of_the_urls_that_it_is_given() {
    let apiserver = [443, 6443, 8443];
    for (values, more) in [
        ("", &[5432][..]),
        ("database: {port: 6432}", &[6432]),
        (
            "database: {api: {url: 'postgres://a:123@db:6432/x'}}",
            &[5432, 6432],
        ),
        (
            "database: {api: {url: 'postgres://a:p@[::1]:6432/x?sslmode=require'}}",
            &[5432, 6432],
        ),
        (
            "database: {api: {url: 'postgres://a:p@db/x?port=6432'}}",
            &[5432, 6432],
        ),
        (
            "database: {port: 7000, api: {url: 'postgresql://a:p@db/x'}}",
            &[7000, 5432],
        ),
        (
            "settings: {OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.observability:4318/otlp'}",
            &[5432, 4318],
        ),
        (
            "settings: {OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.observability'}",
            &[5432, 80],
        ),
        (
            "
settings: {OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example'}
networkPolicy: {collectorPorts: [4318]}
",
            &[5432, 4318],
        ),
    ] {
        let ports = [&apiserver[..], more].concat();
        assert_eq!(reachable(values).await, ports, "{values}");
    }
}

/// The role's own URL counts, whatever the other Secret holds.
#[tokio::test]
async fn settings_that_are_secret_come_from_a_secret_before_the_roles_own() {
    for component in ["controller", "api"] {
        let name = format!("llmplane-{component}");
        let deployment = rendered("settingsFromSecret: hidden", "Deployment", &name).await;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let database = format!("llmplane-{component}-database");
        assert_eq!(
            container["envFrom"],
            json!([
                { "configMapRef": { "name": "llmplane-settings" } },
                { "secretRef": { "name": "hidden" } },
                { "secretRef": { "name": database } },
            ])
        );
    }
}

/// `helm test` trusts `ca.crt` of that Secret, which `kubectl create secret tls` leaves out.
#[tokio::test]
async fn the_certificate_as_documented_has_what_the_test_pod_trusts() {
    let page = std::fs::read_to_string("docs/operations.md").unwrap();
    let begin = "kubectl -n llmplane-system create secret generic llmplane-api-tls";
    let at = page.find(begin).expect("the page makes the Secret");
    let mut command = String::new();
    for line in page[at..].lines() {
        command += line.trim_end_matches('\\');
        if !line.ends_with('\\') {
            break;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        std::fs::write(folder.path().join(file), file).unwrap();
    }
    let args = command.split_whitespace().skip(1);
    let made = tokio::process::Command::new(Plane::shared().await.kubectl_program())
        .args(args.chain(["--dry-run=client", "-o", "json"]))
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{command}: {said}");
    let secret: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let pod = rendered("", "Pod", "llmplane-test-api").await;
    let volume = &pod["spec"]["volumes"][0]["secret"];
    assert_eq!(volume["secretName"], secret["metadata"]["name"]);
    let entry = volume["items"][0]["key"].as_str().unwrap();
    assert!(secret["data"][entry].is_string(), "{entry}: {secret}");
}
