//! Which models a request is about, and what its caller may see.

use std::sync::Arc;

use crate::snapshot::{CredentialView, Entry, ModelView, Snapshot, name_key};

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
            Self::Namespaces(names) => Box::new(names.iter().flat_map(|namespace| {
                let prefix = name_key(namespace, "");
                let from = snapshot.models.from_key(&prefix);
                from.take_while(move |entry| entry.key.starts_with(&prefix))
            })),
        }
    }
}
