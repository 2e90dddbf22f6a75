//! What callers may cost whom nobody knows: a bounded number of TokenReviews a second, whatever
//! they send.
//!
//! To be looked up takes a turn, one of the address's and one of all strangers'. A token that the
//! kube-apiserver vouches for gives its turns back at once; one that it refuses keeps them for two
//! seconds. Refused tokens are thus asked about at a bounded rate, by address and in all, and any
//! number of good ones as fast as they are answered. What a token says of itself can be made up, an
//! address cannot: whoever floods from one waits behind itself. A token that was vouched for within
//! the hour takes no turn.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::TokenHash;
use crate::api::problem::{Problem, ProblemType};

/// How long a refused token keeps its turns.
const REFUSAL_WINDOW: Duration = Duration::from_secs(2);
/// Turns of one address: 8 refused tokens a second.
const BY_ADDRESS: usize = 16;
/// Turns of all addresses: 64 refused tokens a second.
const IN_ALL: usize = 128;
/// Requests of one address that wait for a turn; whoever comes then is told so at once.
const WAITING: usize = 256;
/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// Addresses that are remembered.
const ADDRESSES: u64 = 10_000;
/// Tokens that are remembered as vouched for, and for how long.
const KNOWN: u64 = 100_000;
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Who is looked up next among those who are not known.
pub(super) struct ReviewRateLimit {
    addresses: Cache<IpAddr, Arc<Address>>,
    turns: Arc<Semaphore>,
    known: Cache<TokenHash, ()>,
    /// How long a refused token keeps its turns.
    kept: Duration,
    /// How long a request waits for its turn.
    wait: Duration,
}

struct Address {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
}

/// A stranger's turn. Dropped, it is kept for a while, for who hangs up has cost a question too.
pub(super) struct ReviewPermit {
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    kept: Duration,
}

impl ReviewPermit {
    /// Gives the turn back: it was no refused token's.
    pub(super) fn free(mut self) {
        self.permits = None;
    }
}

impl Drop for ReviewPermit {
    fn drop(&mut self) {
        if let Some(permits) = self.permits.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let kept = self.kept;
            runtime.spawn(async move {
                tokio::time::sleep(kept).await;
                drop(permits);
            });
        }
    }
}

impl ReviewRateLimit {
    pub(super) fn new() -> Self {
        Self {
            addresses: Cache::builder()
                .max_capacity(ADDRESSES)
                .time_to_idle(2 * WAIT)
                .build(),
            turns: Arc::new(Semaphore::new(IN_ALL)),
            known: Cache::builder()
                .max_capacity(KNOWN)
                .time_to_live(KNOWN_FOR)
                .build(),
            kept: REFUSAL_WINDOW,
            wait: WAIT,
        }
    }

    /// The kube-apiserver vouches for this token.
    pub(super) fn vouched(&self, token: TokenHash) {
        self.known.insert(token, ());
    }

    /// It does not, or no longer.
    pub(super) fn refused(&self, token: &TokenHash) {
        self.known.invalidate(token);
    }

    /// Waits for the turn of a token from this address; none is needed for one that is known.
    ///
    /// # Errors
    ///
    /// 503 where too many from this address wait, or the wait is too long.
    pub(super) async fn turn(
        &self,
        token: &TokenHash,
        address: IpAddr,
    ) -> Result<Option<ReviewPermit>, Problem> {
        if self.known.contains_key(token) {
            return Ok(None);
        }
        let new = || {
            Arc::new(Address {
                turns: Arc::new(Semaphore::new(BY_ADDRESS)),
                waiting: Semaphore::new(WAITING),
            })
        };
        let address = self.addresses.get_with(network(address), new);
        let _waits = address.waiting.try_acquire().map_err(|_| overloaded())?;
        let turn = async {
            let own = address.turns.clone().acquire_owned().await.ok()?;
            let common = self.turns.clone().acquire_owned().await.ok()?;
            Some(ReviewPermit {
                permits: Some((own, common)),
                kept: self.kept,
            })
        };
        let turn = tokio::time::timeout(self.wait, turn).await.ok().flatten();
        turn.map(Some).ok_or_else(overloaded)
    }
}

fn overloaded() -> Problem {
    Problem::new(
        ProblemType::Overloaded,
        "too many unknown tokens come from your address; try again",
    )
}

/// What one host has of addresses: an IPv6 one has a whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::FutureExt;

    use super::*;

    const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const TOKEN: TokenHash = [0; 32];

    /// With short times.
    fn strangers() -> ReviewRateLimit {
        ReviewRateLimit {
            kept: Duration::from_millis(500),
            wait: Duration::from_secs(5),
            ..ReviewRateLimit::new()
        }
    }

    async fn turn(strangers: &ReviewRateLimit, address: IpAddr) -> ReviewPermit {
        let turn = strangers.turn(&TOKEN, address).await;
        turn.expect("a turn").expect("it is not known")
    }

    /// All turns of an address, with refused tokens.
    async fn flood(strangers: &ReviewRateLimit, address: IpAddr) {
        for _ in 0..BY_ADDRESS {
            drop(turn(strangers, address).await);
        }
    }

    #[tokio::test]
    async fn refused_tokens_keep_their_addresss_turns_and_nobody_elses() {
        let (strangers, begun) = (strangers(), Instant::now());
        flood(&strangers, FLOOD).await;
        assert!(turn(&strangers, OTHER).now_or_never().is_some());
        assert!(turn(&strangers, FLOOD).now_or_never().is_none());
        for rounds in 1..=3 {
            flood(&strangers, FLOOD).await;
            assert!(begun.elapsed() >= strangers.kept * rounds);
        }
        let many = 2 * IN_ALL / BY_ADDRESS;
        for host in 0..many {
            flood(&strangers, IpAddr::from([10, 1, 0, host as u8])).await;
        }
        assert!(begun.elapsed() >= strangers.kept * 4, "all have a bound");
    }

    #[tokio::test]
    async fn good_tokens_pass_as_fast_as_they_are_answered() {
        let (strangers, begun) = (ReviewRateLimit::new(), Instant::now());
        for _ in 0..10 * IN_ALL {
            turn(&strangers, FLOOD).await.free();
        }
        assert!(begun.elapsed() < REFUSAL_WINDOW, "none kept its turn");
    }

    #[tokio::test]
    async fn a_token_that_was_vouched_for_needs_no_turn_until_it_is_refused() {
        let strangers = strangers();
        strangers.vouched([1; 32]);
        flood(&strangers, FLOOD).await;
        let known = async || strangers.turn(&[1; 32], FLOOD).await.map(|t| t.is_none());
        assert_eq!(known().now_or_never(), Some(Ok(true)));
        strangers.refused(&[1; 32]);
        assert_eq!(known().now_or_never(), None, "it waits as others do");
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_at_once_and_others_in_time() {
        let strangers = ReviewRateLimit {
            wait: Duration::from_millis(200),
            ..strangers()
        };
        let held = futures::future::join_all((0..BY_ADDRESS).map(|_| turn(&strangers, FLOOD)));
        let held = held.await;
        let mut waiting: Vec<_> = (0..WAITING)
            .map(|_| Box::pin(strangers.turn(&TOKEN, FLOOD)))
            .collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        let kind =
            |answer: Result<Option<ReviewPermit>, Problem>| answer.map(drop).map_err(|p| p.kind);
        let more = strangers.turn(&TOKEN, FLOOD).now_or_never();
        assert_eq!(more.map(kind), Some(Err(ProblemType::Overloaded)));
        for one in waiting {
            assert_eq!(kind(one.await), Err(ProblemType::Overloaded));
        }
        drop(held);
    }

    #[test]
    fn a_host_has_one_network_of_addresses() {
        let network = |address: &str| network(address.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8::1:2:3:4"), "2001:db8::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
    }
}
