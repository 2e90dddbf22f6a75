//! TLS to vendors: the system's certificates, and an endpoint's own beside them.

use std::sync::{Arc, OnceLock};

use moka::sync::Cache;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};

use super::error::HttpError;
use crate::crd::ca_bundle;

/// Bundles whose certificates are kept ready: at most 32 KiB each, and cheap to read again.
const MAX_BUNDLES: u64 = 256;

/// TLS settings by the bundle of certificates that applies.
pub(super) struct TlsConfigs {
    /// The system's certificates are read once, for they are the same for all.
    system: OnceLock<Result<Arc<ClientConfig>, HttpError>>,
    verifier: OnceLock<Option<Arc<Verifier>>>,
    bundles: Cache<[u8; 32], Arc<ClientConfig>>,
}

impl Default for TlsConfigs {
    fn default() -> Self {
        Self {
            system: OnceLock::new(),
            verifier: OnceLock::new(),
            bundles: Cache::new(MAX_BUNDLES),
        }
    }
}

impl TlsConfigs {
    /// The settings for an endpoint with these certificates (PEM) of its own, if it has any.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn get(&self, bundle: Option<&str>) -> Result<Arc<ClientConfig>, HttpError> {
        match bundle {
            None => self.system.get_or_init(|| self.build(None)).clone(),
            Some(pem) => {
                let key = Sha256::digest(pem.as_bytes()).into();
                let config = self.bundles.try_get_with(key, || self.build(Some(pem)));
                config.map_err(|error| HttpError::clone(&error))
            }
        }
    }

    fn build(&self, bundle: Option<&str>) -> Result<Arc<ClientConfig>, HttpError> {
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let system = self.verifier.get_or_init(|| {
            let verifier = Verifier::new(provider.clone());
            verifier.ok().map(Arc::new)
        });
        let own = bundle.map(|pem| own_verifier(pem, &provider)).transpose()?;
        let verifier: Arc<dyn ServerCertVerifier> = match (system.clone(), own) {
            (system, Some(own)) => Arc::new(EitherVerifier { own, system }),
            (Some(system), None) => system,
            (None, None) => {
                return Err(HttpError::Invalid("this machine has no CA certificates"));
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| HttpError::Invalid("no TLS settings can be made for it"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets are the server's to size, and would be shared by all who call it.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    #[cfg(test)]
    pub fn kept(&self) -> u64 {
        self.bundles.run_pending_tasks();
        self.bundles.entry_count()
    }
}

fn own_verifier(
    pem: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, HttpError> {
    let mut roots = RootCertStore::empty();
    for certificate in ca_bundle::certificates(pem).map_err(HttpError::CaBundle)? {
        let unusable = |_| HttpError::Invalid("a certificate of spec.caBundle");
        roots.add(certificate).map_err(unusable)?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| HttpError::Invalid("the certificates of spec.caBundle"))
}

/// Takes what an endpoint's own certificates sign, or the system's.
#[derive(Debug)]
struct EitherVerifier {
    own: Arc<WebPkiServerVerifier>,
    system: Option<Arc<Verifier>>,
}

impl ServerCertVerifier for EitherVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let own =
            self.own
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match (&self.system, own) {
            (Some(system), Err(error)) if error == unknown => system.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            (_, own) => own,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.own.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_without_end_are_not_kept() {
        let configs = TlsConfigs::default();
        let made = rcgen::generate_simple_self_signed(["gw.example".to_owned()]).unwrap();
        let pem = made.cert.pem();
        for number in 0..2 * MAX_BUNDLES {
            assert!(configs.get(Some(&format!("# {number}\n{pem}"))).is_ok());
        }
        assert!(configs.kept() <= MAX_BUNDLES);
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_none_the_next_time_either() {
        let configs = TlsConfigs::default();
        for _ in 0..2 {
            let refused = configs.get(Some("no certificates"));
            assert!(matches!(refused, Err(HttpError::CaBundle(_))));
        }
    }
}
