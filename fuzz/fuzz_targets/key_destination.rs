//! Where a key may go: the label, the annotation and the URL, held against a second way to decide;
//! and the address guard, which judges an address the same in every spelling.
#![no_main]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use libfuzzer_sys::fuzz_target;
use llmplane::{
    controller::fuzzing::consent,
    crd::{ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, ProviderType, hosts::AllowedHost},
    keys::{HostNotAllowed, key_allowed},
    vendors::{
        driver,
        http::address_guard::{AddressGuard, AllowRule},
        vendor,
    },
};
use url::{Origin, Url};

// Lines: the provider's type, the label, the annotation, a URL, an allow rule, an address.
fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (provider, label, annotation, url, rule, address) =
        (line(), line(), line(), line(), line(), line());
    let provider = ProviderType::parse(provider).unwrap_or(ProviderType::ALL[provider.len() % ProviderType::ALL.len()]);
    if let Ok(url) = Url::parse(url) {
        destination(provider, label, annotation, &url);
    }
    guard(rule, address);
});

fn destination(provider: ProviderType, label: &str, annotation: &str, url: &Url) {
    let labels = BTreeMap::from([(LABEL_CREDENTIAL.to_owned(), label.to_owned())]);
    let annotations =
        BTreeMap::from([(ANNOTATION_ALLOWED_HOSTS.to_owned(), annotation.to_owned())]);
    let consent = match consent("s", provider, &labels, &annotations) {
        Ok(consent) => consent,
        Err(finding) => {
            assert!(finding.message.len() <= 1024);
            return;
        }
    };
    assert_eq!(consent.provider_type.as_str(), label);
    assert_eq!(consent.provider_type, provider);
    assert!(consent.hosts.len() <= 50);
    for host in &consent.hosts {
        let again: AllowedHost = host.parse().expect("what was written is read");
        assert_eq!(&again.to_string(), host);
        assert!(!host.contains(['*', '/', '@', ',', ' ']) || host.starts_with("http://"));
    }
    let allowed = key_allowed(label, &consent.hosts, vendor(provider), url);
    assert_eq!(
        allowed.is_ok(),
        may_go(provider, annotation, url),
        "{annotation:?} {url}"
    );
    let other = ProviderType::ALL[(provider as usize + 1) % ProviderType::ALL.len()];
    assert!(key_allowed(label, &consent.hosts, vendor(other), url).is_err());
    if let Err(HostNotAllowed::OtherHost { host }) = allowed
        && matches!(url.scheme(), "http" | "https")
        && is_a_name(url)
    {
        let mut hosts = consent.hosts;
        hosts.push(host);
        assert_eq!(key_allowed(label, &hosts, vendor(provider), url), Ok(()), "{url}");
    }
}

/// A URL's host may hold what no name has, which `baseUrl` refuses, and the annotation too.
fn is_a_name(url: &Url) -> bool {
    url.domain().is_none_or(|name| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    })
}

/// The same decision by origins: scheme, host and port in one comparison.
fn may_go(provider: ProviderType, annotation: &str, url: &Url) -> bool {
    let Origin::Tuple(scheme, host, _) = url.origin() else {
        return false;
    };
    if scheme != "http" && scheme != "https" {
        return false;
    }
    let loopback = match &host {
        url::Host::Ipv4(v4) => v4.is_loopback(),
        url::Host::Ipv6(v6) => v6.is_loopback(),
        url::Host::Domain(name) => name == "localhost",
    };
    let named = annotation.split(',').map(str::trim).any(|entry| {
        let spelled = match entry.contains("://") {
            true => entry.to_owned(),
            false if entry.parse::<Ipv6Addr>().is_ok() => format!("https://[{entry}]"),
            false => format!("https://{entry}"),
        };
        Url::parse(&spelled).is_ok_and(|named| {
            named.origin() == url.origin() || (loopback && named.host() == url.host())
        })
    });
    let trusted = driver(provider).trusted_hosts();
    let own = trusted.iter().any(|host| {
        Url::parse(&format!("https://{host}")).is_ok_and(|own| own.origin() == url.origin())
    });
    named || own
}

fn guard(rule: &str, address: &str) {
    let rules: Vec<AllowRule> = rule.split(',').filter_map(|r| r.parse().ok()).collect();
    let Ok(address) = address.parse::<IpAddr>() else {
        return;
    };
    let guard = AddressGuard::new(rules, [SocketAddr::from(([10, 96, 0, 1], 443))]);
    let open = |ip: IpAddr| guard.check("n", SocketAddr::new(ip, 443)).is_ok();
    match address {
        IpAddr::V4(v4) => {
            let verdict = open(address);
            for spelled in spellings(v4) {
                assert_eq!(open(spelled.into()), verdict, "{v4} as {spelled}");
            }
            if v4.is_link_local() || v4 == Ipv4Addr::new(10, 96, 0, 1) {
                assert!(!verdict, "{v4}");
            }
        }
        IpAddr::V6(v6) => {
            if v6.is_unicast_link_local() {
                assert!(!open(address), "{v6}");
            }
        }
    }
}

/// An IPv4 address as IPv6 spells it: mapped, by NAT64, by 6to4.
fn spellings(v4: Ipv4Addr) -> [Ipv6Addr; 3] {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
}
