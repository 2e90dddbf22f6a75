//! The five kinds in the index: under what each is found, and whom its changes wake.

use super::*;
use crate::crd::model;
use crate::vendors::like_id;

impl Declared for LlmProvider {
    const KIND: Kind = Kind::Provider;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
    fn provider_name(&self) -> Option<&str> {
        None
    }
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>> {
        &index.providers
    }
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>> {
        &mut index.providers
    }
    fn wakes(&self, index: &Index) -> Vec<Wake> {
        let (namespace, name) = name_of(self);
        [Kind::Endpoint, Kind::Credential, Kind::Model]
            .into_iter()
            .flat_map(|kind| {
                index
                    .child_keys(kind, &namespace, &name)
                    .collect::<Vec<_>>()
            })
            .map(Wake::now)
            .collect()
    }
}

impl Declared for LlmEndpoint {
    const KIND: Kind = Kind::Endpoint;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
    fn provider_name(&self) -> Option<&str> {
        Some(&self.spec.provider_ref.name)
    }
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>> {
        &index.endpoints
    }
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>> {
        &mut index.endpoints
    }
    fn lookups(&self) -> Vec<Lookup> {
        let (namespace, _) = name_of(self);
        let probed_with = (self.spec.health_check.credential_ref.as_ref())
            .map(|credential| Lookup::ProbedWith(namespace.clone(), credential.name.clone()));
        [child_of(
            Kind::Endpoint,
            &namespace,
            &self.spec.provider_ref.name,
        )]
        .into_iter()
        .chain(probed_with)
        .collect()
    }
    /// The provider (its default may be this one), the siblings (limits, the default), and
    /// whatever may be used at this endpoint.
    fn wakes(&self, index: &Index) -> Vec<Wake> {
        let (namespace, _) = name_of(self);
        let provider = &self.spec.provider_ref.name;
        [Kind::Endpoint, Kind::Credential, Kind::Model]
            .into_iter()
            .flat_map(|kind| {
                index
                    .child_keys(kind, &namespace, provider)
                    .collect::<Vec<_>>()
            })
            .chain(provider_key(self))
            .map(Wake::now)
            .collect()
    }
}

impl Declared for LlmCredential {
    const KIND: Kind = Kind::Credential;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
    fn summary(&self) -> Summary<'_> {
        let outside = conditions::find(self.conditions(), Self::OUTSIDE);
        Summary {
            outside: outside.map(|c| (c.status.as_str(), c.reason.as_str())),
            fingerprint: self.status.as_ref().and_then(|s| s.fingerprint.as_deref()),
        }
    }
    fn provider_name(&self) -> Option<&str> {
        Some(&self.spec.provider_ref.name)
    }
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>> {
        &index.credentials
    }
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>> {
        &mut index.credentials
    }
    fn lookups(&self) -> Vec<Lookup> {
        let (namespace, _) = name_of(self);
        let secret = self.spec.secret_ref.as_ref();
        [child_of(
            Kind::Credential,
            &namespace,
            &self.spec.provider_ref.name,
        )]
        .into_iter()
        .chain(secret.map(|secret| Lookup::SecretUsers(namespace.clone(), secret.name.clone())))
        .collect()
    }
    /// The provider, the siblings (limits), the endpoints that are probed with it, and the models
    /// that are tested with it.
    fn wakes(&self, index: &Index) -> Vec<Wake> {
        let (namespace, name) = name_of(self);
        let provider = &self.spec.provider_ref.name;
        let probed = Lookup::ProbedWith(namespace.clone(), name);
        let mut wakes: Vec<Wake> = index
            .child_keys(Kind::Credential, &namespace, provider)
            .chain(index.keys_at(Kind::Endpoint, &namespace, &probed))
            .map(Wake::now)
            .collect();
        let models = index.children::<LlmModel>(&namespace, provider);
        let tested = models.iter().filter(|m| m.spec.availability_test.enabled);
        wakes.extend(tested.map(|m| Wake::now(m.key())));
        wakes.extend(provider_key(self).map(Wake::soon));
        wakes
    }
}

impl Declared for LlmModel {
    const KIND: Kind = Kind::Model;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
    fn selectable_labels(&self) -> BTreeMap<String, String> {
        model::selectable_labels(self.metadata.labels.as_ref())
    }
    fn provider_name(&self) -> Option<&str> {
        Some(&self.spec.provider_ref.name)
    }
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>> {
        &index.models
    }
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>> {
        &mut index.models
    }
    fn lookups(&self) -> Vec<Lookup> {
        let (namespace, _) = name_of(self);
        let provider = self.spec.provider_ref.name.clone();
        let mut lookups = vec![child_of(Kind::Model, &namespace, &provider)];
        if let Some(replacement) = &self.spec.replacement {
            let id = like_id(&replacement.model_id).to_owned();
            lookups.push(Lookup::ReplacedBy(namespace.clone(), provider.clone(), id));
        }
        let id = like_id(&self.spec.model_id).to_owned();
        lookups.push(Lookup::ModelId(namespace, provider, id));
        lookups
    }
    /// The provider, the models of the same id (one of them may be in force now), those that it replaces, and
    /// the credentials that a test of it may prove.
    fn wakes(&self, index: &Index) -> Vec<Wake> {
        let (namespace, _) = name_of(self);
        let same_id = Lookup::ModelId(
            namespace.clone(),
            self.spec.provider_ref.name.clone(),
            like_id(&self.spec.model_id).to_owned(),
        );
        let replaced = Lookup::ReplacedBy(
            namespace.clone(),
            self.spec.provider_ref.name.clone(),
            like_id(&self.spec.model_id).to_owned(),
        );
        let mut wakes: Vec<Wake> = index
            .keys_at(Kind::Model, &namespace, &same_id)
            .map(Wake::now)
            .collect();
        wakes.extend(
            index
                .keys_at(Kind::Model, &namespace, &replaced)
                .map(Wake::soon),
        );
        if self.spec.availability_test.enabled {
            let provider = &self.spec.provider_ref.name;
            let keys = index.child_keys(Kind::Credential, &namespace, provider);
            wakes.extend(keys.map(Wake::soon));
        }
        wakes.extend(provider_key(self).map(Wake::soon));
        wakes
    }
}

impl Declared for LlmModelClass {
    const KIND: Kind = Kind::ModelClass;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
    fn provider_name(&self) -> Option<&str> {
        None
    }
    fn map(index: &Index) -> &HashMap<Name, Arc<Self>> {
        &index.model_classes
    }
    fn map_mut(index: &mut Index) -> &mut HashMap<Name, Arc<Self>> {
        &mut index.model_classes
    }
    /// Nobody: what a class means depends on the others, and they not on it.
    fn wakes(&self, _: &Index) -> Vec<Wake> {
        Vec::new()
    }
}
