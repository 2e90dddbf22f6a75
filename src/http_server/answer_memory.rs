//! Memory of answers that are under way: what was written out for a reader who has not taken it yet.
//!
//! An answer holds its part until the last of its bytes is handed to the operating system, wherever in
//! the server they wait. A connection has a share, so that one reader who takes nothing keeps nobody
//! else from an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a permit.
const UNIT: usize = 1024;

/// Bytes of all answers together.
const ALL: usize = 64 << 20;

/// Bytes of one connection's answers.
const OF_CONNECTION: usize = 2 << 20;

/// How long an answer waits for others to be taken.
const WAIT: Duration = Duration::from_secs(5);

/// The memory of all answers of a server; a clone shares it.
#[derive(Clone, Debug)]
pub struct AnswerMemory {
    all: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// A connection's share of it.
#[derive(Clone, Debug)]
pub struct ConnectionShare(Arc<Semaphore>);

/// The answers under way take all the memory that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many answers wait for their readers")]
pub struct NoMemory;

/// Memory for an answer that is about to be written out.
#[derive(Debug)]
pub struct Reserved {
    of_all: OwnedSemaphorePermit,
    of_connection: OwnedSemaphorePermit,
}

impl Default for AnswerMemory {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL / UNIT)),
            waiting: Arc::default(),
        }
    }
}

impl Default for ConnectionShare {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_CONNECTION / UNIT)))
    }
}

impl AnswerMemory {
    /// A new connection's share.
    pub fn connection(&self) -> ConnectionShare {
        ConnectionShare::default()
    }

    /// Bytes that are held, about.
    pub fn held(&self) -> usize {
        ALL - self.all.available_permits() * UNIT
    }

    /// Whether an answer waits for others to be taken.
    pub(super) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Reserves so many bytes, once others were taken where there are too many.
    ///
    /// # Errors
    ///
    /// Where there is no room within 5 s.
    pub async fn reserve(
        &self,
        share: &ConnectionShare,
        bytes: usize,
    ) -> Result<Reserved, NoMemory> {
        self.reserve_within(WAIT, share, bytes).await
    }

    async fn reserve_within(
        &self,
        wait: Duration,
        share: &ConnectionShare,
        bytes: usize,
    ) -> Result<Reserved, NoMemory> {
        let permits = |most: usize| {
            let permits = bytes.div_ceil(UNIT).clamp(1, most / UNIT);
            u32::try_from(permits).unwrap_or(u32::MAX)
        };
        let reserving = async {
            let of_connection = share.0.clone().acquire_many_owned(permits(OF_CONNECTION));
            let of_connection = of_connection.await.map_err(|_| NoMemory)?;
            let of_all = match self.all.clone().try_acquire_many_owned(permits(ALL)) {
                Ok(of_all) => of_all,
                Err(_) => {
                    let _waiting = Waiting::new(&self.waiting);
                    let of_all = self.all.clone().acquire_many_owned(permits(ALL));
                    of_all.await.map_err(|_| NoMemory)?
                }
            };
            Ok(Reserved {
                of_all,
                of_connection,
            })
        };
        tokio::time::timeout(wait, reserving)
            .await
            .unwrap_or(Err(NoMemory))
    }
}

/// Counts one that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reserved {
    /// The bytes that it was reserved for, twice: for others too, and for the connection alone, whose
    /// share they hold. Each holds the memory until the last part of it is dropped.
    pub fn hold(self, bytes: Bytes) -> (Bytes, Bytes) {
        let shared = Bytes::from_owner(Held {
            bytes,
            _permit: self.of_all,
        });
        let own = Bytes::from_owner(Held {
            bytes: shared.clone(),
            _permit: self.of_connection,
        });
        (shared, own)
    }
}

struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn bytes_hold_their_memory_until_the_last_part_of_them_is_dropped() {
        let memory = AnswerMemory::default();
        let share = memory.connection();
        let reserved = memory
            .reserve(&share, 3 * UNIT)
            .await
            .expect("there is room");
        assert_eq!(memory.held(), 3 * UNIT);
        let (shared, mut own) = reserved.hold(vec![7; 3 * UNIT].into());
        let part = own.split_to(10);
        drop((shared, own));
        assert_eq!(memory.held(), 3 * UNIT);
        assert_eq!(&part[..], &[7; 10]);
        drop(part);
        assert_eq!(memory.held(), 0);
        assert_eq!(share.0.available_permits(), OF_CONNECTION / UNIT);
    }

    #[tokio::test]
    async fn a_connection_has_no_more_than_its_share_and_all_no_more_than_all() {
        let memory = AnswerMemory::default();
        let (share, other) = (memory.connection(), memory.connection());
        let first = memory
            .reserve(&share, OF_CONNECTION)
            .await
            .expect("its share");
        let mut second = Box::pin(memory.reserve(&share, 1));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(!memory.is_short(), "its own share is nobody else's trouble");
        assert!(memory.reserve(&other, 1).now_or_never().is_some());
        drop(first);
        assert!(second.await.is_ok());

        let mut held = Vec::new();
        for _ in 0..ALL / OF_CONNECTION {
            let reserved = memory.reserve(&memory.connection(), OF_CONNECTION).await;
            held.push(reserved.expect("there is room"));
        }
        let mut late = Box::pin(memory.reserve(&other, 1));
        assert!(late.as_mut().now_or_never().is_none());
        assert!(memory.is_short());
        held.pop();
        assert!(late.await.is_ok());
        assert!(!memory.is_short());
    }

    #[tokio::test]
    async fn what_finds_no_room_in_time_is_refused() {
        let memory = AnswerMemory::default();
        let share = memory.connection();
        let _held = memory
            .reserve(&share, OF_CONNECTION)
            .await
            .expect("its share");
        let soon = Duration::from_millis(20);
        let refused = memory.reserve_within(soon, &share, 1).await;
        assert_eq!(refused.err(), Some(NoMemory));
    }
}
