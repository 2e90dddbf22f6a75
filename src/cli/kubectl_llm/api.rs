//! The way to the API: a URL that is given, or a port-forward to the Service that the manifests install;
//! as a ServiceAccount, whose token the kube-apiserver makes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use reqwest::{Certificate, Client, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::cluster::Cluster;

/// Least time for which the kube-apiserver makes a token.
const TOKEN_SECONDS: i64 = 600;
/// How long a port-forward may take to begin, and the API to answer.
const AT_MOST: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct ApiArgs {
    /// URL of the API; without it a port-forward by kubectl to the Service llmplane-api
    #[arg(long, env = "LLMPLANE_API_URL", value_name = "URL")]
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

/// A connection to the API.
pub struct ApiClient {
    base: Url,
    client: Client,
    token: SecretString,
    /// Who asks, as the kube-apiserver names it.
    pub user: String,
    /// Ends with this value.
    _forward: Option<Child>,
}

impl ApiArgs {
    /// # Errors
    /// Where the API is not reached, or the user may make no token of that account.
    pub async fn open(&self, cluster: &Cluster) -> anyhow::Result<ApiClient> {
        let token = self.token(cluster).await?;
        let mut client = Client::builder().timeout(AT_MOST).no_proxy();
        if let Some(file) = &self.api_ca {
            let pem = std::fs::read(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            for certificate in Certificate::from_pem_bundle(&pem)? {
                client = client.add_root_certificate(certificate);
            }
        }
        let (base, forward) = match &self.api_url {
            Some(url) => (url.clone(), None),
            None => {
                let (port, forward) = self.forward(cluster).await?;
                let host = format!("llmplane-api.{}.svc", self.api_namespace);
                client = client.resolve(&host, ([127, 0, 0, 1], port).into());
                (
                    Url::parse(&format!("https://{host}:{port}"))?,
                    Some(forward),
                )
            }
        };
        Ok(ApiClient {
            base,
            client: client.build()?,
            token,
            user: format!(
                "system:serviceaccount:{}:{}",
                cluster.namespace, self.service_account
            ),
            _forward: forward,
        })
    }

    async fn token(&self, cluster: &Cluster) -> anyhow::Result<SecretString> {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![self.audience.clone()],
                expiration_seconds: Some(TOKEN_SECONDS),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let made = accounts
            .create_token_request(&self.service_account, &PostParams::default(), &request)
            .await
            .with_context(|| {
                format!(
                    "no token of ServiceAccount {} in namespace {} can be made; name another with --service-account",
                    self.service_account, cluster.namespace
                )
            })?;
        let token = made.status.map(|status| status.token);
        token
            .map(SecretString::from)
            .context("the kube-apiserver made no token")
    }

    /// The local port of a port-forward, which ends when its process is dropped.
    async fn forward(&self, cluster: &Cluster) -> anyhow::Result<(u16, Child)> {
        let flags = &cluster.kubectl_flags;
        self.forward_by("kubectl".as_ref(), flags).await
    }

    async fn forward_by(&self, kubectl: &OsStr, flags: &[String]) -> anyhow::Result<(u16, Child)> {
        let mut kubectl = Command::new(kubectl);
        kubectl
            .args(flags)
            .args([
                "port-forward",
                "--address=127.0.0.1",
                "-n",
                &self.api_namespace,
                "service/llmplane-api",
                ":443",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = kubectl.spawn().context(
            "kubectl, which forwards a port to the API, cannot be run; give --api-url instead",
        )?;
        let said = child.stdout.take().context("kubectl has no output")?;
        let mut lines = BufReader::new(said).lines();
        let first = tokio::time::timeout(AT_MOST, lines.next_line()).await;
        let port = first
            .ok()
            .and_then(Result::ok)
            .flatten()
            .as_deref()
            .and_then(forwarded_port);
        match port {
            Some(port) => {
                // It says more with each connection, and ends where nobody reads that.
                let errors = child.stderr.take();
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                if let Some(mut errors) = errors {
                    tokio::spawn(async move {
                        tokio::io::copy(&mut errors, &mut tokio::io::sink()).await
                    });
                }
                Ok((port, child))
            }
            None => {
                let why = complaint(child).await;
                bail!(
                    "Service llmplane-api in namespace {} is not reached by kubectl port-forward{why}; \
                     give --api-url where it is elsewhere",
                    self.api_namespace
                )
            }
        }
    }
}

/// What kubectl said before it ended.
async fn complaint(mut child: Child) -> String {
    let _ = child.start_kill();
    let said = child
        .wait_with_output()
        .await
        .map(|output| output.stderr)
        .unwrap_or_default();
    match String::from_utf8_lossy(&said).trim() {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}

/// `Forwarding from 127.0.0.1:40123 -> 8443`.
fn forwarded_port(line: &str) -> Option<u16> {
    let from = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    from.split_whitespace().next()?.parse().ok()
}

impl ApiClient {
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.client.get(self.url(path, query)?))
    }

    pub fn post(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.client.post(self.url(path, query)?))
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Url> {
        let mut url = self.base.join(&format!("/api/v1{path}"))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// The answer's status and document.
    ///
    /// # Errors
    /// Where the API does not answer, or not with JSON.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<(u16, Value)> {
        let answer = request.bearer_auth(self.token.expose_secret()).send().await;
        let answer = answer.map_err(|error| {
            anyhow!(error.without_url())
                .context(format!("the API at {} does not answer", self.base))
        })?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(reqwest::Error::without_url)?;
        let document = serde_json::from_str(&text);
        let document = document.with_context(|| {
            format!(
                "what answers at {} with status {status} is not llmplane's API",
                self.base
            )
        })?;
        Ok((status, document))
    }
}

/// A problem of the API as a message.
pub fn problem(answer: &Value) -> anyhow::Error {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    anyhow!("the API answers: {}: {}", text("title"), text("detail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forward_goes_on_while_kubectl_talks_of_its_connections() {
        let folder = tempfile::tempdir().unwrap();
        let (kubectl, survived) = (
            folder.path().join("kubectl"),
            folder.path().join("survived"),
        );
        let script = format!(
            "#!/bin/sh\necho 'Forwarding from 127.0.0.1:40123 -> 443'\nsleep 0.2\n\
             for i in 1 2 3; do echo \"Handling connection for $i\"; echo noise >&2; done\n\
             echo yes > {}\nsleep 60\n",
            survived.display()
        );
        std::fs::write(&kubectl, script).unwrap();
        std::fs::set_permissions(
            &kubectl,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let args = ApiArgs {
            api_url: None,
            api_ca: None,
            api_namespace: "n".to_owned(),
            service_account: "default".to_owned(),
            audience: "llmplane".to_owned(),
        };
        let (port, _child) = args.forward_by(kubectl.as_os_str(), &[]).await.unwrap();
        assert_eq!(port, 40123);
        let deadline = tokio::time::Instant::now() + AT_MOST;
        while !survived.exists() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "it was ended by what it says"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        assert_eq!(
            forwarded_port("Forwarding from 127.0.0.1:40123 -> 8443"),
            Some(40123)
        );
        assert_eq!(forwarded_port("error: no pods"), None);
    }
}
