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
    crd::{Kind, labels},
    db::DeclaredModel,
};

/// Stores what was concluded; wakes whom it took its `modelId` from. One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &ModelInputs,
    desired: Option<&ValidatedModel>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let declared = desired.map(|desired| {
        let mut declared = derived(input, desired, verdict);
        declared.shown_labels = labels::shown(&declared.labels, &context.label_prefixes);
        declared
    });
    let stored = row::write(context, input.row.as_ref(), declared).await?;
    let displaced = (stored.displaced.iter())
        .map(|name| ObjectKey::new(Kind::Model, &input.owner.namespace, name));
    context.waker.wake_all(displaced.map(Wake::now));
    Ok(())
}

/// The row of what was concluded. Pure.
pub fn derived(
    input: &ModelInputs,
    desired: &ValidatedModel,
    verdict: &Evaluation,
) -> DeclaredModel {
    let spec = &input.object.spec;
    let effective = desired.effective.clone();
    let origin = row_origin(&effective);
    let modalities = effective.modalities.unwrap_or_default();
    let currency = effective.pricing.as_ref().map(|p| p.currency.clone());
    let pricing = effective.pricing.unwrap_or_default();
    DeclaredModel {
        object: row::columns(&*input.object, spec.enabled, verdict),
        provider_uid: desired.provider_uid,
        endpoint_uids: desired.endpoint_uids.clone(),
        model_id: spec.model_id.clone(),
        base_model: effective.base_model,
        display_name: spec.display_name.clone(),
        version: spec.version.clone(),
        type_: effective.type_,
        context_window: effective.context_window,
        max_input_tokens: effective.max_input_tokens,
        max_output_tokens: effective.max_output_tokens,
        embedding_dimensions: effective.embedding_dimensions,
        input_modalities: modalities.input,
        output_modalities: modalities.output,
        currency,
        input_price: pricing.input_per1k_tokens,
        output_price: pricing.output_per1k_tokens,
        cache_read_price: pricing.cache_read_per1k_tokens,
        cache_write_price: pricing.cache_write_per1k_tokens,
        reasoning_price: pricing.reasoning_per1k_tokens,
        audio_input_price: pricing.audio_input_per1k_tokens,
        audio_output_price: pricing.audio_output_per1k_tokens,
        batch_input_price: pricing.batch_input_per1k_tokens,
        batch_output_price: pricing.batch_output_per1k_tokens,
        image_price: pricing.per_image,
        request_price: pricing.per_request,
        price_tiers: pricing.tiers,
        limits: spec.limits.clone(),
        capabilities: effective.capabilities,
        recommended_for: spec.recommended_for.clone(),
        default_parameters: spec.default_parameters.clone(),
        lifecycle: spec.lifecycle,
        deprecated_at: effective.deprecated_at.map(|time| time.0),
        retires_at: effective.retires_at.map(|time| time.0),
        replacement_model_id: effective.replacement.map(|model| model.model_id),
        origin,
        labels: input.object.selectable_labels(),
        shown_labels: Default::default(),
        availability_test: spec.availability_test.clone(),
    }
}
