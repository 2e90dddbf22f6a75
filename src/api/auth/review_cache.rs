//! Answers of the kube-apiserver, each for as long as it counts.

use std::hash::Hash;
use std::time::Instant;

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::REVIEW_TTL;
use crate::api::problem::Problem;

/// Answers by what was asked. A bounded number is kept, and of those who ask the same at once one
/// asks for all. Every request looks here, so that a look costs a read lock on a part of it and no
/// upkeep.
pub(in crate::api) struct ReviewCache<K, V> {
    answers: Cache<K, Answer<V>>,
    swept: Mutex<Instant>,
}

/// What was said, and until when it counts.
pub(in crate::api) type Expiring<V> = (V, Instant);

#[derive(Clone)]
struct Answer<V> {
    said: Result<V, Problem>,
    /// Of a failure: when it came.
    until: Instant,
}

impl<K, V> ReviewCache<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone,
{
    /// Keeps so many at most.
    pub(in crate::api) fn new(at_most: usize) -> Self {
        Self {
            answers: Cache::new(at_most),
            swept: Mutex::new(Instant::now()),
        }
    }

    /// The answer, if there is one that counts.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let answer = self.answers.get(key)?;
        (answer.until > now).then_some(answer.said.ok()).flatten()
    }

    /// Keeps an answer.
    pub(super) fn insert(&self, key: K, (value, until): Expiring<V>) {
        let said = Ok(value);
        self.answers.insert(key, Answer { said, until });
        self.sweep(Instant::now());
    }

    /// Forgets an answer; one that is asked for meanwhile is not kept.
    pub(super) fn remove(&self, key: &K) {
        self.answers.remove(key);
    }

    /// The answer that counts, else what `ask` brings. A failure is told to all who waited for it
    /// with whoever asked, and to none who comes later.
    pub(in crate::api) async fn get_or_ask(
        &self,
        key: K,
        ask: impl Future<Output = Result<Expiring<V>, Problem>>,
    ) -> Result<V, Problem> {
        let begun = Instant::now();
        loop {
            match self.answers.get_value_or_guard_async(&key).await {
                // Whoever waited began before the answer came.
                Ok(answer) if answer.until > begun => return answer.said,
                Ok(_) => self.forget(&key, begun),
                Err(place) => {
                    let asked = ask.await;
                    let now = Instant::now();
                    let (said, until) = match asked {
                        Ok((value, until)) => (Ok(value), until),
                        Err(problem) => (Err(problem), now),
                    };
                    // Where the key was forgotten meanwhile, only those who wait are told.
                    let told = said.clone();
                    let _ = place.insert(Answer { said: told, until });
                    match said.is_ok() {
                        true => self.sweep(now),
                        false => self.forget(&key, now),
                    }
                    return said;
                }
            }
        }
    }

    /// Forgets an answer that counts no longer.
    fn forget(&self, key: &K, now: Instant) {
        self.answers.remove_if(key, |answer| answer.until <= now);
    }

    /// Drops what counts no longer, now and then: nobody may ever ask for it again.
    fn sweep(&self, now: Instant) {
        if let Some(mut swept) = self.swept.try_lock()
            && now.duration_since(*swept) >= REVIEW_TTL
        {
            *swept = now;
            self.answers.retain(|_, answer| answer.until > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::api::problem::ProblemType;

    fn failed() -> Problem {
        Problem::new(ProblemType::ApiserverUnavailable, "no answer")
    }

    fn soon() -> Instant {
        Instant::now() + REVIEW_TTL
    }

    #[test]
    fn an_answer_counts_until_its_time_is_up() {
        let (kept, now) = (ReviewCache::new(10), Instant::now());
        kept.insert(1, ("a", now + Duration::from_secs(1)));
        assert_eq!(kept.get(&1, now), Some("a"));
        assert_eq!(kept.get(&1, now + Duration::from_secs(1)), None);
        assert_eq!(kept.get(&2, now), None);
        kept.remove(&1);
        assert_eq!(kept.get(&1, now), None);
    }

    #[tokio::test]
    async fn one_asks_for_all_who_come_meanwhile_and_its_failure_is_theirs_alone() {
        let kept = ReviewCache::new(10);
        for answer in [Err(failed()), Ok("a"), Ok("b")] {
            let (asked, may_answer) = (AtomicUsize::new(0), Semaphore::new(0));
            let all = (0..20).map(|_| {
                kept.get_or_ask(1, async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    may_answer.acquire().await.expect("it is open").forget();
                    // It counts for those who wait, and then no longer.
                    answer.clone().map(|said| (said, Instant::now()))
                })
            });
            // For all, so that each who asks is counted.
            let release = async { may_answer.add_permits(20) };
            let (told, ()) = futures::join!(join_all(all), release);
            assert_eq!(told, vec![answer.clone(); 20]);
            assert_eq!(asked.into_inner(), 1);
            assert_eq!(kept.get(&1, Instant::now()), None);
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_the_question_to_the_next() {
        let kept = ReviewCache::new(10);
        let mut first = Box::pin(kept.get_or_ask(1, std::future::pending()));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(kept.get_or_ask(1, async { Ok(("a", soon())) }));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await, Ok("a"));
        assert_eq!(kept.get(&1, Instant::now()), Some("a"));
    }

    #[tokio::test]
    async fn what_is_forgotten_while_it_is_asked_for_is_not_kept() {
        let kept = ReviewCache::new(10);
        let told = kept.get_or_ask(1, async {
            kept.remove(&1);
            Ok(("a", soon()))
        });
        assert_eq!(told.await, Ok("a"));
        assert_eq!(kept.get(&1, Instant::now()), None);
    }

    #[tokio::test]
    async fn what_counts_is_not_asked_for_again() {
        let kept = ReviewCache::new(10);
        kept.insert(1, ("a", soon()));
        let again = kept.get_or_ask(1, async { unreachable!("it is known") });
        assert_eq!(again.now_or_never(), Some(Ok("a")));
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let kept = ReviewCache::new(10_000);
        for key in 0..1_000 {
            kept.insert(key, ((), Instant::now()));
        }
        assert_eq!(kept.answers.len(), 1_000);
        kept.insert(1_000, ((), Instant::now() + 3 * REVIEW_TTL));
        kept.sweep(Instant::now() + REVIEW_TTL);
        assert_eq!(kept.answers.len(), 1);
    }

    #[test]
    fn no_number_of_answers_takes_more_room_than_there_is() {
        let kept = ReviewCache::new(1_000);
        for key in 0..100_000 {
            kept.insert(key, ((), soon()));
        }
        assert!(kept.answers.len() <= 1_000);
    }
}
