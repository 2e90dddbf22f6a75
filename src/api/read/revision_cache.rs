//! Answers of the newest revision that were written out already, within a bound.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::db::Revision;

/// What takes memory in a cache.
pub trait CacheSize {
    /// Bytes that it takes.
    fn size(&self) -> usize;
}

/// Answers by what was asked, all of one revision; at most so many bytes, so that no variety of
/// questions fills the memory.
#[derive(Debug)]
pub struct RevisionCache<V, const MAX_BYTES: usize>(RwLock<Cached<V>>);

#[derive(Debug)]
struct Cached<V> {
    revision: Revision,
    bytes: usize,
    answers: HashMap<String, V>,
}

impl<V> Cached<V> {
    fn empty(revision: Revision) -> Self {
        Self {
            revision,
            bytes: 0,
            answers: HashMap::new(),
        }
    }
}

impl<V, const MAX_BYTES: usize> Default for RevisionCache<V, MAX_BYTES> {
    fn default() -> Self {
        Self(RwLock::new(Cached::empty(Revision::default())))
    }
}

impl<V: Clone + CacheSize, const MAX_BYTES: usize> RevisionCache<V, MAX_BYTES> {
    /// What was answered at this revision, if it is there.
    pub(in crate::api) fn get(&self, revision: Revision, key: &str) -> Option<V> {
        let kept = self.0.read();
        match kept.revision == revision {
            true => kept.answers.get(key).cloned(),
            false => None,
        }
    }

    /// Keeps an answer of this revision; those of older ones go.
    pub(in crate::api) fn put(&self, revision: Revision, key: String, answer: &V) {
        let size = key.len() + answer.size();
        let mut kept = self.0.write();
        if revision < kept.revision || size > MAX_BYTES {
            return;
        }
        if revision > kept.revision || kept.bytes + size > MAX_BYTES {
            *kept = Cached::empty(revision);
        }
        let key_len = key.len();
        match kept.answers.insert(key, answer.clone()) {
            None => kept.bytes += size,
            Some(old) => {
                kept.bytes = (kept.bytes + size).saturating_sub(key_len + old.size());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_CACHED_BYTES: usize = 1 << 20;

    impl CacheSize for usize {
        fn size(&self) -> usize {
            *self
        }
    }

    #[test]
    fn a_flood_of_questions_keeps_within_the_bound() {
        let cache = RevisionCache::<usize, MAX_CACHED_BYTES>::default();
        let long = MAX_CACHED_BYTES / 4;
        for number in 0..20 {
            cache.put(Revision(1), number.to_string(), &long);
            assert!(cache.0.read().bytes <= MAX_CACHED_BYTES);
        }
        cache.put(Revision(1), "huge".to_owned(), &MAX_CACHED_BYTES);
        assert!(cache.get(Revision(1), "huge").is_none());
        assert!(cache.get(Revision(1), "19").is_some());
    }

    #[test]
    fn an_answer_that_takes_anothers_place_is_counted_in_its_stead() {
        let cache = RevisionCache::<usize, MAX_CACHED_BYTES>::default();
        for size in [5, 500, 50] {
            cache.put(Revision(1), "a".to_owned(), &size);
            assert_eq!(cache.0.read().bytes, 1 + size);
        }
    }
}
