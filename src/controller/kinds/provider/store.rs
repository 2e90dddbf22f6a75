//! Stores a provider.

use super::dereference::ProviderInputs;
use crate::{
    controller::{
        error::Error,
        kinds::identity,
        runtime::{context::Context, index::Declared, object_key::Wake},
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::ProviderUpsert,
};

/// Stores what was concluded; wakes the children where that changed whether it is in force.
pub async fn write(
    context: &Context,
    input: &ProviderInputs,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let upsert = derived(input, verdict);
    let (stored, _) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.provider_upsert(&upsert).await })
        })
        .await?;
    context.forget(&stored.replaced);
    let before = input.row.as_ref().filter(|row| row.deleted_at.is_none());
    if before.map(|row| row.is_active) != Some(verdict.is_active) {
        wake_children(context, input);
    }
    Ok(())
}

fn wake_children(context: &Context, input: &ProviderInputs) {
    let key = input.object.key();
    let index = context.index();
    let children = [Kind::Endpoint, Kind::Credential, Kind::Model]
        .into_iter()
        .flat_map(|kind| {
            index
                .child_keys(kind, &key.namespace, &key.name)
                .collect::<Vec<_>>()
        });
    context.waker.wake_all(children.map(Wake::now));
}

fn derived(input: &ProviderInputs, verdict: &Evaluation) -> ProviderUpsert {
    let spec = &input.object.spec;
    ProviderUpsert {
        uid: input.owner.uid,
        namespace: input.owner.namespace.clone(),
        name: input.owner.name.clone(),
        generation: identity::generation(&*input.object),
        enabled: spec.enabled,
        is_active: verdict.is_active,
        conditions: verdict.conditions.clone(),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        created_at: identity::created_at(&*input.object),
        type_: spec.type_,
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        default_endpoint: spec.default_endpoint_ref.as_ref().map(|r| r.name.clone()),
        model_sync: spec.model_sync.clone(),
    }
}
