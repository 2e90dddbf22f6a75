//! What the vendors' last complete lists said, in memory: ten thousand models ask the same lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    db::{Db, DbError},
    vendors::ListedModel,
};

/// One endpoint's list: models by the vendor's id.
pub type ModelsById = BTreeMap<String, ListedModel>;

/// Size of all lists that are kept in memory, in bytes; those that nobody asked for the longest are
/// read from the database again.
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;

/// A list, and the URL that it was read at.
#[derive(Clone)]
struct StoredList {
    url: String,
    listing: Arc<ModelsById>,
    /// Ids in it that the last reading lacked: the next one decides.
    missed: BTreeSet<String>,
    reads: ListReads,
}

/// When this process read an endpoint's whole list last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListReads {
    /// The last time.
    pub last: Option<Instant>,
    /// The time before.
    pub before: Option<Instant>,
}

impl ListReads {
    /// Whether what is in neither of two readings is missing, for somebody who asks since then.
    pub fn settle(self, since: Instant) -> bool {
        self.before.is_some() && self.last.is_some_and(|last| last > since)
    }
}

/// Lists by endpoint, read from the database when first asked for.
pub(super) struct ModelLists {
    db: Db,
    known: Mutex<KnownLists>,
}

impl ModelLists {
    pub(super) fn new(db: Db) -> Self {
        Self {
            db,
            known: Mutex::default(),
        }
    }

    /// What was listed at this URL; a list of another one says nothing.
    pub(super) async fn get(&self, endpoint: Uuid, url: &str) -> Result<Arc<ModelsById>, DbError> {
        if let Some(known) = self.known().get(endpoint, url) {
            return Ok(known);
        }
        let stored = self.db.listed_models(endpoint, url).await?;
        let listing: Arc<ModelsById> = Arc::new(models_of(stored));
        let mut known = self.known();
        // A list that was put meanwhile is newer than what was just read.
        if let Some(newer) = known.get(endpoint, url) {
            return Ok(newer);
        }
        let read = StoredList {
            url: url.to_owned(),
            listing: listing.clone(),
            missed: BTreeSet::new(),
            reads: ListReads::default(),
        };
        known.put(endpoint, read);
        Ok(listing)
    }

    /// When the list at this URL was read.
    pub(super) fn reads(&self, endpoint: Uuid, url: &str) -> ListReads {
        let known = self.known();
        let known = known.peek(endpoint, url);
        known.map_or_else(ListReads::default, |known| known.reads)
    }

    /// What is listed at this URL after a reading: what was read, and what was listed before and is
    /// missing for the first time. Answers those too.
    pub(super) async fn after(
        &self,
        endpoint: Uuid,
        url: &str,
        read: ModelsById,
    ) -> Result<(ModelsById, BTreeSet<String>), DbError> {
        let before = self.get(endpoint, url).await?;
        let missed = {
            let known = self.known();
            let known = known.peek(endpoint, url);
            known.map_or_else(BTreeSet::new, |known| known.missed.clone())
        };
        Ok(merged(&before, &missed, read))
    }

    /// Keeps what [`Self::after`] answered, once it is stored.
    pub(super) fn put(
        &self,
        endpoint: Uuid,
        url: String,
        (listing, missed): (ModelsById, BTreeSet<String>),
    ) {
        let mut known = self.known();
        let before = known.peek(endpoint, &url);
        let read = StoredList {
            reads: ListReads {
                last: Some(Instant::now()),
                before: before.and_then(|before| before.reads.last),
            },
            url,
            listing: Arc::new(listing),
            missed,
        };
        known.put(endpoint, read);
    }

    pub(super) fn forget(&self, endpoint: Uuid) {
        self.known().forget(endpoint);
    }

    fn known(&self) -> MutexGuard<'_, KnownLists> {
        self.known.lock()
    }
}

/// The lists that are in memory.
#[derive(Default)]
struct KnownLists {
    lists: HashMap<Uuid, KnownList>,
    bytes: usize,
    /// Counts the times that a list was asked for.
    uses: u64,
}

struct KnownList {
    list: StoredList,
    bytes: usize,
    last_use: u64,
}

impl KnownLists {
    fn get(&mut self, endpoint: Uuid, url: &str) -> Option<Arc<ModelsById>> {
        self.uses += 1;
        let known = self.lists.get_mut(&endpoint)?;
        known.last_use = self.uses;
        (known.list.url == url).then(|| known.list.listing.clone())
    }

    /// A list, without counting that as a use.
    fn peek(&self, endpoint: Uuid, url: &str) -> Option<&StoredList> {
        let known = self.lists.get(&endpoint).map(|known| &known.list);
        known.filter(|list| list.url == url)
    }

    fn put(&mut self, endpoint: Uuid, list: StoredList) {
        self.forget(endpoint);
        self.uses += 1;
        let bytes = size_of_list(&list.listing);
        let known = KnownList {
            list,
            bytes,
            last_use: self.uses,
        };
        self.bytes += bytes;
        self.lists.insert(endpoint, known);
        while self.bytes > MAX_KEPT_BYTES {
            let oldest = self.lists.iter().min_by_key(|(_, known)| known.last_use);
            let Some(oldest) = oldest.map(|(uid, _)| *uid) else {
                return;
            };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, endpoint: Uuid) {
        if let Some(known) = self.lists.remove(&endpoint) {
            self.bytes -= known.bytes;
        }
    }
}

/// About what a list takes in memory.
fn size_of_list(list: &ModelsById) -> usize {
    let entries = list.iter().map(|(id, model)| {
        let texts = [&model.display_name, &model.base_model, &model.replacement];
        let name: usize = texts.into_iter().flatten().map(String::len).sum();
        let capabilities = model.capabilities.as_ref().map_or(0, Vec::len);
        size_of::<ListedModel>() + size_of::<String>() + 2 * id.len() + name + 4 * capabilities
    });
    entries.sum()
}

/// A list is not complete for having been read once: what was listed goes when two readings in a row
/// lack it.
fn merged(
    before: &ModelsById,
    missed_before: &BTreeSet<String>,
    mut read: ModelsById,
) -> (ModelsById, BTreeSet<String>) {
    let missing = |id: &&String| !read.contains_key(*id) && !missed_before.contains(*id);
    let missed: BTreeSet<String> = before.keys().filter(missing).cloned().collect();
    for id in &missed {
        if let Some(facts) = before.get(id) {
            read.insert(id.clone(), facts.clone());
        }
    }
    (read, missed)
}

/// Facts of another release may not be read whole; the id is known all the same.
fn read(facts: Value) -> ListedModel {
    serde_json::from_value(facts).unwrap_or_default()
}

/// A list of what is stored of it.
pub fn models_of(stored: BTreeMap<String, Value>) -> ModelsById {
    let models = stored.into_iter();
    models.map(|(id, facts)| (id, read(facts))).collect()
}

/// A list as it is stored.
pub(super) fn stored(listing: &ModelsById) -> BTreeMap<String, Value> {
    listing
        .iter()
        .map(|(id, model)| (id.clone(), serde_json::to_value(model).unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_large_lists_those_that_are_asked_for_stay() {
        let mut known = KnownLists::default();
        let list = |count: usize| StoredList {
            url: "u".to_owned(),
            missed: BTreeSet::new(),
            reads: ListReads::default(),
            listing: Arc::new(
                (0..count)
                    .map(|n| (format!("{n:0>200}"), ListedModel::default()))
                    .collect(),
            ),
        };
        let (asked_for, large) = (Uuid::new_v4(), list(10_000));
        known.put(asked_for, list(1));
        for _ in 0..100 {
            assert!(known.get(asked_for, "u").is_some());
            known.put(Uuid::new_v4(), large.clone());
            assert!(known.bytes <= MAX_KEPT_BYTES);
        }
        assert!(known.get(asked_for, "another").is_none());
        assert!(known.lists.len() < 50);
        for uid in known.lists.keys().copied().collect::<Vec<_>>() {
            known.forget(uid);
        }
        assert_eq!(known.bytes, 0);
    }

    fn listing(ids: &[&str]) -> ModelsById {
        let model = |id: &&str| (id.to_string(), ListedModel::default());
        ids.iter().map(model).collect()
    }

    #[test]
    fn what_was_listed_goes_when_two_readings_in_a_row_lack_it() {
        let none = BTreeSet::new();
        let (first, missed) = merged(&listing(&["a", "b"]), &none, listing(&["b", "c"]));
        assert_eq!(first, listing(&["a", "b", "c"]));
        assert_eq!(missed, BTreeSet::from(["a".to_owned()]));
        let (second, missed) = merged(&first, &missed, listing(&["b", "c"]));
        assert_eq!((second, missed), (listing(&["b", "c"]), none.clone()));
    }

    #[test]
    fn what_comes_back_was_never_away() {
        let none = BTreeSet::new();
        let (empty, missed) = merged(&listing(&["a", "b"]), &none, listing(&[]));
        assert_eq!(empty, listing(&["a", "b"]));
        let (back, missed) = merged(&empty, &missed, listing(&["a", "b"]));
        assert_eq!((back.len(), &missed), (2, &none));
        let (again, missed) = merged(&back, &missed, listing(&["b"]));
        assert_eq!((again.len(), missed.len()), (2, 1));
    }

    #[test]
    fn two_readings_settle_what_is_asked_before_the_last() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let reads = |before, last| ListReads { last, before };
        assert!(reads(Some(now), Some(later)).settle(now));
        assert!(!reads(Some(now), Some(later)).settle(later));
        assert!(!reads(None, Some(later)).settle(now));
        assert!(!ListReads::default().settle(now));
    }
}
