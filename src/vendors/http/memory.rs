//! The memory that vendors' answers may take together, however many checks run.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Size up to which an answer is read without asking, in bytes: most answers are smaller by far.
pub const SMALL_ANSWER_BYTES: usize = 256 * 1024;
/// Checks that may hold a larger answer at once: each at most
/// [`MAX_BODY_BYTES`](super::client::MAX_BODY_BYTES), and what is read from it.
pub const MAX_LARGE_ANSWERS: usize = 4;
/// The same for one namespace, so that others have their turn.
pub const MAX_LARGE_ANSWERS_PER_NAMESPACE: usize = 1;

/// The room for large answers in one process.
pub(super) struct LargeAnswers {
    all: Arc<Semaphore>,
    by_namespace: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Room for one large answer; it ends when this is dropped.
pub(super) struct LargeAnswer {
    _of_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for LargeAnswers {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MAX_LARGE_ANSWERS)),
            by_namespace: Mutex::default(),
        }
    }
}

impl LargeAnswers {
    /// Waits for room. `None` only when there will never be any.
    pub async fn room(&self, namespace: &str) -> Option<LargeAnswer> {
        let of_namespace = self.of(namespace).acquire_owned().await.ok()?;
        let of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(LargeAnswer {
            _of_namespace: of_namespace,
            _of_all: of_all,
        })
    }

    fn of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut all = self.by_namespace.lock();
        if let Some(known) = all.get(namespace).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, semaphore| semaphore.strong_count() > 0);
        let new = Arc::new(Semaphore::new(MAX_LARGE_ANSWERS_PER_NAMESPACE));
        all.insert(namespace.to_owned(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_namespace_cannot_take_all_the_room() {
        let room = LargeAnswers::default();
        let mut held = Vec::new();
        for namespace in ["a", "b", "c", "d"] {
            held.push(room.room(namespace).now_or_never().flatten());
            assert!(held.iter().all(Option::is_some));
            assert!(room.room(namespace).now_or_never().is_none());
        }
        assert!(room.room("e").now_or_never().is_none());
        held.clear();
        assert!(room.room("e").now_or_never().flatten().is_some());
        assert!(room.by_namespace.lock().len() <= 5);
    }
}
