//! Exchanges: a token of a Kubernetes ServiceAccount for a vendor's own, one file an exchange.
//!
//! The checks call [`exchange`], once for each token: a vendor may take a token a single time, so that
//! nothing is sent again. Answers are judged by their shape: a refusal in the vendor's own form is
//! [`Reason::ExchangeRefused`]; whatever else is no token that can be used proves nothing. A vendor's
//! text is never repeated. Facts: `docs/vendor-facts.md`, section 17.

mod answer;
mod anthropic;
mod aws;
mod entra;
mod google;
mod openai;
mod openrouter;
mod service;
mod subject_token;
mod token_document;

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

pub use service::token_url;
pub use subject_token::{FreshToken, OwnAudiences, SubjectToken, SubjectTokenError};

use super::{
    CheckResult, HttpClients,
    http::client::{HttpError, Request, Response},
};
use crate::{
    crd::{
        federation::{Exchanger, Federation},
        reasons::Reason,
        token_services::TokenServices,
    },
    encryption::SecretFields,
    keys::BoundKey,
};

/// Longest that a token of a vendor's is believed to live: longer than any vendor allows.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Shortest life of a token that is worth keeping: Anthropic's shortest.
const MIN_LIFE: Duration = Duration::from_secs(60);

/// One exchange.
pub struct Exchange<'a> {
    /// What is declared.
    pub federation: &'a Federation,
    /// The token that is exchanged.
    pub token: &'a SubjectToken,
    /// The credential's namespace and name.
    pub credential: (&'a str, &'a str),
    /// The region of the endpoints, where they have one.
    pub region: Option<&'a str>,
    /// Where the vendors' token services are.
    pub services: &'a TokenServices,
    /// The way to the vendors.
    pub clients: &'a HttpClients,
    /// When the exchange's time is up.
    pub deadline: Instant,
}

/// A vendor's token.
pub struct ExchangedToken {
    /// The token, in the fields in which the vendor's driver takes it.
    pub fields: SecretFields,
    /// How long it lives from now.
    pub lives: Duration,
}

/// Exchanges a token, once.
///
/// # Errors
/// [`Reason::ExchangeRefused`] with what was sent, but the token; [`Reason::CheckInconclusive`] where the
/// answer says neither yes nor no.
pub async fn exchange(exchange: &Exchange<'_>) -> Result<ExchangedToken, CheckResult> {
    let Some(exchanger) = exchange.federation.exchanger() else {
        return Err(CheckResult::new(
            Reason::InvalidSpec,
            "spec.federation names not exactly one vendor",
        ));
    };
    let token = match exchanger {
        Exchanger::OpenAi(ids) => openai::exchange(exchange, ids).await,
        Exchanger::Anthropic(ids) => anthropic::exchange(exchange, ids).await,
        Exchanger::Aws(ids) => aws::exchange(exchange, ids).await,
        Exchanger::Entra(ids) => entra::exchange(exchange, ids).await,
        Exchanger::Google(ids) => google::exchange(exchange, ids).await,
        Exchanger::OpenRouter(ids) => openrouter::exchange(exchange, ids).await,
    }?;
    if token.lives < MIN_LIFE {
        let seconds = token.lives.as_secs();
        return Err(exchange.unusable(&format!("its token lives {seconds} s, less than a minute")));
    }
    Ok(ExchangedToken {
        lives: token.lives.min(MAX_LIFE),
        ..token
    })
}

impl Exchange<'_> {
    fn exchanger(&self) -> Option<Exchanger<'_>> {
        self.federation.exchanger()
    }

    fn vendor(&self) -> &'static str {
        self.exchanger().map_or("the vendor", |one| one.vendor())
    }

    /// The URL of a path of the vendor's token service.
    fn url(&self, default: &str, path: &str) -> Result<Url, CheckResult> {
        let field = self.exchanger().map_or("", |one| one.field());
        self.services.url(field, default, path).ok_or_else(|| {
            CheckResult::new(
                Reason::CheckInconclusive,
                format!("{default}{path} is no URL that can be called"),
            )
        })
    }

    /// Sends the request that `put` writes the ServiceAccount's token into.
    async fn send(
        &self,
        request: Request,
        put: impl FnOnce(Request, &str) -> Result<Request, HttpError>,
    ) -> Result<Response, CheckResult> {
        let key = self.token.bound_to(request.url());
        self.send_with(request, key, put).await
    }

    /// Sends the request that `put` writes a token into, once, and to no other host.
    async fn send_with(
        &self,
        request: Request,
        key: BoundKey,
        put: impl FnOnce(Request, &str) -> Result<Request, HttpError>,
    ) -> Result<Response, CheckResult> {
        let failed = |error: HttpError| {
            let result = CheckResult::from_http_error(&error, Reason::CheckInconclusive);
            CheckResult {
                message: format!("{} could not be asked: {}", self.vendor(), result.message),
                ..result
            }
        };
        let (namespace, _) = self.credential;
        let client = self.clients.client(namespace, request.url(), None);
        let client = client.map_err(failed)?.hiding(Some(&key));
        let request = key.put_token_into(request, put).map_err(failed)?;
        let sent = client.send_once(&request, self.deadline).await;
        sent.map_err(failed)
    }

    /// What an answer without a token that can be used comes to.
    fn unusable(&self, why: &str) -> CheckResult {
        CheckResult::new(
            Reason::CheckInconclusive,
            format!(
                "{} answered the exchange, and {why}; nothing was stored",
                self.vendor()
            ),
        )
    }

    /// What was sent, but the token.
    fn sent(&self) -> String {
        let ids = self.exchanger().map(|one| one.ids()).unwrap_or_default();
        let ids = ids.iter().map(|(name, id)| format!(", {name} {id}"));
        format!("{}{}", self.token.describe(), ids.collect::<String>())
    }
}
