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
        direct(kubeconfig).await.map_err(|error| refused(error.0))
    }
}

/// What of a kubeconfig's content cannot be used, in a few words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnusableKubeconfig(String);

/// The cluster of a kubeconfig's current context, reached directly: the environment's `HTTPS_PROXY`
/// is for other programs, and has no say.
///
/// # Errors
///
/// Where the kubeconfig is incomplete, or itself names a proxy.
pub async fn direct(mut kubeconfig: Kubeconfig) -> Result<Config, UnusableKubeconfig> {
    if names_proxy(&kubeconfig) {
        let said = "it names a `proxy-url`, and llmplane reaches the kube-apiserver directly";
        return Err(UnusableKubeconfig(said.to_owned()));
    }
    // Where a cluster names none, kube reads the environment's, and fails where that is malformed.
    for cluster in &mut kubeconfig.clusters {
        if let Some(cluster) = &mut cluster.cluster {
            cluster.proxy_url = Some("http://unused.invalid".to_owned());
        }
    }
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| UnusableKubeconfig(error.to_string()))?;
    config.proxy_url = None;
    Ok(config)
}

fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
    let used = kubeconfig.contexts.iter().find_map(|context| {
        (Some(&context.name) == kubeconfig.current_context.as_ref())
            .then_some(context.context.as_ref()?.cluster.as_str())
    });
    kubeconfig.clusters.iter().any(|cluster| {
        let proxy = cluster
            .cluster
            .as_ref()
            .and_then(|it| it.proxy_url.as_ref());
        used == Some(cluster.name.as_str()) && proxy.is_some_and(|url| !url.is_empty())
    })
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

    #[tokio::test]
    async fn a_kubeconfig_that_names_a_proxy_is_refused_without_its_password() {
        let kubeconfig = |current: &str| {
            let text = format!(
                "{{clusters: [
                    {{name: a, cluster: {{server: 'https://a.example', proxy-url: 'http://u:hunter2@p:1'}}}},
                    {{name: b, cluster: {{server: 'https://b.example'}}}}],
                  contexts: [{{name: a, context: {{cluster: a}}}}, {{name: b, context: {{cluster: b}}}}],
                  current-context: {current}}}"
            );
            Kubeconfig::from_yaml(&text).expect("it is one")
        };
        let error = direct(kubeconfig("a")).await.expect_err("it is refused");
        let said = format!("{error} {error:?}");
        assert!(
            said.contains("proxy-url") && !said.contains("hunter2"),
            "{said}"
        );
        let other = direct(kubeconfig("b"))
            .await
            .expect("its cluster names none");
        assert_eq!(other.cluster_url, "https://b.example/");
        assert_eq!(other.proxy_url, None);
    }
}
