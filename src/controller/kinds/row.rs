//! What storing an object has in common for all kinds.

use kube::core::object::HasSpec;
use serde::Serialize;
use uuid::Uuid;

use super::identity;
use crate::{
    controller::{
        error::Error,
        runtime::{context::Context, index::Declared},
        status::evaluate::Evaluation,
    },
    crd::{Kind, manifest::Declaration},
    db::{DeclaredRow, ObjectColumns, ObjectRow, UpsertedRow},
};

/// The columns that all kinds have; `enabled` is the object's own switch.
pub fn columns<K>(object: &K, enabled: bool, verdict: &Evaluation) -> ObjectColumns
where
    K: Declared + HasSpec,
    K::Spec: Serialize,
{
    ObjectColumns {
        uid: identity::uid(object),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        generation: identity::generation(object),
        enabled,
        is_active: verdict.is_active,
        conditions: verdict.conditions.clone(),
        verified_generation: verdict.verified_generation,
        verified_with: verdict.verified_with.clone(),
        last_handled_reconcile_at: verdict.handled.clone(),
        created_at: identity::created_at(object),
        declaration: Declaration::of(object),
    }
}

/// Stores what was declared. One that is refused has no row: what there was goes.
///
/// # Errors
/// Those of the write.
pub async fn write<D: DeclaredRow>(
    context: &Context,
    row: Option<&ObjectRow<D>>,
    declared: Option<D>,
) -> Result<UpsertedRow, Error> {
    let Some(declared) = declared else {
        if let Some(row) = row {
            remove(context, D::KIND, row.uid).await?;
        }
        return Ok(UpsertedRow::default());
    };
    let (stored, _) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.upsert(&declared).await })
        })
        .await?;
    context.forget(&stored.replaced);
    Ok(stored)
}

/// Removes the row of an object that is refused, as if that had been deleted, and with it what checks
/// found and the key. The object's next valid declaration brings it back.
///
/// # Errors
/// Those of the write.
pub async fn remove(context: &Context, kind: Kind, uid: Uuid) -> Result<(), Error> {
    context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.soft_delete(kind, &[uid]).await })
        })
        .await?;
    Ok(())
}
