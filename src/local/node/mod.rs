//! A node beside the local plane, so that pods run: kubelet, kube-proxy, kube-scheduler and CoreDNS with
//! containerd, in network, mount and process namespaces of their own.
//!
//! `llmplane local up --node` starts it, as one process ([`supervisor`]) that holds all others. It must
//! change nothing of the host but what that process takes back when it ends: a pair of virtual interfaces
//! and a folder in each cgroup hierarchy. Nothing of it may listen beyond the machine.

mod addresses;
mod cgroups;
mod enter;
mod init;
mod objects;
mod pki;
mod requirements;
mod settings;
mod supervisor;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{LocalError, Result};
use super::launch::Context;
use super::module_build::{self, GoModule};
use super::process::{self, Spec};
use super::state::{Component, StateDir, create_private_dir, random_hex, to_json};
pub(super) use addresses::Link;
pub(crate) use enter::become_command;
pub(super) use objects::{apply as apply_objects, forget, health};
pub(super) use pki::NodePki;
pub(super) use requirements::Host;
pub(crate) use supervisor::{RunNode, run};

/// The Node object's name.
pub(crate) const NAME: &str = "llmplane-node";
/// Ports at the host's end of the link: where pods find kube-apiserver and PostgreSQL.
pub(super) const APISERVER_PORT: u16 = 6443;
pub(super) const POSTGRES_PORT: u16 = 5432;
/// Where programs are looked for, on the host and inside the node.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const RECORD: &str = "node/node.json";

/// The node's programs: one that picks by the name it is called with, and what a pod's sandbox runs.
const MODULE: GoModule = GoModule {
    name: "node",
    files: &[
        ("go.mod", include_str!("module/go.mod")),
        ("go.sum", include_str!("module/go.sum")),
        ("main.go", include_str!("module/main.go")),
        ("image.go", include_str!("module/image.go")),
        ("pause/main.go", include_str!("module/pause/main.go")),
    ],
    programs: &[("node", "."), ("pause", "./pause")],
    names: &[
        "kubelet",
        "kube-proxy",
        "kube-scheduler",
        "coredns",
        "pack-image",
    ],
    says: "kubelet, kube-proxy, kube-scheduler and CoreDNS (once; about 5 minutes on 2 cores)",
};

/// Bearer tokens of the node's programs; never logged, hence no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub kubelet: String,
    pub kube_proxy: String,
    pub kube_scheduler: String,
    pub coredns: String,
}

/// One plane's node: what is remembered of it between runs.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Node {
    pub link: Link,
    pub tokens: Tokens,
}

impl Node {
    /// The node of a plane that is to have one. Its addresses stay while it runs, and until somebody else
    /// takes them.
    pub(super) fn prepare(dir: &StateDir, wanted: bool) -> Result<Option<Self>> {
        if !wanted {
            return Ok(None);
        }
        let runs = process::running(dir, Component::Node)?.is_some();
        let known = Self::find(dir)?;
        let node = match known {
            Some(node) if runs || node.link.is_free()? => node,
            known => Self {
                link: Link::pick()?,
                tokens: known.map_or_else(Tokens::generate, |node| node.tokens),
            },
        };
        for part in ["", "etc", "etc/cni"] {
            create_private_dir(&folder(dir).join(part))?;
        }
        dir.write(RECORD, &to_json(&node))?;
        NodePki::ensure(dir, node.link.node())?;
        Ok(Some(node))
    }

    /// The node of a plane that once had one.
    pub(super) fn find(dir: &StateDir) -> Result<Option<Self>> {
        dir.read_json(RECORD)
    }

    /// Lines of kube-apiserver's file of static tokens, under the names that Kubernetes's own bindings
    /// and the Node authorizer know.
    pub(super) fn token_lines(&self) -> String {
        let tokens = &self.tokens;
        format!(
            "{},system:node:{NAME},kubelet,\"system:nodes\"\n\
             {},system:kube-proxy,kube-proxy,\"\"\n\
             {},system:kube-scheduler,kube-scheduler,\"\"\n\
             {},{},coredns,\"\"\n",
            tokens.kubelet,
            tokens.kube_proxy,
            tokens.kube_scheduler,
            tokens.coredns,
            objects::COREDNS_USER,
        )
    }

    /// What kube-apiserver has to be started anew for.
    pub(super) fn digest(&self, pki: &NodePki) -> String {
        let certificates =
            [&pki.ca, &pki.client.cert].map(|path| fs::read(path).unwrap_or_default());
        let digest =
            Sha256::digest([self.token_lines().into_bytes(), certificates.concat()].concat());
        hex::encode(&digest[..8])
    }
}

impl Tokens {
    fn generate() -> Self {
        Self {
            kubelet: random_hex(32),
            kube_proxy: random_hex(32),
            kube_scheduler: random_hex(32),
            coredns: random_hex(32),
        }
    }
}

/// Where a plane keeps what is its node's.
pub(super) fn folder(dir: &StateDir) -> PathBuf {
    dir.path().join("node")
}

/// The folder with the node's programs, built where no earlier build serves.
pub(super) async fn programs(report: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    module_build::cached_or_built(&MODULE, report)
        .await
        .map_err(|error| match error {
            LocalError::NoControlPlane { reason } => LocalError::NoNode {
                reasons: vec![format!(
                    "its programs are built by Go 1.26 or later, once ({reason})"
                )],
            },
            other => other,
        })
}

/// Writes what the node's programs read.
pub(super) fn write_configuration(ctx: &Context, node: &Node, host: &Host) -> Result<()> {
    let ca = fs::read(&ctx.pki.ca).map_err(LocalError::io("read", &ctx.pki.ca))?;
    for (name, content) in settings::files(&ctx.dir, node, host, &ca) {
        ctx.dir
            .write(Path::new("node/etc").join(name), content.as_bytes())?;
    }
    let pki = NodePki::locate(&ctx.dir);
    let files = [
        (&pki.ca, "kubelet-ca.crt"),
        (&pki.serving.cert, "kubelet.crt"),
        (&pki.serving.key, "kubelet.key"),
    ];
    for (from, to) in files {
        let content = fs::read(from).map_err(LocalError::io("read", from))?;
        ctx.dir.write(Path::new("node/etc").join(to), &content)?;
    }
    Ok(())
}

/// The one process that a node is on the host.
pub(super) fn supervisor(
    ctx: &Context,
    node: &Node,
    host: &Host,
    programs: &Path,
    executable: &Path,
) -> Spec {
    let mut command = Command::new(executable);
    command
        .args(["local", "run-node", "--state-dir"])
        .arg(ctx.dir.path())
        .arg("--programs")
        .arg(programs)
        .env_clear()
        .env("PATH", PATH)
        .current_dir(ctx.dir.path());
    // A changed setting, token or address is a node that starts anew.
    let settings = settings::files(&ctx.dir, node, host, &[]).into_iter();
    let settings: Vec<String> = settings.map(|(_, content)| content).collect();
    Spec {
        component: Component::Node,
        command,
        user: None,
        depends_on: format!(
            "{} {}",
            ctx.digest(),
            hex::encode(Sha256::digest(settings.concat()))
        ),
    }
}

/// Takes back what a node that was killed could not: its cgroups.
pub(super) async fn clean_up(dir: &StateDir) -> Result<()> {
    if Node::find(dir)?.is_none() {
        return Ok(());
    }
    cgroups::remove(&cgroups::name(dir)).await
}
