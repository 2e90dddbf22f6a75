//! Addresses of llmplane's own infrastructure, which no check may connect to. They move: names are
//! resolved anew while checks are made, so that what has moved stays out of reach.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::ready,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use parking_lot::RwLock;
use tokio::time::{Instant, timeout};

use super::address_guard::unwrap;

/// For how long an answer of the resolver counts.
const RESOLVED_TTL: Duration = Duration::from_secs(10);
/// For how long an address that the name has no more stays out of reach: what moves is for a while
/// at both.
const STALE_TTL: Duration = Duration::from_secs(10 * 60);
/// How long a check waits for the resolver. What was known stays known where it does not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a lookup found.
pub type Found = io::Result<Vec<SocketAddr>>;
type Lookup = dyn Fn() -> BoxFuture<'static, Found> + Send + Sync;

/// Addresses that are known, and lookups of those that move, with what they found last.
#[derive(Default)]
pub struct OwnAddresses {
    literals: HashSet<SocketAddr>,
    /// Ports on every address of this machine.
    ports: HashSet<u16>,
    lookups: Vec<Box<Lookup>>,
    seen: RwLock<Vec<HashMap<SocketAddr, Instant>>>,
    looked_up_at: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Debug for OwnAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnAddresses")
            .field("literals", &self.literals)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

impl OwnAddresses {
    /// Those of these hosts, by the system's resolver.
    pub fn of(hosts: Vec<(String, u16)>) -> Self {
        Self::resolved_by(hosts, |host, port| {
            async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }.boxed()
        })
    }

    fn resolved_by(
        hosts: Vec<(String, u16)>,
        resolver: impl Fn(String, u16) -> BoxFuture<'static, Found> + Send + Sync + 'static,
    ) -> Self {
        let (mut own, resolver) = (Self::default(), Arc::new(resolver));
        for (host, port) in hosts {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = host.parse() {
                own.literals.insert(SocketAddr::new(unwrap(ip), port));
            } else {
                let (name, resolver) = (host.to_owned(), resolver.clone());
                own = own.and_found_by(move || resolver(name.clone(), port));
            }
        }
        own
    }

    /// These, and what this finds.
    pub fn and_found_by(
        mut self,
        lookup: impl Fn() -> BoxFuture<'static, Found> + Send + Sync + 'static,
    ) -> Self {
        self.lookups.push(Box::new(lookup));
        self.seen.get_mut().push(HashMap::new());
        self
    }

    /// These, and where this process listens.
    pub fn and_listener(mut self, address: SocketAddr) -> Self {
        let port = address.port();
        if !address.ip().is_unspecified() {
            let ip = unwrap(address.ip());
            self.literals.insert(SocketAddr::new(ip, port));
            return self;
        }
        self.ports.insert(port);
        self.and_found_by(move || ready(interfaces(port)).boxed())
    }

    /// Whether this is one of them, as far as was looked up.
    pub(in crate::vendors) fn contain(&self, address: SocketAddr) -> bool {
        let seen = self.seen.read();
        let ip = address.ip();
        self.literals.contains(&address)
            || (self.ports.contains(&address.port()) && (ip.is_loopback() || ip.is_unspecified()))
            || seen.iter().any(|found| found.contains_key(&address))
    }

    /// Looks up anew what was looked up too long ago; one at a time does, and the others wait for it.
    pub(in crate::vendors) async fn refresh(&self) {
        self.refresh_at(Instant::now()).await;
    }

    async fn refresh_at(&self, now: Instant) {
        if self.lookups.is_empty() {
            return;
        }
        let mut looked_up_at = self.looked_up_at.lock().await;
        if looked_up_at.is_some_and(|at| now.duration_since(at) < RESOLVED_TTL) {
            return;
        }
        let lookups = self.lookups.iter();
        let answers = join_all(lookups.map(|lookup| timeout(RESOLVE_TIMEOUT, lookup()))).await;
        let mut seen = self.seen.write();
        for (found, answer) in seen.iter_mut().zip(answers) {
            let Ok(Ok(addresses)) = answer else { continue };
            found.retain(|_, at| now.duration_since(*at) < STALE_TTL);
            found.extend(
                addresses
                    .into_iter()
                    .map(|a| (SocketAddr::new(unwrap(a.ip()), a.port()), now)),
            );
        }
        *looked_up_at = Some(now);
    }
}

/// This port on every address of this machine.
fn interfaces(port: u16) -> Found {
    let addresses = nix::ifaddrs::getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        Some(SocketAddr::new(v4.or(v6)?, port))
    });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A host whose address can be changed; `None`: the resolver fails.
    fn moving() -> (OwnAddresses, Arc<Mutex<Option<SocketAddr>>>) {
        let now_at = Arc::new(Mutex::new(Some(address("10.0.0.1:443"))));
        let answer = now_at.clone();
        let own = OwnAddresses::resolved_by(vec![("api".into(), 443)], move |host, _| {
            assert_eq!(host, "api");
            let found = *answer.lock().unwrap();
            async move {
                found
                    .map(|a| vec![a])
                    .ok_or_else(|| io::Error::other("down"))
            }
            .boxed()
        });
        (own, now_at)
    }

    #[tokio::test]
    async fn what_has_moved_is_known_within_seconds_and_where_it_was_for_a_while() {
        let (own, now_at) = moving();
        let start = Instant::now();
        own.refresh_at(start).await;
        assert!(own.contain(address("10.0.0.1:443")));
        *now_at.lock().unwrap() = Some(address("[::ffff:10.0.0.2]:443"));
        own.refresh_at(start + RESOLVED_TTL).await;
        assert!(own.contain(address("10.0.0.2:443")));
        assert!(own.contain(address("10.0.0.1:443")));
        own.refresh_at(start + STALE_TTL).await;
        assert!(own.contain(address("10.0.0.2:443")));
        assert!(!own.contain(address("10.0.0.1:443")));
    }

    #[tokio::test]
    async fn what_was_known_stays_known_while_nothing_resolves() {
        let (own, now_at) = moving();
        let start = Instant::now();
        own.refresh_at(start).await;
        *now_at.lock().unwrap() = None;
        for times in 1..4 {
            own.refresh_at(start + STALE_TTL * times).await;
        }
        assert!(own.contain(address("10.0.0.1:443")));
    }

    #[tokio::test]
    async fn where_this_process_listens_is_out_of_reach_on_every_address_of_the_machine() {
        let own = OwnAddresses::default()
            .and_listener(address("0.0.0.0:8081"))
            .and_listener(address("127.0.0.1:8080"));
        own.refresh().await;
        for local in [
            "127.0.0.1:8081",
            "127.1.2.3:8081",
            "[::1]:8081",
            "0.0.0.0:8081",
        ] {
            assert!(own.contain(address(local)), "{local}");
        }
        assert!(own.contain(address("127.0.0.1:8080")));
        for other in ["127.0.0.2:8080", "127.0.0.1:8082", "203.0.113.9:8081"] {
            assert!(!own.contain(address(other)), "{other}");
        }
        for interface in interfaces(8081).unwrap() {
            let ip = unwrap(interface.ip());
            assert!(own.contain(SocketAddr::new(ip, 8081)), "{interface}");
        }
    }

    #[test]
    fn a_literal_is_known_without_a_resolver() {
        let own = OwnAddresses::of(vec![("[::ffff:10.0.0.3]".into(), 6443)]);
        assert!(own.contain(address("10.0.0.3:6443")));
        assert!(!own.contain(address("10.0.0.3:443")));
    }
}
