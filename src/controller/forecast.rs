//! What would be stored if other objects were declared: the pure phases of the reconciles, over what is
//! declared and what is stored. Nothing is read and nothing is written here.
//!
//! What only checks can find of something new is assumed: that an endpoint answers, that a vendor lists a
//! model, that a key is valid and may go to the provider's endpoints. What checks have found stands where it
//! was found with what is declared now. What model sync would make is forecast where the lists are known.

mod assumptions;
mod lists;
mod sync;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use uuid::Uuid;

use super::error::Refusal;
use super::kinds::credential::{self, dereference::CredentialInputs};
use super::kinds::endpoint::{self, dereference::EndpointInputs};
use super::kinds::model::dereference::{
    DeclaredModelParts, Lists, StoredModelParts, serving, take_list,
};
use super::kinds::model_class::dereference::ClassInputs;
use super::kinds::provider::{
    self,
    dereference::{ChildCounts, ProviderInputs},
};
use super::kinds::{identity, model, model_class, parent};
use super::runtime::index::{Declared, Index};
use super::runtime::object_key::ObjectKey;
use crate::checks::{ModelsById, inputs};
use crate::crd::credential::VersionState;
use crate::crd::reasons::Reason;
use crate::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider};
use crate::db::{
    ChangedRows, CredentialRow, CredentialVersionRow, DeclaredRow, EndpointRow, ModelClassRow,
    ModelRow, ObjectRow, ProviderRow, StoredCheck,
};
use crate::snapshot::{Revision, Snapshot};
use crate::vendors::CheckResult;
use crate::vendors::catalog::Catalog;

pub use assumptions::{Assumed, Assumption, assumed_uid};
pub use sync::SyncForecast;

/// The declared objects, each with a UID and the time of its creation.
#[derive(Clone, Debug, Default)]
pub struct DeclaredObjects {
    pub providers: Vec<LlmProvider>,
    pub endpoints: Vec<LlmEndpoint>,
    pub credentials: Vec<LlmCredential>,
    pub models: Vec<LlmModel>,
    pub model_classes: Vec<LlmModelClass>,
}

/// What is stored now.
#[derive(Clone, Copy)]
pub struct StoredState<'a> {
    /// The rows of live objects.
    pub rows: &'a ChangedRows,
    /// By endpoint, the URL at which its model list was read, and the list.
    pub lists: &'a HashMap<Uuid, (String, ModelsById)>,
    /// What is known of models that nobody declared in full.
    pub catalog: &'a Catalog,
    /// Most models that model sync makes for one provider.
    pub sync_limit: usize,
}

/// What would be stored.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// The rows, of objects that are in force or switched off.
    pub rows: ChangedRows,
    /// The objects that would have no row.
    pub refused: Vec<RefusedObject>,
    /// What is assumed.
    pub assumed: BTreeSet<Assumption>,
    /// What model sync would do, by provider; of those alone whose lists are known.
    pub synced: Vec<SyncForecast>,
}

/// An object that would not be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedObject {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// The reason that its conditions would have.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
}

/// What would be stored if this were declared, and all of it were looked at `now`.
pub fn forecast(declared: DeclaredObjects, stored: StoredState<'_>, now: Timestamp) -> Forecast {
    let mut index = Index::default();
    let keys = [
        take(&mut index, declared.providers),
        take(&mut index, declared.endpoints),
        take(&mut index, declared.credentials),
        take(&mut index, declared.models),
        take(&mut index, declared.model_classes),
    ];
    let mut forecaster = Forecaster {
        index,
        stored,
        known: KnownRows::of(stored.rows),
        now,
        lists: HashMap::new(),
        found: Forecast::default(),
    };
    let [providers, endpoints, credentials, mut models, classes] = keys;
    providers.iter().for_each(|key| forecaster.provider(key));
    endpoints.iter().for_each(|key| forecaster.endpoint(key));
    forecaster.assume_lists();
    models.extend(providers.iter().flat_map(|key| forecaster.sync(key)));
    models.sort();
    credentials
        .iter()
        .for_each(|key| forecaster.credential(key));
    models.iter().for_each(|key| forecaster.model(key));
    forecaster.classes(&classes);
    forecaster.found
}

/// Takes objects into the index; answers their keys, in order.
fn take<K: Declared>(index: &mut Index, objects: Vec<K>) -> Vec<ObjectKey> {
    let mut keys: Vec<ObjectKey> = objects.iter().map(Declared::key).collect();
    keys.sort();
    for object in objects {
        index.apply(object);
    }
    keys
}

/// The stored rows by UID.
struct KnownRows<'a> {
    providers: HashMap<Uuid, &'a ProviderRow>,
    endpoints: HashMap<Uuid, &'a EndpointRow>,
    credentials: HashMap<Uuid, &'a CredentialRow>,
    versions: HashMap<Uuid, Vec<CredentialVersionRow>>,
    models: HashMap<Uuid, &'a ModelRow>,
    model_classes: HashMap<Uuid, &'a ModelClassRow>,
}

impl<'a> KnownRows<'a> {
    fn of(rows: &'a ChangedRows) -> Self {
        let mut versions: HashMap<Uuid, Vec<CredentialVersionRow>> = HashMap::new();
        for row in &rows.credential_versions {
            let of_one = versions.entry(row.credential_uid).or_default();
            of_one.push(row.clone());
        }
        for of_one in versions.values_mut() {
            of_one.sort_by_key(|row| std::cmp::Reverse(row.version));
        }
        Self {
            providers: by_uid(&rows.providers),
            endpoints: by_uid(&rows.endpoints),
            credentials: by_uid(&rows.credentials),
            versions,
            models: by_uid(&rows.models),
            model_classes: by_uid(&rows.model_classes),
        }
    }
}

fn by_uid<D: DeclaredRow>(rows: &[ObjectRow<D>]) -> HashMap<Uuid, &ObjectRow<D>> {
    let live = rows.iter().filter(|row| row.deleted_at.is_none());
    live.map(|row| (row.uid, row)).collect()
}

struct Forecaster<'a> {
    index: Index,
    stored: StoredState<'a>,
    known: KnownRows<'a>,
    now: Timestamp,
    /// By endpoint.
    lists: HashMap<Uuid, Arc<ModelsById>>,
    found: Forecast,
}

impl Forecaster<'_> {
    fn provider(&mut self, key: &ObjectKey) {
        let Some(object) = self.index.get::<LlmProvider>(&key.namespace, &key.name) else {
            return;
        };
        let endpoints = self
            .index
            .children::<LlmEndpoint>(&key.namespace, &key.name);
        let row = self.known.providers.get(&identity::uid(&*object)).copied();
        let input = ProviderInputs {
            owner: identity::owner(Kind::Provider, &*object),
            object,
            row: row.cloned(),
            endpoint_names: endpoints.iter().map(|one| one.name_any()).collect(),
            endpoints: Vec::new(),
            usable_keys: Vec::new(),
            enabled_credentials: Vec::new(),
            children_off: false,
            keys_awaited: false,
            counts: ChildCounts::default(),
            missing: Default::default(),
            sync: None,
        };
        let verdict = provider::validate::validate(&input, true, self.now);
        let declared = provider::store::derived(&input, &verdict);
        let row = self.row(
            declared,
            row.map(|row| row.found.clone()).unwrap_or_default(),
        );
        self.found.rows.providers.push(row);
    }

    fn endpoint(&mut self, key: &ObjectKey) {
        let Some(object) = self.index.get::<LlmEndpoint>(&key.namespace, &key.name) else {
            return;
        };
        let name = object.spec.provider_ref.name.clone();
        // Nothing here was not understood.
        let Ok(parent) = parent::declared(&self.index, &key.namespace, &name) else {
            return;
        };
        let credentials = (self.index).child_keys(Kind::Credential, &key.namespace, &name);
        let stored = self.known.endpoints.get(&identity::uid(&*object)).copied();
        let mut input = EndpointInputs {
            owner: identity::owner(Kind::Endpoint, &*object),
            row: stored.cloned(),
            parent,
            siblings: self.index.children(&key.namespace, &name),
            credential_names: credentials.map(|key| key.name).collect(),
            object,
        };
        let desired = endpoint::validate::desired(&input);
        let Ok(validated) = &desired else {
            return self.refuse(key, desired.err());
        };
        let mut found = stored.map(|row| row.found.clone()).unwrap_or_default();
        let probe = &input.object.spec.health_check;
        let with = inputs::of_probe(
            &validated.check_inputs,
            probe.credential_ref.as_ref().map(|r| r.name.as_str()),
        );
        let is_known = found.verdict.as_ref().is_some_and(|it| it.is_of(&with));
        let is_same = stored.is_some_and(|row| {
            let same_call = row.check_inputs == validated.check_inputs;
            same_call && row.health_check == *probe && row.is_active
        });
        if validated.on && probe.enabled && !is_known && !is_same {
            found.verdict = Some(self.passed(Reason::ProbeSucceeded, &with));
            self.assume(key, Assumed::Answers);
        }
        let row = input.row.take().map(|row| row.declared).unwrap_or_default();
        input.row = Some(self.row(row, found.clone()));
        let verdict = endpoint::validate::validate(&input, &desired, true, self.now);
        let declared = endpoint::store::derived(&input, validated, &verdict);
        let row = self.row(declared, found);
        self.found.rows.endpoints.push(row);
    }

    fn credential(&mut self, key: &ObjectKey) {
        let Some(object) = self.index.get::<LlmCredential>(&key.namespace, &key.name) else {
            return;
        };
        let name = object.spec.provider_ref.name.clone();
        let Ok(parent) = parent::declared(&self.index, &key.namespace, &name) else {
            return;
        };
        let uid = identity::uid(&*object);
        let row = self.known.credentials.get(&uid).copied();
        let mut input = CredentialInputs {
            owner: identity::owner(Kind::Credential, &*object),
            row: row.cloned(),
            versions: self.known.versions.get(&uid).cloned().unwrap_or_default(),
            unreadable: Default::default(),
            endpoints: self.index.children(&key.namespace, &name),
            endpoint_rows: self.endpoints_of(&parent),
            siblings: self.index.children(&key.namespace, &name),
            secret: None,
            fields: None,
            account_hosts: None,
            parent,
            object,
        };
        let desired = credential::validate::desired(&input);
        let Ok(validated) = &desired else {
            return self.refuse(key, desired.err());
        };
        let spec = &input.object.spec;
        let same_key = |row: &CredentialRow| {
            row.secret_name == spec.secret_name() && row.federation == spec.federation
        };
        if !row.is_some_and(same_key) {
            let version = self.assumed_key(&input, validated);
            input.versions = vec![version];
            self.assume(key, Assumed::KeyWorks);
        }
        let steps = credential::validate::steps(&input, Some(validated), self.now);
        let versions = credential::usable::after_steps(&input, &steps);
        let with = (&steps, &versions[..]);
        let verdict = credential::validate::validate(&input, &desired, with, true, self.now);
        let declared = credential::store::derived(&input, validated, &steps, &verdict);
        let states: HashMap<i32, VersionState> =
            versions.iter().map(|v| (v.version, v.state)).collect();
        let stored = input.versions.iter().map(|row| CredentialVersionRow {
            state: (states.get(&row.version).copied()).unwrap_or(VersionState::Destroyed),
            ..row.clone()
        });
        self.found.rows.credential_versions.extend(stored);
        let row = self.row(
            declared,
            row.map(|row| row.found.clone()).unwrap_or_default(),
        );
        self.found.rows.credentials.push(row);
    }

    /// A key that is valid and may go to the provider's endpoints.
    fn assumed_key(
        &self,
        input: &CredentialInputs,
        validated: &credential::validate::ValidatedCredential,
    ) -> CredentialVersionRow {
        let federation = input.object.spec.federation.as_ref();
        let exchanged_with =
            federation.map(|f| credential::federation::exchange_inputs(validated, f));
        let life = federation.map(|f| SignedDuration::from_secs(f.expiration_seconds.into()));
        let host = |row: &EndpointRow| Some(row.base_url.url()?.host_str()?.to_owned());
        let hosts: BTreeSet<String> = input.endpoint_rows.iter().filter_map(host).collect();
        let newest = input.versions.iter().map(|row| row.version).max();
        CredentialVersionRow {
            credential_uid: input.owner.uid,
            version: newest.unwrap_or(0) + 1,
            state: VersionState::Current,
            fingerprint: String::new(),
            masked_key: String::new(),
            provider_type: validated.provider_type,
            allowed_hosts: hosts.into_iter().collect(),
            kek_id: String::new(),
            verdicts: (input.endpoint_rows.iter())
                .map(|row| (row.uid, self.passed(Reason::KeyAccepted, &row.check_inputs)))
                .collect(),
            since: self.now,
            grace_until: life.and_then(|life| self.now.checked_add(life).ok()),
            exchanged_with,
            created_at: self.now,
        }
    }

    fn model(&mut self, key: &ObjectKey) {
        let Ok(Some(declared)) = DeclaredModelParts::of(&self.index, key) else {
            return;
        };
        let uid = identity::uid(&*declared.object);
        let row = self.known.models.get(&uid).copied();
        let mut lists: Lists = Vec::new();
        let mut former = Vec::new();
        let usable = declared.usable_keys();
        for endpoint in serving(self.endpoints_of(&declared.parent), &declared.object) {
            let list = self.lists.get(&endpoint.uid).cloned().unwrap_or_default();
            take_list(endpoint, list, &usable, (&mut lists, &mut former));
        }
        let stored = StoredModelParts {
            row: row.cloned(),
            lists,
            former_lists: former,
            lists_settle: true,
            keys_pending: false,
        };
        let input = declared.with(stored, (&self.index, self.stored.catalog), key);
        let desired = model::validate::desired(&input);
        let Ok(validated) = &desired else {
            return self.refuse(key, desired.err());
        };
        let verdict = model::validate::validate(&input, &desired, true, self.now);
        let declared = model::store::derived(&input, validated, &verdict);
        let row = self.row(
            declared,
            row.map(|row| row.found.clone()).unwrap_or_default(),
        );
        self.found.rows.models.push(row);
    }

    fn classes(&mut self, keys: &[ObjectKey]) {
        if keys.is_empty() {
            return;
        }
        // Rows of the database have a form in JSON.
        let snapshot = Snapshot::full(&self.found.rows, Revision::default()).unwrap_or_default();
        let snapshot = Arc::new(snapshot);
        for key in keys {
            let Some(object) = self.index.get::<LlmModelClass>(&key.namespace, &key.name) else {
                continue;
            };
            let row = self.known.model_classes.get(&identity::uid(&*object));
            let classes = self.index.names::<LlmModelClass>(&key.namespace);
            let input = ClassInputs {
                owner: identity::owner(Kind::ModelClass, &*object),
                object,
                row: row.copied().cloned(),
                snapshot: snapshot.clone(),
                models: self.index.names::<LlmModel>(&key.namespace),
                classes: classes.into_iter().collect(),
                is_early: false,
            };
            let meaning = model_class::meaning::meaning(&input, self.now);
            if meaning.refusal.is_some() {
                self.refuse(key, meaning.refusal);
                continue;
            }
            let verdict = model_class::validate::validate(&input, &meaning, self.now);
            let declared = model_class::store::derived(&input, &meaning, &verdict);
            let row = self.row(declared, ());
            self.found.rows.model_classes.push(row);
        }
    }

    fn endpoints_of(&self, parent: &parent::Parent) -> Vec<EndpointRow> {
        let Ok(provider) = parent.found() else {
            return Vec::new();
        };
        self.endpoints_by_uid(identity::uid(provider))
    }

    /// Endpoints of the provider of this UID, by name.
    fn endpoints_by_uid(&self, provider: Uuid) -> Vec<EndpointRow> {
        let rows = self.found.rows.endpoints.iter();
        let mut rows: Vec<EndpointRow> = rows
            .filter(|row| row.provider_uid == provider)
            .cloned()
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    fn row<D: DeclaredRow>(&self, declared: D, found: D::Found) -> ObjectRow<D> {
        ObjectRow {
            declared,
            found,
            updated_at: self.now,
            deleted_at: None,
            revision: 0,
        }
    }

    fn passed(&self, reason: Reason, inputs: &str) -> StoredCheck {
        CheckResult::new(reason, "taken to be so").verdict(0, inputs.to_owned(), self.now)
    }

    fn refuse(&mut self, key: &ObjectKey, refusal: Option<Refusal>) {
        let Some(Refusal(why)) = refusal else { return };
        self.found.refused.push(RefusedObject {
            kind: key.kind,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            reason: why.reason,
            message: why.message,
        });
    }

    fn assume(&mut self, key: &ObjectKey, what: Assumed) {
        self.found.assumed.insert(Assumption {
            kind: key.kind,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            what,
        });
    }
}
