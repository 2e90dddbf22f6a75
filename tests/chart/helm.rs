//! Helm, with settings and caches of its own.

use std::path::Path;
use std::process::{Output, Stdio};

use llmplane::preflight::Values;
use serde_json::Value;
use tokio::process::Command;

use crate::support::tools::tool;

/// The chart's folder.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/llmplane");
/// Where it is installed unless somebody says otherwise.
pub const NAMESPACE: &str = "llmplane-system";

/// Helm, for the cluster of a kubeconfig.
pub struct Helm {
    kubeconfig: String,
    home: tempfile::TempDir,
}

impl Helm {
    pub fn new(kubeconfig: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_str().unwrap().to_owned(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Without a cluster.
    pub fn offline() -> Self {
        Self::new(Path::new("/nowhere"))
    }

    /// A file with these values.
    pub fn values(&self, text: &str) -> String {
        let path = self.home.path().join("values.yaml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command that has yet to be started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tool("helm"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_NAMESPACE", NAMESPACE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().await.unwrap()
    }

    /// What it prints.
    pub async fn done(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Why it refuses.
    pub async fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(!output.status.success(), "helm {args:?} is not refused");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What preflight reads of these values.
pub fn read_values(text: &str) -> Values {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    std::fs::write(&path, text).unwrap();
    Values::read(&[path]).unwrap()
}

/// The chart as text, with these values in YAML.
pub async fn template(values: &str) -> String {
    let helm = Helm::offline();
    let file = helm.values(values);
    helm.done(&template_args(&file)).await
}

/// What has helm render the chart with a file of values.
pub fn template_args(values: &str) -> [&str; 5] {
    ["template", "llmplane", CHART, "--values", values]
}

/// The objects of rendered manifests.
pub fn objects(manifests: &str) -> Vec<Value> {
    let read = llmplane::lint::documents::parse("rendered", manifests);
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    read.documents
        .into_iter()
        .map(|object| object.value)
        .filter(|object| !object.is_null())
        .collect()
}
