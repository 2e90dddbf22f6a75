//! Which object a write is about.

use kube::ResourceExt;
use kube::api::DynamicObject;
use uuid::Uuid;

use super::Write;
use super::refusal::Refused;
use crate::api::auth::Scope;
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::list_query::{self, Resource};
use crate::api::read::revisions;
use crate::crd::Kind;

/// Where an object is, and which it is, where that was asked for.
struct Place {
    namespace: String,
    name: String,
    uid: Option<Uuid>,
}

/// The object of this id (a UID, or a name in the namespace asked for), as the caller sees it in the
/// cluster.
///
/// # Errors
///
/// 404 where it is not there or the caller may not get it: both look the same.
pub async fn find<V: Resource>(write: &Write, id: &str) -> Result<DynamicObject, Problem> {
    let place = match list_query::uid(id) {
        Some(uid) => of_uid::<V>(write, uid, id).await?,
        None => of_name(write, id, V::KIND)?,
    };
    let (namespace, name) = (&place.namespace, &place.name);
    let found = write.cluster.get(V::KIND, namespace, name).await;
    let found = found.map_err(|refused| refused.of_reading(V::KIND))?;
    match place.uid.is_none() || place.uid == uid(&found) {
        true => Ok(found),
        false => Err(Problem::not_found(V::KIND.as_str())),
    }
}

/// The type of a child's provider; none where that is not there, or the caller may not get it.
///
/// # Errors
///
/// What else the kube-apiserver says.
pub async fn provider_type(
    write: &Write,
    child: &DynamicObject,
) -> Result<Option<String>, Problem> {
    let namespace = child.namespace().unwrap_or_default();
    let name = child.data["spec"]["providerRef"]["name"].as_str();
    let kind = Kind::Provider;
    match write
        .cluster
        .get(kind, &namespace, name.unwrap_or_default())
        .await
    {
        Ok(provider) => Ok(provider.data["spec"]["type"].as_str().map(str::to_owned)),
        Err(Refused::NotFound(_) | Refused::Forbidden(_)) => Ok(None),
        Err(refused) => Err(refused.problem(kind)),
    }
}

/// The namespace of a write.
///
/// # Errors
///
/// 400 for all of them.
pub fn one_namespace(write: &Write) -> Result<String, Problem> {
    let scope = Scope::of(write.params.namespace.as_deref(), &write.caller)?;
    scope.namespace().map(str::to_owned).ok_or_else(|| {
        Problem::new(
            ProblemType::InvalidParameter,
            "namespace: a write is in one namespace; name that one",
        )
    })
}

fn of_name(write: &Write, name: &str, kind: Kind) -> Result<Place, Problem> {
    let namespace = one_namespace(write)?;
    match list_query::is_object_name(name) {
        true => Ok(Place {
            namespace,
            name: name.to_owned(),
            uid: None,
        }),
        false => Err(Problem::not_found(kind.as_str())),
    }
}

/// By the rows; else, for what has none, by the list of its namespace.
async fn of_uid<V: Resource>(write: &Write, uid: Uuid, id: &str) -> Result<Place, Problem> {
    let asked = write.params.namespace.as_ref();
    let asked = asked.map(|_| one_namespace(write)).transpose()?;
    let snapshot = revisions::snapshot(&write.state, None).await?;
    let here = |namespace: &str| asked.as_ref().is_none_or(|asked| asked == namespace);
    let row = V::table(&snapshot).by_uid(uid).map(|row| row.view.common());
    if let Some(row) = row.filter(|row| here(&row.namespace)) {
        return Ok(Place {
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            uid: Some(uid),
        });
    }
    let own = write.caller.namespace().map(AsRef::as_ref);
    let namespace = asked.as_deref().or(own);
    let namespace = namespace.ok_or_else(|| Problem::not_found(V::KIND.as_str()))?;
    let listed = write.cluster.all(V::KIND, namespace).await;
    let listed = listed.map_err(|refused| refused.of_reading(V::KIND))?;
    let is_it = |object: &&kube::api::ObjectMeta| {
        object.uid.as_deref() == Some(id) || object.name.as_deref() == Some(id)
    };
    let found = listed.iter().find(is_it);
    let name = found.and_then(|object| object.name.clone());
    Ok(Place {
        namespace: namespace.to_owned(),
        name: name.ok_or_else(|| Problem::not_found(V::KIND.as_str()))?,
        uid: None,
    })
}

/// An object's UID.
pub fn uid(object: &DynamicObject) -> Option<Uuid> {
    let uid = object.metadata.uid.as_deref();
    uid.and_then(|uid| Uuid::try_parse(uid).ok())
}
