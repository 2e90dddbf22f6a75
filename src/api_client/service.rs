//! What the cluster says of the API's Service, where no port-forward reaches it.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// The Service that the manifests install.
pub const SERVICE: &str = "llmplane-api";

/// What is wrong with the Service or its pods, and what to do; none where that is not it, or the user may
/// not see it.
pub async fn fault(client: &Client, namespace: &str) -> Option<String> {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let Some(service) = services.get_opt(SERVICE).await.ok()? else {
        return Some(format!(
            "there is no Service {SERVICE} in namespace {namespace}: install llmplane there, or name its \
             namespace with --api-namespace, or the API's URL with --api-url"
        ));
    };
    let selector = service.spec?.selector.filter(|labels| !labels.is_empty())?;
    let labels = selector.iter();
    let labels = labels.map(|(name, value)| format!("{name}={value}"));
    let labels = labels.collect::<Vec<_>>().join(",");
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pods = pods
        .list(&ListParams::default().labels(&labels))
        .await
        .ok()?;
    let why = why_none_is_ready(&pods.items)?;
    Some(format!(
        "Service {SERVICE} in namespace {namespace} {why}: see kubectl get deployments,pods -n {namespace}, or \
         name the API's URL with --api-url"
    ))
}

/// Why no pod is ready; none where one is.
fn why_none_is_ready(pods: &[Pod]) -> Option<String> {
    match pods {
        [] => Some("has no pods".to_owned()),
        pods if pods.iter().any(is_ready) => None,
        [first, ..] => {
            let phase = first
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            Some(format!(
                "has no pod that is ready (1 of {}: {}, {})",
                pods.len(),
                first.name_any(),
                phase.unwrap_or("Unknown")
            ))
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        let mut conditions = conditions.iter();
        conditions.any(|one| one.type_ == "Ready" && one.status == "True")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, ready: Value) -> Pod {
        let conditions = json!([{ "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": ready }]);
        let pod = json!({
            "metadata": { "name": name },
            "status": { "phase": phase, "conditions": conditions },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn a_pod_that_runs_and_is_not_ready_is_told_of_and_one_that_is_ready_is_no_fault() {
        assert_eq!(why_none_is_ready(&[]).as_deref(), Some("has no pods"));
        let starting = || pod("a", "Running", json!("False"));
        let why = why_none_is_ready(&[starting(), pod("b", "Pending", json!("Unknown"))]);
        let why = why.expect("none is ready");
        assert!(why.contains("1 of 2: a, Running"), "{why}");
        let ready = pod("c", "Running", json!("True"));
        assert_eq!(why_none_is_ready(&[starting(), ready]), None);
        assert!(why_none_is_ready(&[Pod::default()]).is_some());
    }
}
