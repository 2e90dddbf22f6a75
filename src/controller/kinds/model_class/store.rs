//! Stores a class.

use super::{dereference::ClassInputs, meaning::ClassMeaning};
use crate::{
    controller::{
        error::Error, kinds::row, runtime::context::Context, status::evaluate::Evaluation,
    },
    db::DeclaredModelClass,
};

/// Stores what was concluded. One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &ClassInputs,
    meaning: &ClassMeaning,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let declared = match &meaning.refusal {
        None => Some(derived(input, meaning, verdict)),
        Some(_) => None,
    };
    row::write(context, input.row.as_ref(), declared).await?;
    Ok(())
}

/// The row of what was concluded. Pure.
pub fn derived(
    input: &ClassInputs,
    meaning: &ClassMeaning,
    verdict: &Evaluation,
) -> DeclaredModelClass {
    let spec = &input.object.spec;
    DeclaredModelClass {
        object: row::columns(&*input.object, spec.enabled, verdict),
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        models: spec.models.iter().map(|it| it.name.clone()).collect(),
        need: spec.need.clone(),
        prefer: spec.preferred(),
        allow_deprecated: spec.allow_deprecated,
        current: meaning.current.clone(),
        candidates: meaning.candidates,
    }
}
