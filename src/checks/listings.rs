//! What the vendors' last complete lists said, in memory: ten thousand models ask the same lists.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
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
        let listing: Arc<ModelsById> = Arc::new(
            stored
                .into_iter()
                .map(|(id, facts)| (id, read(facts)))
                .collect(),
        );
        let mut known = self.known();
        // A list that was put meanwhile is newer than what was just read.
        if let Some(newer) = known.get(endpoint, url) {
            return Ok(newer);
        }
        let read = StoredList {
            url: url.to_owned(),
            listing: listing.clone(),
        };
        known.put(endpoint, read);
        Ok(listing)
    }

    pub(super) fn put(&self, endpoint: Uuid, url: String, listing: ModelsById) {
        let listing = Arc::new(listing);
        self.known().put(endpoint, StoredList { url, listing });
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
        let name = model.display_name.as_ref().map_or(0, String::len);
        let capabilities = model.capabilities.as_ref().map_or(0, Vec::len);
        size_of::<ListedModel>() + size_of::<String>() + 2 * id.len() + name + 4 * capabilities
    });
    entries.sum()
}

/// Facts of another release may not be read whole; the id is known all the same.
fn read(facts: Value) -> ListedModel {
    serde_json::from_value(facts).unwrap_or_default()
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
}
