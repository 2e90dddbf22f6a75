//! Reads what a model's reconcile needs.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    checks::{ModelsById, Owner},
    controller::{
        error::Error,
        kinds::{identity, parent, provider::dereference::usable_keys},
        runtime::{context::Context, object_key::ObjectKey},
    },
    crd::{
        Kind, LlmCredential, LlmEndpoint, LlmModel, ProviderType, model::ModelCapability,
        reasons::Reason,
    },
    db::{EndpointRow, LastPassed, ModelRow},
    vendors::{self, ListedModel, catalog::CatalogEntry},
};

type Lists = Vec<(EndpointRow, Arc<ModelsById>)>;
type FormerLists = Vec<(Timestamp, Arc<ModelsById>)>;

/// Everything that a model's conditions depend on.
pub struct ModelInputs {
    pub object: Arc<LlmModel>,
    pub owner: Owner,
    pub row: Option<ModelRow>,
    pub parent: parent::Parent,
    /// The provider's declared endpoints.
    pub endpoints: Vec<Arc<LlmEndpoint>>,
    /// Those of its stored endpoints that serve this model, with their lists, in failover order.
    pub lists: Lists,
    /// Lists that were read with a key that is gone, and when: they count for nothing.
    pub former_lists: FormerLists,
    /// Whether each of these lists was read twice, once since the model is declared as it is: what is in
    /// none of them is missing.
    pub lists_settle: bool,
    /// Name and fingerprint of each credential that a test could be made with.
    pub usable_keys: Vec<(String, String)>,
    /// Whether the provider has credentials and each of them is switched off.
    pub keys_off: bool,
    /// Whether one of the provider's credentials was not reconciled yet by this process.
    pub keys_pending: bool,
    /// Models of the same provider and `modelId`, however it is written, this one among them.
    pub twins: Vec<Arc<LlmModel>>,
    /// What the catalog knows of it.
    pub catalog: Option<ListedModel>,
    /// What an overlay of the catalog wanted to change in it and did not get.
    pub held: Vec<String>,
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<ModelInputs>, Error> {
    let (object, parent, endpoints, credentials, twins) = {
        let index = context.index();
        let Some(object) = index.get::<LlmModel>(&key.namespace, &key.name) else {
            return Ok(None);
        };
        let provider = &object.spec.provider_ref.name;
        parent::refs_understood(&index, &key.namespace, &object.spec.endpoint_refs)?;
        (
            object.clone(),
            parent::declared(&index, &key.namespace, provider)?,
            index.children::<LlmEndpoint>(&key.namespace, provider),
            index.children::<LlmCredential>(&key.namespace, provider),
            index.models_like_id(&key.namespace, provider, &object.spec.model_id),
        )
    };
    let twins = match &parent {
        parent::Parent::Found(provider) => same(provider.spec.type_, &object, twins),
        parent::Parent::Refused(_) => twins,
    };
    let usable_keys = usable_keys(&credentials);
    let (lists, former_lists) =
        lists(context, &object, &parent, &endpoints, key, &usable_keys).await?;
    let uid = identity::uid(&*object);
    let since = context.first_seen(uid, identity::generation(&*object));
    let lists_settle = lists.iter().all(|(endpoint, _)| {
        let reads = context.checks.list_reads(endpoint.uid, &endpoint.base_url);
        reads.settle(since)
    });
    let row = context.db.model_row(uid).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    let (catalog, held) = match &parent {
        parent::Parent::Found(provider) => {
            let (type_, id) = (provider.spec.type_, &object.spec.model_id);
            let entry = context.catalog.lookup(type_, id).map(catalogued);
            let held = context.catalog.held_of(type_, id).map(str::to_owned);
            (entry, held.take(10).collect())
        }
        parent::Parent::Refused(_) => (None, Vec::new()),
    };
    Ok(Some(ModelInputs {
        owner: identity::owner(Kind::Model, &*object),
        object,
        row,
        parent,
        endpoints,
        lists,
        former_lists,
        lists_settle,
        usable_keys,
        keys_off: parent::keys_off(&credentials),
        keys_pending: !context.credentials_seen.all(
            credentials
                .iter()
                .map(|credential| identity::uid(&**credential)),
        ),
        twins,
        catalog,
        held,
    }))
}

/// Those that name the same model to the vendor.
fn same(type_: ProviderType, own: &LlmModel, mut like: Vec<Arc<LlmModel>>) -> Vec<Arc<LlmModel>> {
    let driver = vendors::driver(type_);
    let own = driver.same_id(&own.spec.model_id);
    like.retain(|model| driver.same_id(&model.spec.model_id) == own);
    like
}

async fn lists(
    context: &Context,
    object: &LlmModel,
    parent: &parent::Parent,
    endpoints: &[Arc<LlmEndpoint>],
    key: &ObjectKey,
    usable_keys: &[(String, String)],
) -> Result<(Lists, FormerLists), Error> {
    let named = &object.spec.endpoint_refs;
    let mut rows = parent::endpoint_rows(context, parent, endpoints, key).await?;
    rows.retain(|row| {
        row.is_active && (named.is_empty() || named.iter().any(|r| r.name == row.name))
    });
    rows.sort_by_key(|row| {
        (
            !row.is_default,
            row.priority,
            row.created_at,
            row.name.clone(),
        )
    });
    let mut lists = Vec::with_capacity(rows.len());
    let mut former = Vec::new();
    for row in rows {
        let mut listing = context.checks.listing(&row).await?;
        if let Some(read) = row.list_read_here()
            && !counts(&row, &read, usable_keys)
        {
            former.push((read.at, std::mem::take(&mut listing)));
        }
        lists.push((row, listing));
    }
    Ok((lists, former))
}

/// Whether a list that was read last counts now: also while the vendor is down, but not when there is
/// no key any more to read it with, or another one with which it could not be read.
fn counts(endpoint: &EndpointRow, read: &LastPassed, usable_keys: &[(String, String)]) -> bool {
    let usable = |key: &String| usable_keys.iter().any(|(_, usable)| usable == key);
    match endpoint.list_verdict_here().map(|verdict| verdict.reason) {
        Some(Reason::SyncSucceeded) => true,
        None | Some(Reason::NoValidCredential) => false,
        Some(_) => read.key.as_ref().is_none_or(usable),
    }
}

/// A catalog's entry in the words of a vendor's list.
fn catalogued(entry: &CatalogEntry) -> ListedModel {
    let capabilities: Vec<ModelCapability> = entry
        .capabilities
        .iter()
        .map(|name| ModelCapability {
            name: *name,
            score: None,
        })
        .collect();
    ListedModel {
        id: entry.model_id.clone(),
        display_name: entry.display_name.clone(),
        context_window: entry.context_window,
        max_input_tokens: entry.max_input_tokens,
        max_output_tokens: entry.max_output_tokens,
        type_: entry.type_,
        capabilities: Some(capabilities).filter(|c| !c.is_empty()),
        pricing: entry.pricing.clone(),
    }
}
