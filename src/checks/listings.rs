//! What the vendors' last complete lists said, in memory: ten thousand models ask the same lists.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::{Db, DbError},
    vendors::ListedModel,
};

/// One endpoint's list: models by the vendor's id.
pub type Listing = BTreeMap<String, ListedModel>;

/// Lists by endpoint, read from the database when first asked for.
pub(super) struct Listings {
    db: Db,
    known: Mutex<HashMap<Uuid, Arc<Listing>>>,
}

impl Listings {
    pub(super) fn new(db: Db) -> Self {
        Self {
            db,
            known: Mutex::default(),
        }
    }

    pub(super) async fn get(&self, endpoint: Uuid) -> Result<Arc<Listing>, DbError> {
        if let Some(known) = self.known().get(&endpoint) {
            return Ok(known.clone());
        }
        let mut stored = self.db.listed_models(&[endpoint]).await?;
        let listing = stored
            .remove(&endpoint)
            .unwrap_or_default()
            .into_iter()
            .map(|(id, facts)| (id, read(facts)))
            .collect();
        // A list that was put meanwhile is newer than what was just read.
        Ok(self
            .known()
            .entry(endpoint)
            .or_insert_with(|| Arc::new(listing))
            .clone())
    }

    pub(super) fn put(&self, endpoint: Uuid, listing: Listing) {
        self.known().insert(endpoint, Arc::new(listing));
    }

    pub(super) fn forget(&self, endpoint: Uuid) {
        self.known().remove(&endpoint);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Listing>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Facts of another release may not be read whole; the id is known all the same.
fn read(facts: Value) -> ListedModel {
    serde_json::from_value(facts).unwrap_or_default()
}

/// A list as it is stored.
pub(super) fn stored(listing: &Listing) -> BTreeMap<String, Value> {
    listing
        .iter()
        .map(|(id, model)| (id.clone(), serde_json::to_value(model).unwrap_or_default()))
        .collect()
}
