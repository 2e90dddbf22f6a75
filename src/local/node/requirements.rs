//! What a node needs of the machine, and what to do where it lacks something.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::local::error::{LocalError, Result};
use crate::local::state::StateDir;

use super::{PATH, cgroups};

/// Programs, and the Debian package of each.
const PROGRAMS: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];
const CNI_PACKAGE: &str = "containernetworking-plugins";
const CNI_PLUGINS: [&str; 3] = ["bridge", "host-local", "loopback"];
/// Debian's folder of CNI plugins, and the one that others use.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
/// What the node has of its own, so that a state folder in it would be out of sight.
const HIDDEN: [&str; 2] = ["/run", "/var"];

/// What was found on this machine.
#[derive(Debug, Clone)]
pub(in crate::local) struct Host {
    /// The folder of CNI plugins.
    pub cni: PathBuf,
    /// How containerd lays images over each other: `native` where the state folder is itself on an overlay.
    pub snapshotter: &'static str,
}

#[derive(Debug, Default)]
struct Found {
    linux: bool,
    root: bool,
    cgroups: bool,
    missing: Vec<&'static str>,
    cni: Option<PathBuf>,
    hidden: Option<PathBuf>,
}

impl Host {
    /// Looks for all of it.
    ///
    /// # Errors
    /// [`LocalError::NoNode`] says everything that is missing, and what to do about it.
    pub(in crate::local) fn find(dir: &StateDir) -> Result<Self> {
        let place = fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
        let found = Found {
            linux: cfg!(target_os = "linux"),
            root: Uid::effective().is_root(),
            cgroups: cgroups::are_usable(),
            missing: missing_packages(),
            cni: CNI_FOLDERS
                .into_iter()
                .map(Path::new)
                .find(|dir| has_plugins(dir))
                .map(Path::to_path_buf),
            hidden: is_hidden(&place).then_some(place),
        };
        let reasons = reasons(&found);
        match found.cni {
            Some(cni) if reasons.is_empty() => Ok(Self {
                cni,
                snapshotter: snapshotter(dir.path()),
            }),
            _ => Err(LocalError::NoNode { reasons }),
        }
    }
}

/// Whether a folder is out of the node's sight.
pub(super) fn is_hidden(folder: &Path) -> bool {
    HIDDEN.iter().any(|top| folder.starts_with(top))
}

fn missing_packages() -> Vec<&'static str> {
    let is_there = |program: &str| {
        PATH.split(':')
            .any(|dir| Path::new(dir).join(program).is_file())
    };
    let mut packages: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| package)
        .collect();
    packages.dedup();
    packages
}

fn has_plugins(dir: &Path) -> bool {
    CNI_PLUGINS.iter().all(|plugin| dir.join(plugin).is_file())
}

/// Why no node can run, each with what to do; empty where one can.
fn reasons(found: &Found) -> Vec<String> {
    if !found.linux {
        return vec!["it needs Linux".to_owned()];
    }
    let mut reasons = Vec::new();
    if !found.root {
        reasons.push("it needs root, for namespaces and cgroups: run this with sudo".to_owned());
    }
    let mut missing = found.missing.clone();
    if found.cni.is_none() {
        missing.push(CNI_PACKAGE);
    }
    if !missing.is_empty() {
        let all = missing.join(" ");
        reasons.push(format!(
            "programs are missing (Debian: apt-get install {all})"
        ));
    }
    if !found.cgroups {
        reasons.push(
            "no cgroups are mounted that can be written: mount them at /sys/fs/cgroup, or start the container \
             that this runs in with --privileged"
                .to_owned(),
        );
    }
    if let Some(place) = &found.hidden {
        reasons.push(format!(
            "{} is in /run or /var, of which the node has its own: name another folder with --state-dir",
            place.display()
        ));
    }
    reasons
}

/// How containerd can lay images over each other in a folder.
pub(super) fn snapshotter(dir: &Path) -> &'static str {
    #[cfg(target_os = "linux")]
    if nix::sys::statfs::statfs(dir)
        .is_ok_and(|it| it.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
    {
        return "native";
    }
    let _ = dir;
    "overlayfs"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Found {
        Found {
            linux: true,
            root: true,
            cgroups: true,
            cni: Some(PathBuf::from("/usr/lib/cni")),
            ..Found::default()
        }
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once_with_what_to_do() {
        let found = Found {
            linux: true,
            missing: vec!["containerd", "runc"],
            ..Found::default()
        };
        let message = LocalError::NoNode {
            reasons: reasons(&found),
        }
        .to_string();
        for part in [
            "run this with sudo",
            "apt-get install containerd runc containernetworking-plugins)",
            "/sys/fs/cgroup",
            "without --node",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn a_machine_that_has_all_of_it_is_refused_for_nothing() {
        assert_eq!(reasons(&complete()), Vec::<String>::new());
    }

    #[test]
    fn a_state_folder_that_the_node_could_not_see_is_refused() {
        let found = Found {
            hidden: Some(PathBuf::from("/var/lib/plane")),
            ..complete()
        };
        assert!(reasons(&found)[0].contains("--state-dir"));
    }
}
