//! Identity of an object, as rows and checks know it.

use jiff::Timestamp;
use kube::ResourceExt;
use uuid::Uuid;

use crate::controller::runtime::index::Declared;
use crate::{checks::Owner, crd::Kind};

/// The object's UID. The kube-apiserver makes them as UUIDs; an object without one has never been
/// there.
pub fn uid<K: ResourceExt>(object: &K) -> Uuid {
    object
        .uid()
        .and_then(|uid| Uuid::parse_str(&uid).ok())
        .unwrap_or_default()
}

/// The object as the owner of its checks.
pub fn owner<K: Declared>(kind: Kind, object: &K) -> Owner {
    Owner {
        kind,
        uid: uid(object),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// The object's generation; 1 is the first.
pub fn generation<K: ResourceExt>(object: &K) -> i64 {
    object.meta().generation.unwrap_or(1)
}

/// When the object was created.
pub fn created_at<K: ResourceExt>(object: &K) -> Timestamp {
    object
        .creation_timestamp()
        .map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}
