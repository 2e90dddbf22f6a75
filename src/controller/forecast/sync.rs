//! Models that model sync would make, change and delete, by its own plan, of the lists that are known.

use std::collections::HashSet;

use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{Assumed, Assumption, Forecaster, assumed_uid};
use crate::controller::kinds::identity;
use crate::controller::kinds::provider::{
    dereference::{in_order, is_unread},
    validate::may_sync,
};
use crate::controller::model_sync::globs::Globs;
use crate::controller::model_sync::plan::{PlanInputs, Step, WantedModel, plan};
use crate::controller::model_sync::{SyncedProvider, made_object};
use crate::controller::runtime::index::Declared;
use crate::controller::runtime::object_key::ObjectKey;
use crate::crd::ownership::{ForeignFields, belongs_to};
use crate::crd::{Kind, LlmModel, LlmProvider};
use crate::db::EndpointRow;

/// What model sync would do for a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncForecast {
    /// Namespace of the provider.
    pub namespace: String,
    /// Its name.
    pub provider: String,
    /// Ids of which models would be made.
    pub made: Vec<String>,
    /// Ids whose models would change.
    pub updated: Vec<String>,
    /// Ids whose models would be deleted, for somebody declares them.
    pub deleted: Vec<String>,
    /// Ids that the filter leaves out, and whose models stay until somebody deletes them.
    pub left: Vec<String>,
    /// How many ids would have no model, for the limit is reached.
    pub over_limit: usize,
}

impl SyncForecast {
    /// Without what model sync would do anyway.
    pub fn beyond(mut self, before: &[Self]) -> Self {
        let mut all = before.iter();
        let same =
            all.find(|it| (&it.namespace, &it.provider) == (&self.namespace, &self.provider));
        let Some(before) = same else {
            return self;
        };
        self.made.retain(|id| !before.made.contains(id));
        self.updated.retain(|id| !before.updated.contains(id));
        self.deleted.retain(|id| !before.deleted.contains(id));
        self.left.retain(|id| !before.left.contains(id));
        self.over_limit = self.over_limit.saturating_sub(before.over_limit);
        self
    }
}

impl Forecaster<'_> {
    /// Does what model sync would do for a provider. Answers the keys of what it makes.
    pub(super) fn sync(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        let Some(object) = self.index.get::<LlmProvider>(&key.namespace, &key.name) else {
            return Vec::new();
        };
        let endpoints = self.endpoints_by_uid(identity::uid(&*object));
        let is_on = object.spec.model_sync.enabled && may_sync(&object, &endpoints);
        let (true, Ok(globs)) = (is_on, Globs::of(&object.spec.model_sync)) else {
            return Vec::new();
        };
        if endpoints.iter().any(|row| self.is_list_assumed(row)) {
            self.assume(key, Assumed::SyncsNothing);
            return Vec::new();
        }
        let list = |row: &EndpointRow| self.lists.get(&row.uid).cloned().unwrap_or_default();
        let lists = in_order(endpoints.iter().map(|row| (row, list(row))).collect());
        let models = self.index.children::<LlmModel>(&key.namespace, &key.name);
        let owner = SyncedProvider {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: object.uid().unwrap_or_default(),
        };
        let planned = plan(&PlanInputs {
            provider: &key.name,
            provider_type: object.spec.type_,
            provider_uid: &owner.uid,
            globs: &globs,
            lists: &lists,
            is_partial: endpoints.iter().any(is_unread),
            models: &models,
            undecodable: &HashSet::new(),
            has_model: &|name| (self.index.get::<LlmModel>(&key.namespace, name)).is_some(),
            limit: self.stored.sync_limit,
        });
        let mut told = SyncForecast {
            namespace: key.namespace.clone(),
            provider: key.name.clone(),
            made: Vec::new(),
            updated: Vec::new(),
            deleted: Vec::new(),
            left: Vec::new(),
            over_limit: planned.over_limit,
        };
        let made = (planned.steps.iter())
            .filter_map(|step| self.carry_out(&owner, step, &mut told))
            .collect();
        let models = self.index.children::<LlmModel>(&key.namespace, &key.name);
        let is_left = |model: &LlmModel| {
            belongs_to(&model.metadata, &owner.uid) && !globs.take(&model.spec.model_id)
        };
        told.left = (models.iter().filter(|model| is_left(model)))
            .map(|model| model.spec.model_id.clone())
            .collect();
        self.found.synced.push(told);
        made
    }

    /// Answers the key of what is made.
    fn carry_out(
        &mut self,
        owner: &SyncedProvider,
        step: &Step,
        told: &mut SyncForecast,
    ) -> Option<ObjectKey> {
        match step {
            Step::Make(wanted) => {
                let model = made(owner, wanted, self.now)?;
                let key = model.key();
                told.made.push(wanted.model_id.clone());
                self.index.apply(model);
                Some(key)
            }
            Step::Update(wanted) => {
                let model = self.index.get::<LlmModel>(&owner.namespace, &wanted.name)?;
                let mut model = LlmModel::clone(&model);
                let others = ForeignFields::of(&model.metadata);
                wanted.fields.clone().put_into(&mut model.spec, &others);
                told.updated.push(wanted.model_id.clone());
                self.index.apply(model);
                None
            }
            Step::Withdraw(name) => {
                let model = self.index.get::<LlmModel>(&owner.namespace, name)?;
                told.deleted.push(model.spec.model_id.clone());
                self.index.delete::<LlmModel>(&owner.namespace, name);
                None
            }
        }
    }

    fn is_list_assumed(&self, endpoint: &EndpointRow) -> bool {
        self.found.assumed.contains(&Assumption {
            kind: Kind::Endpoint,
            namespace: endpoint.namespace.clone(),
            name: endpoint.name.clone(),
            what: Assumed::Lists,
        })
    }
}

/// The object as the cluster would have it.
fn made(owner: &SyncedProvider, wanted: &WantedModel, now: Timestamp) -> Option<LlmModel> {
    let mut object = made_object(owner, wanted);
    let uid = assumed_uid(Kind::Model, &owner.namespace, &wanted.name);
    object["metadata"]["uid"] = Value::String(uid.to_string());
    object["metadata"]["creationTimestamp"] = Value::String(now.to_string());
    object["metadata"]["generation"] = 1.into();
    serde_json::from_value(object).ok()
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
