//! OpenAI: RFC 8693 in JSON.

use super::{
    Exchange, ExchangedToken,
    answer::{OAUTH_CODES, Refusals},
    service,
};
use crate::{
    crd::federation::{Exchanger, OpenAiFederation},
    encryption::SecretFields,
    vendors::{CheckResult, http::client::Request},
};

const REFUSALS: Refusals = Refusals {
    codes: &OAUTH_CODES,
    hints: &[(
        "invalid_subject_token",
        "OpenAI verifies tokens by the keys that were uploaded there: upload the cluster's present ones, and \
         compare issuer and audience",
    )],
};

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &OpenAiFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::OpenAi(ids), None);
    let url = exchange.url(&default, &path)?;
    let answer = exchange
        .send(Request::post(url), |request, token| {
            request.secret_json(&[
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("subject_token", token),
                ("identity_provider_id", &ids.identity_provider_id),
                ("service_account_id", &ids.service_account_id),
            ])
        })
        .await?;
    let body = exchange.read_json(&answer, &REFUSALS)?;
    exchange.is_bearer(&body)?;
    let lives = exchange.lives(&body)?;
    let token = exchange.token(&body, "access_token")?;
    Ok(ExchangedToken {
        fields: SecretFields {
            api_key: Some(token),
            ..SecretFields::default()
        },
        lives,
    })
}
