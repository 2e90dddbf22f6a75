//! OpenRouter: RFC 8693 as a form.

use super::{Exchange, ExchangedToken, answer::Refusals, service};
use crate::{
    crd::federation::{Exchanger, OpenRouterFederation},
    encryption::SecretFields,
    vendors::{CheckResult, http::client::Request},
};

const REFUSALS: Refusals = Refusals {
    codes: &[
        "invalid_request",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_grant",
    ],
    hints: &[(
        "invalid_grant",
        "OpenRouter says no more than that: the policy has to name exactly this issuer, subject and audience, \
         and has to be able to fetch the cluster's keys",
    )],
};

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &OpenRouterFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::OpenRouter(ids), None);
    let url = exchange.url(&default, &path)?;
    let answer = exchange
        .send(Request::post(url), |request, token| {
            Ok(request.secret_form(&[
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("subject_token", token),
                ("federation_policy_id", &ids.federation_policy_id),
            ]))
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
