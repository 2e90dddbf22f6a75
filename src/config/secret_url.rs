//! A URL that may hold a password, and is never shown with one.

use std::{fmt, str::FromStr};

use url::Url;

/// A URL, parsed, of which `Debug` shows scheme, host and port alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The URL, with what is secret in it.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        match self.0.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The text is no URL of a server. It is not repeated, for it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an http or https URL, for example https://host.example:3128")]
pub struct NoUrl;

impl FromStr for SecretUrl {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(Self)
            .ok_or(NoUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_shown_nor_repeated() {
        let url: SecretUrl = "http://u:hunter2@proxy.example:3128/?hunter2"
            .parse()
            .unwrap();
        assert_eq!(format!("{url:?}"), "http://proxy.example:3128");
        assert_eq!(url.expose().password(), Some("hunter2"));
        let refused = "hunter2:@@".parse::<SecretUrl>().expect_err("it is no URL");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}
