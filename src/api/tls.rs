//! The API's certificate, read again when its files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::api::TlsFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

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
    config: RustlsConfig,
    /// The files' bytes when they were last looked at.
    seen: Arc<(Vec<u8>, Vec<u8>)>,
}

impl Reloaded {
    /// What takes connections with it.
    pub fn acceptor(&self) -> RustlsAcceptor<NoDelayAcceptor> {
        RustlsAcceptor::new(self.config.clone()).acceptor(NoDelayAcceptor::new())
    }
}

/// Reads certificate and key.
///
/// # Errors
///
/// Where they cannot be used.
pub fn load(files: &TlsFiles) -> Result<Reloaded, TlsError> {
    let seen = read(files)?;
    let config = RustlsConfig::from_config(Arc::new(parse(files, &seen)?));
    Ok(Reloaded {
        files: files.clone(),
        config,
        seen: Arc::new(seen),
    })
}

/// Takes over changed files until the token is cancelled; unusable ones are logged, and the old
/// certificate stays.
pub async fn reload_when_changed(tls: Reloaded, shutdown: CancellationToken) {
    let mut seen = tls.seen.as_ref().clone();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match read(&tls.files) {
            Ok(now) if now == seen => {}
            Ok(now) => {
                match parse(&tls.files, &now) {
                    Ok(config) => {
                        tls.config.reload_from_config(Arc::new(config));
                        tracing::info!("took over the changed certificate");
                    }
                    Err(error) => tracing::warn!(%error, "keeping the old certificate"),
                }
                seen = now;
            }
            Err(error) => tracing::warn!(%error, "keeping the old certificate"),
        }
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
