//! The API's certificate, read again when its files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::api::TlsFiles;
use crate::http_server::TlsConfig;

/// How often the files are looked at.
const CERTIFICATE_POLL: Duration = Duration::from_secs(5);

/// Why the certificate cannot be used. No variant holds any part of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}; it is named by {setting}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM; it is named by {setting}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key do not belong together.
    #[error("certificate and key cannot be used together: {0}")]
    Mismatch(String),
}

/// A certificate in use, and the files that it came from.
#[derive(Clone)]
pub struct Reloaded {
    files: TlsFiles,
    config: TlsConfig,
    /// The files' bytes when they were last looked at.
    seen: Arc<(Vec<u8>, Vec<u8>)>,
    /// 1 while the files hold what cannot be used.
    unusable: Gauge,
}

impl Reloaded {
    /// What new connections are taken with, also after a change.
    pub fn config(&self) -> TlsConfig {
        self.config.clone()
    }

    /// Whether the files hold another certificate than was seen, which is in use from now on.
    fn take_over(&self, seen: &mut (Vec<u8>, Vec<u8>)) -> Result<bool, TlsError> {
        let now = read(&self.files)?;
        if now == *seen {
            return Ok(false);
        }
        let config = parse(&self.files, &now)?;
        self.config.store(Arc::new(config));
        *seen = now;
        Ok(true)
    }
}

/// Reads certificate and key, and registers whether they stay usable.
///
/// # Errors
///
/// Where they cannot be used.
pub fn load(files: &TlsFiles, registry: &mut Registry) -> Result<Reloaded, TlsError> {
    let seen = read(files)?;
    let config = Arc::new(ArcSwap::from_pointee(parse(files, &seen)?));
    let unusable = Gauge::default();
    registry.register(
        "llmplane_api_certificate_unusable",
        "1 while the certificate's files cannot be used and the one before stays in use, else 0",
        unusable.clone(),
    );
    Ok(Reloaded {
        files: files.clone(),
        config,
        seen: Arc::new(seen),
        unusable,
    })
}

/// Takes over changed files until the token is cancelled. While they cannot be used the old
/// certificate stays, and the log says so once for each reason.
pub async fn reload_when_changed(tls: Reloaded, shutdown: CancellationToken) {
    let mut seen = tls.seen.as_ref().clone();
    let mut said = None;
    let mut look = tokio::time::interval(CERTIFICATE_POLL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let why = match tls.take_over(&mut seen) {
            Ok(changed) => {
                if changed {
                    tracing::info!("took over the changed certificate");
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        tls.unusable.set(i64::from(why.is_some()));
        if let Some(error) = &why
            && why != said
        {
            tracing::warn!(error, "keeping the old certificate");
        }
        said = why;
    }
}

fn read(files: &TlsFiles) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let file = |path: &PathBuf, setting| {
        std::fs::read(path).map_err(|error| TlsError::Unreadable {
            path: path.clone(),
            setting,
            error,
        })
    };
    Ok((
        file(&files.cert, "LLMPLANE_TLS_CERT")?,
        file(&files.key, "LLMPLANE_TLS_KEY")?,
    ))
}

fn parse(files: &TlsFiles, (cert, key): &(Vec<u8>, Vec<u8>)) -> Result<ServerConfig, TlsError> {
    let malformed = |path: &PathBuf, setting, what| TlsError::Malformed {
        path: path.clone(),
        setting,
        what,
    };
    let no_cert = || malformed(&files.cert, "LLMPLANE_TLS_CERT", "certificate");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|_| no_cert())?;
    if chain.is_empty() {
        return Err(no_cert());
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| malformed(&files.key, "LLMPLANE_TLS_KEY", "private key"))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Mismatch(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
