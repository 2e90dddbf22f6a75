//! The way to the API by `kubectl port-forward`: what keeps it from being one, and one that ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Console, command, json_of, refusal, status};
use crate::support::plane::eventually;
use crate::support::process::{Process, viewer};
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_service_or_its_pods_is_said_with_what_to_do() {
    let world = World::new("consoleservice").await;
    viewer(&world).await;
    let ns = world.ns();
    // kubectl itself, against a kube-apiserver of its version.
    let kubectl = world.plane.kubectl_program().parent().unwrap();
    let said = async |path: &Path| {
        let mut command = command(&world);
        refusal(command.args(["--api-namespace", ns]).env("PATH", path)).await
    };

    let without = tempfile::tempdir().unwrap();
    let missing = said(without.path()).await;
    assert!(
        missing.contains("there is no kubectl") && missing.contains("install it"),
        "{missing}"
    );

    let missing = said(kubectl).await;
    let wanted = format!("there is no Service llmplane-api in namespace {ns}: install llmplane");
    assert!(
        missing.contains(&wanted) && missing.contains("--api-namespace"),
        "{missing}"
    );

    let services: Api<Service> = Api::namespaced(world.client.clone(), ns);
    let service = json!({
        "metadata": { "name": "llmplane-api" },
        "spec": { "selector": { "app": "api" }, "ports": [{ "port": 443, "targetPort": 8443 }] },
    });
    let service = serde_json::from_value(service).unwrap();
    services
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let empty = said(kubectl).await;
    let look = format!("kubectl get deployments,pods -n {ns}");
    assert!(
        empty.contains("has no pods") && empty.contains(&look),
        "{empty}"
    );

    let pods: Api<Pod> = Api::namespaced(world.client.clone(), ns);
    let pod = json!({
        "metadata": { "name": "api-0", "labels": { "app": "api" } },
        "spec": {
            "containers": [{ "name": "api", "image": "none", "ports": [{ "containerPort": 8443 }] }],
        },
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let pending = said(kubectl).await;
    let wanted = "has no pod that is ready (1 of 1: api-0, Pending)";
    assert!(
        pending.contains(wanted) && pending.contains(&look),
        "{pending}"
    );

    // A pod that is ready, and that no node has: the rest is kubectl's to say.
    let ready = json!({
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    pods.patch_status("api-0", &PatchParams::default(), &Patch::Merge(ready))
        .await
        .unwrap();
    let unreached = said(kubectl).await;
    assert!(
        unreached.contains("is not reached by kubectl port-forward (error")
            && unreached.contains("--api-url"),
        "{unreached}"
    );
}

/// A kubectl that forwards to whichever port its folder names, says who it is, and ends with its caller.
struct Forwarder {
    folder: tempfile::TempDir,
}

impl Forwarder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("kubectl");
        let lines = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho $$ >>pids\n\
                     echo \"Forwarding from 127.0.0.1:$(cat port) -> 8443\"\n\
                     while kill -0 \"$PPID\" 2>/dev/null; do sleep 0.2; done\n";
        std::fs::write(&script, lines).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn leads_to(&self, api: &Process) {
        let port = api.listen().port().to_string();
        std::fs::write(self.folder.path().join("port"), port).unwrap();
    }

    /// Those that were started, in order.
    fn started(&self) -> Vec<Pid> {
        let pids = std::fs::read_to_string(self.folder.path().join("pids")).unwrap();
        let pids = pids.lines().map(|pid| pid.parse().unwrap());
        pids.map(Pid::from_raw).collect()
    }

    /// Where the shell finds it, before all else.
    fn path(&self) -> String {
        let others = std::env::var("PATH").unwrap_or_default();
        format!("{}:{others}", self.folder.path().display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_that_ends_and_an_api_that_moves_are_found_again_and_the_page_is_told_meanwhile()
{
    let world = World::started("consoleforward").await;
    viewer(&world).await;
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let key = KeyPair::generate().unwrap();
    let name = format!("llmplane-api.{}.svc", world.ns());
    let certificate = CertificateParams::new(vec![name]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    std::fs::write(file("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(file("tls.key"), key.serialize_pem()).unwrap();
    let serving = async || {
        let (certificate, key) = (file("tls.crt"), file("tls.key"));
        let settings = [
            ("LLMPLANE_TLS_CERT", certificate.as_str()),
            ("LLMPLANE_TLS_KEY", key.as_str()),
        ];
        let api = Process::api(&world, &settings);
        api.ready().await;
        api
    };
    let mut api = serving().await;
    let kubectl = Forwarder::new();
    kubectl.leads_to(&api);
    let mut start = command(&world);
    start
        .args(["--api-namespace", world.ns()])
        .env("PATH", kubectl.path());

    // Nobody answers for an authority that is not known.
    let unknown = refusal(&mut start).await;
    assert!(
        unknown.contains("does not answer") && unknown.contains("--api-ca"),
        "{unknown}"
    );

    let console = Console::run(start.args(["--api-ca", &file("tls.crt")])).await;
    let session = console.session().await;
    let asked = || console.of_page(&session, Method::GET, "/api/v1/models");
    assert_eq!(status(asked()).await, 200);
    let before = kubectl.started().len();
    assert_eq!(status(asked()).await, 200);
    assert_eq!(kubectl.started().len(), before, "one forward is enough");

    let running = *kubectl.started().last().unwrap();
    signal::kill(running, Signal::SIGKILL).unwrap();
    eventually("it is forwarded anew", async || {
        status(asked()).await == 200 && kubectl.started().len() > before
    })
    .await;

    api.kill().await;
    let told: Value = json_of(asked()).await;
    assert_eq!(told["status"], 502, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("does not answer; see kubectl get deployments,pods -n"),
        "{detail}"
    );
    // The pod in its place has another address.
    let other = serving().await;
    kubectl.leads_to(&other);
    eventually("the other is found", async || status(asked()).await == 200).await;
}
