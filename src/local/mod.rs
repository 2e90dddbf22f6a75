//! A real control plane on a laptop: etcd, kube-apiserver, kube-controller-manager and PostgreSQL
//! as child processes on loopback, then llmplane's own controller and API; on request a node beside them, so
//! that pods run.
//!
//! `llmplane local` and the integration tests call it. It must never listen beyond loopback, leave
//! a port open to the machine's other users without proof of who they are, or leave a child behind
//! when it fails.

pub mod binaries;
mod bootstrap;
pub(crate) mod error;
mod kubernetes;
pub(crate) mod launch;
mod module_build;
pub(crate) mod node;
mod pki;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod state;
pub(crate) mod status;
mod workloads;

pub use bootstrap::SYSTEM_NAMESPACE;
pub use error::LocalError;
pub use launch::{Durability, Options, down, up};
pub use process::Lifetime;
pub use state::StateDir;
pub use status::{Status, status};
