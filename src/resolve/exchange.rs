//! How a caller exchanges a token of its own, where the vendor takes that in place of a key.

use super::Target;
use crate::crd::token_services::TokenServices;
use crate::vendors::federation::token_url;

/// What a caller needs to exchange its own token; nothing of it is secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeOffer {
    /// The protocol.
    pub method: &'static str,
    /// Where to.
    pub token_url: String,
    /// Audience that the caller's token must have.
    pub audience: String,
    /// The vendor's ids, by the vendor's own names of them.
    pub ids: Vec<(&'static str, String)>,
}

/// The exchange at a target, where a credential there has one.
pub fn exchange_offer(target: &Target, services: &TokenServices) -> Option<ExchangeOffer> {
    let federation = target.exchange.as_ref()?.view.federation.as_ref()?;
    let exchanger = federation.exchanger()?;
    let region = target.endpoint.view.region.as_deref();
    Some(ExchangeOffer {
        method: exchanger.method(),
        token_url: token_url(services, exchanger, region)?.to_string(),
        audience: federation.audience.clone(),
        ids: exchanger.ids().into_iter().collect(),
    })
}
