//! Names of objects, as the queue and the index use them.

use std::{fmt, time::Duration};

use kube::ResourceExt;

use crate::crd::Kind;

/// One object of the five kinds, by name: a name used again is the same key and another UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Which of the five.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A key of these parts.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of this object.
    pub fn of<K: ResourceExt>(kind: Kind, object: &K) -> Self {
        Self::new(
            kind,
            object.namespace().unwrap_or_default(),
            object.name_any(),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A request to reconcile an object, now or a little later so that several become one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wake {
    /// Whom.
    pub key: ObjectKey,
    /// After how long at the latest.
    pub after: Duration,
    /// Whether something changed, as far as is known. What a list told of and is in force as it is declared waits for
    /// what did: after a change of leaders that is nearly everything.
    pub is_news: bool,
}

/// How long wake-ups of a parent by its children are gathered.
pub const GATHER: Duration = Duration::from_secs(1);

impl Wake {
    /// At once.
    pub fn now(key: ObjectKey) -> Self {
        Self {
            key,
            after: Duration::ZERO,
            is_news: true,
        }
    }

    /// After [`GATHER`]: for summaries, which many children change together.
    pub fn soon(key: ObjectKey) -> Self {
        Self {
            after: GATHER,
            ..Self::now(key)
        }
    }

    /// The same, behind all that is news.
    pub fn behind_news(self) -> Self {
        Self {
            is_news: false,
            ..self
        }
    }
}
