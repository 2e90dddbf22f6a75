//! Installed, upgraded and uninstalled, with resources declared meanwhile: on a plane of its own, for the
//! chart holds what every namespace shares. Pods do not run there; what a Job would do is done in its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use super::helm::{CHART, Helm, NAMESPACE};
use crate::support::plane::{Plane, eventually};

/// Tells what kubectl prints as JSON.
async fn get(plane: &Plane, args: &[&str]) -> Value {
    let output = kubectl(plane, &[&["get", "-o", "json"], args].concat()).await;
    serde_json::from_str(&output).unwrap()
}

async fn kubectl(plane: &Plane, args: &[&str]) -> String {
    let output: Output = plane.kubectl(args).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that users declared: which object it is, and what it says.
async fn declared(plane: &Plane) -> Vec<Value> {
    let definitions = get(plane, &["crds"]).await;
    let definitions = definitions["items"].as_array().unwrap().iter();
    let ours = definitions.filter(|it| it["spec"]["group"] == "llmplane.dev");
    let kinds: Vec<&str> = ours
        .map(|it| it["spec"]["names"]["plural"].as_str().unwrap())
        .collect();
    let kinds = [&kinds[..], &["secrets"]].concat().join(",");
    let list = get(plane, &[&kinds, "-n", "default"]).await;
    let said = |item: &Value| {
        let metadata = &item["metadata"];
        json!({
            "kind": item["kind"], "name": metadata["name"], "uid": metadata["uid"],
            "labels": metadata["labels"], "spec": item["spec"], "data": item["data"],
        })
    };
    let mut found: Vec<Value> = list["items"].as_array().unwrap().iter().map(said).collect();
    found.sort_by_key(|it| (it["kind"].to_string(), it["name"].to_string()));
    found
}

/// The volumes of the API's pods.
async fn volumes(plane: &Plane) -> Vec<String> {
    let deployment = get(plane, &["deployment/llmplane-api", "-n", NAMESPACE]).await;
    let volumes = &deployment["spec"]["template"]["spec"]["volumes"];
    let name = |volume: &Value| volume["name"].as_str().unwrap().to_owned();
    volumes.as_array().unwrap().iter().map(name).collect()
}

/// The chart as the release before might have been: a version less, and definitions without a field.
fn former_chart(folder: &Path) -> String {
    let chart = folder.join("llmplane");
    copy(Path::new(CHART), &chart);
    let edit = |file: &str, from: &str, to: &str| {
        let path = chart.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    edit("Chart.yaml", "version: 0.1.0", "version: 0.0.9");
    let definition = "files/crds/llmproviders.yaml";
    edit(definition, "shortNames:\n    - llmp\n", "shortNames: []\n");
    chart.to_str().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

async fn short_names(plane: &Plane) -> Value {
    let definition = get(plane, &["crd/llmproviders.llmplane.dev"]).await;
    definition["spec"]["names"]["shortNames"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_upgraded_and_uninstalled_and_nothing_declared_is_lost() {
    let plane = Plane::private().await;
    let helm = Helm::new(&plane.kubeconfig());
    let folder = tempfile::tempdir().unwrap();
    let former = former_chart(folder.path());

    // The plane has what manifests/ installs: helm takes it over when it is told to, and not before.
    let said = helm.refusal(&["install", "llmplane", &former]).await;
    assert!(said.contains("cannot be imported"), "{said}");
    let take_over = ["--take-ownership", "--force-conflicts"];
    let install = [&["install", "llmplane", &former], &take_over[..]].concat();
    helm.done(&install).await;
    assert!(short_names(&plane).await.is_null());
    for sample in ["smallest", "classes"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/samples/valid");
        let sample = format!("{folder}/{sample}.yaml");
        kubectl(&plane, &["apply", "-f", &sample]).await;
    }
    let before = declared(&plane).await;
    let kinds = before.iter().map(|it| it["kind"].as_str().unwrap());
    let kinds: BTreeSet<&str> = kinds.collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [
            "LlmCredential",
            "LlmEndpoint",
            "LlmModel",
            "LlmModelClass",
            "LlmProvider",
            "Secret"
        ]
    );

    // An upgrade brings the newer definitions, and a value the overlay.
    let values = ["--set", "disclosure=true"];
    let upgrade = ["upgrade", "llmplane", CHART];
    helm.done(&[&upgrade[..], &values].concat()).await;
    assert_eq!(short_names(&plane).await, json!(["llmp"]));
    assert_eq!(volumes(&plane).await, ["tls", "keyring"]);
    assert_eq!(declared(&plane).await, before);

    // Back to the values before, with definitions that somebody else looks after from now on.
    helm.done(&[&upgrade[..], &["--set", "crds.install=false"]].concat())
        .await;
    assert_eq!(volumes(&plane).await, ["tls"]);
    assert_eq!(declared(&plane).await, before);

    helm.done(&["uninstall", "llmplane"]).await;
    assert_eq!(declared(&plane).await, before);
    let left = "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,\
                poddisruptionbudgets,jobs,pods";
    let by_helm = ["-A", "-l", "app.kubernetes.io/managed-by=Helm"];
    let left = get(&plane, &[&[left], &by_helm[..]].concat()).await;
    assert_eq!(left["items"], json!([]));
    let shared = "clusterroles,clusterrolebindings,validatingadmissionpolicies,\
                  validatingadmissionpolicybindings";
    let shared = get(&plane, &[shared, "-l", "app.kubernetes.io/managed-by=Helm"]).await;
    assert_eq!(shared["items"], json!([]));

    // What was kept is taken up again.
    helm.done(&["install", "llmplane", CHART]).await;
    assert_eq!(declared(&plane).await, before);
    helm.done(&["uninstall", "llmplane"]).await;

    the_schema_is_migrated_first(&plane, &helm).await;
}

/// Before anything is rolled out the Job brings the schema up to date; no password is printed.
async fn the_schema_is_migrated_first(plane: &Plane, helm: &Helm) {
    let database = plane.empty_database().await;
    let values = [
        ("owner", &database.owner_url),
        ("controller", &database.controller_url),
        ("api", &database.api_url),
    ]
    .map(|(role, url)| format!("database.{role}.url={url}"));
    let mut install = vec!["install", "llmplane", CHART];
    for value in &values {
        install.extend(["--set", value]);
    }
    let installing = tokio::spawn(helm.command(&install).output());
    let job = ["job/llmplane-migrate", "-n", NAMESPACE];
    eventually("the Job is there", async || {
        let found = plane.kubectl(&[&["get"], &job[..]].concat()).await;
        found.status.success()
    })
    .await;
    let deployments = get(plane, &["deployments", "-n", NAMESPACE]).await;
    assert_eq!(deployments["items"], json!([]), "nothing runs before");

    run_as_a_pod_would(plane, &get(plane, &job).await).await;
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": now, "lastProbeTime": now });
    let ended = json!({ "status": {
        "startTime": now, "completionTime": now, "succeeded": 1,
        "uncountedTerminatedPods": {}, "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    }});
    let patch = ["patch", "--subresource=status", "--type=merge", "-p"];
    kubectl(plane, &[&patch[..], &[&ended.to_string()], &job].concat()).await;

    let installed = installing.await.unwrap().unwrap();
    let said = [installed.stdout, installed.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(installed.status.success(), "{said}");
    for url in [
        &database.owner_url,
        &database.controller_url,
        &database.api_url,
    ] {
        let password = url::Url::parse(url).unwrap().password().unwrap().to_owned();
        assert!(!said.contains(&password));
    }
    llmplane::db::Db::connect(&database.api_url, &llmplane::db::DbOptions::new("test"))
        .await
        .expect("the schema is there");

    // The owner's URL was the Job's alone, and went with it.
    let secrets = get(plane, &["secrets", "-n", NAMESPACE]).await;
    let names: Vec<&str> = secrets["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|secret| secret["metadata"]["name"].as_str())
        .filter(|name| name.ends_with("-database"))
        .collect();
    assert_eq!(
        names,
        ["llmplane-api-database", "llmplane-controller-database"]
    );
    helm.done(&["uninstall", "llmplane"]).await;
}

/// Runs the one container of a Job with the environment that its Secrets give it.
async fn run_as_a_pod_would(plane: &Plane, job: &Value) {
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let secret = container["envFrom"][0]["secretRef"]["name"]
        .as_str()
        .unwrap();
    let secret = format!("secret/{secret}");
    let url = [
        "-n",
        NAMESPACE,
        "-o",
        "go-template={{.data.DATABASE_URL | base64decode}}",
    ];
    let url = kubectl(plane, &[&["get", &secret], &url[..]].concat()).await;
    let args = container["args"].as_array().unwrap().iter();
    let output = Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(args.map(|arg| arg.as_str().unwrap()))
        .env_clear()
        .env("DATABASE_URL", url)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
