//! Addresses of llmplane's own infrastructure, which no check may connect to. They move: names are
//! resolved anew while checks are made, so that what has moved stays out of reach.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    net::SocketAddr,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::time::{Instant, timeout};

use super::address_guard::unwrap;

/// For how long an answer of the resolver counts.
const RESOLVED_TTL: Duration = Duration::from_secs(10);
/// For how long an address that the name has no more stays out of reach: what moves is for a while
/// at both.
const STALE_TTL: Duration = Duration::from_secs(10 * 60);
/// How long a check waits for the resolver. What was known stays known where it does not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

type Resolved = io::Result<Vec<SocketAddr>>;
type Resolver = dyn Fn(String, u16) -> BoxFuture<'static, Resolved> + Send + Sync;

/// Hosts and ports, and their addresses as they were last seen.
pub struct OwnAddresses {
    literals: HashSet<SocketAddr>,
    names: Vec<(String, u16)>,
    resolver: Box<Resolver>,
    seen: RwLock<Vec<HashMap<SocketAddr, Instant>>>,
    resolved_at: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Debug for OwnAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnAddresses")
            .field("literals", &self.literals)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Default for OwnAddresses {
    fn default() -> Self {
        Self::of(Vec::new())
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
        resolver: impl Fn(String, u16) -> BoxFuture<'static, Resolved> + Send + Sync + 'static,
    ) -> Self {
        let (mut literals, mut names) = (HashSet::new(), Vec::new());
        for (host, port) in hosts {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            match host.parse() {
                Ok(ip) => {
                    literals.insert(SocketAddr::new(unwrap(ip), port));
                }
                Err(_) => names.push((host.to_owned(), port)),
            }
        }
        Self {
            seen: RwLock::new(vec![HashMap::new(); names.len()]),
            literals,
            names,
            resolver: Box::new(resolver),
            resolved_at: tokio::sync::Mutex::default(),
        }
    }

    /// Whether this is one of them, as far as was resolved.
    pub(in crate::vendors) fn contain(&self, address: SocketAddr) -> bool {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        self.literals.contains(&address)
            || seen.iter().any(|of_host| of_host.contains_key(&address))
    }

    /// Resolves anew what was resolved too long ago; one at a time does, and the others wait for it.
    pub(in crate::vendors) async fn refresh(&self) {
        self.refresh_at(Instant::now()).await;
    }

    async fn refresh_at(&self, now: Instant) {
        if self.names.is_empty() {
            return;
        }
        let mut resolved_at = self.resolved_at.lock().await;
        if resolved_at.is_some_and(|at| now.duration_since(at) < RESOLVED_TTL) {
            return;
        }
        let lookups = self
            .names
            .iter()
            .map(|(name, port)| timeout(RESOLVE_TIMEOUT, (self.resolver)(name.clone(), *port)));
        let answers = join_all(lookups).await;
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        for (of_host, answer) in seen.iter_mut().zip(answers) {
            let Ok(Ok(addresses)) = answer else { continue };
            of_host.retain(|_, at| now.duration_since(*at) < STALE_TTL);
            of_host.extend(
                addresses
                    .into_iter()
                    .map(|a| (SocketAddr::new(unwrap(a.ip()), a.port()), now)),
            );
        }
        *resolved_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

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

    #[test]
    fn a_literal_is_known_without_a_resolver() {
        let own = OwnAddresses::of(vec![("[::ffff:10.0.0.3]".into(), 6443)]);
        assert!(own.contain(address("10.0.0.3:6443")));
        assert!(!own.contain(address("10.0.0.3:443")));
    }
}
