//! `spec.caBundle` of an endpoint: what of it can be used. The schema's rules see that there is
//! something like a certificate in it, and no private key; whether it is one is seen here.

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Why a bundle cannot be used. Nothing of its contents is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCaBundle {
    /// It holds what must not be shown to whoever reads the object.
    #[error(
        "holds a private key; leave it out, and take the key for known to whoever reads this object"
    )]
    PrivateKey,
    /// It holds no certificate at all.
    #[error(
        "holds no certificate; paste PEM certificates, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
    )]
    Empty,
    /// A certificate, counted from 1, is none.
    #[error("its certificate {0} cannot be read; paste it whole, as its authority gave it out")]
    Unreadable(usize),
}

/// The certificates of a bundle; there is at least one.
///
/// # Errors
/// Why it cannot be used, to be said of the field.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, BadCaBundle> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(BadCaBundle::PrivateKey);
    }
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for (index, found) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let unreadable = BadCaBundle::Unreadable(index + 1);
        let certificate = found.map_err(|_| unreadable)?;
        store.add(certificate.clone()).map_err(|_| unreadable)?;
        certificates.push(certificate);
    }
    match certificates.is_empty() {
        true => Err(BadCaBundle::Empty),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn real() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["gw.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_are_taken_with_whatever_stands_between_them() {
        let (one, other) = (real().0, real().0);
        let bundle = format!("# ours\n{one}\n# theirs\r\n{other}");
        assert_eq!(certificates(&bundle).map(|found| found.len()), Ok(2));
    }

    #[test]
    fn what_is_no_certificate_is_told_by_its_place() {
        let (good, key) = real();
        let cut = &good[..good.len() / 2];
        for (bundle, why) in [
            (String::new(), BadCaBundle::Empty),
            ("not PEM".to_owned(), BadCaBundle::Empty),
            (pem("MIIB"), BadCaBundle::Unreadable(1)),
            (pem("!!"), BadCaBundle::Unreadable(1)),
            (cut.to_owned(), BadCaBundle::Unreadable(1)),
            (format!("{good}{}", pem("MIIB")), BadCaBundle::Unreadable(2)),
            (key.clone(), BadCaBundle::PrivateKey),
            (format!("{good}{key}"), BadCaBundle::PrivateKey),
        ] {
            assert_eq!(certificates(&bundle), Err(why), "{bundle}");
        }
    }
}
