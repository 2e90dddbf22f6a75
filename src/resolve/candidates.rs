//! Which models a request is about, and what its caller may see.

use std::sync::Arc;

use uuid::Uuid;

use crate::snapshot::{
    CredentialView, Entry, ModelClassView, ModelView, Snapshot, Table, View, name_key,
};

/// Namespaces that are looked in together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// All of them.
    All,
    /// These.
    Namespaces(Vec<Arc<str>>),
}

/// What a caller may see and use.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Where models are looked for; what is found in one comes before what is found in a later one.
    pub tiers: &'a [Tier],
    /// Whether the caller may have this credential: see it, or use its key where that is asked for.
    /// One that it may not have is as if it were not there.
    pub may_have: &'a (dyn Fn(&CredentialView) -> bool + Sync),
    /// Credentials whose keys were asked for and did not come: no key is expected of them, and calls need
    /// one all the same.
    pub gave_no_key: &'a [Uuid],
    /// Whether the caller may see the classes of a namespace.
    pub may_see_classes: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Tier {
    /// Its models of this name, display name or `modelId`, by namespace and name.
    pub(super) fn called<'s>(
        &self,
        snapshot: &'s Snapshot,
        what: &str,
    ) -> Vec<&'s Arc<Entry<ModelView>>> {
        match self {
            Self::All => snapshot.called(what, "").collect(),
            Self::Namespaces(names) => {
                let mut found = Vec::new();
                for namespace in names {
                    found.extend(snapshot.called(what, &name_key(namespace, "")));
                }
                found
            }
        }
    }

    /// Its models by namespace and name.
    pub(super) fn models<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> Box<dyn Iterator<Item = &'s Arc<Entry<ModelView>>> + 's> {
        match self {
            Self::All => Box::new(snapshot.models.from_key("")),
            Self::Namespaces(names) => Box::new(
                names
                    .iter()
                    .flat_map(|namespace| of_namespace(&snapshot.models, namespace)),
            ),
        }
    }

    /// Its classes by namespace and name.
    pub(super) fn classes<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> Box<dyn Iterator<Item = &'s Arc<Entry<ModelClassView>>> + 's> {
        match self {
            Self::All => Box::new(snapshot.model_classes.from_key("")),
            Self::Namespaces(names) => Box::new(
                names
                    .iter()
                    .flat_map(|namespace| of_namespace(&snapshot.model_classes, namespace)),
            ),
        }
    }

    /// Its classes of this name, by namespace.
    pub(super) fn classes_called<'s>(
        &'s self,
        snapshot: &'s Snapshot,
        name: &str,
    ) -> Vec<&'s Arc<Entry<ModelClassView>>> {
        match self {
            Self::All => {
                let all = snapshot.model_classes.from_key("");
                all.filter(|entry| entry.view.common.name == name).collect()
            }
            Self::Namespaces(names) => {
                let of = |namespace: &Arc<str>| snapshot.model_classes.by_name(namespace, name);
                names.iter().filter_map(of).collect()
            }
        }
    }
}

/// The rows of a namespace, by name.
pub(super) fn of_namespace<'s, V: View>(
    table: &'s Table<V>,
    namespace: &str,
) -> impl Iterator<Item = &'s Arc<Entry<V>>> + use<'s, V> {
    let prefix = name_key(namespace, "");
    let from = table.from_key(&prefix);
    from.take_while(move |entry| entry.key.starts_with(&prefix))
}
