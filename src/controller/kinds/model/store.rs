//! Stores a model.

use super::{dereference::ModelInputs, effective::row_origin, validate::ValidatedModel};
use crate::{
    controller::{
        error::Error,
        kinds::row,
        runtime::{
            context::Context,
            index::Declared,
            object_key::{ObjectKey, Wake},
        },
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::DeclaredModel,
};

/// Stores what was concluded; wakes whom it took its `modelId` from. One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &ModelInputs,
    desired: Option<&ValidatedModel>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let declared = desired.map(|desired| derived(input, desired, verdict));
    let stored = row::write(context, input.row.as_ref(), declared).await?;
    let displaced = (stored.displaced.iter())
        .map(|name| ObjectKey::new(Kind::Model, &input.owner.namespace, name));
    context.waker.wake_all(displaced.map(Wake::now));
    Ok(())
}

fn derived(input: &ModelInputs, desired: &ValidatedModel, verdict: &Evaluation) -> DeclaredModel {
    let spec = &input.object.spec;
    let effective = desired.effective.clone();
    let origin = row_origin(&effective);
    let pricing = effective.pricing;
    DeclaredModel {
        object: row::columns(&*input.object, spec.enabled, verdict),
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
        labels: input.object.selectable_labels(),
        availability_test: spec.availability_test.clone(),
    }
}
