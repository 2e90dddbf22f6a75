//! Traces by OTLP over HTTP, where an endpoint is set. Spans wait in a bounded queue; where the collector is away
//! they are dropped, and a line in the log says so once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use reqwest::Certificate;
use tokio::runtime::Handle;

use crate::config::secret_url::SecretUrl;

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last spans.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of the collector's answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// The protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Where traces go.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TraceArgs {
    /// OTLP endpoint for traces, by http/protobuf; without it there are none. OTEL_EXPORTER_OTLP_HEADERS,
    /// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_BSP_* are heeded too
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        value_name = "URL"
    )]
    otlp_endpoint: Option<SecretUrl>,
    /// Certificates that sign the OTLP endpoint's, as PEM, beside the system's
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    otlp_certificate: Option<PathBuf>,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Another protocol is asked for.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL is {0:?}, and traces are sent by {PROTOCOL} alone: leave it out, and give the \
         collector's port for it in OTEL_EXPORTER_OTLP_ENDPOINT (4318 as a rule)"
    )]
    Protocol(String),
    /// The endpoint holds a password, which belongs into a header.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT holds a user or a password; give it by OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Password,
    /// The certificates cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE: {path} cannot be used: {said}; give PEM certificates")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// The exporter cannot be made.
    #[error("traces cannot be sent: {0}")]
    Exporter(String),
}

/// Traces of this process, while they are sent.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl TraceArgs {
    /// Traces of a process that is named so; none where no endpoint is set. To be called on the runtime that
    /// sends them.
    pub(super) fn start(&self, service: &'static str) -> Result<Option<Traces>, TraceError> {
        let Some(endpoint) = &self.otlp_endpoint else {
            return Ok(None);
        };
        let protocol = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
        if let Some(other) = protocol.filter(|named| named != PROTOCOL) {
            return Err(TraceError::Protocol(other));
        }
        let url = endpoint.expose();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TraceError::Password);
        }
        let collector = Collector {
            client: self.client()?,
            runtime: Handle::current(),
            place: format!("{endpoint:?}"),
            away: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(format!("{}/v1/traces", url.as_str().trim_end_matches('/')))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| TraceError::Exporter(error.to_string()))?;
        let mut resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if variable("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service);
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Some(Traces { provider }))
    }

    fn client(&self) -> Result<reqwest::Client, TraceError> {
        // A second installation of the same provider is no error.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &self.otlp_certificate {
            let refused = |said: String| TraceError::Certificate {
                path: path.clone(),
                said,
            };
            let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem);
            let found = found.map_err(|error| refused(error.to_string()))?;
            if found.is_empty() {
                return Err(refused("there is no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_merge(found);
        }
        let made = builder.build();
        made.map_err(|error| TraceError::Exporter(error.to_string()))
    }
}

impl Traces {
    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("llmplane")
    }

    /// Sends what waits, if the collector takes it within a second.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || {
            // What could not be sent was said when it happened.
            let _ = self.provider.shutdown_with_timeout(END_TIMEOUT);
        });
        let _ = ended.await;
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The collector. The thread that exports has no runtime of its own.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    /// Scheme, host and port.
    place: String,
    away: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request));
        let answer = match sent.await {
            Ok(answer) => answer,
            Err(_) => Err("the process ends".to_owned()),
        };
        let why = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(why) => Some(why.clone()),
        };
        match why {
            None if self.away.swap(false, Ordering::AcqRel) => {
                tracing::info!(collector = %self.place, "traces are taken again");
            }
            Some(why) if !self.away.swap(true, Ordering::AcqRel) => {
                tracing::warn!(
                    collector = %self.place, %why,
                    "traces are not taken, and dropped until they are; look at OTEL_EXPORTER_OTLP_ENDPOINT"
                );
            }
            _ => {}
        }
        answer.map_err(HttpError::from)
    }
}

async fn send(
    client: reqwest::Client,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, String> {
    let said = |error: reqwest::Error| error.without_url().to_string();
    let request = reqwest::Request::try_from(request).map_err(said)?;
    let answer: http::Response<reqwest::Body> = client.execute(request).await.map_err(said)?.into();
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(http::Response::from_parts(parts, body))
}
