//! Reads what a class's reconcile needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{
    checks::Owner,
    controller::{
        error::Error,
        kinds::identity,
        runtime::{
            context::Context,
            index::{Declared, Index},
            object_key::ObjectKey,
        },
    },
    crd::{
        Kind, LlmModel, LlmModelClass,
        conditions::{ConditionType, find},
    },
    db::ModelClassRow,
    snapshot::Snapshot,
};

/// Everything that a class's conditions depend on.
pub struct ClassInputs {
    pub object: Arc<LlmModelClass>,
    pub owner: Owner,
    pub row: Option<ModelClassRow>,
    /// What is stored.
    pub snapshot: Arc<Snapshot>,
    /// Names of the declared models of its namespace.
    pub models: Vec<String>,
    /// Names of the classes of its namespace.
    pub classes: BTreeSet<String>,
    /// Whether it was never stored, and a model that it is about is not stored yet: what is applied
    /// together is judged together.
    pub is_early: bool,
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<ClassInputs>, Error> {
    let snapshot = {
        let index = context.index();
        if index
            .get::<LlmModelClass>(&key.namespace, &key.name)
            .is_none()
        {
            return Ok(None);
        }
        context.stored.snapshot()?
    };
    let Some((object, models, classes, pending)) = declared(&context.index(), key, &snapshot)
    else {
        return Ok(None);
    };
    let row = context.db.model_class_row(identity::uid(&*object)).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    Ok(Some(ClassInputs {
        owner: identity::owner(Kind::ModelClass, &*object),
        is_early: row.is_none() && pending,
        object,
        row,
        snapshot,
        models,
        classes,
    }))
}

type DeclaredNames = (Arc<LlmModelClass>, Vec<String>, BTreeSet<String>, bool);

fn declared(index: &Index, key: &ObjectKey, snapshot: &Snapshot) -> Option<DeclaredNames> {
    let namespace = &key.namespace;
    let object = index.get::<LlmModelClass>(namespace, &key.name)?;
    let models = index.names::<LlmModel>(namespace);
    let named = &object.spec.models;
    let about = models
        .iter()
        .filter(|name| named.is_empty() || named.iter().any(|it| it.name == **name));
    let about = about.filter_map(|name| index.get::<LlmModel>(namespace, name));
    let pending = about
        .filter(|model| !is_refused(model))
        .any(|model| snapshot.models.by_uid(identity::uid(&*model)).is_none());
    let classes = index.names::<LlmModelClass>(namespace);
    Some((object, models, classes.into_iter().collect(), pending))
}

/// Whether a model has no row because it is refused.
fn is_refused(model: &LlmModel) -> bool {
    let synced = find(model.conditions(), ConditionType::Synced);
    synced.is_some_and(|synced| synced.status == "False")
}
