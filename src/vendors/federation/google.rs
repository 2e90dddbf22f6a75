//! Google: RFC 8693 as a form; where a service account is named, its token for the first one.

use serde_json::json;

use super::{Exchange, ExchangedToken, answer::Refusals, service};
use crate::{
    crd::federation::{Exchanger, GoogleFederation},
    encryption::SecretFields,
    keys::BoundKey,
    vendors::{CheckResult, http::client::Request},
};

/// What the token is for; IAM narrows it.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where service accounts are impersonated.
const IAM: &str = "https://iamcredentials.googleapis.com";

const REFUSALS: Refusals = Refusals {
    codes: &[
        "invalid_request",
        "invalid_grant",
        "invalid_target",
        "invalid_client",
        "unauthorized_client",
        "access_denied",
    ],
    hints: &[],
};

const IMPERSONATION_REFUSALS: Refusals = Refusals {
    codes: &[
        "permission_denied",
        "not_found",
        "unauthenticated",
        "invalid_argument",
    ],
    hints: &[
        (
            "permission_denied",
            "the token was exchanged, and may not act as the service account: grant the subject \
             roles/iam.workloadIdentityUser on it",
        ),
        (
            "not_found",
            "the token was exchanged, and there is no such service account",
        ),
    ],
};

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &GoogleFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::Google(ids), None);
    let url = exchange.url(&default, &path)?;
    let audience = ids.full_name();
    let answer = exchange
        .send(Request::post(url), |request, token| {
            Ok(request.secret_form(&[
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("subject_token", token),
                ("audience", &audience),
                ("scope", SCOPE),
            ]))
        })
        .await?;
    let body = exchange.read_json(&answer, &REFUSALS)?;
    exchange.is_bearer(&body)?;
    let lives = exchange.lives(&body)?;
    let token = exchange.token(&body, "access_token")?;
    let federated = ExchangedToken {
        fields: SecretFields {
            access_token: Some(token),
            ..SecretFields::default()
        },
        lives,
    };
    match &ids.service_account_email {
        None => Ok(federated),
        Some(email) => impersonate(exchange, email, federated).await,
    }
}

/// The service account's own token.
async fn impersonate(
    exchange: &Exchange<'_>,
    email: &str,
    federated: ExchangedToken,
) -> Result<ExchangedToken, CheckResult> {
    let path = format!("/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
    let url = exchange.url(IAM, &path)?;
    let Some(token) = federated.fields.access_token else {
        return Err(exchange.unusable("its access_token is missing"));
    };
    let key = BoundKey::of_token(token, &url);
    let seconds = exchange.federation.expiration_seconds;
    let body = json!({ "scope": [SCOPE], "lifetime": format!("{seconds}s") });
    let request = Request::post_json(url, &body);
    let answer = exchange
        .send_with(request, key, |request, token| request.bearer(&token.into()))
        .await?;
    let body = exchange.read_json(&answer, &IMPERSONATION_REFUSALS)?;
    let end = body.text("expireTime").unwrap_or_default();
    let lives = exchange.lives_until(&answer, end)?;
    let token = exchange.token(&body, "accessToken")?;
    Ok(ExchangedToken {
        fields: SecretFields {
            access_token: Some(token),
            ..SecretFields::default()
        },
        lives,
    })
}
