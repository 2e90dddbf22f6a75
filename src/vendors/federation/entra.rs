//! Microsoft Entra: client credentials, with the token as the client's assertion.

use serde_json::Value;

use super::{
    Exchange, ExchangedToken,
    answer::{OAUTH_CODES, Refusals},
    service,
    token_document::TokenDocument,
};
use crate::{
    crd::federation::{EntraFederation, Exchanger},
    encryption::SecretFields,
    vendors::{
        CheckResult,
        answers::document,
        http::client::{Request, Response},
    },
};

const REFUSALS: Refusals = Refusals {
    codes: &OAUTH_CODES,
    hints: &[],
};

/// Numbers of Microsoft's errors that say which part does not match: hints alone, for they may change.
const HINTS: [(&str, &str); 8] = [
    (
        "700211",
        "no federated credential of the application has this issuer",
    ),
    (
        "700212",
        "no federated credential of the application has this audience",
    ),
    (
        "700213",
        "no federated credential of the application has this subject",
    ),
    (
        "70021",
        "no federated credential matches; one that was just made takes minutes to be found",
    ),
    (
        "90061",
        "Microsoft cannot fetch the issuer's documents: it has to be public",
    ),
    ("700016", "the tenant has no application of this client id"),
    (
        "700024",
        "the token is outside its time by Microsoft's clock",
    ),
    ("70011", "the scope is not one of a resource of the tenant"),
];

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &EntraFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::Entra(ids), None);
    let url = exchange.url(&default, &path)?;
    let answer = exchange
        .send(Request::post(url), |request, token| {
            Ok(request.secret_form(&[
                ("grant_type", "client_credentials"),
                ("client_id", &ids.client_id),
                (
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ),
                ("client_assertion", token),
                ("scope", &ids.scope),
            ]))
        })
        .await?;
    let body = exchange.read_json(&answer, &REFUSALS).map_err(|refused| {
        let hint = hint(&answer);
        CheckResult {
            message: format!("{}{hint}", refused.message),
            ..refused
        }
    })?;
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

/// What the numbers in a refusal mean.
fn hint(answer: &Response) -> String {
    let body = document::json(answer).map(TokenDocument::from);
    let body = body.unwrap_or_default();
    let codes = body.get("error_codes").and_then(Value::as_array);
    let codes: Vec<String> = codes.into_iter().flatten().map(Value::to_string).collect();
    let known = |(code, _): &&(&str, &str)| codes.iter().any(|said| said == code);
    let hint = HINTS.iter().find(known);
    hint.map_or_else(String::new, |(code, hint)| {
        format!("; AADSTS{code}: {hint}")
    })
}
