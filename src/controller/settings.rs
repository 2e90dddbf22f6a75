//! `llmplane controller`: its settings.

use std::{num::NonZeroU32, path::PathBuf};

use secrecy::SecretString;

use crate::{
    config::{
        admin::AdminArgs, audience::AudienceArgs, cluster::ClusterArgs, secret_url::SecretUrl,
    },
    crd::labels::LabelPrefix,
    crd::token_services::TokenService,
    vendors::http::address_guard::AllowRule,
};

/// Most connections to PostgreSQL.
pub const DB_CONNECTIONS: u32 = 20;
/// Most models that model sync makes for one provider, unless told otherwise.
pub const MODEL_SYNC_LIMIT: u32 = 5000;
/// Most writes of model sync in a second, unless told otherwise.
pub const MODEL_SYNC_WRITES_PER_SECOND: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// How long a key-encryption key is the active one before stored keys are re-wrapped under it, unless
/// told otherwise, in seconds.
pub const REWRAP_SETTLING_SECONDS: u32 = 300;

/// Settings of the controller.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// PostgreSQL, as the controller's role (sslmode and sslrootcert are understood).
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Folder with the keys that encrypt keys; see `llmplane keyring new`.
    #[arg(long, env = "LLMPLANE_KEYRING_DIR", value_name = "DIR")]
    pub keyring_dir: PathBuf,
    /// The admin port.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Namespaces that are watched; all of them without it.
    #[arg(
        long,
        env = "LLMPLANE_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE,..."
    )]
    pub namespaces: Vec<String>,
    /// Addresses that vendors may have beyond public ones.
    #[arg(
        long,
        env = "LLMPLANE_ALLOW_CIDRS",
        value_delimiter = ',',
        value_name = "[NAMESPACE=]CIDR[:PORT],..."
    )]
    pub allow_cidrs: Vec<AllowRule>,
    /// Proxy to the vendors.
    #[arg(
        long,
        env = "LLMPLANE_HTTPS_PROXY",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub https_proxy: Option<SecretUrl>,
    /// Where vendors exchange tokens, where that is not their own host: a sovereign cloud, a private
    /// endpoint. EXCHANGE is openAI, anthropic, aws, entra, google or openRouter.
    #[arg(
        long,
        env = "LLMPLANE_TOKEN_SERVICES",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "EXCHANGE=URL,..."
    )]
    pub token_services: Vec<TokenService>,
    /// The API's audience.
    #[command(flatten)]
    pub audience: AudienceArgs,
    /// Whether several controllers take turns by a Lease. Off: the database alone fences.
    #[arg(
        long,
        env = "LLMPLANE_LEADER_ELECTION",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub leader_election: bool,
    /// Namespace of the Lease; the controller's own without it.
    #[arg(long, env = "LLMPLANE_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// A catalog of models that is laid over the built-in one.
    #[arg(long, env = "LLMPLANE_CATALOG", value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Prefixes of labels that rows show beside app.kubernetes.io; * is every label.
    #[arg(
        long,
        env = "LLMPLANE_LABEL_PREFIXES",
        value_delimiter = ',',
        value_name = "PREFIX,..."
    )]
    pub label_prefixes: Vec<LabelPrefix>,
    /// Most models that model sync makes for one provider.
    #[arg(
        long,
        env = "LLMPLANE_MODEL_SYNC_LIMIT",
        default_value_t = MODEL_SYNC_LIMIT,
        value_name = "COUNT"
    )]
    pub model_sync_limit: u32,
    /// Most LlmModel objects that model sync writes in a second, over all providers.
    #[arg(
        long,
        env = "LLMPLANE_MODEL_SYNC_WRITES_PER_SECOND",
        default_value_t = MODEL_SYNC_WRITES_PER_SECOND,
        value_name = "COUNT"
    )]
    pub model_sync_writes_per_second: NonZeroU32,
    /// How long a key-encryption key is the active one before stored keys are re-wrapped under it, in
    /// seconds. Kubelets deliver files late, and every replica must have the key by then.
    #[arg(
        long,
        env = "LLMPLANE_REWRAP_SETTLING_SECONDS",
        default_value_t = REWRAP_SETTLING_SECONDS,
        value_name = "SECONDS",
        hide = true
    )]
    pub rewrap_settling_seconds: u32,
    /// Takes over a database that belongs to another cluster. Rows of the other are removed by the
    /// first sweep.
    #[arg(long, env = "LLMPLANE_ADOPT_CLUSTER", default_value_t = false)]
    pub adopt_cluster: bool,
    /// Brings the database's schema up to date first; the URL must then be the owner's.
    #[arg(long, env = "LLMPLANE_MIGRATE", default_value_t = false)]
    pub migrate: bool,
}

impl Settings {
    /// The namespaces that are watched, `None` for all.
    pub fn scope(&self) -> Option<Vec<String>> {
        let named: Vec<String> = self
            .namespaces
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        (!named.is_empty()).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn no_password_is_in_what_debug_shows() {
        let flags = Flags::try_parse_from([
            "test",
            "--database-url=postgres://u:hunter2@db.example/llmplane",
            "--https-proxy=http://u:hunter2@proxy.example:3128",
            "--keyring-dir=/keys",
        ])
        .expect("the flags are known");
        let shown = format!("{flags:?}");
        assert!(shown.contains("/keys") && shown.contains("proxy.example"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
