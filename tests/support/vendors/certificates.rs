//! Certificates for fakes, good ones and bad ones.

use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What a fake's certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It is for loopback, and valid.
    Good,
    /// It was valid until 2001.
    Expired,
    /// It is for `elsewhere.example`.
    OtherHost,
}

/// The authority that signs them all.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = params.distinguished_name.clone();
    params.distinguished_name = {
        let mut name = name;
        name.push(DnType::CommonName, "test authority");
        name
    };
    params.not_before = date_time_ymd(2000, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Authority {
        pem: certificate.pem(),
        issuer: Issuer::new(params, key),
    }
});

/// The authority's certificate: an endpoint's `caBundle`.
pub fn authority_pem() -> &'static str {
    &AUTHORITY.pem
}

impl Certificate {
    pub(super) fn acceptor(self) -> TlsAcceptor {
        let names = match self {
            Self::OtherHost => vec!["elsewhere.example".to_owned()],
            _ => ["localhost", "127.0.0.1", "127.0.0.2", "::1"]
                .map(str::to_owned)
                .to_vec(),
        };
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        if self == Self::Expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &AUTHORITY.issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
