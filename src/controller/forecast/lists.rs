//! What endpoints' vendors list: what was read, else what is taken to be listed.

use std::sync::Arc;

use super::{Assumed, Forecaster};
use crate::checks::ModelsById;
use crate::controller::runtime::object_key::ObjectKey;
use crate::crd::model::Origin;
use crate::crd::reasons::Reason;
use crate::crd::{Kind, LlmModel};
use crate::db::EndpointRow;
use crate::vendors::ListedModel;

impl Forecaster<'_> {
    /// The lists of endpoints: those that were read where they are now, and of the others what their
    /// provider's lists hold, else what is declared.
    pub(super) fn assume_lists(&mut self) {
        let mut unread = Vec::new();
        for row in &self.found.rows.endpoints {
            match self.stored.lists.get(&row.uid) {
                Some((url, list)) if **url == *row.base_url && row.found.list_verdict.is_some() => {
                    self.lists.insert(row.uid, Arc::new(list.clone()));
                }
                _ if row.list_verdict_here().is_none() && row.is_active => unread.push(row.uid),
                _ => {}
            }
        }
        for uid in unread {
            let rows = &self.found.rows.endpoints;
            let Some(place) = rows.iter().position(|row| row.uid == uid) else {
                continue;
            };
            let provider = rows[place].provider_uid;
            let siblings = rows.iter().filter(|row| row.provider_uid == provider);
            let former = self.stored.rows.endpoints.iter();
            let former = former.filter(|row| row.provider_uid == provider);
            let known = siblings.map(|row| row.uid).chain(former.map(|row| row.uid));
            let known: Vec<&ModelsById> = known
                .filter_map(|uid| self.stored.lists.get(&uid))
                .map(|(_, list)| list)
                .filter(|list| !list.is_empty())
                .collect();
            let list = match known.is_empty() {
                true => self.declared_models(&rows[place]),
                false => union(&known),
            };
            let verdict = self.passed(Reason::SyncSucceeded, &rows[place].check_inputs);
            let (namespace, name) = (rows[place].namespace.clone(), rows[place].name.clone());
            self.lists.insert(uid, Arc::new(list));
            self.found.rows.endpoints[place].found.list_verdict = Some(verdict);
            let key = ObjectKey::new(Kind::Endpoint, &namespace, &name);
            self.assume(&key, Assumed::Lists);
        }
    }

    fn declared_models(&self, endpoint: &EndpointRow) -> ModelsById {
        let providers = &self.found.rows.providers;
        let provider = providers
            .iter()
            .find(|row| row.uid == endpoint.provider_uid);
        let models = provider.map_or_else(Vec::new, |provider| {
            (self.index).children::<LlmModel>(&provider.namespace, &provider.name)
        });
        let listed = models.iter().map(|model| {
            let listed = listed_as(model);
            (listed.id.clone(), listed)
        });
        listed.collect()
    }
}

/// What a vendor's list says of a model, as far as the model's status tells.
fn listed_as(model: &LlmModel) -> ListedModel {
    let status = model.status.as_ref();
    let effective = status.and_then(|status| status.effective.clone());
    let effective = effective.unwrap_or_default();
    let origin = effective.origin;
    let is_vendors = |field: &str| origin.get(field) == Some(&Origin::Vendor);
    ListedModel {
        id: model.spec.model_id.clone(),
        base_model: effective.base_model.filter(|_| is_vendors("baseModel")),
        context_window: (effective.context_window).filter(|_| is_vendors("contextWindow")),
        max_input_tokens: (effective.max_input_tokens).filter(|_| is_vendors("maxInputTokens")),
        max_output_tokens: (effective.max_output_tokens).filter(|_| is_vendors("maxOutputTokens")),
        type_: effective.type_.filter(|_| is_vendors("type")),
        embedding_dimensions: (effective.embedding_dimensions)
            .filter(|_| is_vendors("embeddingDimensions")),
        modalities: effective.modalities.filter(|_| is_vendors("modalities")),
        pricing: effective.pricing.filter(|_| is_vendors("pricing")),
        capabilities: Some(effective.capabilities).filter(|_| is_vendors("capabilities")),
        deprecated_at: (effective.deprecated_at)
            .filter(|_| is_vendors("deprecatedAt"))
            .map(|time| time.0),
        retires_at: (effective.retires_at)
            .filter(|_| is_vendors("retiresAt"))
            .map(|time| time.0),
        replacement: (effective.replacement)
            .filter(|_| is_vendors("replacement"))
            .map(|model| model.model_id),
        ..ListedModel::default()
    }
}

/// What is in any of these lists; of what several hold, what the first says.
fn union(lists: &[&ModelsById]) -> ModelsById {
    let mut all = ModelsById::new();
    for list in lists {
        for (id, model) in *list {
            all.entry(id.clone()).or_insert_with(|| model.clone());
        }
    }
    all
}
