//! What the account may do that installs.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::contradictions::ROLES;
use super::report::{Report, Verdict};
use super::said;
use super::values::Values;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const PROMETHEUS: &str = "monitoring.coreos.com";

/// Namespace whose EndpointSlices tell the kube-apiservers' addresses.
const APISERVER_NAMESPACE: &str = "default";

/// Objects of one resource that are installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its API group.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// Where they are; none for the whole cluster.
    pub namespace: Option<String>,
}

/// What the chart installs with these values in this namespace, but for the pod of `helm test`. A test compares.
pub fn installed(values: &Values, namespace: &str) -> BTreeSet<Installed> {
    let on = |path: &[&str]| values.is_on(path);
    let cluster = [
        (true, RBAC, "clusterroles"),
        (true, RBAC, "clusterrolebindings"),
        (true, ADMISSION, "validatingadmissionpolicies"),
        (true, ADMISSION, "validatingadmissionpolicybindings"),
        (
            on(&["crds", "install"]),
            "apiextensions.k8s.io",
            "customresourcedefinitions",
        ),
    ];
    let has_url = |role| !values.text(&["database", role, "url"]).is_empty();
    let own = [
        (true, "", "configmaps"),
        (true, "", "serviceaccounts"),
        (true, "", "services"),
        (true, "apps", "deployments"),
        (true, RBAC, "roles"),
        (true, RBAC, "rolebindings"),
        (ROLES.into_iter().any(has_url), "", "secrets"),
        (values.migrates(), "batch", "jobs"),
        (
            on(&["networkPolicy", "enabled"]),
            "networking.k8s.io",
            "networkpolicies",
        ),
        (
            on(&["podDisruptionBudget", "enabled"]),
            "policy",
            "poddisruptionbudgets",
        ),
        (
            on(&["api", "tls", "certManager", "enabled"]),
            "cert-manager.io",
            "certificates",
        ),
        (
            on(&["serviceMonitor", "enabled"]),
            PROMETHEUS,
            "servicemonitors",
        ),
        (
            on(&["prometheusRule", "enabled"]),
            PROMETHEUS,
            "prometheusrules",
        ),
    ];
    let object = |group, resource, namespace: Option<&str>| Installed {
        group,
        resource,
        namespace: namespace.map(str::to_owned),
    };
    let cluster = cluster.into_iter().filter(|(wanted, ..)| *wanted);
    let cluster = cluster.map(|(_, group, resource)| object(group, resource, None));
    let own = own.into_iter().filter(|(wanted, ..)| *wanted);
    let own = own.map(|(_, group, resource)| object(group, resource, Some(namespace)));
    // Each RoleBinding of the right to read Secrets stands alone, the others beside their Roles.
    let bound = values.secret_namespaces().into_iter();
    let bound = bound.map(|name| object(RBAC, "rolebindings", Some(name)));
    let federation = values.entries(&["federation"]).map(|(name, _)| name);
    let roles = federation
        .chain([APISERVER_NAMESPACE])
        .flat_map(|name| ["roles", "rolebindings"].map(|what| object(RBAC, what, Some(name))));
    cluster.chain(own).chain(bound).chain(roles).collect()
}

pub(super) async fn check(
    client: &Client,
    values: &Values,
    namespace: &str,
    installs: bool,
    report: &mut Report,
) {
    const CHECK: &str = "rights";
    let mut lacking = Vec::new();
    for object in installed(values, namespace) {
        for verb in ["create", "patch"] {
            match may(client, verb, &object).await {
                Ok(true) => {}
                Ok(false) => {
                    let elsewhere = object.namespace.as_deref().filter(|it| *it != namespace);
                    let place = elsewhere.map(|it| format!(" in {it}")).unwrap_or_default();
                    lacking.push(format!("{verb} {}{place}", object.resource));
                }
                Err(error) => {
                    let remedy = "let the account create selfsubjectaccessreviews (ClusterRole system:basic-user)";
                    return report.warn(
                        CHECK,
                        format!("they cannot be asked for: {}", said(&error)),
                        remedy,
                    );
                }
            }
        }
    }
    if lacking.is_empty() {
        return report.ok(
            CHECK,
            "this account may create and change what is installed",
        );
    }
    let (verdict, remedy) = match installs {
        true => (
            Verdict::Fail,
            "install as an account that may, such as one with ClusterRole cluster-admin",
        ),
        false => (
            Verdict::Warn,
            "install as an account that may; this pod's need not",
        ),
    };
    report.add(
        CHECK,
        verdict,
        format!("this account may not {}", lacking.join(", ")),
        remedy,
    );
}

async fn may(client: &Client, verb: &str, object: &Installed) -> Result<bool, kube::Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(object.group.to_owned()),
                resource: Some(object.resource.to_owned()),
                namespace: object.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|status| status.allowed))
}
