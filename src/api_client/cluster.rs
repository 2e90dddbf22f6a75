//! Which cluster and namespaces are looked at.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

/// The flags that kubectl has for the same.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// The kubeconfig; without it as kubectl finds it
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The namespace; without it the context's
    #[arg(long, short, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces
    #[arg(long, short = 'A', global = true, conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// A cluster, as its user.
pub struct Cluster {
    pub client: Client,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    pub all_namespaces: bool,
    /// What `kubectl` must be given to reach the same cluster.
    pub kubectl_flags: Vec<String>,
}

impl ClusterArgs {
    /// # Errors
    /// Where no cluster is configured.
    pub async fn open(self) -> anyhow::Result<Cluster> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut kubectl_flags = Vec::new();
        let config = match (&self.kubeconfig, &self.context) {
            (None, None) => Config::infer().await.context(
                "no cluster is configured; set KUBECONFIG, or give --kubeconfig and --context",
            )?,
            (Some(file), _) => {
                kubectl_flags.push(format!("--kubeconfig={}", file.display()));
                let kubeconfig = Kubeconfig::read_from(file)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        };
        if let Some(context) = &self.context {
            kubectl_flags.push(format!("--context={context}"));
        }
        let namespace = self.namespace.unwrap_or(config.default_namespace.clone());
        Ok(Cluster {
            client: Client::try_from(config)?,
            namespace,
            all_namespaces: self.all_namespaces,
            kubectl_flags,
        })
    }
}

impl Cluster {
    /// The namespaces that are looked at, in words.
    pub fn place(&self) -> String {
        match self.all_namespaces {
            true => "all namespaces".to_owned(),
            false => format!("namespace {}", self.namespace),
        }
    }
}
