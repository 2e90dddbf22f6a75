//! The way to the API: a URL that is given, or a port-forward to the Service that the manifests install.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Url};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::port_forward::PortForward;
use super::token::{TOKEN_LIFETIME, TokenSource};

/// How long the API may take to answer a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which an answer is given up. A stream of changes has a heartbeat well within it.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug, Args)]
pub struct ApiArgs {
    /// URL of the API; without it a port-forward by kubectl to the Service llmplane-api
    #[arg(
        long,
        visible_alias = "api",
        env = "LLMPLANE_API_URL",
        value_name = "URL"
    )]
    api_url: Option<Url>,
    /// Certificates that sign the API's, as PEM
    #[arg(long, env = "LLMPLANE_API_CA", value_name = "FILE")]
    api_ca: Option<PathBuf>,
    /// Namespace of the Service llmplane-api
    #[arg(long, default_value = "llmplane-system", value_name = "NAME")]
    api_namespace: String,
    /// The ServiceAccount as which the API is asked, of the namespace looked at
    #[arg(long, default_value = "default", value_name = "NAME")]
    service_account: String,
    /// The audience of the API's tokens
    #[arg(
        long,
        env = "LLMPLANE_AUDIENCE",
        default_value = "llmplane",
        value_name = "NAME"
    )]
    audience: String,
}

/// A way to the API that is kept open, and opened anew where it has ended.
pub struct ApiConnection {
    /// Whose tokens go with requests.
    pub tokens: TokenSource,
    way: Way,
    certificates: Vec<Certificate>,
    open: Mutex<Option<OpenWay>>,
}

enum Way {
    Url(Url),
    Forward {
        namespace: String,
        kubectl_flags: Vec<String>,
    },
}

struct OpenWay {
    link: Arc<Link>,
    /// Ends with this value.
    forward: Option<PortForward>,
}

/// Where the API is now, and the client that reaches it there.
pub struct Link {
    pub base: Url,
    pub client: Client,
}

/// A connection to the API for one command.
pub struct ApiClient {
    connection: ApiConnection,
    link: Arc<Link>,
    /// Who asks, as the kube-apiserver names it.
    pub user: String,
}

impl ApiArgs {
    /// A connection for one command.
    ///
    /// # Errors
    /// Where the API is not reached, or the user may make no token of that account.
    pub async fn open(&self, cluster: &Cluster) -> anyhow::Result<ApiClient> {
        let connection = self.connection(cluster, TOKEN_LIFETIME)?;
        connection.tokens.token().await?;
        Ok(ApiClient {
            link: connection.link().await?,
            user: connection.tokens.user(),
            connection,
        })
    }

    /// A connection that lasts, with tokens of this life; nothing is asked yet.
    ///
    /// # Errors
    /// Where the certificates cannot be read.
    pub fn connection(
        &self,
        cluster: &Cluster,
        token_lifetime: Duration,
    ) -> anyhow::Result<ApiConnection> {
        let certificates = match &self.api_ca {
            None => Vec::new(),
            Some(file) => {
                let pem = std::fs::read(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                Certificate::from_pem_bundle(&pem)?
            }
        };
        let way = match &self.api_url {
            Some(url) => Way::Url(url.clone()),
            None => Way::Forward {
                namespace: self.api_namespace.clone(),
                kubectl_flags: cluster.kubectl_flags.clone(),
            },
        };
        Ok(ApiConnection {
            tokens: TokenSource::new(
                cluster,
                &self.service_account,
                &self.audience,
                token_lifetime,
            ),
            way,
            certificates,
            open: Mutex::default(),
        })
    }
}

impl ApiConnection {
    /// The way that is open, or a new one. Who asks meanwhile waits for the same one.
    ///
    /// # Errors
    /// Where no port can be forwarded.
    pub async fn link(&self) -> anyhow::Result<Arc<Link>> {
        let mut open = self.open.lock().await;
        if let Some(way) = open.as_mut()
            && way.forward.as_mut().is_none_or(PortForward::runs)
        {
            return Ok(way.link.clone());
        }
        let made = self.make().await?;
        let link = made.link.clone();
        *open = Some(made);
        Ok(link)
    }

    /// Uses this link no more: nothing came of a request by it.
    pub async fn give_up(&self, link: &Arc<Link>) {
        let mut open = self.open.lock().await;
        if open
            .as_ref()
            .is_some_and(|way| Arc::ptr_eq(&way.link, link))
        {
            *open = None;
        }
    }

    async fn make(&self) -> anyhow::Result<OpenWay> {
        let mut client = Client::builder()
            .no_proxy()
            // A token goes to the API alone.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        for certificate in &self.certificates {
            client = client.add_root_certificate(certificate.clone());
        }
        let (base, forward) = match &self.way {
            Way::Url(url) => (url.clone(), None),
            Way::Forward {
                namespace,
                kubectl_flags,
            } => {
                let forward = PortForward::start(namespace, kubectl_flags).await?;
                let (host, port) = (format!("llmplane-api.{namespace}.svc"), forward.port);
                client = client.resolve(&host, ([127, 0, 0, 1], port).into());
                let base = Url::parse(&format!("https://{host}:{port}"))?;
                (base, Some(forward))
            }
        };
        let client = client.build()?;
        Ok(OpenWay {
            link: Arc::new(Link { base, client }),
            forward,
        })
    }
}

impl ApiClient {
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.link.client.get(self.url(path, query)?))
    }

    pub fn post(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.link.client.post(self.url(path, query)?))
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Url> {
        let mut url = self.link.base.join(&format!("/api/v1{path}"))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// The answer's status and document.
    ///
    /// # Errors
    /// Where the API does not answer, or not with JSON.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<(u16, Value)> {
        let base = &self.link.base;
        let token = self.connection.tokens.token().await?;
        let request = request.timeout(ANSWER_TIMEOUT);
        let answer = request.bearer_auth(token.expose_secret()).send().await;
        let answer = answer.map_err(|error| {
            anyhow!(error.without_url()).context(format!("the API at {base} does not answer"))
        })?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(reqwest::Error::without_url)?;
        let document = serde_json::from_str(&text);
        let document = document.with_context(|| {
            format!("what answers at {base} with status {status} is not llmplane's API")
        })?;
        Ok((status, document))
    }
}

/// A problem of the API as a message.
pub fn problem(answer: &Value) -> anyhow::Error {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    anyhow!("the API answers: {}: {}", text("title"), text("detail"))
}
