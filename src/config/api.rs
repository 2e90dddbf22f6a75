//! The read API's settings.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use secrecy::SecretString;

use super::admin::AdminArgs;
use super::audience::AudienceArgs;
use super::cluster::ClusterArgs;
use crate::crd::names::is_namespace;
use crate::crd::token_services::TokenService;

/// Keys that one caller may ask for in a second, unless told otherwise: an agent keeps its key, and
/// asks again when that ends.
pub const KEYS_PER_SECOND: u32 = 20;

/// `llmplane api`'s flags.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiArgs {
    /// PostgreSQL URL of the API's role; sslmode and sslrootcert in it are heeded
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Folder with the keys that open keys; without it the API serves everything but keys
    #[arg(long, env = "LLMPLANE_KEYRING_DIR", value_name = "DIR")]
    pub keyring_dir: Option<PathBuf>,
    /// Where vendors exchange tokens, where that is not their own host; resolve tells clients
    #[arg(
        long,
        env = "LLMPLANE_TOKEN_SERVICES",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "EXCHANGE=URL,..."
    )]
    pub token_services: Vec<TokenService>,
    /// Which tokens are the API's.
    #[command(flatten)]
    pub audience: AudienceArgs,
    /// What the read API itself needs.
    #[command(flatten)]
    pub serving: ServingArgs,
    /// The admin port.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Flags of the read API, whatever process it runs in.
#[derive(Clone, Debug, clap::Args)]
pub struct ServingArgs {
    /// Address of the read API; without TLS its default is 127.0.0.1:8080
    #[arg(long, env = "LLMPLANE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Certificate chain of the read API, PEM; read again when it changes
    #[arg(
        long,
        env = "LLMPLANE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM; read again when it changes
    #[arg(
        long,
        env = "LLMPLANE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// Serve without TLS beyond loopback, for example behind a mesh that encrypts
    #[arg(long, env = "LLMPLANE_ALLOW_PLAIN_HTTP", default_value_t = false)]
    pub allow_plain_http: bool,
    /// Connections of callers at once; each may take some 300 KiB before its caller is known
    #[arg(
        long,
        env = "LLMPLANE_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections: u32,
    /// Streams of changes (GET /watch) at once, of which one caller may have half; over HTTP/1.1 each takes
    /// a connection
    #[arg(
        long,
        env = "LLMPLANE_MAX_WATCHES",
        value_name = "NUMBER",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_watches: u32,
    /// Keys that one caller may ask for in a second, on average; ten times as many at once
    #[arg(
        long,
        env = "LLMPLANE_KEYS_PER_SECOND",
        value_name = "NUMBER",
        default_value_t = KEYS_PER_SECOND,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub keys_per_second: u32,
    /// Serve the console at /console/ too; its visitors paste a token of theirs
    #[arg(long, env = "LLMPLANE_CONSOLE", default_value_t = false)]
    pub console: bool,
    /// Namespaces that every caller's resolve also looks in, after the caller's own
    #[arg(
        long,
        env = "LLMPLANE_SHARED_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE,...",
        value_parser = namespace
    )]
    pub shared_namespaces: Vec<String>,
}

/// A namespace's name, or why it is none.
fn namespace(text: &str) -> Result<String, String> {
    match is_namespace(text) {
        true => Ok(text.to_owned()),
        false => Err(
            "write names of namespaces with commas between them; each has at most 63 \
                      lower-case letters, digits and hyphens"
                .to_owned(),
        ),
    }
}

/// Certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// The read API's settings, after they were found to go together.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// PostgreSQL, as the API's role.
    pub database_url: SecretString,
    /// The cluster.
    pub cluster: ClusterArgs,
    /// Address of the read API.
    pub listen: SocketAddr,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Connections of callers at once.
    pub max_connections: usize,
    /// Streams of changes at once.
    pub max_watches: usize,
    /// Audience that tokens must be for.
    pub audience: String,
    /// Folder with the keyring; none: no key is given out.
    pub keyring_dir: Option<PathBuf>,
    /// Keys that one caller may ask for in a second, on average.
    pub keys_per_second: NonZeroU32,
    /// Whether the console is served, too.
    pub console: bool,
    /// Namespaces that every caller's resolve also looks in.
    pub shared_namespaces: Vec<String>,
    /// Where vendors exchange tokens, where that is not their own host.
    pub token_services: Vec<TokenService>,
}

/// Settings that do not go together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiSettingsError {
    /// Tokens would cross the network in the clear.
    #[error(
        "without TLS the API listens on loopback only, not on {0}: set LLMPLANE_TLS_CERT and \
         LLMPLANE_TLS_KEY, or LLMPLANE_ALLOW_PLAIN_HTTP=true where something else encrypts"
    )]
    PlainHttp(SocketAddr),
}

impl ServingArgs {
    /// The settings with this database, cluster, keyring, token services and audience.
    ///
    /// # Errors
    ///
    /// Where they do not go together.
    pub fn settings(
        self,
        database_url: SecretString,
        cluster: ClusterArgs,
        keyring_dir: Option<PathBuf>,
        token_services: Vec<TokenService>,
        audience: AudienceArgs,
    ) -> Result<ApiSettings, ApiSettingsError> {
        let tls = self
            .tls_cert
            .zip(self.tls_key)
            .map(|(cert, key)| TlsFiles { cert, key });
        let open = tls.is_some() || self.allow_plain_http;
        let default = if open { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        let listen = self.listen.unwrap_or_else(|| (default, 8080).into());
        if !open && !listen.ip().is_loopback() {
            return Err(ApiSettingsError::PlainHttp(listen));
        }
        Ok(ApiSettings {
            database_url,
            cluster,
            listen,
            tls,
            max_connections: self.max_connections as usize,
            max_watches: self.max_watches as usize,
            audience: audience.audience,
            keyring_dir,
            keys_per_second: NonZeroU32::new(self.keys_per_second).unwrap_or(NonZeroU32::MIN),
            console: self.console,
            shared_namespaces: self.shared_namespaces,
            token_services,
        })
    }
}

impl ApiArgs {
    /// The settings.
    ///
    /// # Errors
    ///
    /// Where they do not go together.
    pub fn settings(self) -> Result<ApiSettings, ApiSettingsError> {
        self.serving.settings(
            self.database_url,
            self.cluster,
            self.keyring_dir,
            self.token_services,
            self.audience,
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        audience: AudienceArgs,
        #[command(flatten)]
        serving: ServingArgs,
    }

    fn settings(flags: &[&str]) -> Result<ApiSettings, ApiSettingsError> {
        let flags = std::iter::once(&"test").chain(flags);
        let parsed = Flags::try_parse_from(flags).expect("the flags are known");
        parsed.serving.settings(
            SecretString::default(),
            ClusterArgs::default(),
            None,
            Vec::new(),
            parsed.audience,
        )
    }

    #[test]
    fn plain_http_stays_on_loopback_unless_it_is_allowed() {
        let by_default = settings(&[]).expect("it is on loopback");
        assert_eq!(by_default.listen, ([127, 0, 0, 1], 8080).into());
        let open = ["--listen", "0.0.0.0:1"];
        assert!(settings(&open).is_err());
        assert!(settings(&[&open[..], &["--allow-plain-http"]].concat()).is_ok());
        let tls = ["--tls-cert", "c", "--tls-key", "k"];
        let with_tls = settings(&tls).expect("it encrypts");
        assert_eq!(with_tls.listen, ([0, 0, 0, 0], 8080).into());
    }

    #[test]
    fn what_cannot_be_is_a_usage_error() {
        let refused = |flags: &[&str]| {
            let flags = std::iter::once(&"test").chain(flags);
            Flags::try_parse_from(flags).is_err()
        };
        assert!(refused(&["--tls-cert", "c"]));
        assert!(refused(&["--listen", "nowhere"]));
        assert!(refused(&["--audience", ""]));
        assert!(refused(&["--max-connections", "0"]));
        for list in ["", "*", "a,", "A", "a/b", "-a"] {
            assert!(refused(&["--shared-namespaces", list]), "{list:?}");
        }
    }

    #[test]
    fn shared_namespaces_are_a_list() {
        let shared = |flags: &[&str]| settings(flags).expect("loopback").shared_namespaces;
        assert_eq!(shared(&["--shared-namespaces", "a,b-1"]), ["a", "b-1"]);
        assert!(shared(&[]).is_empty());
    }
}
