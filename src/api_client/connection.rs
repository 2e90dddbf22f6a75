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
use tokio::time::Instant;

use super::cluster::Cluster;
use super::port_forward::PortForward;
use super::service::SERVICE;
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
    state: Mutex<State>,
}

/// What the last attempt at a way came to.
#[derive(Default)]
struct State {
    open: Option<OpenWay>,
    failed: Option<Failure>,
}

/// Why no way was opened, for all who waited for that.
struct Failure {
    at: Instant,
    said: String,
}

enum Way {
    Url(Url),
    Forward {
        client: kube::Client,
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
    /// What to look at where nobody answers.
    remedy: String,
}

impl Link {
    pub fn new(base: Url, client: Client, remedy: String) -> Self {
        Self {
            base,
            client,
            remedy,
        }
    }

    /// Nobody answers by this link: why, and what to look at.
    pub fn unanswered(&self, error: reqwest::Error) -> anyhow::Error {
        let (base, remedy) = (&self.base, &self.remedy);
        anyhow!(error.without_url()).context(format!("the API at {base} does not answer; {remedy}"))
    }
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
                client: cluster.client.clone(),
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
            state: Mutex::default(),
        })
    }
}

impl ApiConnection {
    /// The way that is open, or a new one. Who asks meanwhile waits for the same one.
    ///
    /// # Errors
    /// Where no port can be forwarded.
    pub async fn link(&self) -> anyhow::Result<Arc<Link>> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(way) = state.open.as_mut()
            && way.forward.as_mut().is_none_or(PortForward::runs)
        {
            return Ok(way.link.clone());
        }
        // An attempt takes seconds: those who waited for this one do not each make another.
        if let Some(failure) = state.failed.as_ref().filter(|failure| asked < failure.at) {
            return Err(anyhow!(failure.said.clone()));
        }
        match self.make().await {
            Ok(made) => {
                let link = made.link.clone();
                state.open = Some(made);
                Ok(link)
            }
            Err(error) => {
                state.open = None;
                state.failed = Some(Failure {
                    at: Instant::now(),
                    said: format!("{error:#}"),
                });
                Err(error)
            }
        }
    }

    /// Finds out whether anybody answers, whatever it is.
    ///
    /// # Errors
    /// Where nobody does: why, and what to look at.
    pub async fn probe(&self) -> anyhow::Result<()> {
        let link = self.link().await?;
        let asked = link.client.get(link.base.join("/api/v1/")?);
        match asked.timeout(ANSWER_TIMEOUT).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(link.unanswered(error)),
        }
    }

    /// Uses this link no more: nothing came of a request by it.
    pub async fn give_up(&self, link: &Arc<Link>) {
        let mut state = self.state.lock().await;
        let open = state.open.as_ref();
        if open.is_some_and(|way| Arc::ptr_eq(&way.link, link)) {
            state.open = None;
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
        let (base, forward, mut remedy) = match &self.way {
            Way::Url(url) => {
                let remedy = "see whether it runs there, or name another place with --api-url";
                (url.clone(), None, remedy.to_owned())
            }
            Way::Forward {
                client: cluster,
                namespace,
                kubectl_flags,
            } => {
                let forward = PortForward::start(cluster, namespace, kubectl_flags).await?;
                let (host, port) = (format!("{SERVICE}.{namespace}.svc"), forward.port);
                client = client.resolve(&host, ([127, 0, 0, 1], port).into());
                let base = Url::parse(&format!("https://{host}:{port}"))?;
                let remedy = format!("see kubectl get deployments,pods -n {namespace}");
                (base, Some(forward), remedy)
            }
        };
        if base.scheme() == "https" {
            remedy.push_str("; --api-ca names the certificates that sign its own");
        }
        let link = Arc::new(Link::new(base, client.build()?, remedy));
        Ok(OpenWay { link, forward })
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
        let answer = answer.map_err(|error| self.link.unanswered(error))?;
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
