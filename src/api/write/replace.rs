//! `PUT` and `PATCH`: an object that is there is changed.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::create::name_endpoints;
use super::record::{Recorded, WriteOutcome};
use super::refusal::Refused;
use super::{Draft, Write, answer, declaration, gitops, target};
use crate::api::problem::Problem;
use crate::api::read::list_query::Resource;
use crate::crd::Kind;
use crate::db::AuditAction;
use crate::snapshot::ProviderView;

/// How often a provider is read again that changes while it is switched: its status does by itself.
const PATCH_ATTEMPTS: u32 = 5;

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
    replace_by::<V>(write, change, draft).await
}

/// Makes a change that was read.
///
/// # Errors
///
/// As [`replace`].
pub(super) async fn replace_by<V: Resource>(
    write: Write,
    change: Change,
    draft: Draft,
) -> Result<Response<Body>, Problem> {
    change.refuse_managed(&write)?;
    let recorded = change.recorded(Vec::new());
    let replacing = |dry_run| put::<V>(&write, &change, &draft.fields, dry_run);
    let outcome = |made: &MadeChange| made.outcome(V::KIND);
    let made = recorded.run(&write, replacing, outcome).await?;
    let made = made.map_err(|refused| refused.problem(V::KIND))?;
    answer::written::<V>(write, &made.after, false, |_| true).await
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

/// An object that was changed: as it was when that was done, and as it is.
struct MadeChange {
    before: DynamicObject,
    after: DynamicObject,
}

impl MadeChange {
    fn outcome(&self, kind: Kind) -> WriteOutcome {
        let (before, after) = (&self.before.data["spec"], &self.after.data["spec"]);
        WriteOutcome {
            uid: target::uid(&self.after),
            fields: Some(declaration::changed(kind, before, after)),
        }
    }
}

/// Puts it in the place of what was read; of what was changed since, once more.
async fn put<V: Resource>(
    write: &Write,
    change: &Change,
    fields: &Map<String, Value>,
    dry_run: bool,
) -> Result<MadeChange, Refused> {
    let kind = V::KIND;
    let before = match write.cluster.replace(kind, &change.after, dry_run).await {
        Err(Refused::Conflict) => newest(write, kind, &change.before).await?,
        outcome => {
            let before = change.before.clone();
            return outcome.map(|after| MadeChange { before, after });
        }
    };
    let again = changed::<V>(&before, fields).map_err(|_| Refused::Conflict)?;
    // A GitOps tool may have taken it over: reading it again says so.
    let patch = declaration::merge_patch(&before.data["spec"], &again.data["spec"]);
    gitops::refuse(kind, &before, Some(&patch), write.force).map_err(|_| Refused::Conflict)?;
    let after = write.cluster.replace(kind, &again, dry_run).await?;
    Ok(MadeChange { before, after })
}

/// An object that somebody changed since it was read. One that was deleted and made again meanwhile is another.
async fn newest(write: &Write, kind: Kind, read: &DynamicObject) -> Result<DynamicObject, Refused> {
    let namespace = read.namespace().unwrap_or_default();
    let newest = write
        .cluster
        .get(kind, &namespace, &read.name_any())
        .await?;
    match newest.metadata.uid == read.metadata.uid {
        true => Ok(newest),
        false => Err(Refused::Conflict),
    }
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
    let patching = |dry_run| patch(&write, &before, &change, dry_run);
    let outcome = |made: &MadeChange| made.outcome(kind);
    let made = recorded.run(&write, patching, outcome).await?;
    let made = made.map_err(|refused| refused.problem(kind))?;
    answer::written::<ProviderView>(write, &made.after, false, |_| true).await
}

/// Changes the spec of a provider that was read; of one that was changed since, as it is then: nothing of
/// that is lost.
async fn patch(
    write: &Write,
    read: &DynamicObject,
    change: &Value,
    dry_run: bool,
) -> Result<MadeChange, Refused> {
    let kind = Kind::Provider;
    let mut before = read.clone();
    for _ in 0..PATCH_ATTEMPTS {
        let metadata = json!({
            "uid": before.metadata.uid, "resourceVersion": before.metadata.resource_version,
        });
        let patch = json!({ "metadata": metadata, "spec": change });
        match write.cluster.patch(kind, &before, &patch, dry_run).await {
            Err(Refused::Conflict) => {}
            outcome => return outcome.map(|after| MadeChange { before, after }),
        }
        before = newest(write, kind, read).await?;
        gitops::refuse(kind, &before, Some(change), write.force).map_err(|_| Refused::Conflict)?;
    }
    Err(Refused::Conflict)
}
