//! What can go wrong while the local plane starts, stops or is asked for its state.

use std::path::PathBuf;
use std::time::Duration;

use super::state::Component;

/// An error of the local plane. No variant carries a password, a token or a URL that holds one.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },

    /// The state folder has content that this program did not make.
    #[error(
        "{} is not empty and holds no local plane: name another folder with --state-dir",
        .0.display()
    )]
    ForeignStateDir(PathBuf),

    /// A folder that has to be the caller's own is not.
    #[error("{} {reason}: name another folder with --state-dir, or remove this one", .path.display())]
    UnsafeFolder { path: PathBuf, reason: &'static str },

    /// A list of kubeconfigs is separated by colons.
    #[error("{} has a colon in it, which KUBECONFIG cannot hold: name another folder with --state-dir", .0.display())]
    ColonInPath(PathBuf),

    /// A file of the state folder does not parse.
    #[error("{} is damaged ({reason}): `llmplane local down --purge` removes the state", .path.display())]
    DamagedState { path: PathBuf, reason: String },

    /// Another `up` or `down` works on the same folder and did not finish in time.
    #[error("another `llmplane local` command has held {} for more than {} s: wait until it ends, or end it", .path.display(), .waited.as_secs())]
    Locked { path: PathBuf, waited: Duration },

    /// There is no way to get the control plane's programs.
    #[error(
        "no control plane to run ({reason}). Three ways out: set KUBEBUILDER_ASSETS to a folder with \
         etcd, kube-apiserver, kube-controller-manager and kubectl; install Go 1.26 or later, and they \
         are built once; or set KUBECONFIG to an existing cluster and run `llmplane controller` and \
         `llmplane api` without `local`"
    )]
    NoControlPlane { reason: String },

    /// The Go build of the control plane's or the node's programs failed.
    #[error("building the Go programs failed: {reason}\n{output}")]
    Build { reason: String, output: String },

    /// No node can run on this machine.
    #[error("no node can run here: {}; without --node everything but pods works", .reasons.join("; "))]
    NoNode { reasons: Vec<String> },

    /// A command is for the plane's node, and there is none.
    #[error("this plane has no node that runs: `llmplane local up --node` starts one")]
    NodeStopped,

    /// PostgreSQL's programs were found nowhere.
    #[error(
        "PostgreSQL is not installed: `initdb` and `postgres` are neither on the PATH nor under \
         /usr/lib/postgresql/<version>/bin (Debian: apt-get install postgresql)"
    )]
    NoPostgres,

    /// The data was made by a version of PostgreSQL that is not installed any more.
    #[error(
        "{} was made by PostgreSQL {version}, which is not installed: install that version, or start \
         anew with `llmplane local down --purge`",
        .data.display()
    )]
    OtherPostgres { data: PathBuf, version: String },

    /// PostgreSQL refuses to run as root, and there is no user to drop to.
    #[error(
        "PostgreSQL cannot run as root, and there is no user `postgres` or `nobody` to run it as"
    )]
    NoUnprivilegedUser,

    /// A program that runs to its end ended badly.
    #[error("{program} failed ({outcome})\n{output}")]
    CommandFailed {
        program: &'static str,
        outcome: String,
        output: String,
    },

    /// A child could not be started.
    #[error("cannot start {component}: {source}")]
    Spawn {
        component: Component,
        source: std::io::Error,
    },

    /// A child ended while it was waited for.
    #[error("{component} ended while starting; its log {} ends with:\n{tail}", .log.display())]
    Died {
        component: Component,
        log: PathBuf,
        tail: String,
    },

    /// A child ended while starting, and somebody else has one of its ports.
    #[error(
        "another program took a port of {component}: run `llmplane local up` again, and it chooses another"
    )]
    PortTaken { component: Component },

    /// A child that lives did not become ready in time.
    #[error("{component} (process {pid}) runs, but was not ready after {} s ({reason}): `llmplane local down` stops it; its log {} ends with:\n{tail}", .waited.as_secs(), .log.display())]
    NotReady {
        component: Component,
        pid: i32,
        waited: Duration,
        reason: String,
        log: PathBuf,
        tail: String,
    },

    /// A child did not end, not even when killed.
    #[error(
        "{component} (process {pid}) did not end, not even by SIGKILL: `llmplane local down` tries again"
    )]
    Unstoppable { component: Component, pid: i32 },

    /// A process that no record names did not end, not even when killed.
    #[error(
        "process {0}, which belongs to this plane, did not end, not even by SIGKILL: `llmplane local down` tries again"
    )]
    LeftOver(i32),

    /// `down` went on over what it could not do.
    #[error("not everything is stopped: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NotAllStopped(Vec<LocalError>),

    /// Keys or certificates could not be made.
    #[error("cannot make certificates: {0}")]
    Certificates(#[from] rcgen::Error),

    /// A request to the local kube-apiserver failed.
    #[error("cannot {action}: {source}")]
    Kubernetes {
        action: String,
        source: Box<kube::Error>,
    },

    /// A file of manifests that is built into this program does not parse.
    #[error("a built-in manifest is malformed: {0}")]
    Manifest(String),

    /// A definition that was applied is not served.
    #[error("kube-apiserver took the CRD {name}, but does not serve it: {reason}; its log is {}", .log.display())]
    NotServed {
        name: String,
        reason: String,
        log: PathBuf,
    },

    /// The kubeconfig that was written cannot be used.
    #[error("the kubeconfig that `llmplane local` wrote cannot be used: {0}")]
    Kubeconfig(#[from] Box<kube::config::KubeconfigError>),

    /// The kubeconfig that was written names no cluster that can be used.
    #[error("the kubeconfig that `llmplane local` wrote cannot be used: {0}")]
    UnusableKubeconfig(#[from] crate::config::cluster::UnusableKubeconfig),

    /// A statement that sets the local PostgreSQL up failed.
    #[error("cannot {action} in the local PostgreSQL: {source}")]
    Database {
        action: &'static str,
        source: sqlx::Error,
    },

    /// The keyring could not be made.
    #[error("cannot make the keyring: {0}")]
    Keyring(#[from] crate::encryption::KeyringError),

    /// SIGINT or SIGTERM arrived; what had been started is stopped again.
    #[error("interrupted; everything that had been started is stopped")]
    Interrupted,
}

impl LocalError {
    /// For `map_err` on a file operation.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// This module's result.
pub type Result<T, E = LocalError> = std::result::Result<T, E>;
