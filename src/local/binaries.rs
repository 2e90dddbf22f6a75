//! Where the control plane's programs come from.

use std::path::{Path, PathBuf};

use super::error::{LocalError, Result};
use super::module_build;

/// The convention of operators' tests for a folder with the control plane's programs.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The control plane's programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub etcd: PathBuf,
    pub apiserver: PathBuf,
    pub controller_manager: PathBuf,
    pub kubectl: PathBuf,
}

impl Binaries {
    /// The names that all four have in a folder.
    pub(super) const NAMES: [&str; 4] = [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kubectl",
    ];

    /// The folder of `KUBEBUILDER_ASSETS` where that is set; else what is built, once, into the
    /// user's cache folder from the Go module within this program.
    ///
    /// # Errors
    /// [`LocalError::NoControlPlane`] names the ways out; [`LocalError::Build`] says what Go said.
    pub async fn find(report: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        match std::env::var_os(ASSETS).filter(|value| !value.is_empty()) {
            Some(folder) => Self::in_assets(Path::new(&folder)),
            None => module_build::cached_or_built(&module_build::CONTROL_PLANE, report)
                .await
                .map(|dir| Self::in_folder(&dir)),
        }
    }

    pub(super) fn in_folder(dir: &Path) -> Self {
        let [etcd, apiserver, controller_manager, kubectl] = Self::NAMES.map(|name| dir.join(name));
        Self {
            etcd,
            apiserver,
            controller_manager,
            kubectl,
        }
    }

    fn in_assets(dir: &Path) -> Result<Self> {
        let missing: Vec<&str> = Self::NAMES
            .into_iter()
            .filter(|name| !dir.join(name).is_file())
            .collect();
        if missing.is_empty() {
            return Ok(Self::in_folder(dir));
        }
        Err(LocalError::NoControlPlane {
            reason: format!(
                "{ASSETS} is {}, which lacks {}",
                dir.display(),
                missing.join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_folder_is_refused_with_what_it_lacks_and_the_ways_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let message = Binaries::in_assets(dir.path()).unwrap_err().to_string();
        for part in [
            "lacks kube-controller-manager)",
            "KUBEBUILDER_ASSETS",
            "install Go",
            "KUBECONFIG",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
