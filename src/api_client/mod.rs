//! The API as a person at a terminal reaches it: under their own kubeconfig, as a ServiceAccount whose
//! token the kube-apiserver makes, by a port-forward to the Service or at a URL.
//!
//! Commands that ask once take an [`ApiClient`]; what runs for long keeps an [`ApiConnection`], which gets
//! a new token and a new port-forward where the ones before have ended.

mod cluster;
mod connection;
mod port_forward;
mod service;
mod token;

pub use cluster::{Cluster, ClusterArgs};
pub use connection::{ApiArgs, ApiClient, ApiConnection, Link, problem};
pub use token::TokenSource;
