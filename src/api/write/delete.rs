//! `DELETE`: an object goes; a provider with its children, where that is asked for.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::json;

use super::answer::DeletedObject;
use super::record::{Recorded, WriteOutcome};
use super::refusal::Refused;
use super::{Write, answer, gitops, target};
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::list_query::Resource;
use crate::crd::Kind;
use crate::db::AuditAction;
use crate::snapshot::ProviderView;

/// Children of a provider that are named in a refusal.
const MAX_NAMED: usize = 50;

/// Objects that go with a provider at most: each is tried, told to the audit, deleted and told again, and
/// its caller waits for all of it.
const MAX_GOING: usize = 500;

/// Deletes an object.
///
/// # Errors
///
/// What the cluster or the audit refuses.
pub async fn delete<V: Resource>(write: Write, id: String) -> Result<Response<Body>, Problem> {
    let object = target::find::<V>(&write, &id).await?;
    gitops::refuse(V::KIND, &object, None, write.force)?;
    try_to_remove(&write, V::KIND, &object.metadata).await?;
    remove(&write, V::KIND, &object.metadata).await?;
    let item = DeletedObject::of(V::KIND, &object.metadata);
    answer::deleted(write, vec![item]).await
}

/// Deletes a provider.
///
/// # Errors
///
/// As [`delete`]; 409 where it has children, unless they are to go with it.
pub async fn delete_provider(
    write: Write,
    id: String,
    cascade: bool,
) -> Result<Response<Body>, Problem> {
    let provider = target::find::<ProviderView>(&write, &id).await?;
    gitops::refuse(Kind::Provider, &provider, None, write.force)?;
    let mut going = children(&write, &provider).await?;
    if !cascade && !going.is_empty() {
        return Err(has_children(&provider, &going));
    }
    if going.len() > MAX_GOING {
        return Err(too_many(&provider, going.len()));
    }
    for (kind, child) in &going {
        let object = DynamicObject {
            types: None,
            metadata: child.clone(),
            data: json!({}),
        };
        gitops::refuse(*kind, &object, None, write.force)?;
    }
    going.push((Kind::Provider, provider.metadata.clone()));
    // All or nothing, as far as the caller's rights and admission go: tried before it is done.
    for (kind, object) in &going {
        try_to_remove(&write, *kind, object).await?;
    }
    let mut gone = Vec::new();
    for (kind, object) in &going {
        if let Err(problem) = remove(&write, *kind, object).await {
            return Err(stopped(problem, *kind, object, &gone));
        }
        gone.push(DeletedObject::of(*kind, object));
    }
    answer::deleted(write, gone).await
}

/// Whether this very object can be deleted.
async fn try_to_remove(write: &Write, kind: Kind, object: &ObjectMeta) -> Result<(), Problem> {
    let tried = write.cluster.delete(kind, object, true).await;
    let tried = recorded(kind, object).tried(write, tried);
    tried.map_err(|refused| refused.problem(kind))
}

/// Deletes this very object, which can be deleted, and tells the audit.
async fn remove(write: &Write, kind: Kind, object: &ObjectMeta) -> Result<(), Problem> {
    if write.params.dry_run {
        return Ok(());
    }
    let deleting = write.cluster.delete(kind, object, false);
    let outcome = recorded(kind, object).done(write, deleting, |()| WriteOutcome::default());
    outcome
        .await?
        .map_err(|refused: Refused| refused.problem(kind))
}

fn recorded(kind: Kind, object: &ObjectMeta) -> Recorded<'_> {
    Recorded {
        action: AuditAction::Delete,
        kind,
        namespace: object.namespace.as_deref().unwrap_or_default(),
        name: object.name.as_deref().unwrap_or_default(),
        uid: object.uid.as_deref().and_then(|uid| uid.parse().ok()),
        fields: Vec::new(),
    }
}

/// A provider's models, credentials and endpoints: what uses something goes before it.
async fn children(
    write: &Write,
    provider: &DynamicObject,
) -> Result<Vec<(Kind, ObjectMeta)>, Problem> {
    let (namespace, name) = (
        provider.namespace().unwrap_or_default(),
        provider.name_any(),
    );
    let mut found = Vec::new();
    for kind in [Kind::Model, Kind::Credential, Kind::Endpoint] {
        let of_kind = write.cluster.children(kind, &namespace, &name).await;
        let of_kind = of_kind.map_err(|refused| refused.problem(kind))?;
        found.extend(of_kind.into_iter().map(|child| (kind, child)));
    }
    Ok(found)
}

fn has_children(provider: &DynamicObject, children: &[(Kind, ObjectMeta)]) -> Problem {
    let shown: Vec<DeletedObject> = children
        .iter()
        .take(MAX_NAMED)
        .map(|(kind, child)| DeletedObject::of(*kind, child))
        .collect();
    let detail = format!(
        "provider {} has {} endpoints, credentials and models (children names them): delete them first, or \
         add cascade=true to delete them with it",
        provider.name_any(),
        children.len()
    );
    Problem::new(ProblemType::HasChildren, detail).with("children", json!(shown))
}

fn too_many(provider: &DynamicObject, children: usize) -> Problem {
    let name = provider.name_any();
    let detail = format!(
        "provider {name} has {children} endpoints, credentials and models, and at most {MAX_GOING} are deleted with it: \
         delete some of them first; kubectl delete llmmodels --field-selector spec.providerRef.name={name} deletes its models"
    );
    Problem::new(ProblemType::HasChildren, detail)
}

/// What went wrong on the way, and what is gone by then.
fn stopped(problem: Problem, kind: Kind, object: &ObjectMeta, gone: &[DeletedObject]) -> Problem {
    let name = object.name.as_deref().unwrap_or_default();
    let detail = format!(
        "{} {name} was not deleted: {} {} objects are gone (deleted names them), the provider and the rest are \
         there; send the same request again to go on",
        kind.kubernetes(),
        problem.detail,
        gone.len()
    );
    Problem { detail, ..problem }.with("deleted", json!(gone))
}
