//! The configuration at one revision.

use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::table::{Entry, Table};
use super::{CredentialView, EndpointView, ModelClassView, ModelView, ProviderView, View};
use crate::crd::Kind;
use crate::crd::model::Capability;
use crate::db::{ChangedRows, Revision};

/// Rows of all kinds, as they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Providers.
    pub providers: Vec<ProviderView>,
    /// Endpoints.
    pub endpoints: Vec<EndpointView>,
    /// Credentials.
    pub credentials: Vec<CredentialView>,
    /// Models.
    pub models: Vec<ModelView>,
    /// Model classes.
    pub model_classes: Vec<ModelClassView>,
}

/// Models by what they are called, then by the key of their name.
type ModelsByCall = OrdMap<(Arc<str>, Arc<str>), Arc<Entry<ModelView>>>;

/// The configuration at one revision. Never changes; a clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// Providers.
    pub providers: Table<ProviderView>,
    /// Endpoints.
    pub endpoints: Table<EndpointView>,
    /// Credentials.
    pub credentials: Table<CredentialView>,
    /// Models.
    pub models: Table<ModelView>,
    /// Model classes.
    pub model_classes: Table<ModelClassView>,
    /// Objects that are not shown, for this binary cannot read their rows.
    pub unreadable: OrdSet<Uuid>,
    by_capability: OrdMap<(Capability, Arc<str>), Arc<Entry<ModelView>>>,
    /// By each thing that a model is called, then by namespace and name.
    by_call: ModelsByCall,
}

impl Snapshot {
    /// The snapshot of these rows alone.
    ///
    /// # Errors
    ///
    /// When a row cannot be written as JSON.
    pub fn full(rows: &ChangedRows, revision: Revision) -> Result<Self, serde_json::Error> {
        Self::default().apply(rows, revision)
    }

    /// The snapshot after these rows changed; one with `deleted_at` is taken out.
    ///
    /// # Errors
    ///
    /// When a row cannot be written as JSON.
    pub fn apply(&self, rows: &ChangedRows, revision: Revision) -> Result<Self, serde_json::Error> {
        let mut next = self.clone();
        next.note_readable(rows);
        next.put(Views {
            providers: rows.providers.iter().map(ProviderView::from).collect(),
            endpoints: rows.endpoints.iter().map(EndpointView::from).collect(),
            credentials: CredentialView::all_of(&rows.credentials, &rows.credential_versions),
            models: rows.models.iter().map(ModelView::from).collect(),
            model_classes: rows
                .model_classes
                .iter()
                .map(ModelClassView::from)
                .collect(),
        })?;
        next.revision = revision;
        Ok(next)
    }

    /// Puts rows in, as they are shown; one with `deleted_at` is taken out.
    ///
    /// # Errors
    ///
    /// When a row cannot be written as JSON.
    pub fn put(&mut self, views: Views) -> Result<(), serde_json::Error> {
        put(&mut self.providers, views.providers.into_iter())?;
        put(&mut self.endpoints, views.endpoints.into_iter())?;
        put(&mut self.credentials, views.credentials.into_iter())?;
        put(&mut self.model_classes, views.model_classes.into_iter())?;
        self.put_models(views.models.into_iter())
    }

    /// Models that can do this, by namespace and name, from this key on.
    pub fn with_capability<'s>(
        &'s self,
        capability: Capability,
        key: &str,
    ) -> impl Iterator<Item = &'s Arc<Entry<ModelView>>> + use<'s> {
        self.by_capability
            .range((capability, Arc::from(key))..)
            .take_while(move |((has, _), _)| *has == capability)
            .map(|(_, entry)| entry)
    }

    /// Models of this name, display name or `modelId` whose key begins with this, by namespace and name.
    pub fn called<'s>(
        &'s self,
        what: &str,
        prefix: &str,
    ) -> impl Iterator<Item = &'s Arc<Entry<ModelView>>> + use<'s> {
        let (what, prefix): (Arc<str>, Arc<str>) = (what.into(), prefix.into());
        self.by_call
            .range((what.clone(), prefix.clone())..)
            .take_while(move |((call, key), _)| *call == what && key.starts_with(&*prefix))
            .map(|(_, entry)| entry)
    }

    /// Namespace and name of an object.
    pub fn place(&self, kind: Kind, id: Uuid) -> Option<(&str, &str)> {
        let common = match kind {
            Kind::Provider => self.providers.by_uid(id)?.view.common(),
            Kind::Endpoint => self.endpoints.by_uid(id)?.view.common(),
            Kind::Credential => self.credentials.by_uid(id)?.view.common(),
            Kind::Model => self.models.by_uid(id)?.view.common(),
            Kind::ModelClass => self.model_classes.by_uid(id)?.view.common(),
        };
        Some((&common.namespace, &common.name))
    }

    /// The row of an object as JSON.
    pub fn json(&self, kind: Kind, id: Uuid) -> Option<Bytes> {
        let json = match kind {
            Kind::Provider => &self.providers.by_uid(id)?.json,
            Kind::Endpoint => &self.endpoints.by_uid(id)?.json,
            Kind::Credential => &self.credentials.by_uid(id)?.json,
            Kind::Model => &self.models.by_uid(id)?.json,
            Kind::ModelClass => &self.model_classes.by_uid(id)?.json,
        };
        Some(json.clone())
    }

    /// What cannot be read is taken out, until it can be: what was known of it holds no more.
    fn note_readable(&mut self, rows: &ChangedRows) {
        if !self.unreadable.is_empty() {
            let providers = rows.providers.iter().map(|row| row.uid);
            let endpoints = rows.endpoints.iter().map(|row| row.uid);
            let credentials = rows.credentials.iter().map(|row| row.uid);
            let models = rows.models.iter().map(|row| row.uid);
            let classes = rows.model_classes.iter().map(|row| row.uid);
            let read = providers.chain(endpoints).chain(credentials).chain(models);
            for uid in read.chain(classes) {
                self.unreadable.remove(&uid);
            }
        }
        for (kind, uid) in &rows.unreadable {
            self.unreadable.insert(*uid);
            match kind {
                Kind::Provider => drop(self.providers.remove(*uid)),
                Kind::Endpoint => drop(self.endpoints.remove(*uid)),
                Kind::Credential => drop(self.credentials.remove(*uid)),
                Kind::Model => {
                    if let Some(old) = self.models.remove(*uid) {
                        self.forget_model(&old);
                    }
                }
                Kind::ModelClass => drop(self.model_classes.remove(*uid)),
            }
        }
    }

    fn put_models(
        &mut self,
        views: impl Iterator<Item = ModelView>,
    ) -> Result<(), serde_json::Error> {
        let (gone, live): (Vec<_>, Vec<_>) =
            views.partition(|view| view.common.deleted_at.is_some());
        for view in gone {
            if let Some(old) = self.models.remove(view.common.id) {
                self.forget_model(&old);
            }
        }
        for view in live {
            let entry = Arc::new(Entry::new(view)?);
            if let Some(old) = self.models.upsert(entry.clone()) {
                self.forget_model(&old);
            }
            for capability in &entry.view.capabilities {
                self.by_capability
                    .insert((capability.name, entry.key.clone()), entry.clone());
            }
            for call in entry.view.calls() {
                self.by_call
                    .insert((call.into(), entry.key.clone()), entry.clone());
            }
        }
        Ok(())
    }

    fn forget_model(&mut self, model: &Entry<ModelView>) {
        for capability in &model.view.capabilities {
            let key = (capability.name, model.key.clone());
            let same = |entry: &Arc<Entry<ModelView>>| entry.view.common.id == model.view.common.id;
            if self.by_capability.get(&key).is_some_and(same) {
                self.by_capability.remove(&key);
            }
        }
        for call in model.view.calls() {
            let key = (Arc::from(call), model.key.clone());
            let same = |entry: &Arc<Entry<ModelView>>| entry.view.common.id == model.view.common.id;
            if self.by_call.get(&key).is_some_and(same) {
                self.by_call.remove(&key);
            }
        }
    }
}

/// Deletions go first: a name that is used again belongs to the new row.
fn put<V: View>(
    table: &mut Table<V>,
    views: impl Iterator<Item = V>,
) -> Result<(), serde_json::Error> {
    let (gone, live): (Vec<_>, Vec<_>) = views.partition(|view| view.common().deleted_at.is_some());
    for view in gone {
        table.remove(view.common().id);
    }
    for view in live {
        table.upsert(Arc::new(Entry::new(view)?));
    }
    Ok(())
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
