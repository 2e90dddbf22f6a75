//! Reads what a model's reconcile needs.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    checks::{ModelsById, Owner},
    controller::{
        error::Error,
        kinds::{
            identity, parent,
            provider::dereference::{DeclaredKey, EnabledCredential, enabled, usable_keys},
        },
        runtime::{context::Context, index::Index, object_key::ObjectKey},
    },
    crd::{
        Kind, LlmCredential, LlmEndpoint, LlmModel, ProviderType,
        conditions::{self, ConditionType},
        model::ModelCapability,
        reasons::Reason,
    },
    db::{EndpointRow, LastPassed, ModelRow},
    vendors::{
        self, Driver, Listed, ListedModel, VendorPhase,
        catalog::{Catalog, CatalogEntry},
    },
};

/// Endpoints with their lists.
pub type Lists = Vec<(EndpointRow, Arc<ModelsById>)>;
/// Lists that count no more, and when each was read.
pub type FormerLists = Vec<(Timestamp, Arc<ModelsById>)>;

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
    /// Name and fingerprint of each credential that a test could be made with, as far as the cluster has been told.
    pub usable_keys: Vec<DeclaredKey>,
    /// The provider's credentials that are switched on.
    pub enabled_credentials: Vec<EnabledCredential>,
    /// Whether the provider has credentials and each of them is switched off.
    pub keys_off: bool,
    /// Whether one of the provider's credentials was not reconciled yet by this process.
    pub keys_pending: bool,
    /// Models of the same provider and `modelId`, however it is written, this one among them.
    pub twins: Vec<Arc<LlmModel>>,
    /// What the catalog knows of it.
    pub catalog: Option<ListedModel>,
    /// The end of the model to use in its place.
    pub replacement: ReplacementEnd,
    /// What an overlay of the catalog wanted to change in it and did not get.
    pub held: Vec<String>,
}

/// The end of the model to use in the place of another.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplacementEnd {
    /// When it is, if that is known.
    pub retires_at: Option<Timestamp>,
    /// Whether it has come, by its own resource or the vendor's word.
    pub is_over: bool,
}

/// What is declared of a model, and around it.
pub struct DeclaredModelParts {
    pub object: Arc<LlmModel>,
    pub parent: parent::Parent,
    pub endpoints: Vec<Arc<LlmEndpoint>>,
    pub credentials: Vec<Arc<LlmCredential>>,
    pub twins: Vec<Arc<LlmModel>>,
}

/// What is stored around a model.
#[derive(Default)]
pub struct StoredModelParts {
    /// See [`ModelInputs::row`].
    pub row: Option<ModelRow>,
    /// See [`ModelInputs::lists`].
    pub lists: Lists,
    /// See [`ModelInputs::former_lists`].
    pub former_lists: FormerLists,
    /// See [`ModelInputs::lists_settle`].
    pub lists_settle: bool,
    /// See [`ModelInputs::keys_pending`].
    pub keys_pending: bool,
}

impl DeclaredModelParts {
    /// Those of this model; `None` where it is not declared. Pure.
    ///
    /// # Errors
    /// [`Error::Waiting`] where something that it names was not understood.
    pub fn of(index: &Index, key: &ObjectKey) -> Result<Option<Self>, Error> {
        let Some(object) = index.get::<LlmModel>(&key.namespace, &key.name) else {
            return Ok(None);
        };
        let provider = &object.spec.provider_ref.name;
        parent::refs_understood(index, &key.namespace, &object.spec.endpoint_refs)?;
        let parent = parent::declared(index, &key.namespace, provider)?;
        let twins = index.models_like_id(&key.namespace, provider, &object.spec.model_id);
        Ok(Some(Self {
            endpoints: index.children(&key.namespace, provider),
            credentials: index.children(&key.namespace, provider),
            twins: match &parent {
                parent::Parent::Found(provider) => same(provider.spec.type_, &object, twins),
                parent::Parent::Refused(_) => twins,
            },
            object,
            parent,
        }))
    }

    /// The keys that a check may be made with; none without a provider.
    pub fn usable_keys(&self) -> Vec<DeclaredKey> {
        let provider = self.parent.found().ok();
        provider.map_or_else(Vec::new, |it| usable_keys(it.spec.type_, &self.credentials))
    }

    /// With what is stored, and what the catalog knows. Pure.
    pub fn with(
        self,
        stored: StoredModelParts,
        (index, catalogued): (&Index, &Catalog),
        key: &ObjectKey,
    ) -> ModelInputs {
        let lists = stored.lists;
        let (catalog, held, replacement) = match &self.parent {
            parent::Parent::Found(provider) => {
                let type_ = provider.spec.type_;
                let driver = vendors::driver(type_);
                let listed = listed(driver, &lists, &self.object.spec.model_id);
                let (entry, held) = catalog(catalogued, type_, &self.object, &listed);
                let told = [&listed[..], entry.as_slice()].concat();
                let known = (index, catalogued);
                let replacement = replacement(known, type_, key, &self.object, &lists, &told);
                (entry, held, replacement)
            }
            parent::Parent::Refused(_) => (None, Vec::new(), ReplacementEnd::default()),
        };
        ModelInputs {
            owner: identity::owner(Kind::Model, &*self.object),
            row: stored.row,
            lists,
            former_lists: stored.former_lists,
            lists_settle: stored.lists_settle,
            usable_keys: self.usable_keys(),
            enabled_credentials: enabled(&self.credentials),
            keys_off: parent::keys_off(&self.credentials),
            keys_pending: stored.keys_pending,
            twins: self.twins,
            catalog,
            replacement,
            held,
            object: self.object,
            parent: self.parent,
            endpoints: self.endpoints,
        }
    }
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<ModelInputs>, Error> {
    let Some(declared) = DeclaredModelParts::of(&context.index(), key)? else {
        return Ok(None);
    };
    let object = &declared.object;
    let usable_keys = declared.usable_keys();
    let (lists, former_lists) = lists(context, &declared, key, &usable_keys).await?;
    let uid = identity::uid(&**object);
    let since = context.first_seen(uid, identity::generation(&**object));
    let lists_settle = lists.iter().all(|(endpoint, _)| {
        let reads = context.checks.list_reads(endpoint.uid, &endpoint.base_url);
        reads.settle(since)
    });
    let row = context.db.model_row(uid).await?;
    let keys = declared.credentials.iter();
    let stored = StoredModelParts {
        row: row.filter(|row| row.deleted_at.is_none()),
        lists,
        former_lists,
        lists_settle,
        keys_pending: !context
            .credentials_seen
            .all(keys.map(|credential| identity::uid(&**credential))),
    };
    let index = context.index();
    Ok(Some(declared.with(stored, (&index, &context.catalog), key)))
}

/// What each list says of a model, in failover order.
pub fn listed(driver: &dyn Driver, lists: &Lists, id: &str) -> Vec<ListedModel> {
    let said = lists
        .iter()
        .filter_map(|(_, list)| match vendors::find(driver, list, id) {
            Listed::Yes(model) => Some(model.clone()),
            Listed::No | Listed::Perhaps(_) => None,
        });
    said.collect()
}

/// What the catalog says of a model, or of the one behind it, and what an overlay wanted to change there.
fn catalog(
    catalog: &Catalog,
    type_: ProviderType,
    object: &LlmModel,
    listed: &[ListedModel],
) -> (Option<ListedModel>, Vec<String>) {
    let id = &object.spec.model_id;
    let told = listed.iter().find_map(|model| model.base_model.as_ref());
    let base = object.spec.base_model.as_ref().or(told);
    let held = |id: &str| -> Vec<String> {
        let held = catalog.held_of(type_, id).map(str::to_owned);
        held.take(10).collect()
    };
    // What is known of a profile itself is more exact than what is known of its base; a deployment has any name.
    let is_deployment = type_ == ProviderType::AzureOpenAI && told.is_some();
    if object.spec.base_model.is_none()
        && !is_deployment
        && let Some(entry) = catalog.lookup(type_, id)
    {
        return (Some(catalogued(entry)), held(id));
    }
    match base {
        Some(base) => (
            catalog
                .lookup_base(type_, base)
                .map(|entry| catalogued(&entry)),
            held(base),
        ),
        None => (None, held(id)),
    }
}

/// The end of the model that the declaration names in this one's place, else the vendor, else the catalog: by
/// its own resource, else by the lists, else by the catalog.
fn replacement(
    (index, catalog): (&Index, &Catalog),
    type_: ProviderType,
    key: &ObjectKey,
    object: &LlmModel,
    lists: &Lists,
    told: &[ListedModel],
) -> ReplacementEnd {
    let driver = vendors::driver(type_);
    let declared = object.spec.replacement.as_ref().map(|r| &r.model_id);
    let told = told.iter().find_map(|model| model.replacement.as_ref());
    let Some(id) = declared.or(told) else {
        return ReplacementEnd::default();
    };
    let provider = &object.spec.provider_ref.name;
    let objects = index.models_like_id(&key.namespace, provider, id);
    let own = objects
        .iter()
        .find(|model| driver.same_id(&model.spec.model_id) == driver.same_id(id));
    if let Some(model) = own {
        let effective = model.status.as_ref().and_then(|s| s.effective.as_ref());
        let found = effective.and_then(|effective| effective.retires_at.as_ref());
        let available = (model.status.as_ref())
            .and_then(|status| conditions::find(&status.conditions, ConditionType::Available));
        return ReplacementEnd {
            retires_at: (model.spec.retires_at.as_ref()).or(found).map(|t| t.0),
            is_over: available.is_some_and(|c| c.reason == Reason::Retired.as_str()),
        };
    }
    let listed = listed(driver, lists, id);
    let catalogued = || catalog.lookup(type_, id)?.retires_at;
    ReplacementEnd {
        retires_at: (listed.iter().find_map(|model| model.retires_at))
            .or_else(|| catalogued().filter(|_| listed.is_empty())),
        is_over: phase(&listed) == Some(VendorPhase::Retired),
    }
}

/// Where the vendor says that a model is in its life: it is retired where all lists say so that say anything.
pub fn phase(listed: &[ListedModel]) -> Option<VendorPhase> {
    let phases = || listed.iter().filter_map(|model| model.phase);
    let lives = phases().find(|phase| *phase != VendorPhase::Retired);
    lives.or_else(|| phases().next())
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
    declared: &DeclaredModelParts,
    key: &ObjectKey,
    usable_keys: &[DeclaredKey],
) -> Result<(Lists, FormerLists), Error> {
    let (parent, endpoints) = (&declared.parent, &declared.endpoints);
    let rows = parent::endpoint_rows(context, parent, endpoints, key).await?;
    let rows = serving(rows, &declared.object);
    let mut lists = Vec::with_capacity(rows.len());
    let mut former = Vec::new();
    for row in rows {
        let listing = context.checks.listing(&row).await?;
        take_list(row, listing, usable_keys, (&mut lists, &mut former));
    }
    Ok((lists, former))
}

/// Those of these endpoints that serve a model, in failover order. Pure.
pub fn serving(mut rows: Vec<EndpointRow>, object: &LlmModel) -> Vec<EndpointRow> {
    let named = &object.spec.endpoint_refs;
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
    rows
}

/// Takes an endpoint's list to those that count, or to those that count no more. Pure.
pub fn take_list(
    row: EndpointRow,
    mut listing: Arc<ModelsById>,
    usable_keys: &[DeclaredKey],
    (lists, former): (&mut Lists, &mut FormerLists),
) {
    if let Some(read) = row.list_read_here()
        && !counts(&row, &read, usable_keys)
    {
        former.push((read.at, std::mem::take(&mut listing)));
    }
    lists.push((row, listing));
}

/// Whether a list that was read last counts now: also while the vendor is down, but not when there is
/// no key any more to read it with, or another one with which it could not be read.
fn counts(endpoint: &EndpointRow, read: &LastPassed, usable_keys: &[DeclaredKey]) -> bool {
    let usable = |key: &String| {
        let mut usable = DeclaredKey::at(usable_keys, &endpoint.name);
        usable.any(|usable| usable.identity == *key)
    };
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
        embedding_dimensions: entry.embedding_dimensions,
        modalities: entry.modalities.clone(),
        deprecated_at: entry.deprecated_at,
        retires_at: entry.retires_at,
        replacement: entry.replacement.clone(),
        base_model: None,
        phase: None,
    }
}
