//! Keys and certificates of one local plane, made once and kept in `pki/`.
//!
//! Two authorities: etcd trusts only the one that signed the kube-apiserver's client certificate,
//! so that no other local user can talk to it.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::error::Result;
use super::state::StateDir;

/// What kube-apiserver is called: on loopback, and by pods, to whom it is the first address of Services.
const SERVING_NAMES: [&str; 6] = [
    "127.0.0.1",
    "10.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];
/// Years that a certificate is valid for: longer than anyone keeps a laptop's state folder.
const YEARS: i16 = 10;

/// A certificate's file and its key's.
#[derive(Debug, Clone)]
pub(super) struct CertFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Where the keys and certificates are.
#[derive(Debug, Clone)]
pub(super) struct Pki {
    /// The authority that etcd's certificates come from.
    pub etcd_ca: PathBuf,
    /// etcd's own, for clients and peers.
    pub etcd: CertFiles,
    /// The kube-apiserver's, towards etcd.
    pub etcd_client: CertFiles,
    /// The authority that the kube-apiserver's certificate comes from.
    pub ca: PathBuf,
    /// What kube-apiserver and kube-controller-manager serve with.
    pub serving: CertFiles,
    /// Says which names the latter is for; written last.
    serving_names: PathBuf,
    /// Signs ServiceAccount tokens.
    pub service_account_key: PathBuf,
    /// Verifies them.
    pub service_account_public_key: PathBuf,
}

impl Pki {
    pub(super) fn locate(dir: &StateDir) -> Self {
        let file = |name: &str| dir.path().join("pki").join(name);
        let pair = |name: &str| CertFiles {
            cert: file(&format!("{name}.crt")),
            key: file(&format!("{name}.key")),
        };
        Self {
            etcd_ca: file("etcd-ca.crt"),
            etcd: pair("etcd"),
            etcd_client: pair("etcd-client"),
            ca: file("ca.crt"),
            serving: pair("serving"),
            serving_names: file("serving-names"),
            service_account_key: file("service-account.key"),
            service_account_public_key: file("service-account.pub"),
        }
    }

    /// Finds this plane's files, or makes them. The authorities' own keys are never written.
    pub(super) fn ensure(dir: &StateDir) -> Result<Self> {
        let pki = Self::locate(dir);
        // Written last: where it is, all the others are.
        if !pki.service_account_key.is_file() {
            pki.make_for_etcd(dir)?;
            pki.make_for_service_accounts(dir)?;
        }
        let names = SERVING_NAMES.join("\n");
        if !fs::read_to_string(&pki.serving_names).is_ok_and(|known| known == names) {
            pki.make_for_clients(dir)?;
            dir.write(&pki.serving_names, names.as_bytes())?;
        }
        Ok(pki)
    }

    fn make_for_etcd(&self, dir: &StateDir) -> Result<()> {
        let ca = Authority::new("llmplane local etcd")?;
        let usages = [
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        dir.write(&self.etcd_ca, ca.pem.as_bytes())?;
        let names = ["127.0.0.1", "localhost"];
        ca.issue(dir, &self.etcd, "etcd", &names, &usages)?;
        ca.issue(dir, &self.etcd_client, "kube-apiserver", &[], &usages[1..])
    }

    fn make_for_clients(&self, dir: &StateDir) -> Result<()> {
        let ca = Authority::new("llmplane local")?;
        dir.write(&self.ca, ca.pem.as_bytes())?;
        let usages = [ExtendedKeyUsagePurpose::ServerAuth];
        ca.issue(
            dir,
            &self.serving,
            "kube-apiserver",
            &SERVING_NAMES,
            &usages,
        )
    }

    fn make_for_service_accounts(&self, dir: &StateDir) -> Result<()> {
        let pair = KeyPair::generate()?;
        let public = pair.public_key_pem();
        dir.write(&self.service_account_public_key, public.as_bytes())?;
        dir.write(&self.service_account_key, pair.serialize_pem().as_bytes())
    }
}

/// An authority whose key is forgotten with it.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Writes a key and its certificate.
    pub(super) fn issue(
        &self,
        dir: &StateDir,
        files: &CertFiles,
        name: &str,
        alternative_names: &[&str],
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<()> {
        let mut params = params(name, alternative_names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        dir.write(&files.key, key.serialize_pem().as_bytes())?;
        dir.write(&files.cert, cert.pem().as_bytes())
    }
}

fn params(name: &str, alternative_names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = alternative_names
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let year = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .year();
    // From the year before: no clock that is a little behind, or on New Year's Eve, refuses it.
    params.not_before = date_time_ymd(i32::from(year - 1), 1, 1);
    params.not_after = date_time_ymd(i32::from(year + YEARS), 1, 1);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_of_an_earlier_version_gets_a_certificate_that_pods_can_verify() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(&folder.path().join("state")).unwrap();
        dir.create().unwrap();
        let pki = Pki::ensure(&dir).unwrap();
        let read = |path: &PathBuf| fs::read(path).unwrap();
        let before = [&pki.ca, &pki.service_account_key, &pki.etcd.cert].map(read);
        let pki = Pki::ensure(&dir).unwrap();
        assert_eq!(
            [&pki.ca, &pki.service_account_key, &pki.etcd.cert].map(read),
            before
        );

        fs::remove_file(&pki.serving_names).unwrap();
        let pki = Pki::ensure(&dir).unwrap();
        assert_ne!(read(&pki.ca), before[0]);
        assert_eq!(
            [&pki.service_account_key, &pki.etcd.cert].map(read),
            before[1..]
        );
    }
}
