//! One kind's rows, under every key by which they are asked for.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use imbl::{HashMap, OrdMap};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::View;

/// A row, written out once when it enters.
#[derive(Debug)]
pub struct Entry<V> {
    /// The row.
    pub view: V,
    /// The row as JSON: what every answer that holds it is made of.
    pub json: Bytes,
    /// The first half of the SHA-256 of `json`: the same on every replica.
    pub digest: u128,
    /// The digest as an ETag.
    pub etag: HeaderValue,
    /// Order of lists; see [`name_key`].
    pub key: Arc<str>,
}

impl<V: View> Entry<V> {
    /// Writes the row out.
    ///
    /// # Errors
    ///
    /// When the row has no form in JSON, which no row of the database is.
    pub fn new(view: V) -> Result<Self, serde_json::Error> {
        let json = Bytes::from(serde_json::to_vec(&view)?);
        let hash = Sha256::digest(&json);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash[..16]);
        let digest = u128::from_be_bytes(digest);
        let common = view.common();
        let key = name_key(&common.namespace, &common.name).into();
        Ok(Self {
            view,
            json,
            digest,
            etag: etag("", digest),
            key,
        })
    }
}

/// A digest as an ETag; `W/` in front makes it a weak one.
pub fn etag(strength: &'static str, digest: u128) -> HeaderValue {
    let text = format!("{strength}\"{digest:032x}\"");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Namespace and name as one string whose order is theirs: no name holds a NUL.
pub fn name_key(namespace: &str, name: &str) -> String {
    let mut key = String::with_capacity(namespace.len() + 1 + name.len());
    key.push_str(namespace);
    key.push('\0');
    key.push_str(name);
    key
}

/// Namespace and name of a [`name_key`].
pub fn split_name_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('\0')
}

/// One kind's rows. A clone shares everything; a change copies what it touches.
#[derive(Debug)]
pub struct Table<V> {
    by_uid: HashMap<Uuid, Arc<Entry<V>>>,
    by_name: OrdMap<Arc<str>, Arc<Entry<V>>>,
    by_provider: OrdMap<(Uuid, Arc<str>), Arc<Entry<V>>>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            by_uid: HashMap::new(),
            by_name: OrdMap::new(),
            by_provider: OrdMap::new(),
        }
    }
}

impl<V> Clone for Table<V> {
    fn clone(&self) -> Self {
        Self {
            by_uid: self.by_uid.clone(),
            by_name: self.by_name.clone(),
            by_provider: self.by_provider.clone(),
        }
    }
}

impl<V: View> Table<V> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// The row of this UID.
    pub fn by_uid(&self, uid: Uuid) -> Option<&Arc<Entry<V>>> {
        self.by_uid.get(&uid)
    }

    /// The row of this name.
    pub fn by_name(&self, namespace: &str, name: &str) -> Option<&Arc<Entry<V>>> {
        self.by_name.get(name_key(namespace, name).as_str())
    }

    /// Rows by namespace and name, from this key on.
    pub fn from_key<'t>(
        &'t self,
        key: &str,
    ) -> impl Iterator<Item = &'t Arc<Entry<V>>> + use<'t, V> {
        self.by_name
            .range::<_, str>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded))
            .map(|(_, entry)| entry)
    }

    /// Rows of a provider by namespace and name, from this key on.
    pub fn of_provider<'t>(
        &'t self,
        provider: Uuid,
        key: &str,
    ) -> impl Iterator<Item = &'t Arc<Entry<V>>> + use<'t, V> {
        self.by_provider
            .range((provider, Arc::from(key))..)
            .take_while(move |((parent, _), _)| *parent == provider)
            .map(|(_, entry)| entry)
    }

    /// Puts a row in; answers the one that it replaces.
    pub(super) fn upsert(&mut self, entry: Arc<Entry<V>>) -> Option<Arc<Entry<V>>> {
        let old = self.remove(entry.view.common().id);
        if let Some(provider) = entry.view.provider_id() {
            self.by_provider
                .insert((provider, entry.key.clone()), entry.clone());
        }
        self.by_name.insert(entry.key.clone(), entry.clone());
        self.by_uid.insert(entry.view.common().id, entry);
        old
    }

    /// Takes a row out. A newer one of the same name stays.
    pub(super) fn remove(&mut self, uid: Uuid) -> Option<Arc<Entry<V>>> {
        let old = self.by_uid.remove(&uid)?;
        let same = |entry: &Arc<Entry<V>>| entry.view.common().id == uid;
        if self.by_name.get(&old.key).is_some_and(same) {
            self.by_name.remove(&old.key);
        }
        if let Some(provider) = old.view.provider_id() {
            let key = (provider, old.key.clone());
            if self.by_provider.get(&key).is_some_and(same) {
                self.by_provider.remove(&key);
            }
        }
        Some(old)
    }
}
