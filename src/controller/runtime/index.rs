//! The declared objects in memory, and who must be reconciled when one of them changes.
//!
//! Pure: the watches feed it, reconciles read it, and it calls nobody. Every cross-kind wake-up of
//! the controller is decided here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference},
};
use kube::{ResourceExt, core::PartialObjectMeta};
use tokio::time::Instant;
use uuid::Uuid;

use super::object_key::{ObjectKey, Wake};
use crate::controller::kinds::identity::uid;
use crate::crd::{
    ANNOTATION_RECONCILE_REQUESTED_AT, Kind, LABEL_GENERATED_BY, LlmCredential, LlmEndpoint,
    LlmModel, LlmModelClass, LlmProvider,
    conditions::{self, ConditionType},
    manifest::{own_annotations, own_labels},
};
use crate::vendors::like_id;

/// How long the time of a namespace's last deletion is known.
const DELETION_KEPT: Duration = Duration::from_secs(60);

/// Namespace and name.
type Name = (String, String);

/// Metadata of an opted-in Secret; of labels and annotations only those of this project.
pub type SecretMeta = PartialObjectMeta<Secret>;

/// One of the five kinds, as the index holds it.
pub trait Declared: ResourceExt + Clone + Send + Sync + 'static {
    /// Which of the five.
    const KIND: Kind;
    /// The kind's own condition.
    const OUTSIDE: ConditionType = ConditionType::outside_of(Self::KIND);
    /// The conditions of its status.
    fn conditions(&self) -> &[Condition];
    /// What its provider's reconcile reads of its status: it is woken where that changes.
    fn summary(&self) -> Summary<'_> {
        let outside = conditions::find(self.conditions(), Self::OUTSIDE);
        Summary {
            outside: outside.map(|c| (c.status.as_str(), c.reason.as_str())),
            fingerprint: None,
        }
    }
    /// The name that `providerRef` gives; a provider and a class have none.
    fn provider_name(&self) -> Option<&str>;
    /// Its place in the index.
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>>;
    /// Its place in the index.
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>>;
    /// Further entries under which it is found.
    fn lookups(&self) -> Vec<Lookup> {
        Vec::new()
    }
    /// The labels that clients select it by; none where they select by none.
    fn selectable_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
    /// Whom a change of this object wakes, beside itself.
    fn wakes(&self, index: &Index) -> Vec<Wake>;
    /// Its key.
    fn key(&self) -> ObjectKey {
        ObjectKey::of(Self::KIND, self)
    }
}

/// What a provider's reconcile reads of a child's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary<'a> {
    /// Status and reason of the kind's own condition.
    pub outside: Option<(&'a str, &'a str)>,
    /// The key in force: model lists are read with it.
    pub fingerprint: Option<&'a str>,
}

/// A question that the index answers without a walk over everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// Objects of a kind that name this provider.
    Children(Kind, String, String),
    /// Models of this provider with this `modelId`.
    ModelId(String, String, String),
    /// Models of this provider that name this `modelId` as the one to use in their place.
    ReplacedBy(String, String, String),
    /// Credentials that name this Secret.
    SecretUsers(String, String),
    /// Endpoints whose probes use this credential.
    ProbedWith(String, String),
}

/// The declared objects and the opted-in Secrets.
#[derive(Default)]
pub struct Index {
    providers: HashMap<Name, Arc<LlmProvider>>,
    endpoints: HashMap<Name, Arc<LlmEndpoint>>,
    credentials: HashMap<Name, Arc<LlmCredential>>,
    models: HashMap<Name, Arc<LlmModel>>,
    model_classes: HashMap<Name, Arc<LlmModelClass>>,
    secrets: HashMap<Name, Arc<SecretMeta>>,
    lookups: HashMap<Lookup, BTreeSet<String>>,
    /// Objects that exist and were not understood.
    undecodable: HashSet<ObjectKey>,
    /// When an object or an opted-in Secret of a namespace was last seen to be deleted.
    deletions: HashMap<String, Instant>,
}

impl Index {
    /// The object of this name.
    pub fn get<K: Declared>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        K::map(self)
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Whether an object of this name exists that was not understood: what is known of it is what
    /// it was before, or nothing.
    pub fn is_undecodable(&self, key: &ObjectKey) -> bool {
        self.undecodable.contains(key)
    }

    /// Names of a kind in a namespace that were not understood.
    pub fn undecodable_names(&self, kind: Kind, namespace: &str) -> HashSet<String> {
        self.undecodable
            .iter()
            .filter(|key| key.kind == kind && key.namespace == namespace)
            .map(|key| key.name.clone())
            .collect()
    }

    /// UID of the object of this name.
    pub fn uid(&self, key: &ObjectKey) -> Option<Uuid> {
        let (namespace, name) = (&key.namespace, &key.name);
        match key.kind {
            Kind::Provider => (self.get::<LlmProvider>(namespace, name)).map(|o| uid(&*o)),
            Kind::Endpoint => (self.get::<LlmEndpoint>(namespace, name)).map(|o| uid(&*o)),
            Kind::Credential => (self.get::<LlmCredential>(namespace, name)).map(|o| uid(&*o)),
            Kind::Model => (self.get::<LlmModel>(namespace, name)).map(|o| uid(&*o)),
            Kind::ModelClass => (self.get::<LlmModelClass>(namespace, name)).map(|o| uid(&*o)),
        }
    }

    /// UID of the object of this name, and the conditions of its status.
    pub fn conditions(&self, key: &ObjectKey) -> Option<(String, Vec<Condition>)> {
        fn of<K: Declared>(index: &Index, key: &ObjectKey) -> Option<(String, Vec<Condition>)> {
            let object = index.get::<K>(&key.namespace, &key.name)?;
            Some((object.uid()?, object.conditions().to_vec()))
        }
        match key.kind {
            Kind::Provider => of::<LlmProvider>(self, key),
            Kind::Endpoint => of::<LlmEndpoint>(self, key),
            Kind::Credential => of::<LlmCredential>(self, key),
            Kind::Model => of::<LlmModel>(self, key),
            Kind::ModelClass => of::<LlmModelClass>(self, key),
        }
    }

    /// When an object or an opted-in Secret of this namespace was last seen to be deleted.
    pub fn last_deletion(&self, namespace: &str) -> Option<Instant> {
        self.deletions.get(namespace).copied()
    }

    /// Metadata of the opted-in Secret of this name.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Arc<SecretMeta>> {
        self.secrets
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Objects of a kind that name this provider, by name.
    pub fn children<K: Declared>(&self, namespace: &str, provider: &str) -> Vec<Arc<K>> {
        self.found(Lookup::Children(
            K::KIND,
            namespace.to_owned(),
            provider.to_owned(),
        ))
    }

    /// Models of this provider whose `modelId` is this one or may be another spelling of it, by name.
    pub fn models_like_id(
        &self,
        namespace: &str,
        provider: &str,
        model_id: &str,
    ) -> Vec<Arc<LlmModel>> {
        self.found(Lookup::ModelId(
            namespace.to_owned(),
            provider.to_owned(),
            like_id(model_id).to_owned(),
        ))
    }

    /// Names of a kind in a namespace, for suggestions.
    pub fn names<K: Declared>(&self, namespace: &str) -> Vec<String> {
        K::map(self)
            .keys()
            .filter(|(ns, _)| ns == namespace)
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// Keys of the classes of these namespaces, or of all.
    pub fn class_keys(&self, namespaces: Option<&HashSet<String>>) -> Vec<ObjectKey> {
        self.model_classes
            .keys()
            .filter(|(namespace, _)| namespaces.is_none_or(|of| of.contains(namespace)))
            .map(|(namespace, name)| ObjectKey::new(Kind::ModelClass, namespace, name))
            .collect()
    }

    /// Takes an object that was applied, and says whom that wakes.
    pub fn apply<K: Declared>(&mut self, object: K) -> Vec<Wake> {
        let name = name_of(&object);
        let before = K::map(self).get(&name).cloned();
        let object = Arc::new(object);
        self.undecodable.remove(&object.key());
        if let Some(before) = &before {
            self.forget_lookups(before.as_ref(), &name.1);
        }
        for lookup in object.lookups() {
            self.lookups
                .entry(lookup)
                .or_default()
                .insert(name.1.clone());
        }
        K::map_mut(self).insert(name, object.clone());

        let mut wakes = Vec::new();
        if is_new_to_us(before.as_deref(), object.as_ref()) {
            wakes.push(Wake::now(object.key()));
            wakes.extend(object.wakes(self));
            if let Some(before) = &before {
                wakes.extend(before.wakes(self));
            }
        } else if before.is_some_and(|before| before.summary() != object.summary()) {
            let wake = match K::KIND {
                // With its key the models are listed.
                Kind::Credential => Wake::now,
                _ => Wake::soon,
            };
            wakes.extend(provider_key(object.as_ref()).map(wake));
        }
        distinct(wakes)
    }

    /// Takes an object whose status we have just written, unless the watch has moved on since.
    pub fn refresh<K: Declared>(&mut self, read: &K, written: K) -> Vec<Wake> {
        let current = K::map(self).get(&name_of(read));
        match current {
            Some(current) if current.resource_version() == read.resource_version() => {
                self.apply(written)
            }
            _ => Vec::new(),
        }
    }

    /// Notes an object that exists and was not understood; what it was before stays as it was.
    pub fn apply_undecodable<K: Declared>(&mut self, namespace: &str, name: &str) {
        let key = ObjectKey::new(K::KIND, namespace, name);
        self.undecodable.insert(key);
    }

    /// Forgets an object, and says whom that wakes: itself too, so that its row goes.
    pub fn delete<K: Declared>(&mut self, namespace: &str, name: &str) -> Vec<Wake> {
        let key = (namespace.to_owned(), name.to_owned());
        (self.undecodable).remove(&ObjectKey::new(K::KIND, namespace, name));
        self.note_deletion(namespace);
        let Some(object) = K::map_mut(self).remove(&key) else {
            return Vec::new();
        };
        self.forget_lookups(object.as_ref(), name);
        let mut wakes = vec![Wake::now(object.key())];
        wakes.extend(object.wakes(self));
        distinct(wakes)
    }

    /// Takes a complete list of a kind in one watch's scope: what is not in it is gone.
    /// `undecodable` names objects that exist and were not understood; they stay as they were.
    pub fn replace<K: Declared>(
        &mut self,
        scope: Option<&str>,
        listed: Vec<K>,
        undecodable: &HashSet<Name>,
    ) -> Vec<Wake> {
        let present: HashSet<Name> = listed.iter().map(name_of).collect();
        self.undecodable.retain(|key| {
            key.kind != K::KIND || scope.is_some_and(|namespace| namespace != key.namespace)
        });
        for (namespace, name) in undecodable {
            self.apply_undecodable::<K>(namespace, name);
        }
        let gone: Vec<Name> = K::map(self)
            .keys()
            .filter(|name| scope.is_none_or(|ns| ns == name.0))
            .filter(|name| !present.contains(*name) && !undecodable.contains(*name))
            .cloned()
            .collect();
        let mut wakes = Vec::new();
        for (namespace, name) in gone {
            wakes.extend(self.delete::<K>(&namespace, &name));
        }
        for object in listed {
            let is_known = K::map(self).contains_key(&name_of(&object));
            let is_news = is_known || !is_in_force(&object);
            let woken = self.apply(object).into_iter();
            wakes.extend(woken.map(|wake| match is_news {
                true => wake,
                false => wake.behind_news(),
            }));
        }
        distinct(wakes)
    }

    /// Takes an opted-in Secret's metadata.
    pub fn apply_secret(&mut self, secret: SecretMeta) -> Vec<Wake> {
        let name = (secret.namespace().unwrap_or_default(), secret.name_any());
        let before = self.secrets.insert(name.clone(), Arc::new(secret));
        let same = before.is_some_and(|before| {
            before.resource_version() == self.secrets[&name].resource_version()
        });
        if same {
            return Vec::new();
        }
        self.secret_users(&name)
    }

    /// Forgets a Secret that was deleted, or lost its label.
    pub fn delete_secret(&mut self, namespace: &str, name: &str) -> Vec<Wake> {
        let name = (namespace.to_owned(), name.to_owned());
        if self.secrets.remove(&name).is_none() {
            return Vec::new();
        }
        self.note_deletion(&name.0);
        self.secret_users(&name)
    }

    /// Takes a complete list of opted-in Secrets in one watch's scope.
    pub fn replace_secrets(&mut self, scope: Option<&str>, listed: Vec<SecretMeta>) -> Vec<Wake> {
        let present: HashSet<Name> = listed
            .iter()
            .map(|s| (s.namespace().unwrap_or_default(), s.name_any()))
            .collect();
        let gone: Vec<Name> = self
            .secrets
            .keys()
            .filter(|name| scope.is_none_or(|ns| ns == name.0) && !present.contains(*name))
            .cloned()
            .collect();
        let mut wakes = Vec::new();
        for (namespace, name) in gone {
            wakes.extend(self.delete_secret(&namespace, &name));
        }
        for secret in listed {
            wakes.extend(self.apply_secret(secret));
        }
        distinct(wakes)
    }

    fn note_deletion(&mut self, namespace: &str) {
        let now = Instant::now();
        self.deletions.retain(|_, at| *at + DELETION_KEPT > now);
        self.deletions.insert(namespace.to_owned(), now);
    }

    fn secret_users(&self, (namespace, name): &Name) -> Vec<Wake> {
        self.keys_at(
            Kind::Credential,
            namespace,
            &Lookup::SecretUsers(namespace.clone(), name.clone()),
        )
        .map(Wake::now)
        .collect()
    }

    fn found<K: Declared>(&self, lookup: Lookup) -> Vec<Arc<K>> {
        let (Lookup::Children(_, namespace, _)
        | Lookup::ModelId(namespace, ..)
        | Lookup::ReplacedBy(namespace, ..)
        | Lookup::SecretUsers(namespace, _)
        | Lookup::ProbedWith(namespace, _)) = &lookup;
        self.lookups
            .get(&lookup)
            .into_iter()
            .flatten()
            .filter_map(|name| self.get::<K>(namespace, name))
            .collect()
    }

    fn keys_at<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
        lookup: &Lookup,
    ) -> impl Iterator<Item = ObjectKey> + use<'a> {
        self.lookups
            .get(lookup)
            .into_iter()
            .flatten()
            .map(move |name| ObjectKey::new(kind, namespace, name))
    }

    /// Keys of a provider's children of one kind.
    pub fn child_keys<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
        provider: &str,
    ) -> impl Iterator<Item = ObjectKey> + use<'a> {
        let lookup = Lookup::Children(kind, namespace.to_owned(), provider.to_owned());
        self.keys_at(kind, namespace, &lookup)
    }

    fn forget_lookups<K: Declared>(&mut self, object: &K, name: &str) {
        for lookup in object.lookups() {
            if let Some(names) = self.lookups.get_mut(&lookup) {
                names.remove(name);
                if names.is_empty() {
                    self.lookups.remove(&lookup);
                }
            }
        }
    }
}

fn name_of<K: ResourceExt>(object: &K) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether a reconcile is due: the object is new, or what its owner may change has changed. Status,
/// and what tools mark it with, are not that.
fn is_new_to_us<K: Declared>(before: Option<&K>, now: &K) -> bool {
    let Some(before) = before else { return true };
    before.uid() != now.uid()
        || before.meta().generation != now.meta().generation
        || before.meta().deletion_timestamp != now.meta().deletion_timestamp
        || made_by(before) != made_by(now)
        || own_labels(before.meta()) != own_labels(now.meta())
        || own_annotations(before.meta()) != own_annotations(now.meta())
        || before.selectable_labels() != now.selectable_labels()
        || asks(before) != asks(now)
}

/// Whether its status says that it was looked at as it is declared, and nobody has asked for another look.
fn is_in_force<K: Declared>(object: &K) -> bool {
    let generation = object.meta().generation;
    let mut said = object.conditions().iter().peekable();
    said.peek().is_some()
        && said.all(|condition| condition.observed_generation == generation)
        && object.meta().deletion_timestamp.is_none()
        && asks(object).is_none()
}

/// Who made it, which decides between two models of one id and bumps no generation.
fn made_by<K: ResourceExt>(object: &K) -> (Option<&String>, &[OwnerReference]) {
    let label = object.labels().get(LABEL_GENERATED_BY);
    (label, object.owner_references())
}

fn asks<K: ResourceExt>(object: &K) -> Option<&String> {
    object.annotations().get(ANNOTATION_RECONCILE_REQUESTED_AT)
}

/// The value of `llmplane.dev/reconcile-requested-at`. One that cannot be stored is none: the object
/// is refused for it.
pub fn asked_at<K: ResourceExt>(object: &K) -> Option<&str> {
    asks(object)
        .map(String::as_str)
        .filter(|asked| !asked.contains('\0'))
}

/// Whether checks are asked for that were not made: `handled` is the last request that was answered. One that was
/// taken back asks for nothing.
pub fn is_asked<K: ResourceExt>(object: &K, handled: Option<&str>) -> bool {
    let asked = asked_at(object);
    asked.is_some() && asked != handled
}

fn provider_key<K: Declared>(object: &K) -> Option<ObjectKey> {
    let provider = object.provider_name()?;
    Some(ObjectKey::new(
        Kind::Provider,
        object.namespace().unwrap_or_default(),
        provider,
    ))
}

fn distinct(mut wakes: Vec<Wake>) -> Vec<Wake> {
    wakes.sort();
    wakes.dedup_by(|later, first| {
        let is_same = later.key == first.key;
        first.is_news |= is_same && later.is_news;
        is_same
    });
    wakes
}

fn child_of(kind: Kind, namespace: &str, provider: &str) -> Lookup {
    Lookup::Children(kind, namespace.to_owned(), provider.to_owned())
}

#[path = "index_kinds.rs"]
mod kinds;

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
