//! The annotation `llmplane.dev/allowed-hosts`: where a Secret's owner lets its key be sent, beside
//! the vendor's own fixed hosts.
//!
//! Exact hosts only. A wildcard would be a hole: anyone can rent a name under `amazonaws.com` or
//! `azure.com`.

use std::{fmt, net::IpAddr, str::FromStr};

use url::Url;

/// Longest annotation that is read, in bytes.
pub const MAX_ANNOTATION_BYTES: usize = 4096;
/// Most hosts that one annotation may name.
pub const MAX_HOSTS: usize = 50;

/// Where a key may be sent: one scheme, host and port.
///
/// A loopback host is allowed on every port and by plain http, for nothing leaves the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedHost {
    scheme: Scheme,
    /// In the form that a parsed URL has it: lower case, an IPv6 address in brackets.
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

/// Why an entry of the annotation is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// An asterisk.
    #[error("`{0}`: wildcards are not allowed; name each host")]
    Wildcard(String),
    /// A scheme other than http and https.
    #[error("`{0}`: write the host alone for https, or http://host:port for plain http")]
    Scheme(String),
    /// User info, a path, a query or a fragment.
    #[error("`{0}`: only a host and a port may stand here, without a path or user info")]
    NotAHost(String),
    /// Neither a host nor an address.
    #[error("`{0}` is not a host name or an IP address, with or without a port")]
    Malformed(String),
    /// Too much.
    #[error("at most {MAX_HOSTS} hosts and {MAX_ANNOTATION_BYTES} bytes")]
    TooMany,
}

impl AllowedHost {
    /// Whether a key may be sent to this URL.
    pub fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        if host != self.host {
            return false;
        }
        match url.scheme() {
            "https" | "http" if is_loopback(host) => true,
            "https" => {
                self.scheme == Scheme::Https && url.port_or_known_default() == Some(self.port)
            }
            "http" => self.scheme == Scheme::Http && url.port_or_known_default() == Some(self.port),
            _ => false,
        }
    }
}

/// The hosts that an annotation names. Empty entries are passed over.
///
/// # Errors
/// The first entry that is not a host, with what to write instead.
pub fn parse_allowed_hosts(annotation: &str) -> Result<Vec<AllowedHost>, HostError> {
    if annotation.len() > MAX_ANNOTATION_BYTES {
        return Err(HostError::TooMany);
    }
    let hosts: Vec<AllowedHost> = annotation
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    if hosts.len() > MAX_HOSTS {
        Err(HostError::TooMany)
    } else {
        Ok(hosts)
    }
}

impl FromStr for AllowedHost {
    type Err = HostError;

    fn from_str(entry: &str) -> Result<Self, HostError> {
        let said = || entry.chars().take(100).collect::<String>();
        if entry.contains('*') {
            return Err(HostError::Wildcard(said()));
        }
        let (scheme, rest) = match entry.split_once("://") {
            None => (Scheme::Https, entry),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(_) => return Err(HostError::Scheme(said())),
        };
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(HostError::NotAHost(said()));
        }
        if rest.is_empty() || rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(HostError::Malformed(said()));
        }
        // An IPv6 address alone has colons that are no port's.
        let authority = match rest.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => rest.to_owned(),
        };
        let word = if scheme == Scheme::Https {
            "https"
        } else {
            "http"
        };
        let url = Url::parse(&format!("{word}://{authority}/"))
            .map_err(|_| HostError::Malformed(said()))?;
        let host = match url.host() {
            // A URL's host may be spelled with `%2A` or in wide letters, and hold what no name has.
            Some(url::Host::Domain(name)) if name.contains('*') => {
                return Err(HostError::Wildcard(said()));
            }
            Some(url::Host::Domain(name)) if name.bytes().all(is_of_a_name) => name.to_owned(),
            Some(address @ (url::Host::Ipv4(_) | url::Host::Ipv6(_))) => address.to_string(),
            _ => return Err(HostError::Malformed(said())),
        };
        let port = url
            .port_or_known_default()
            .ok_or_else(|| HostError::Malformed(said()))?;
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scheme, self.port) {
            (Scheme::Https, 443) => f.write_str(&self.host),
            (Scheme::Https, port) => write!(f, "{}:{port}", self.host),
            (Scheme::Http, port) => write!(f, "http://{}:{port}", self.host),
        }
    }
}

/// Letters, digits, `-`, `.`, and `_`, which names in a cluster's DNS may have.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Whether a URL's host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(annotation: &str, url: &str) -> bool {
        let hosts = parse_allowed_hosts(annotation).expect("an annotation");
        let url = Url::parse(url).expect("a URL");
        hosts.iter().any(|h| h.allows(&url))
    }

    #[test]
    fn a_host_alone_means_https_on_its_port() {
        assert!(allows("gw.example.com", "https://gw.example.com/v1"));
        assert!(allows("GW.example.com", "https://gw.example.com/v1"));
        assert!(!allows("gw.example.com", "http://gw.example.com/v1"));
        assert!(!allows("gw.example.com", "https://gw.example.com:8443/v1"));
        assert!(!allows(
            "gw.example.com",
            "https://gw.example.com.evil.net/v1"
        ));
        assert!(!allows("gw.example.com", "https://sub.gw.example.com/v1"));
        assert!(allows(
            "a.example, gw.example.com:8443",
            "https://gw.example.com:8443/v1"
        ));
    }

    #[test]
    fn plain_http_is_spelled_out() {
        assert!(allows(
            "http://vllm.ml.svc:8000",
            "http://vllm.ml.svc:8000/v1"
        ));
        assert!(!allows(
            "http://vllm.ml.svc:8000",
            "https://vllm.ml.svc:8000/v1"
        ));
        assert!(!allows(
            "http://vllm.ml.svc:8000",
            "http://vllm.ml.svc:8001/v1"
        ));
    }

    #[test]
    fn loopback_needs_only_its_host() {
        assert!(allows("127.0.0.1", "http://127.0.0.1:4242/v1"));
        assert!(allows("localhost", "http://localhost:11434"));
        assert!(allows("::1", "http://[::1]:11434"));
        assert!(!allows("127.0.0.1", "http://127.0.0.2:4242/v1"));
        assert!(!allows("localhost", "http://127.0.0.1:11434"));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_remedy() {
        let refused = |entry: &str| parse_allowed_hosts(entry).expect_err("refused");
        assert!(matches!(
            refused("*.openai.azure.com"),
            HostError::Wildcard(_)
        ));
        for spelled in ["a.example%2A", "%2a.a.example", "\u{ff0a}.a.example"] {
            assert!(
                matches!(refused(spelled), HostError::Wildcard(_)),
                "{spelled}"
            );
        }
        for spelled in ["a.example%2Cb.example", "a&b.example", "a~b.example", "%zz"] {
            assert!(
                matches!(refused(spelled), HostError::Malformed(_)),
                "{spelled}"
            );
        }
        assert!(matches!(refused("ftp://a.example"), HostError::Scheme(_)));
        assert!(matches!(refused("a.example/v1"), HostError::NotAHost(_)));
        assert!(matches!(refused("user@a.example"), HostError::NotAHost(_)));
        assert!(matches!(refused("a b.example"), HostError::Malformed(_)));
        assert!(matches!(
            refused("a.example:99999"),
            HostError::Malformed(_)
        ));
        assert!(matches!(refused(&"a,".repeat(60)), HostError::TooMany));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse_allowed_hosts(&text);
        }

        #[test]
        fn what_is_shown_is_read_alike(text in "(https?://)?([a-zA-Z0-9._%*&~:ü＊\\[\\]-]|%2[A-F]|%[3-7][0-9A-F]){1,20}") {
            if let Ok(host) = text.parse::<AllowedHost>() {
                prop_assert_eq!(host.to_string().parse(), Ok(host));
            }
        }

        #[test]
        fn a_host_is_shown_as_it_is_read(host in "[a-z]{1,10}(\\.[a-z]{2,8}){1,3}", port in 1_u16.., http: bool) {
            let entry = format!("{}{host}:{port}", if http { "http://" } else { "" });
            let parsed: AllowedHost = entry.parse().expect("a host");
            prop_assert_eq!(parsed.to_string().parse::<AllowedHost>().expect("a host"), parsed);
        }
    }
}
