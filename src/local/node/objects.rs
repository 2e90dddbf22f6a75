//! What a cluster with a node has and the plane alone has not: where Service `kubernetes` leads to, rights of
//! the node's programs, and the Node itself.

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Client;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::local::bootstrap::{self, kubernetes_error};
use crate::local::error::Result;
use crate::local::launch::Context;

use super::{NAME, Node, pki};

pub(super) const COREDNS_USER: &str = "system:coredns";

/// Applies everything; what is there already and equal stays as it is.
pub(in crate::local) async fn apply(client: &Client, node: &Node) -> Result<()> {
    for object in objects(node) {
        // Invariant: each is an object with a kind and a name.
        let object = serde_json::from_value(object).expect("an object");
        bootstrap::apply(client, "the node's objects", &object).await?;
    }
    Ok(())
}

fn objects(node: &Node) -> Vec<serde_json::Value> {
    let rbac = "rbac.authorization.k8s.io";
    let binding = |name: &str, role: &str, user: &str| {
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
        })
    };
    let read = ["list", "watch"];
    vec![
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [node.link.host()], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": node.link.apiserver().port(), "protocol": "TCP"}],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": COREDNS_USER},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": read},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
            ],
        }),
        binding(COREDNS_USER, COREDNS_USER, COREDNS_USER),
        binding(
            pki::CLIENT_NAME,
            "system:kubelet-api-admin",
            pki::CLIENT_NAME,
        ),
    ]
}

/// Removes the Node that an earlier run left, which would count as ready until somebody misses its
/// heartbeat. The kubelet makes it anew; its pods stay.
pub(in crate::local) async fn forget(client: &Client) -> Result<()> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    match nodes.delete(NAME, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        outcome => outcome
            .map(|_| ())
            .map_err(|error| kubernetes_error(format!("remove Node {NAME}"), error)),
    }
}

/// Whether the Node is there and ready.
///
/// # Errors
/// Why not, in the kubelet's words.
pub(in crate::local) async fn health(ctx: &Context) -> Result<(), String> {
    let node =
        crate::local::kubernetes::json_as_admin(ctx, &format!("/api/v1/nodes/{NAME}")).await?;
    readiness(&node)
}

fn readiness(node: &serde_json::Value) -> Result<(), String> {
    let conditions = node["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let Some(ready) = conditions.find(|condition| condition["type"] == "Ready") else {
        return Err(format!("Node {NAME} has no condition yet"));
    };
    match ready["status"] == "True" {
        true => Ok(()),
        false => {
            let message = ready["message"].as_str().unwrap_or_default();
            Err(format!("Node {NAME} is not ready: {message}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_the_kubelet_says_so() {
        let node = |conditions| json!({"status": {"conditions": conditions}});
        let ready = |status| json!([{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": status, "message": "no network yet"}]);
        assert_eq!(readiness(&node(ready("True"))), Ok(()));
        let late = readiness(&node(ready("False"))).unwrap_err();
        assert!(late.ends_with("is not ready: no network yet"), "{late}");
        assert!(readiness(&json!({})).is_err());
    }
}
