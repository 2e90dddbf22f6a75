//! Stores a model.

use super::{dereference::ModelInputs, effective::row_origin, validate::ValidatedModel};
use crate::{
    controller::{
        error::Error,
        kinds::{identity, refused},
        runtime::{
            context::Context,
            object_key::{ObjectKey, Wake},
        },
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::ModelUpsert,
};

/// Stores what was concluded; wakes whom it took its `modelId` from. One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &ModelInputs,
    desired: Option<&ValidatedModel>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let upsert = match (&input.row, desired) {
        (None, None) => return Ok(()),
        (Some(row), None) => return refused::remove_row(context, Kind::Model, row.uid).await,
        (_, Some(desired)) => derived(input, desired, verdict),
    };
    let (stored, _) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.model_upsert(&upsert).await })
        })
        .await?;
    context.forget(&stored.replaced);
    let displaced = (stored.displaced.iter())
        .map(|name| ObjectKey::new(Kind::Model, &input.owner.namespace, name));
    context.waker.wake_all(displaced.map(Wake::now));
    Ok(())
}

fn derived(input: &ModelInputs, desired: &ValidatedModel, verdict: &Evaluation) -> ModelUpsert {
    let spec = &input.object.spec;
    let effective = desired.effective.clone();
    let origin = row_origin(&effective);
    let pricing = effective.pricing;
    ModelUpsert {
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
        provider_uid: desired.provider_uid,
        endpoint_uids: desired.endpoint_uids.clone(),
        model_id: spec.model_id.clone(),
        display_name: spec.display_name.clone(),
        version: spec.version.clone(),
        type_: effective.type_,
        context_window: effective.context_window,
        max_input_tokens: effective.max_input_tokens,
        max_output_tokens: effective.max_output_tokens,
        currency: pricing.as_ref().map(|p| p.currency.clone()),
        input_price: pricing.as_ref().and_then(|p| p.input_per1k_tokens.clone()),
        output_price: pricing.and_then(|p| p.output_per1k_tokens),
        capabilities: effective.capabilities,
        recommended_for: spec.recommended_for.clone(),
        default_parameters: spec.default_parameters.clone(),
        lifecycle: spec.lifecycle,
        origin,
        availability_test: spec.availability_test.clone(),
    }
}
