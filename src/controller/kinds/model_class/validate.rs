//! The conditions of a class. Pure.

use jiff::Timestamp;

use super::{dereference::ClassInputs, meaning::ClassMeaning, proof};
use crate::{
    checks::inputs,
    controller::{
        kinds::identity,
        runtime::index::asked_at,
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{conditions::ConditionType, reasons::ConditionStatus},
};

/// The conditions, and whether it is in force.
pub fn validate(input: &ClassInputs, meaning: &ClassMeaning, now: Timestamp) -> Evaluation {
    let spec = &input.object.spec;
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let generation = identity::generation(&*input.object);
    let still_holds = row.is_some_and(|row| proof::still_holds(row, spec));
    // That it could be called lasts as long as the model that it meant, and what calls to that take.
    let (class, namespace) = (proof::inputs(spec), &input.owner.namespace);
    let meaning_of = |name: &String| {
        let model = &input.snapshot.models.by_name(namespace, name)?.view;
        let which = (model.provider_id, model.common.id, model.model_id.as_str());
        Some(inputs::of_meaning(&class, which))
    };
    let current = meaning.current.as_ref().map(|current| &current.model);
    // What else would do is asked only where nothing can be called now.
    let is_proved = meaning.available.reason.status() == ConditionStatus::True;
    let is_possible = |name: &&String| {
        let named = &spec.models;
        let is_meant = named.is_empty() || named.iter().any(|it| it.name == **name);
        !is_proved && is_meant && !meaning.incomplete.contains(*name)
    };
    evaluate(
        &EvaluationInputs {
            generation,
            enabled: spec.enabled,
            provider_enabled: true,
            refusal: meaning.refusal.as_ref(),
            declared: None,
            outside: (ConditionType::Available, meaning.available.clone()),
            proof: ProofInputs {
                passed: current.and_then(meaning_of).into_iter().collect(),
                possible: (input.models.iter().filter(is_possible))
                    .filter_map(meaning_of)
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
