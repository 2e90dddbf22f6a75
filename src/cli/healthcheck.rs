//! `llmplane healthcheck`: whether a URL answers, for images that hold no shell and no other client.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

/// How long one request may take.
const TRY_SECONDS: u64 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a health check fails.
#[derive(Debug, Error)]
pub enum HealthcheckError {
    /// The URL's scheme has no meaning here, or it holds a password.
    #[error("{0}; give http:// or https://, a host, and a path that needs no credentials")]
    Url(&'static str),
    /// A certificate cannot be used.
    #[error("cannot use {path}: {said}; put PEM certificates into the folder")]
    Certificate {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// The system's own certificates cannot be used.
    #[error("cannot make a client: {0}")]
    Client(reqwest::Error),
    /// Nothing answered, or not with success.
    #[error("{place}: {said}")]
    Unhealthy {
        /// Host and path.
        place: String,
        /// The last try's end.
        said: String,
    },
}

/// Ends with 0 where a URL answers with success, else with 1 and why
#[derive(Debug, clap::Args)]
pub struct HealthcheckCommand {
    /// What has to answer
    #[arg(default_value = "http://127.0.0.1:8081/readyz", value_name = "URL")]
    url: Url,
    /// Folder with PEM certificates of authorities to trust beside the system's
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// For how long to try again; a try has 5 seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=3600))]
    wait_seconds: u64,
}

impl HealthcheckCommand {
    /// Asks until the URL answers with success, or the time is over.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn run(self) -> Result<(), HealthcheckError> {
        let place = place(&self.url)?;
        let client = client(self.ca_dir.as_deref())?;
        let end = Instant::now() + Duration::from_secs(self.wait_seconds);
        loop {
            match ask(&client, &self.url).await {
                Ok(()) => return Ok(()),
                Err(said) if Instant::now() + PAUSE > end => {
                    return Err(HealthcheckError::Unhealthy { place, said });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

/// Host and path, which messages name.
fn place(url: &Url) -> Result<String, HealthcheckError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HealthcheckError::Url(
            "the URL is neither http:// nor https://",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(HealthcheckError::Url("the URL holds a user or a password"));
    }
    Ok(format!(
        "{}{}",
        url[..url::Position::BeforePath].trim_end_matches('/'),
        url.path()
    ))
}

/// A client that goes straight to the host and follows no redirect: what is asked for has to answer.
fn client(ca_dir: Option<&Path>) -> Result<Client, HealthcheckError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(folder) = ca_dir {
        builder = builder.tls_certs_merge(authorities(folder)?);
    }
    builder.build().map_err(HealthcheckError::Client)
}

/// Certificates of every file in the folder. A mounted Secret has links and hidden folders beside its files.
fn authorities(folder: &Path) -> Result<Vec<Certificate>, HealthcheckError> {
    let failed = |path: &Path, said: String| HealthcheckError::Certificate {
        path: path.to_owned(),
        said,
    };
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error.to_string()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| failed(folder, error.to_string()))?
            .path();
        if !path.is_file() {
            continue;
        }
        let pem = std::fs::read(&path).map_err(|error| failed(&path, error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|error| failed(&path, innermost(&error)))?;
        if certificates.is_empty() {
            return Err(failed(&path, "there is no certificate in it".to_owned()));
        }
        found.extend(certificates);
    }
    Ok(found)
}

/// One request.
async fn ask(client: &Client, url: &Url) -> Result<(), String> {
    let answer = timeout(
        Duration::from_secs(TRY_SECONDS),
        client.get(url.clone()).send(),
    );
    let answer = answer
        .await
        .map_err(|_| format!("no answer within {TRY_SECONDS} s"))?
        .map_err(|error| innermost(&error.without_url()))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("answers {}", answer.status())),
    }
}

/// The innermost cause: what wraps it names the client's layers.
fn innermost(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut said = error.to_string();
    while let Some(cause) = source {
        said = cause.to_string();
        source = cause.source();
    }
    said
}
