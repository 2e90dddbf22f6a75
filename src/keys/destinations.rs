//! Where a key may go: decided by what its Secret's owner sealed with it, at every use.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    crd::{ProviderType, hosts::AllowedHost},
    encryption::SecretFields,
};

/// Whose key it is: a provider type, and the hosts that are that vendor's own.
#[derive(Clone, Copy, Debug)]
pub struct Vendor {
    /// The provider's type.
    pub type_: ProviderType,
    /// The vendor's own fixed hosts, exact; its keys may go there by https without being asked.
    pub own_hosts: &'static [&'static str],
}

impl Vendor {
    /// Whether a URL is one of the vendor's own fixed hosts, by https on its usual port.
    pub fn owns(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.port_or_known_default() == Some(443)
            && (url.host_str()).is_some_and(|host| self.own_hosts.contains(&host))
    }
}

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
    vendor: Vendor,
    url: &Url,
) -> Result<(), HostNotAllowed> {
    if sealed_type != vendor.type_.as_str() {
        return Err(HostNotAllowed::OtherType {
            sealed: sealed_type.to_owned(),
            provider: vendor.type_,
        });
    }
    if !Destinations::sealed(vendor, sealed_hosts).allow(url) {
        return Err(HostNotAllowed::OtherHost { host: spell(url) });
    }
    Ok(())
}

/// Where one key may go: its vendor's own hosts, and those that its Secret's owner named.
#[derive(Debug)]
pub struct Destinations {
    vendor: Vendor,
    named: Vec<AllowedHost>,
}

impl Destinations {
    fn sealed(vendor: Vendor, hosts: &[String]) -> Self {
        Self {
            vendor,
            named: hosts.iter().filter_map(|h| h.parse().ok()).collect(),
        }
    }

    /// Whether scheme, host and port of a URL are among them.
    pub fn allow(&self, url: &Url) -> bool {
        self.named.iter().any(|h| h.allows(url)) || self.vendor.owns(url)
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
        vendor: Vendor,
        url: &Url,
    ) -> Result<Self, HostNotAllowed> {
        key_allowed(sealed_type, sealed_hosts, vendor, url)?;
        Ok(Self {
            fields,
            destinations: Arc::new(Destinations::sealed(vendor, sealed_hosts)),
        })
    }

    /// A key that nobody gave out, bound to this URL's host: what a server answers to it proves nothing
    /// of any other key.
    pub fn made_up(vendor: Vendor, url: &Url) -> Self {
        let word = format!("no-such-key-{}", uuid::Uuid::new_v4().simple());
        Self {
            fields: SecretFields {
                api_key: Some(word.into()),
                ..SecretFields::default()
            },
            destinations: Arc::new(Destinations::sealed(vendor, &[spell(url)])),
        }
    }

    /// A token that is may go to a URL's host and port alone: to be exchanged there.
    pub fn of_token(token: SecretString, url: &Url) -> Self {
        // No vendor's own hosts: the URL's alone is named.
        let nobody = Vendor {
            type_: ProviderType::OpenAICompatible,
            own_hosts: &[],
        };
        Self {
            fields: SecretFields {
                access_token: Some(token),
                ..SecretFields::default()
            },
            destinations: Arc::new(Destinations::sealed(nobody, &[spell(url)])),
        }
    }

    /// Its texts, for finding them in answers.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let texts = self.fields.each().into_iter().flatten();
        texts.map(|text| text.expose_secret().as_bytes())
    }

    /// Its fields, for the HTTP layer alone, which binds the request that they go into.
    pub(crate) fn fields(&self) -> &SecretFields {
        &self.fields
    }

    /// Where it may go.
    pub(crate) fn destinations(&self) -> &Arc<Destinations> {
        &self.destinations
    }
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

    const OPENAI: Vendor = Vendor {
        type_: ProviderType::OpenAI,
        own_hosts: &["api.openai.com"],
    };

    fn allowed(hosts: &[&str], url: &str) -> Result<(), HostNotAllowed> {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        key_allowed("OpenAI", &hosts, OPENAI, &Url::parse(url).expect("a URL"))
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
    fn debug_output_of_a_key_that_is_bound_shows_nothing_of_it() {
        let fields = SecretFields {
            api_key: Some("sk-canary".into()),
            secret_key: Some("canary-too".into()),
            ..SecretFields::default()
        };
        let url = Url::parse("https://api.openai.com/v1").expect("a URL");
        let key = BoundKey::bind(fields, "OpenAI", &[], OPENAI, &url).expect("its own host");
        let shown = format!("{key:?}");
        assert!(
            shown.contains("BoundKey") && !shown.contains("canary"),
            "{shown}"
        );
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
        let refused = key_allowed("Anthropic", &["api.openai.com".to_owned()], OPENAI, &url);
        assert!(matches!(refused, Err(HostNotAllowed::OtherType { .. })));
    }
}
