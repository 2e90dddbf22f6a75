//! Whether the cluster reviews tokens for the API's audience: one is made, and reviewed.

use k8s_openapi::api::authentication::v1::{
    TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use super::report::Report;
use super::said;

/// Least time for which the kube-apiserver makes a token.
const SECONDS: i64 = 600;

/// `there`: whether the namespace is. Where it is not, a token of the namespace `default` serves.
pub(super) async fn check(
    client: &Client,
    namespace: &str,
    there: bool,
    audience: &str,
    report: &mut Report,
) {
    const CHECK: &str = "token review";
    let namespace = if there { namespace } else { "default" };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(SECONDS),
            bound_object_ref: None,
        },
        ..TokenRequest::default()
    };
    let create = PostParams::default();
    let made = accounts.create_token_request("default", &create, &request);
    let token = match made.await {
        Ok(made) => made.status.map(|status| status.token),
        Err(error) => {
            return report.warn(
                CHECK,
                format!("no token of {namespace}/default can be made: {}", said(&error)),
                "let the account create serviceaccounts/token there, or run this as somebody who may",
            );
        }
    };
    let review = TokenReview {
        spec: TokenReviewSpec {
            token,
            audiences: Some(vec![audience.to_owned()]),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    // The answer repeats the token, and so may an error of reading it.
    let status = match reviews.create(&create, &review).await {
        Ok(review) => review.status.unwrap_or_default(),
        Err(kube::Error::Api(status)) => {
            return report.warn(
                CHECK,
                format!("no review can be made: {}", status.message),
                "let the account create tokenreviews (ClusterRole system:auth-delegator), or run this as somebody who may",
            );
        }
        Err(_) => return report.warn(CHECK, "the review was not answered", "run this again"),
    };
    let genuine = status.authenticated.unwrap_or_default();
    let meant = status
        .audiences
        .unwrap_or_default()
        .iter()
        .any(|it| it == audience);
    match (genuine, meant) {
        (true, true) => report.ok(CHECK, format!("tokens for the audience {audience} are told from others")),
        (true, false) => report.fail(
            CHECK,
            format!("the cluster reviews tokens without regard to the audience {audience}"),
            "use a cluster whose authenticator knows audiences: the API would take tokens that are meant for others",
        ),
        (false, _) => report.fail(
            CHECK,
            format!("the cluster does not take its own token for the audience {audience}"),
            "look at the kube-apiserver's --service-account-issuer and its keys, or at its webhook for tokens",
        ),
    }
}
