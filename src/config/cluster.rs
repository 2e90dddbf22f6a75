//! Which cluster: as a process of the installation finds it, and as a person's command does.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Which cluster, for a process: a kubeconfig that is named, or the one that this pod runs in.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster (several may be joined by `:`); without it the cluster that this
    /// pod runs in
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<String>,
}

/// Which cluster, for a command that a person runs: as kubectl finds it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KubectlArgs {
    /// Kubeconfig of the cluster (several may be joined by `:`); without it ~/.kube/config, else the
    /// cluster that this pod runs in
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<String>,
    /// The context of the kubeconfig; without it the current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
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
    /// A context is named, and there is no kubeconfig.
    #[error(
        "there is no kubeconfig to take the context {0} from: set KUBECONFIG, or give --kubeconfig"
    )]
    NoContext(String),
}

impl ClusterArgs {
    /// The cluster's address, and the account to use.
    ///
    /// # Errors
    ///
    /// Where neither a kubeconfig nor a pod's account says so.
    pub async fn config(&self) -> Result<Config, ClusterError> {
        match self.kubeconfig.as_deref().filter(|named| !named.is_empty()) {
            Some(named) => of_kubeconfig(named, None).await,
            None => of_this_pod(),
        }
    }
}

impl KubectlArgs {
    /// The cluster's address, and the account to use.
    ///
    /// # Errors
    ///
    /// Where neither a kubeconfig nor a pod's account says so, or the kubeconfig has no such context.
    pub async fn config(&self) -> Result<Config, ClusterError> {
        let context = self
            .context
            .as_deref()
            .filter(|context| !context.is_empty());
        match (self.found(home().as_deref()), context) {
            (Some(found), context) => of_kubeconfig(&found, context).await,
            (None, Some(context)) => Err(ClusterError::NoContext(context.to_owned())),
            (None, None) => of_this_pod(),
        }
    }

    /// Whether a kubeconfig says which cluster; else it is the pod's account.
    pub fn has_kubeconfig(&self) -> bool {
        self.found(home().as_deref()).is_some()
    }

    /// The kubeconfig that is named, else the one in this home folder where there is one.
    fn found(&self, home: Option<&Path>) -> Option<String> {
        let named = self.kubeconfig.clone().filter(|named| !named.is_empty());
        named.or_else(|| {
            let usual = home?.join(".kube/config");
            usual.is_file().then(|| usual.display().to_string())
        })
    }
}

fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    home.map(PathBuf::from)
}

async fn of_kubeconfig(named: &str, context: Option<&str>) -> Result<Config, ClusterError> {
    let refused = |error: String| ClusterError::Kubeconfig(named.to_owned(), one_line(&error));
    let mut kubeconfig = read(named).map_err(&refused)?;
    if let Some(context) = context {
        kubeconfig.current_context = Some(context.to_owned());
    }
    direct(kubeconfig).await.map_err(|error| refused(error.0))
}

fn of_this_pod() -> Result<Config, ClusterError> {
    Config::incluster().map_err(|error| ClusterError::Nowhere(one_line(&error.to_string())))
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

    #[test]
    fn a_person_is_given_the_kubeconfig_that_kubectl_would_take() {
        let home = tempfile::tempdir().expect("a folder");
        let args = |named: Option<&str>| KubectlArgs {
            kubeconfig: named.map(str::to_owned),
            context: None,
        };
        assert_eq!(args(None).found(Some(home.path())), None);
        assert_eq!(args(None).found(None), None);
        let usual = home.path().join(".kube/config");
        std::fs::create_dir(home.path().join(".kube")).expect("a folder");
        std::fs::write(&usual, "").expect("a file");
        let usual = usual.to_str();
        for none in [None, Some("")] {
            assert_eq!(args(none).found(Some(home.path())).as_deref(), usual);
        }
        let named = args(Some("/a:/b")).found(Some(home.path()));
        assert_eq!(named.as_deref(), Some("/a:/b"));
    }

    #[tokio::test]
    async fn a_context_that_is_named_is_the_one_that_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        let text = "{clusters: [
                {name: a, cluster: {server: 'https://a.example'}},
                {name: b, cluster: {server: 'https://b.example'}}],
              contexts: [{name: a, context: {cluster: a}},
                {name: b, context: {cluster: b, namespace: team}}],
              current-context: a}";
        std::fs::write(&path, text).expect("a file");
        let args = |context: Option<&str>| KubectlArgs {
            kubeconfig: path.to_str().map(str::to_owned),
            context: context.map(str::to_owned),
        };
        let current = args(None).config().await.expect("it is one");
        assert_eq!(current.cluster_url, "https://a.example/");
        let named = args(Some("b")).config().await.expect("it is one");
        assert_eq!(named.cluster_url, "https://b.example/");
        assert_eq!(named.default_namespace, "team");
        let refused = args(Some("absent")).config().await;
        let error = refused.expect_err("there is none").to_string();
        assert!(error.contains("absent"), "{error}");
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
