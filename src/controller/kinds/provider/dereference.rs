//! Reads what a provider's reconcile needs.

use std::{sync::Arc, time::Duration};

use kube::ResourceExt;

use crate::{
    checks::{ModelsById, Owner, inputs},
    controller::{
        error::Error,
        kinds::{identity, parent},
        model_sync::{
            globs::{BadGlob, Globs},
            plan::{self, Plan, PlanInputs},
        },
        runtime::{
            context::Context,
            index::{Declared, Index},
            object_key::ObjectKey,
        },
    },
    crd::{
        Kind, LlmCredential, LlmEndpoint, LlmModel, LlmProvider, ProviderType,
        conditions::{self, ConditionType},
        ownership::is_generated,
        provider::{CredentialCount, EndpointCount, ModelCount},
        reasons::Reason,
    },
    db::{EndpointRow, ProviderRow},
    vendors::{self, Listed},
};

/// Everything that a provider's conditions depend on.
pub struct ProviderInputs {
    pub object: Arc<LlmProvider>,
    pub owner: Owner,
    pub row: Option<ProviderRow>,
    /// Names of its declared endpoints, and of those that were not understood.
    pub endpoint_names: Vec<String>,
    /// Its stored endpoints.
    pub endpoints: Vec<EndpointRow>,
    /// Each credential that a list could be read with, as far as the cluster has been told.
    pub usable_keys: Vec<DeclaredKey>,
    /// Those that are switched on.
    pub enabled_credentials: Vec<EnabledCredential>,
    /// It has endpoints, or credentials, and each of them is switched off.
    pub children_off: bool,
    /// There is none yet, and of a credential nothing has been told.
    pub keys_awaited: bool,
    pub counts: ChildCounts,
    /// Which of its models no list holds.
    pub missing: MissingModels,
    /// What model sync has to do, where it is switched on.
    pub sync: Option<SyncState>,
}

/// What model sync has to do.
pub struct SyncState {
    /// The plan, or why there can be none.
    pub plan: Result<Plan, BadGlob>,
    /// What the last pass failed on.
    pub failure: Option<String>,
}

/// How many children there are, and how many of them work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildCounts {
    pub endpoints: EndpointCount,
    pub credentials: CredentialCount,
    pub models: ModelCount,
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<ProviderInputs>, Error> {
    let Some(declared) = declared(&context.index(), key) else {
        return Ok(None);
    };
    let Declaration {
        object,
        endpoint_names,
        usable_keys,
        enabled_credentials,
        children_off,
        keys_awaited,
        counts,
    } = declared;
    let uid = identity::uid(&*object);
    let row = context.db.provider_row(uid).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    let mut endpoints = context.db.endpoint_rows_of_providers(&[uid]).await?;
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    let missing = missing(context, key, &object, &endpoints).await?;
    let sync = sync(context, key, &object, &endpoints).await?;
    Ok(Some(ProviderInputs {
        owner: identity::owner(Kind::Provider, &*object),
        object,
        row,
        endpoint_names,
        endpoints,
        usable_keys,
        enabled_credentials,
        children_off,
        keys_awaited,
        counts,
        missing,
        sync,
    }))
}

/// Models that are switched on and that none of their endpoints' lists holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingModels {
    /// Somebody declared one.
    pub declared: bool,
    /// Model sync made one.
    pub generated: bool,
}

impl MissingModels {
    /// How soon lists are read again: what somebody declares is about to come, or was mistyped; what
    /// was made of a list has most likely gone.
    pub fn reread_within(self) -> Option<Duration> {
        match (self.declared, self.generated) {
            (true, _) => Some(Duration::from_secs(5 * 60)),
            (false, true) => Some(Duration::from_secs(3600)),
            (false, false) => None,
        }
    }
}

async fn missing(
    context: &Context,
    key: &ObjectKey,
    object: &LlmProvider,
    endpoints: &[EndpointRow],
) -> Result<MissingModels, Error> {
    let models = {
        let index = context.index();
        index.children::<LlmModel>(&key.namespace, &key.name)
    };
    let mut missing = MissingModels::default();
    if models.is_empty() {
        return Ok(missing);
    }
    let driver = vendors::driver(object.spec.type_);
    let mut read = Vec::new();
    let was_read = |e: &&EndpointRow| {
        e.is_active
            && e.list_verdict_here()
                .is_some_and(|verdict| verdict.reason == Reason::SyncSucceeded)
    };
    for endpoint in endpoints.iter().filter(was_read) {
        let listing = context.checks.listing(endpoint).await?;
        read.push((&endpoint.name, listing));
    }
    if read.is_empty() {
        return Ok(missing);
    }
    for model in models.iter().filter(|model| model.spec.enabled) {
        let (id, named) = (&model.spec.model_id, &model.spec.endpoint_refs);
        if driver.spellings(id).is_empty() {
            continue;
        }
        let is_listed = read.iter().any(|(name, listing)| {
            (named.is_empty() || named.iter().any(|r| r.name == **name))
                && vendors::find(driver, listing, id) != Listed::No
        });
        match is_generated(&model.metadata) {
            _ if is_listed => {}
            true => missing.generated = true,
            false => missing.declared = true,
        }
    }
    Ok(missing)
}

async fn sync(
    context: &Context,
    key: &ObjectKey,
    object: &LlmProvider,
    endpoints: &[EndpointRow],
) -> Result<Option<SyncState>, Error> {
    if !object.spec.model_sync.enabled {
        return Ok(None);
    }
    let lists = lists(context, endpoints).await?;
    let (models, undecodable) = {
        let index = context.index();
        let models = index.children::<LlmModel>(&key.namespace, &key.name);
        let undecodable = index.undecodable_names(Kind::Model, &key.namespace);
        (models, undecodable)
    };
    let plan = Globs::of(&object.spec.model_sync).map(|globs| {
        plan::plan(&PlanInputs {
            provider: &key.name,
            provider_type: object.spec.type_,
            provider_uid: &object.uid().unwrap_or_default(),
            globs: &globs,
            lists: &lists,
            is_partial: endpoints.iter().any(is_unread),
            models: &models,
            undecodable: &undecodable,
            has_model: &|name| {
                let index = context.index();
                index.get::<LlmModel>(&key.namespace, name).is_some()
            },
            limit: context.model_sync.limit,
        })
    });
    Ok(Some(SyncState {
        plan,
        failure: context.model_sync.failure(key),
    }))
}

async fn lists(
    context: &Context,
    endpoints: &[EndpointRow],
) -> Result<Vec<(String, Arc<ModelsById>)>, Error> {
    let mut lists = Vec::with_capacity(endpoints.len());
    for row in endpoints {
        lists.push((row, context.checks.listing(row).await?));
    }
    Ok(in_order(lists))
}

/// Whether an endpoint may have a list, and none was read there as it is declared now.
pub fn is_unread(row: &EndpointRow) -> bool {
    let verdict = row.list_verdict_here().map(|verdict| verdict.reason);
    let has_none = verdict == Some(Reason::Unverifiable);
    row.is_active && !has_none && row.list_read_here().is_none()
}

/// The last complete lists, in failover order. An endpoint that is switched off keeps its list, so
/// that switching it off and on again changes no model.
pub fn in_order(mut lists: Vec<(&EndpointRow, Arc<ModelsById>)>) -> Vec<(String, Arc<ModelsById>)> {
    lists.retain(|(row, list)| row.is_active || !list.is_empty());
    lists.sort_by(|(a, _), (b, _)| {
        let (a, b) = (
            (!a.is_default, a.priority, a.created_at, &a.name),
            (!b.is_default, b.priority, b.created_at, &b.name),
        );
        a.cmp(&b)
    });
    let named = lists
        .into_iter()
        .map(|(row, list)| (row.name.clone(), list));
    named.collect()
}

/// What the index knows of a provider.
struct Declaration {
    object: Arc<LlmProvider>,
    endpoint_names: Vec<String>,
    usable_keys: Vec<DeclaredKey>,
    enabled_credentials: Vec<EnabledCredential>,
    children_off: bool,
    keys_awaited: bool,
    counts: ChildCounts,
}

fn declared(index: &Index, key: &ObjectKey) -> Option<Declaration> {
    let object = index.get::<LlmProvider>(&key.namespace, &key.name)?;
    let endpoints = index.children::<LlmEndpoint>(&key.namespace, &key.name);
    let credentials = index.children::<LlmCredential>(&key.namespace, &key.name);
    let models = index.children::<LlmModel>(&key.namespace, &key.name);
    let counts = ChildCounts {
        endpoints: EndpointCount {
            total: count(endpoints.len()),
            healthy: working(&endpoints),
        },
        credentials: CredentialCount {
            total: count(credentials.len()),
            valid: working(&credentials),
        },
        models: ModelCount {
            total: count(models.len()),
            available: working(&models),
        },
    };
    let usable_keys = usable_keys(object.spec.type_, &credentials);
    let awaited = |c: &Arc<LlmCredential>| c.spec.enabled && c.conditions().is_empty();
    Some(Declaration {
        object,
        endpoint_names: (endpoints.iter().map(|e| e.name_any()))
            .chain(index.undecodable_names(Kind::Endpoint, &key.namespace))
            .collect(),
        keys_awaited: usable_keys.is_empty() && credentials.iter().any(awaited),
        children_off: endpoints_off(&endpoints) || parent::keys_off(&credentials),
        enabled_credentials: enabled(&credentials),
        usable_keys,
        counts,
    })
}

fn endpoints_off(declared: &[Arc<LlmEndpoint>]) -> bool {
    let all = parent::Named {
        declared,
        refs: &[],
    };
    all.all_off()
}

/// A credential that is switched on. Whether its key may be used its row says, which knows what was found before the
/// cluster is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledCredential {
    /// Its name.
    pub name: String,
    /// Names of the endpoints that it is for; none: it is for all.
    endpoints: Vec<String>,
}

impl EnabledCredential {
    /// Whether it is for this endpoint.
    pub fn is_for(&self, endpoint: &str) -> bool {
        self.endpoints.is_empty() || self.endpoints.iter().any(|one| one == endpoint)
    }
}

/// Those of these credentials that are switched on.
pub fn enabled(credentials: &[Arc<LlmCredential>]) -> Vec<EnabledCredential> {
    let enabled = credentials.iter().filter(|c| c.spec.enabled);
    let named = enabled.map(|c| EnabledCredential {
        name: c.name_any(),
        endpoints: endpoint_names(c),
    });
    named.collect()
}

fn endpoint_names(credential: &LlmCredential) -> Vec<String> {
    let refs = credential.spec.endpoint_refs.iter();
    refs.map(|r| r.name.clone()).collect()
}

/// A credential that a check may be made with, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeclaredKey {
    /// Its name.
    pub name: String,
    /// What proofs name its key by: [`CredentialVersionRow::identity`].
    ///
    /// [`CredentialVersionRow::identity`]: crate::db::CredentialVersionRow::identity
    pub identity: String,
    /// Names of the endpoints that it is for; none: it is for all.
    endpoints: Vec<String>,
}

impl DeclaredKey {
    /// Those of them that are for this endpoint.
    pub fn at<'k>(keys: &'k [Self], endpoint: &str) -> impl Iterator<Item = &'k Self> {
        let is_for = move |key: &&Self| {
            key.endpoints.is_empty() || key.endpoints.iter().any(|one| one == endpoint)
        };
        keys.iter().filter(is_for)
    }
}

/// Those of these credentials of a provider of this type that a check may be made with.
pub fn usable_keys(
    provider_type: ProviderType,
    credentials: &[Arc<LlmCredential>],
) -> Vec<DeclaredKey> {
    let usable = |c: &&Arc<LlmCredential>| c.spec.enabled && !refused(c.conditions());
    let named = |c: &Arc<LlmCredential>| {
        let status = c.status.as_ref()?;
        let fingerprint = status.fingerprint.clone()?;
        let exchanged = status.exchange.as_ref().and(c.spec.federation.as_ref());
        Some(DeclaredKey {
            name: c.name_any(),
            identity: exchanged.map_or(fingerprint, |it| inputs::of_exchange(provider_type, it)),
            endpoints: endpoint_names(c),
        })
    };
    credentials
        .iter()
        .filter(usable)
        .filter_map(named)
        .collect()
}

fn refused(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> bool {
    conditions::find(conditions, ConditionType::Valid).is_some_and(|c| c.status == "False")
}

fn working<K: Declared>(children: &[Arc<K>]) -> i32 {
    count(
        children
            .iter()
            .filter(|child| {
                conditions::find(child.conditions(), K::OUTSIDE).is_some_and(|c| c.status == "True")
            })
            .count(),
    )
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
