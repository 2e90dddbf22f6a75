//! What the account may do that installs.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::report::{Report, Verdict};
use super::said;

/// Group and resource of what is installed for the whole cluster.
const IN_CLUSTER: [(&str, &str); 5] = [
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
    ),
];
/// The same in the namespace.
const IN_NAMESPACE: [(&str, &str); 9] = [
    ("apps", "deployments"),
    ("batch", "jobs"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "services"),
];

pub(super) async fn check(client: &Client, namespace: &str, installs: bool, report: &mut Report) {
    const CHECK: &str = "rights";
    let mut lacking = Vec::new();
    let cluster = IN_CLUSTER.map(|what| (what, None));
    let own = IN_NAMESPACE.map(|what| (what, Some(namespace)));
    for ((group, resource), namespace) in cluster.into_iter().chain(own) {
        for verb in ["create", "patch"] {
            match may(client, verb, group, resource, namespace).await {
                Ok(true) => {}
                Ok(false) => lacking.push(format!("{verb} {resource}")),
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

async fn may(
    client: &Client,
    verb: &str,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
) -> Result<bool, kube::Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                namespace: namespace.map(str::to_owned),
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
