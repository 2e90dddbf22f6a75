//! Where a key may go: decided by what its Secret's owner sealed with it, at every use.

use std::sync::Arc;

use secrecy::ExposeSecret;
use url::Url;

use super::{
    driver,
    http::client::{HttpError, Request},
};
use crate::{
    crd::{ProviderType, hosts::AllowedHost},
    encryption::SecretFields,
};

/// Why a key stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostNotAllowed {
    /// The provider is of another type than the Secret's label said when the key was taken.
    #[error(
        "the Secret is labelled llmplane.dev/credential={sealed}, but the provider's type is {provider}; \
         use a Secret that is labelled {provider}"
    )]
    OtherType {
        sealed: String,
        provider: ProviderType,
    },
    /// The host is neither the vendor's own nor named by the Secret's owner.
    #[error(
        "the key may not be sent to {host}; the Secret's owner allows it with the annotation \
         llmplane.dev/allowed-hosts={host}"
    )]
    OtherHost { host: String },
}

/// Whether a key may be sent to a URL.
///
/// `sealed_type` and `sealed_hosts` come from inside the encrypted payload, never from a column.
///
/// # Errors
/// Why not, and what its owner can do.
pub fn key_allowed(
    sealed_type: &str,
    sealed_hosts: &[String],
    provider: ProviderType,
    url: &Url,
) -> Result<(), HostNotAllowed> {
    if sealed_type != provider.as_str() {
        return Err(HostNotAllowed::OtherType {
            sealed: sealed_type.to_owned(),
            provider,
        });
    }
    if !Destinations::sealed(provider, sealed_hosts).allow(url) {
        return Err(HostNotAllowed::OtherHost { host: spell(url) });
    }
    Ok(())
}

/// Where one key may go: its vendor's own hosts, and those that its Secret's owner named.
#[derive(Debug)]
pub(super) struct Destinations {
    provider: ProviderType,
    named: Vec<AllowedHost>,
}

impl Destinations {
    fn sealed(provider: ProviderType, hosts: &[String]) -> Self {
        Self {
            provider,
            named: hosts.iter().filter_map(|h| h.parse().ok()).collect(),
        }
    }

    /// Whether scheme, host and port of a URL are among them.
    pub fn allow(&self, url: &Url) -> bool {
        self.named.iter().any(|h| h.allows(url)) || is_the_vendors_own(self.provider, url)
    }
}

/// A key, and where it may go. There is no other way to a key's fields for a driver than a request
/// that is bound to these hosts, and the HTTP layer sends such a request nowhere else.
#[derive(Clone, Debug)]
pub struct BoundKey {
    fields: SecretFields,
    destinations: Arc<Destinations>,
}

impl BoundKey {
    /// Binds a key to what was sealed with it, for calls at a URL. Type and hosts come from inside
    /// the encrypted payload, as for [`key_allowed`], which decides.
    ///
    /// # Errors
    /// Why the key may not be sent to the URL, and what its owner can do.
    pub fn bind(
        fields: SecretFields,
        sealed_type: &str,
        sealed_hosts: &[String],
        provider: ProviderType,
        url: &Url,
    ) -> Result<Self, HostNotAllowed> {
        key_allowed(sealed_type, sealed_hosts, provider, url)?;
        Ok(Self {
            fields,
            destinations: Arc::new(Destinations::sealed(provider, sealed_hosts)),
        })
    }

    /// Its texts, for finding them in answers.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let texts = self.fields.each().into_iter().flatten();
        texts.map(|text| text.expose_secret().as_bytes())
    }

    /// Lets a driver put the key into a request. What comes of it is bound to the key's hosts,
    /// wherever in it the key stands.
    ///
    /// # Errors
    /// When the request is for another host, and before the key is shown to anyone; what `put` says.
    pub(super) fn put_into(
        &self,
        request: Request,
        put: impl FnOnce(Request, &SecretFields) -> Result<Request, HttpError>,
    ) -> Result<Request, HttpError> {
        let request = request.bound_to(&self.destinations);
        request.may_go_to(request.url())?;
        let request = put(request, &self.fields)?.bound_to(&self.destinations);
        request.may_go_to(request.url())?;
        Ok(request)
    }
}

/// Whether a URL is one of the vendor's own fixed hosts, by https on its usual port.
pub fn is_the_vendors_own(provider: ProviderType, url: &Url) -> bool {
    let own = driver(provider).trusted_hosts();
    url.scheme() == "https"
        && url.port_or_known_default() == Some(443)
        && url.host_str().is_some_and(|host| own.contains(&host))
}

/// A URL's host as the annotation spells it.
fn spell(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match (url.scheme(), url.port()) {
        ("http", port) => format!("http://{host}:{}", port.unwrap_or(80)),
        (_, Some(port)) => format!("{host}:{port}"),
        (_, None) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &[&str], url: &str) -> Result<(), HostNotAllowed> {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        key_allowed(
            "OpenAI",
            &hosts,
            ProviderType::OpenAI,
            &Url::parse(url).expect("a URL"),
        )
    }

    #[test]
    fn a_key_goes_to_its_vendors_own_hosts_by_https_alone() {
        assert_eq!(allowed(&[], "https://api.openai.com/v1"), Ok(()));
        assert!(allowed(&[], "http://api.openai.com/v1").is_err());
        assert!(allowed(&[], "https://api.openai.com:8443/v1").is_err());
        assert!(allowed(&[], "https://api.openai.com.evil.example/v1").is_err());
        assert!(allowed(&[], "https://api.anthropic.com/v1").is_err());
    }

    #[test]
    fn another_host_is_named_by_the_secrets_owner() {
        let refused = allowed(&[], "https://gw.example.com:8443/v1").expect_err("not named");
        assert!(
            refused
                .to_string()
                .ends_with("llmplane.dev/allowed-hosts=gw.example.com:8443")
        );
        assert_eq!(
            allowed(&["gw.example.com:8443"], "https://gw.example.com:8443/v1"),
            Ok(())
        );
    }

    #[test]
    fn what_the_refusal_says_to_write_is_what_allows_it() {
        for url in [
            "http://10.0.0.1/v1",
            "http://10.0.0.1:81/v1",
            "https://a.example/v1",
            "https://[2001:db8::1]:444/",
        ] {
            let HostNotAllowed::OtherHost { host } = allowed(&[], url).expect_err("not named")
            else {
                panic!("by host")
            };
            assert_eq!(allowed(&[&host], url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_provider_of_another_type_gets_no_key() {
        let url = Url::parse("https://api.openai.com/v1").expect("a URL");
        let refused = key_allowed(
            "Anthropic",
            &["api.openai.com".to_owned()],
            ProviderType::OpenAI,
            &url,
        );
        assert!(matches!(refused, Err(HostNotAllowed::OtherType { .. })));
    }
}

#[cfg(test)]
#[path = "key_hosts_tests.rs"]
mod bound_key_tests;
