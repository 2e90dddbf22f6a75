//! The conditions of a class. Pure.

use jiff::Timestamp;

use super::{dereference::ClassInputs, meaning::ClassMeaning, proof};
use crate::{
    controller::{
        kinds::identity,
        runtime::index::asked_at,
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::conditions::ConditionType,
};

/// The conditions, and whether it is in force.
pub fn validate(input: &ClassInputs, meaning: &ClassMeaning, now: Timestamp) -> Evaluation {
    let spec = &input.object.spec;
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let generation = identity::generation(&*input.object);
    let still_holds = row.is_some_and(|row| proof::still_holds(row, spec));
    let namespace = &input.owner.namespace;
    let model = |name: &str| {
        let entry = input.snapshot.models.by_name(namespace, name);
        entry.map(|entry| {
            let (model, id) = (&entry.view, &entry.view.model_id);
            proof::inputs(spec, (model.provider_id, model.common.id, id))
        })
    };
    let current = meaning.current.as_ref();
    evaluate(
        &EvaluationInputs {
            generation,
            enabled: spec.enabled,
            provider_enabled: true,
            refusal: meaning.refusal.as_ref(),
            declared: None,
            outside: (ConditionType::Available, meaning.available.clone()),
            proof: ProofInputs {
                passed: (current
                    .and_then(|current| model(&current.model))
                    .into_iter())
                .collect(),
                possible: (input.models.iter())
                    .filter_map(|name| model(name))
                    .collect(),
                is_partial: false,
            },
            lacks_what_is_off: meaning.lacks_what_is_off,
            asked: asked_at(&*input.object),
            // Nothing is asked of any vendor.
            settled: true,
            before: PreviousStatus::of(row, status).carried(
                row.map(|row| row.generation),
                generation,
                still_holds,
            ),
        },
        now,
    )
}
