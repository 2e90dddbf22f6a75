//! `PUT` and `PATCH`: an object that is there is changed.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::create::name_endpoints;
use super::record::Recorded;
use super::refusal::Refused;
use super::{Draft, Write, answer, declaration, gitops, target};
use crate::api::problem::Problem;
use crate::api::read::list_query::Resource;
use crate::crd::Kind;
use crate::db::AuditAction;
use crate::snapshot::ProviderView;

/// Replaces what rows show of an object, and keeps the rest.
///
/// # Errors
///
/// What the body, the cluster or the audit refuses.
pub async fn replace<V: Resource>(
    write: Write,
    id: String,
    mut draft: Draft,
) -> Result<Response<Body>, Problem> {
    let change = Change::of::<V>(&write, &id, &mut draft).await?;
    change.refuse_managed(&write)?;
    let recorded = change.recorded(Vec::new());
    let replacing = |dry_run| put::<V>(&write, &change.after, &draft.fields, dry_run);
    let made = recorded.run(&write, replacing, target::uid).await?;
    let made = made.map_err(|refused| refused.problem(V::KIND))?;
    answer::written::<V>(write, &made, false, |_| true).await
}

/// An object as it is and as it is to be.
pub(super) struct Change {
    pub kind: Kind,
    pub before: DynamicObject,
    pub after: DynamicObject,
    pub namespace: String,
    pub name: String,
}

impl Change {
    /// What a body makes of the object of this id.
    pub async fn of<V: Resource>(
        write: &Write,
        id: &str,
        draft: &mut Draft,
    ) -> Result<Self, Problem> {
        let before = target::find::<V>(write, id).await?;
        same_name(draft, &before)?;
        let (namespace, name) = (before.namespace().unwrap_or_default(), before.name_any());
        if let Some(provider) = before.data["spec"]["providerRef"]["name"].as_str() {
            name_endpoints(write, &namespace, provider, &mut draft.fields).await?;
        }
        Ok(Self {
            kind: V::KIND,
            after: changed::<V>(&before, &draft.fields)?,
            before,
            namespace,
            name,
        })
    }

    /// Refuses what a GitOps tool would undo.
    pub fn refuse_managed(&self, write: &Write) -> Result<(), Problem> {
        let patch = declaration::merge_patch(&self.before.data["spec"], &self.after.data["spec"]);
        gitops::refuse(self.kind, &self.before, Some(&patch), write.force)
    }

    /// As the audit tells it; further fields beside those of the spec.
    pub fn recorded(&self, mut fields: Vec<&'static str>) -> Recorded<'_> {
        let (before, after) = (&self.before.data["spec"], &self.after.data["spec"]);
        fields.extend(declaration::changed(self.kind, before, after));
        Recorded {
            action: AuditAction::Update,
            kind: self.kind,
            namespace: &self.namespace,
            name: &self.name,
            uid: target::uid(&self.before),
            fields,
        }
    }
}

/// The name is an object's own: there is no renaming.
fn same_name(draft: &Draft, object: &DynamicObject) -> Result<(), Problem> {
    match &draft.name {
        Some(name) if *name != object.name_any() => Err(Problem::body(format!(
            "name: it is {} and cannot be changed; leave it out, or create another",
            object.name_any()
        ))),
        _ => Ok(()),
    }
}

fn changed<V: Resource>(
    before: &DynamicObject,
    fields: &Map<String, Value>,
) -> Result<DynamicObject, Problem> {
    let mut after = before.clone();
    let mut spec = match after.data["spec"].take() {
        Value::Object(spec) => spec,
        _ => Map::new(),
    };
    declaration::apply(V::KIND, &mut spec, fields)?;
    after.data["spec"] = spec.into();
    Ok(after)
}

/// Puts it in the place of what was read; of what was changed since, once more.
async fn put<V: Resource>(
    write: &Write,
    after: &DynamicObject,
    fields: &Map<String, Value>,
    dry_run: bool,
) -> Result<DynamicObject, Refused> {
    let kind = V::KIND;
    match write.cluster.replace(kind, after, dry_run).await {
        Err(Refused::Conflict) => {}
        outcome => return outcome,
    }
    let namespace = after.namespace().unwrap_or_default();
    let newest = write
        .cluster
        .get(kind, &namespace, &after.name_any())
        .await?;
    // One that was deleted and made again meanwhile is another.
    if newest.metadata.uid != after.metadata.uid {
        return Err(Refused::Conflict);
    }
    let again = changed::<V>(&newest, fields).map_err(|_| Refused::Conflict)?;
    // A GitOps tool may have taken it over: reading it again says so.
    let patch = declaration::merge_patch(&newest.data["spec"], &again.data["spec"]);
    gitops::refuse(kind, &newest, Some(&patch), write.force).map_err(|_| Refused::Conflict)?;
    write.cluster.replace(kind, &again, dry_run).await
}

/// Switches a provider on or off.
///
/// # Errors
///
/// As [`replace`].
pub async fn set_active(
    write: Write,
    id: String,
    is_active: bool,
) -> Result<Response<Body>, Problem> {
    let before = target::find::<ProviderView>(&write, &id).await?;
    let kind = Kind::Provider;
    let change = json!({ "enabled": is_active });
    gitops::refuse(kind, &before, Some(&change), write.force)?;
    let namespace = before.namespace().unwrap_or_default();
    let recorded = Recorded {
        action: AuditAction::Update,
        kind,
        namespace: &namespace,
        name: &before.name_any(),
        uid: target::uid(&before),
        fields: vec!["is_active"],
    };
    let patch = json!({ "metadata": { "uid": before.metadata.uid }, "spec": change });
    let patching = |dry_run| write.cluster.patch(kind, &before, &patch, dry_run);
    let made = recorded.run(&write, patching, target::uid).await?;
    let made = made.map_err(|refused| refused.problem(kind))?;
    answer::written::<ProviderView>(write, &made, false, |_| true).await
}
