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

/// A list, and the URL that it was read at.
#[derive(Clone)]
struct StoredList {
    url: String,
    listing: Arc<ModelsById>,
}

/// Lists by endpoint, read from the database when first asked for.
pub(super) struct ModelLists {
    db: Db,
    known: Mutex<HashMap<Uuid, StoredList>>,
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
        let of_this_url = |known: &StoredList| (known.url == url).then(|| known.listing.clone());
        if let Some(known) = self.known().get(&endpoint).and_then(of_this_url) {
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
        if let Some(newer) = known.get(&endpoint).and_then(of_this_url) {
            return Ok(newer);
        }
        let read = StoredList {
            url: url.to_owned(),
            listing: listing.clone(),
        };
        known.insert(endpoint, read);
        Ok(listing)
    }

    pub(super) fn put(&self, endpoint: Uuid, url: String, listing: ModelsById) {
        let listing = Arc::new(listing);
        self.known().insert(endpoint, StoredList { url, listing });
    }

    pub(super) fn forget(&self, endpoint: Uuid) {
        self.known().remove(&endpoint);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, StoredList>> {
        self.known.lock()
    }
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
