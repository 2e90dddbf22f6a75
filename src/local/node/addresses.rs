//! Addresses of a node: the link between the host and the node, and the networks behind it.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use crate::local::error::{LocalError, Result};

use super::{APISERVER_PORT, POSTGRES_PORT};

/// Addresses of pods. Only the node knows them, so that every plane may have the same.
pub(in crate::local) const PODS: &str = "10.244.7.0/24";
/// The pods' gateway.
pub(in crate::local) const POD_GATEWAY: &str = "10.244.7.1";
/// How many links there are to choose from.
const LINKS: u8 = 64;

/// The wire between the host and one node: a network of four addresses in 10.244.8.0/24, which the host
/// routes nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::local) struct Link(u8);

impl Link {
    /// The host's end: kube-apiserver and PostgreSQL, to pods.
    pub(in crate::local) const fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, 8, self.0 % LINKS * 4 + 1)
    }

    /// The node's end, which is the Node's address and its DNS server's.
    pub(in crate::local) const fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, 8, self.0 % LINKS * 4 + 2)
    }

    /// The host's interface.
    pub(in crate::local) fn interface(self) -> String {
        format!("llmplane{}", self.0 % LINKS)
    }

    /// Where pods find kube-apiserver.
    pub(in crate::local) fn apiserver(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.host(), APISERVER_PORT)
    }

    /// Where pods find PostgreSQL.
    pub(in crate::local) fn postgres(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.host(), POSTGRES_PORT)
    }

    /// A link whose addresses nobody on this machine has.
    ///
    /// # Errors
    /// [`LocalError::NoNode`] where all are taken.
    pub(in crate::local) fn pick() -> Result<Self> {
        Self::first_free(&own_addresses()?).ok_or_else(|| LocalError::NoNode {
            reasons: vec![format!(
                "{LINKS} other nodes, or another network, have all of 10.244.8.0/24: end one with `llmplane local down`"
            )],
        })
    }

    /// Whether nobody on this machine has one of its addresses.
    pub(in crate::local) fn is_free(self) -> Result<bool> {
        Ok(self.is_free_among(&own_addresses()?))
    }

    fn first_free(taken: &[Ipv4Addr]) -> Option<Self> {
        (0..LINKS).map(Self).find(|link| link.is_free_among(taken))
    }

    fn is_free_among(self, taken: &[Ipv4Addr]) -> bool {
        let network = |address: Ipv4Addr| u32::from(address) & !3;
        let own = network(self.host());
        !taken.iter().any(|&address| network(address) == own)
    }
}

/// Addresses of this machine's interfaces.
fn own_addresses() -> Result<Vec<Ipv4Addr>> {
    let all = nix::ifaddrs::getifaddrs()
        .map_err(|errno| LocalError::io("read the interfaces of", "/")(errno.into()))?;
    Ok(all
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_passed_over_where_somebody_has_one_of_its_addresses() {
        let taken = ["127.0.0.1", "10.244.8.1", "10.244.8.6"].map(|ip| ip.parse().unwrap());
        let link = Link::first_free(&taken).unwrap();
        assert_eq!(link.host(), Ipv4Addr::new(10, 244, 8, 9));
        assert_eq!(link.node(), Ipv4Addr::new(10, 244, 8, 10));
    }

    #[test]
    fn no_two_links_share_an_address_and_there_is_an_end_to_them() {
        let mut taken = Vec::new();
        while let Some(link) = Link::first_free(&taken) {
            assert!(!taken.contains(&link.node()));
            assert!(link.interface().len() < 16, "the kernel's limit");
            taken.push(link.host());
        }
        assert_eq!(taken.len(), usize::from(LINKS));
    }
}
