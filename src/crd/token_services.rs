//! Where vendors exchange tokens, where that is not their own fixed host: an operator's setting, for a sovereign
//! cloud or a private endpoint. No declaration can move a token.

use std::{collections::BTreeMap, str::FromStr};

use url::Url;

use super::federation::EXCHANGERS;

/// One entry of `LLMPLANE_TOKEN_SERVICES`: `EXCHANGE=URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenService {
    exchanger: &'static str,
    url: Url,
}

/// Why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is not EXCHANGE=URL, for example entra=https://login.microsoftonline.us: the exchanges are \
     {exchangers}, and a URL here has no user info, query or fragment",
    exchangers = EXCHANGERS.join(", ")
)]
pub struct TokenServiceError {
    entry: String,
}

impl FromStr for TokenService {
    type Err = TokenServiceError;

    fn from_str(entry: &str) -> Result<Self, TokenServiceError> {
        let error = || TokenServiceError {
            entry: entry.split('@').next_back().unwrap_or_default().to_owned(),
        };
        let (name, url) = entry.trim().split_once('=').ok_or_else(error)?;
        let known = EXCHANGERS.into_iter().find(|known| *known == name.trim());
        let url = Url::parse(url.trim()).map_err(|_| error())?;
        let plain = matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match known {
            Some(exchanger) if plain => Ok(Self { exchanger, url }),
            _ => Err(error()),
        }
    }
}

/// Token services that are elsewhere than the vendors' own.
#[derive(Clone, Debug, Default)]
pub struct TokenServices(BTreeMap<&'static str, Url>);

impl FromIterator<TokenService> for TokenServices {
    fn from_iter<I: IntoIterator<Item = TokenService>>(services: I) -> Self {
        let services = services.into_iter();
        Self(services.map(|one| (one.exchanger, one.url)).collect())
    }
}

impl TokenServices {
    /// The URL of a path of an exchange; `default` is the vendor's own scheme and host.
    pub fn url(&self, exchanger: &str, default: &str, path: &str) -> Option<Url> {
        let base = match self.0.get(exchanger) {
            Some(url) => url.as_str().trim_end_matches('/'),
            None => default,
        };
        Url::parse(&format!("{base}{path}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_service_is_refused_without_its_password() {
        for entry in [
            "",
            "entra",
            "entra=login.example",
            "azure=https://login.example",
            "entra=https://u:hunter2@login.example",
            "entra=https://login.example/?a=b",
        ] {
            let error = entry.parse::<TokenService>().expect_err("no service");
            assert!(error.to_string().contains("is not EXCHANGE=URL"));
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
