//! The address guard: which IP addresses a check may connect to.
//!
//! A URL is written by a user; without a guard, the controller would be that user's way into the
//! cluster's network. The guard judges the address that is connected to, after name resolution,
//! so that a name that resolves differently the second time gains nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use ipnet::IpNet;

use super::own_addresses::OwnAddresses;

/// One entry of `LLMPLANE_ALLOW_CIDRS`: `[namespace=]CIDR[:port]`, an IPv6 network with a port in
/// brackets: `[fd00::/8]:443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    namespace: Option<String>,
    network: IpNet,
    port: Option<u16>,
}

/// Why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is not [namespace=]CIDR[:port], for example 10.0.0.0/8, ml=10.1.2.0/24:8000 or [fd00::/8]:443"
)]
pub struct AllowRuleError {
    entry: String,
}

impl FromStr for AllowRule {
    type Err = AllowRuleError;

    fn from_str(entry: &str) -> Result<Self, AllowRuleError> {
        let error = || AllowRuleError {
            entry: entry.to_owned(),
        };
        let (namespace, rest) = match entry.split_once('=') {
            Some((namespace, rest)) if !namespace.is_empty() => (Some(namespace.to_owned()), rest),
            Some(_) => return Err(error()),
            None => (None, entry),
        };
        let (network, port) = split_port(rest).ok_or_else(error)?;
        let network = match network.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => IpNet::from(network.parse::<IpAddr>().map_err(|_| error())?),
        };
        Ok(Self {
            namespace,
            network: network.trunc(),
            port,
        })
    }
}

/// Splits off `:port`. An IPv6 network has a port only when it is in brackets.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |digits: &str| digits.parse::<u16>().ok().filter(|p| *p > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (network, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(digits) => Some((network, Some(port(digits)?))),
            None if after.is_empty() => Some((network, None)),
            None => None,
        };
    }
    match text.matches(':').count() {
        1 => text
            .split_once(':')
            .and_then(|(network, digits)| Some((network, Some(port(digits)?)))),
        _ => Some((text, None)),
    }
}

impl AllowRule {
    fn allows(&self, namespace: &str, address: IpAddr, port: u16) -> bool {
        self.namespace.as_deref().is_none_or(|n| n == namespace)
            && self.port.is_none_or(|p| p == port)
            && self.network.contains(&address)
    }
}

/// Why an address may not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRefused {
    address: IpAddr,
    never: bool,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, never } = self;
        if *never {
            return write!(
                f,
                "the address {address} may never be called: it is link-local, a cloud's metadata, or llmplane's own infrastructure"
            );
        }
        write!(
            f,
            "the address {address} is not public; an operator allows its network with LLMPLANE_ALLOW_CIDRS={}",
            IpNet::from(*address)
        )
    }
}

impl std::error::Error for AddressRefused {}

/// The rules of one installation.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    rules: Vec<AllowRule>,
    own: Arc<OwnAddresses>,
}

impl AddressGuard {
    /// A guard that allows public addresses and these; `own` are the kube-apiserver's and
    /// PostgreSQL's, which no rule opens.
    pub fn new(rules: Vec<AllowRule>, own: impl IntoIterator<Item = SocketAddr>) -> Self {
        let own = own.into_iter().map(|a| (a.ip().to_string(), a.port()));
        Self::watching(rules, OwnAddresses::of(own.collect()))
    }

    /// As [`Self::new`], where our own addresses may move.
    pub fn watching(rules: Vec<AllowRule>, own: OwnAddresses) -> Self {
        Self {
            rules,
            own: Arc::new(own),
        }
    }

    /// Learns where our own infrastructure is now. To be called before addresses are judged.
    pub async fn refresh(&self) {
        self.own.refresh().await;
    }

    /// Whether a namespace has rules of its own, so that its connections may not be shared.
    pub fn is_special(&self, namespace: &str) -> bool {
        self.rules
            .iter()
            .any(|r| r.namespace.as_deref() == Some(namespace))
    }

    /// Whether a check in this namespace may connect to this address.
    ///
    /// # Errors
    /// Why not, and how an operator allows it where that can be.
    pub fn check(&self, namespace: &str, address: SocketAddr) -> Result<(), AddressRefused> {
        let ip = unwrap(address.ip());
        let port = address.port();
        let stands_for = translated(ip).into_iter().flatten().map(IpAddr::V4);
        let is_ours = |ip| is_never_allowed(ip) || self.own.contain(SocketAddr::new(ip, port));
        if std::iter::once(ip).chain(stands_for).any(is_ours) {
            return Err(AddressRefused {
                address: ip,
                never: true,
            });
        }
        if is_public(ip) || self.rules.iter().any(|r| r.allows(namespace, ip, port)) {
            return Ok(());
        }
        Err(AddressRefused {
            address: ip,
            never: false,
        })
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 by its well-known prefix,
/// 6to4.
pub(in crate::vendors) fn unwrap(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

/// What an address may stand for at a network's own translators, 64:ff9b:1::/48 (RFC 8215): where
/// the IPv4 address is in it depends on the length of the translator's prefix, 48, 56, 64 or 96 (RFC
/// 6052, 2.2), which nobody tells. To "this network", of which zeros speak, nothing is translated.
fn translated(ip: IpAddr) -> Option<impl Iterator<Item = Ipv4Addr>> {
    const OCTETS: [[usize; 4]; 4] = [
        [6, 7, 9, 10],
        [7, 9, 10, 11],
        [9, 10, 11, 12],
        [12, 13, 14, 15],
    ];
    let IpAddr::V6(v6) = ip else { return None };
    let octets = v6.octets();
    let stands_for = OCTETS.map(|at| Ipv4Addr::from(at.map(|at| octets[at])));
    let is_local = octets.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 1]);
    is_local.then(|| stands_for.into_iter().filter(|v4| v4.octets()[0] != 0))
}

/// Addresses that no rule opens.
fn is_never_allowed(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                // "This network": systems connect it to themselves.
                || v4.octets()[0] == 0
                || v4.is_broadcast()
                || v4.is_multicast()
                // Metadata of Alibaba Cloud and of Azure's platform, outside the link-local range.
                || v4 == Ipv4Addr::new(100, 100, 100, 200)
                || v4 == Ipv4Addr::new(168, 63, 129, 16)
                // Oracle Cloud's metadata, which lies in the IETF's protocol range.
                || v4 == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                // AWS's, for metadata, credentials, names and time.
                || v6.segments().starts_with(&[0xfd00, 0xec2])
                // Metadata of Google, Oracle, Scaleway and Akamai.
                || v6 == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
                || v6 == Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)
                || v6 == Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)
                || v6 == Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1)
        }
    }
}

/// Whether an address is reachable from everywhere (the IANA special-purpose registries).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let s = v6.segments();
            // Global unicast, less what is set aside in it: Teredo, ORCHID, documentation.
            (s[0] & 0xe000) == 0x2000
                && !(s[0] == 0x2001 && s[1] < 0x200)
                && !(s[0] == 0x2001 && s[1] == 0xdb8)
                && s[0] != 0x2002
                && !(s[0] == 0x3fff && s[1] < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guard(rules: &str) -> AddressGuard {
        let rules = rules
            .split(',')
            .filter(|r| !r.is_empty())
            .map(|r| r.parse().expect("a rule"))
            .collect();
        AddressGuard::new(rules, ["10.96.0.1:443".parse().expect("an address")])
    }

    fn allowed(guard: &AddressGuard, namespace: &str, address: &str) -> bool {
        guard
            .check(namespace, address.parse().expect("an address"))
            .is_ok()
    }

    #[test]
    fn public_addresses_are_allowed_and_others_are_not() {
        let guard = guard("");
        for address in [
            "8.8.8.8:443",
            "104.18.7.192:443",
            "[2606:4700::6812:7c0]:443",
        ] {
            assert!(allowed(&guard, "default", address), "{address}");
        }
        for address in [
            "127.0.0.1:80",
            "10.0.0.1:443",
            "172.16.0.1:443",
            "192.168.1.1:443",
            "100.64.0.1:443",
            "0.1.2.3:80",
            "198.18.0.1:80",
            "240.0.0.1:80",
            "192.0.2.1:80",
            "[::1]:80",
            "[fd00::1]:443",
            "[2001:db8::1]:443",
            "[2001::1]:443",
            "[fec0::1]:443",
        ] {
            assert!(!allowed(&guard, "default", address), "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_coat_is_judged_as_what_it_is() {
        let guard = guard("");
        for address in [
            "[::ffff:127.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::7f00:1]:80",
            "[2002:7f00:1::]:80",
            "[::127.0.0.1]:80",
            "[::ffff:0:10.0.0.1]:80",
            "[64:ff9b:1::a9fe:a9fe]:80",
        ] {
            assert!(!allowed(&guard, "default", address), "{address}");
        }
        assert!(allowed(&guard, "default", "[::ffff:8.8.8.8]:443"));
    }

    #[test]
    fn rules_open_networks_by_namespace_and_port() {
        let guard = guard("10.0.0.0/8,ml=192.168.0.0/16:8000,[fd00::/8]:443");
        assert!(allowed(&guard, "default", "10.1.2.3:80"));
        assert!(allowed(&guard, "ml", "192.168.1.1:8000"));
        assert!(!allowed(&guard, "ml", "192.168.1.1:8001"));
        assert!(!allowed(&guard, "default", "192.168.1.1:8000"));
        assert!(allowed(&guard, "default", "[fd00::5]:443"));
        assert!(!allowed(&guard, "default", "[fd00::5]:80"));
        assert!(guard.is_special("ml") && !guard.is_special("default"));
    }

    #[test]
    fn no_rule_opens_metadata_or_our_own_infrastructure() {
        let guard = guard("0.0.0.0/0,::/0");
        for address in [
            "169.254.169.254:80",
            "[64:ff9b:1::a9fe:a9fe]:80",
            "0.1.2.3:80",
            "169.254.170.2:80",
            "100.100.100.200:80",
            "168.63.129.16:80",
            "192.0.0.192:80",
            "[fe80::1]:80",
            "[64:ff9b:1:a9fe:a9:fe00::]:80",
            "[64:ff9b:1:a9:fe:a9fe::]:80",
            "[64:ff9b:1::a9:fea9:fe00:0]:80",
            "[64:ff9b:1:a60:0:100::]:443",
            "[64:ff9b:1:1234::10.96.0.1]:443",
            "[fd00:ec2::254]:80",
            "[fd00:ec2::23]:80",
            "[fd00:c1::a9fe:a9fe]:80",
            "[fd00:42::42]:80",
            "[fd00:a9fe:a9fe::1]:80",
            "[fd20:ce::254]:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "10.96.0.1:443",
            "[::ffff:10.96.0.1]:443",
        ] {
            assert!(!allowed(&guard, "default", address), "{address}");
        }
        assert!(allowed(&guard, "default", "10.96.0.1:444"));
        assert!(allowed(&guard, "default", "[64:ff9b:1::8.8.8.8]:443"));
    }

    #[test]
    fn the_refusal_says_how_it_is_allowed() {
        let refused = guard("")
            .check("default", "10.1.2.3:443".parse().expect("an address"))
            .expect_err("refused");
        assert!(
            refused
                .to_string()
                .ends_with("LLMPLANE_ALLOW_CIDRS=10.1.2.3/32")
        );
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for entry in [
            "",
            "=10.0.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/8:0",
            "10.0.0.0/8:99999",
            "host/8",
            "[fd00::/8]x",
        ] {
            assert!(entry.parse::<AllowRule>().is_err(), "{entry}");
        }
    }

    proptest! {
        #[test]
        fn a_coat_changes_nothing(a: [u8; 4], port: u16) {
            let guard = guard("10.0.0.0/8");
            let v4 = Ipv4Addr::from(a);
            let bare = guard.check("n", SocketAddr::new(v4.into(), port)).is_ok();
            let [high, low] = [u16::from_be_bytes([a[0], a[1]]), u16::from_be_bytes([a[2], a[3]])];
            for coat in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                let coated = guard.check("n", SocketAddr::new(coat.into(), port)).is_ok();
                prop_assert_eq!(bare, coated, "{}", coat);
            }
        }

        #[test]
        fn no_translators_prefix_hides_an_address(
            a in prop_oneof![any::<[u8; 4]>(), Just([169, 254, 169, 254]), Just([10, 96, 0, 1])],
            port in prop_oneof![any::<u16>(), Just(443)],
            length in 0..4_usize,
        ) {
            let v4 = Ipv4Addr::from(a);
            let mut octets = Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0).octets();
            let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
            for (place, octet) in places[length].into_iter().zip(a) {
                octets[place] = octet;
            }
            let coated = SocketAddr::new(Ipv6Addr::from(octets).into(), port);
            prop_assert!(guard("").check("n", coated).is_err());
            prop_assert!(guard("0.0.0.0/0").check("n", coated).is_err());
            let open = guard("0.0.0.0/0,64:ff9b:1::/48");
            if a[0] != 0 && open.check("n", SocketAddr::new(v4.into(), port)).is_err() {
                prop_assert!(open.check("n", coated).is_err(), "{}", coated);
            }
        }
    }
}
