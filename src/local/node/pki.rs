//! Keys and certificates between kube-apiserver and the kubelet, in both directions; made anew where the
//! node's address changes.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use rcgen::ExtendedKeyUsagePurpose;

use crate::local::error::Result;
use crate::local::pki::{Authority, CertFiles};
use crate::local::state::StateDir;

/// The name that kube-apiserver has towards the kubelet.
pub(super) const CLIENT_NAME: &str = "kube-apiserver-kubelet-client";

/// Where the keys and certificates are.
#[derive(Debug, Clone)]
pub(in crate::local) struct NodePki {
    /// The authority that both certificates come from.
    pub ca: PathBuf,
    /// What kube-apiserver shows to the kubelet.
    pub client: CertFiles,
    /// What the kubelet serves with.
    pub serving: CertFiles,
    /// Says which address the kubelet's certificate is for; written last.
    address: PathBuf,
}

impl NodePki {
    pub(in crate::local) fn locate(dir: &StateDir) -> Self {
        let file = |name: &str| dir.path().join("pki").join(name);
        let pair = |name: &str| CertFiles {
            cert: file(&format!("{name}.crt")),
            key: file(&format!("{name}.key")),
        };
        Self {
            ca: file("kubelet-ca.crt"),
            client: pair("kubelet-client"),
            serving: pair("kubelet"),
            address: file("kubelet-address"),
        }
    }

    /// Finds the files for a node at this address, or makes them.
    pub(in crate::local) fn ensure(dir: &StateDir, node: Ipv4Addr) -> Result<Self> {
        let pki = Self::locate(dir);
        let address = node.to_string();
        if fs::read_to_string(&pki.address).is_ok_and(|known| known == address) {
            return Ok(pki);
        }
        let ca = Authority::new("llmplane local kubelet")?;
        dir.write(&pki.ca, ca.pem.as_bytes())?;
        ca.issue(
            dir,
            &pki.client,
            CLIENT_NAME,
            &[],
            &[ExtendedKeyUsagePurpose::ClientAuth],
        )?;
        let usages = [ExtendedKeyUsagePurpose::ServerAuth];
        ca.issue(dir, &pki.serving, super::NAME, &[&address], &usages)?;
        dir.write(&pki.address, address.as_bytes())?;
        Ok(pki)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_stay_until_the_node_has_another_address() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(&folder.path().join("state")).unwrap();
        dir.create().unwrap();
        let made = |last| {
            let pki = NodePki::ensure(&dir, Ipv4Addr::new(10, 244, 8, last)).unwrap();
            fs::read(pki.serving.cert).unwrap()
        };
        let first = made(2);
        assert_eq!(made(2), first);
        assert_ne!(made(6), first);
    }
}
