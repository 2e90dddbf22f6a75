//! Which cluster.

use std::path::PathBuf;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Which cluster: a kubeconfig, or the one that this pod runs in.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster (several may be joined by `:`); without it the cluster that this
    /// pod runs in
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<String>,
}

/// Why the cluster is not known. One line each.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {0} cannot be used: {1}; set KUBECONFIG to one that can")]
    Kubeconfig(String, String),
    /// There is no kubeconfig, and this is no pod.
    #[error("no cluster is named: set KUBECONFIG, or run in a pod with a service account ({0})")]
    Nowhere(String),
}

impl ClusterArgs {
    /// The cluster's address, and the account to use.
    ///
    /// # Errors
    ///
    /// Where neither a kubeconfig nor a pod's account says so.
    pub async fn config(&self) -> Result<Config, ClusterError> {
        let Some(named) = self.kubeconfig.as_ref().filter(|named| !named.is_empty()) else {
            return Config::incluster()
                .map_err(|error| ClusterError::Nowhere(one_line(&error.to_string())));
        };
        let refused = |error: String| ClusterError::Kubeconfig(named.clone(), one_line(&error));
        let kubeconfig = read(named).map_err(&refused)?;
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|error| refused(error.to_string()))
    }
}

/// The files, merged as kubectl does: what comes first wins.
fn read(named: &str) -> Result<Kubeconfig, String> {
    let mut merged = Kubeconfig::default();
    for path in named.split(':').filter(|path| !path.is_empty()) {
        let one = Kubeconfig::read_from(PathBuf::from(path)).map_err(|error| error.to_string())?;
        merged = merged.merge(one).map_err(|error| error.to_string())?;
    }
    Ok(merged)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unreadable_kubeconfig_is_refused_in_one_line_that_says_what_to_do() {
        let args = ClusterArgs {
            kubeconfig: Some("/nowhere/config".to_owned()),
        };
        let error = args.config().await.expect_err("there is none").to_string();
        assert!(error.contains("/nowhere/config") && error.contains("set KUBECONFIG"));
        assert!(!error.contains('\n'));
    }
}
