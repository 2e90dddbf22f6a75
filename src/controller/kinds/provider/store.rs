//! Stores a provider.

use super::dereference::ProviderInputs;
use crate::{
    controller::{
        error::Error,
        kinds::row,
        runtime::{context::Context, index::Declared, object_key::Wake},
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::DeclaredProvider,
};

/// Stores what was concluded; wakes the children where that changed whether it is in force.
pub async fn write(
    context: &Context,
    input: &ProviderInputs,
    verdict: &Evaluation,
) -> Result<(), Error> {
    row::write(context, input.row.as_ref(), Some(derived(input, verdict))).await?;
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

/// The row of what was concluded. Pure.
pub fn derived(input: &ProviderInputs, verdict: &Evaluation) -> DeclaredProvider {
    let spec = &input.object.spec;
    DeclaredProvider {
        object: row::columns(&*input.object, spec.enabled, verdict),
        type_: spec.type_,
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        default_endpoint: spec.default_endpoint_ref.as_ref().map(|r| r.name.clone()),
        model_sync: spec.model_sync.clone(),
    }
}
