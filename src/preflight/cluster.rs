//! What the cluster itself must offer.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Api, Client, ResourceExt};

use super::Target;
use super::report::Report;
use super::said;

/// Definitions with selectable fields, and admission policies, need it.
const LEAST_MINOR: u32 = 32;

pub(super) const REMEDY: &str = "name the cluster that is installed on as for kubectl (KUBECONFIG, --context), or run this in a pod with a \
     service account";

/// The cluster's identity (the UID of `kube-system`); empty where it may not be read, none where nothing answers.
pub(super) async fn check(client: &Client, target: &Target, report: &mut Report) -> Option<String> {
    let version = match client.apiserver_version().await {
        Ok(version) => version,
        Err(error) => {
            report.fail(
                "cluster",
                format!("it does not answer: {}", said(&error)),
                REMEDY,
            );
            return None;
        }
    };
    let digits = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or_default()
    };
    let found = format!("Kubernetes {}", version.git_version);
    match (digits(&version.major), digits(&version.minor)) >= (1, LEAST_MINOR) {
        true => report.ok("cluster", found),
        false => report.fail(
            "cluster",
            found,
            format!("upgrade the cluster to 1.{LEAST_MINOR} or later"),
        ),
    }
    offers(client, target, report).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.get_metadata("kube-system").await {
        Ok(namespace) => namespace.uid(),
        Err(_) => Some(String::new()),
    }
}

/// APIs that the objects of an installation are of.
async fn offers(client: &Client, target: &Target, report: &mut Report) {
    let on = |path: &[&str]| target.values.is_on(path);
    let policies = "admissionregistration.k8s.io/v1";
    match knows(client, policies, "validatingadmissionpolicies").await {
        Ok(true) => report.ok("admission policies", "ValidatingAdmissionPolicy is served"),
        Ok(false) => report.fail(
            "admission policies",
            "the cluster does not serve ValidatingAdmissionPolicy",
            "serve admissionregistration.k8s.io/v1 (kube-apiserver --runtime-config): without the policy, whoever may \
             create an LlmCredential has the controller read Secrets that they may not read themselves",
        ),
        Err(error) => unknown("admission policies", error, report),
    }
    match knows(client, "networking.k8s.io/v1", "networkpolicies").await {
        Ok(true) => report.ok(
            "network policies",
            "NetworkPolicy is served; whether it is enforced is up to the cluster's network plugin",
        ),
        Ok(false) => report.fail(
            "network policies",
            "the cluster does not serve NetworkPolicy",
            "set networkPolicy.enabled=false, and keep others from the admin ports in another way",
        ),
        Err(error) => unknown("network policies", error, report),
    }
    for (wanted, group, resource, who, off) in [
        (
            on(&["serviceMonitor", "enabled"]),
            "monitoring.coreos.com/v1",
            "servicemonitors",
            "the Prometheus operator",
            "serviceMonitor.enabled=false",
        ),
        (
            on(&["prometheusRule", "enabled"]),
            "monitoring.coreos.com/v1",
            "prometheusrules",
            "the Prometheus operator",
            "prometheusRule.enabled=false",
        ),
        (
            on(&["api", "tls", "certManager", "enabled"]),
            "cert-manager.io/v1",
            "certificates",
            "cert-manager",
            "api.tls.certManager.enabled=false, with a Secret of your own",
        ),
    ] {
        if !wanted {
            continue;
        }
        match knows(client, group, resource).await {
            Ok(true) => report.ok(resource, format!("{group} is served")),
            Ok(false) => report.fail(
                resource,
                format!("the values ask for {resource} and the cluster does not serve {group}"),
                format!("install {who}, or set {off}"),
            ),
            Err(error) => unknown(resource, error, report),
        }
    }
}

fn unknown(check: &str, error: kube::Error, report: &mut Report) {
    report.warn(
        check,
        format!("it cannot be found out: {}", said(&error)),
        "let the account read the cluster's API groups (ClusterRole system:discovery)",
    );
}

/// Whether a group's version has a resource.
async fn knows(client: &Client, group_version: &str, resource: &str) -> Result<bool, kube::Error> {
    let list: APIResourceList = match client.list_api_group_resources(group_version).await {
        Ok(list) => list,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(list.resources.iter().any(|known| known.name == resource))
}
