//! Anthropic: RFC 7523 in JSON. A token with a `jti` counts once.

use super::{Exchange, ExchangedToken, answer::Refusals, service};
use crate::{
    crd::federation::{AnthropicFederation, Exchanger},
    encryption::SecretFields,
    vendors::{CheckResult, http::client::Request},
};

/// What the vendor's own library sends with an exchange.
const BETA: &str = "oauth-2025-04-20,oidc-federation-2026-04-01";

const REFUSALS: Refusals = Refusals {
    codes: &[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "invalid_grant",
        "invalid_request",
    ],
    hints: &[(
        "authentication_error",
        "Anthropic says no more than that; the reason is in its Console, Settings > Workload identity > history",
    )],
};

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &AnthropicFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::Anthropic(ids), None);
    let url = exchange.url(&default, &path)?;
    let request = Request::post(url).header("anthropic-beta", BETA);
    let answer = exchange
        .send(request, |request, token| {
            let mut fields = vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", token),
                ("federation_rule_id", &ids.federation_rule_id),
                ("organization_id", &ids.organization_id),
                ("service_account_id", &ids.service_account_id),
            ];
            let workspace = ids.workspace_id.as_deref();
            fields.extend(workspace.map(|workspace| ("workspace_id", workspace)));
            request.secret_json(&fields)
        })
        .await?;
    let body = exchange.read_json(&answer, &REFUSALS)?;
    exchange.is_bearer(&body)?;
    let lives = exchange.lives(&body)?;
    let token = exchange.token(&body, "access_token")?;
    Ok(ExchangedToken {
        fields: SecretFields {
            access_token: Some(token),
            ..SecretFields::default()
        },
        lives,
    })
}
