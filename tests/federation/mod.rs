//! Credentials without a key, from manifests to an agent: by a real kube-apiserver's tokens, which the
//! vendors' token services verify by the cluster's own keys.

mod agents;
mod refusals;
pub mod site;
