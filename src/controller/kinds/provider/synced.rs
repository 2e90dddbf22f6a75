//! What `ModelsSynced` says of a provider. Pure.

use std::time::Duration;

use super::{
    dereference::{ProviderInputs, SyncState},
    proof,
};
use crate::{
    checks::LIST_READ,
    controller::{model_sync::plan::Plan, runtime::queue::Next},
    crd::{
        conditions::{self, ConditionInput, ConditionType},
        reasons::Reason,
    },
    db::EndpointRow,
};

/// Time between two looks whether a name that another object has is free.
const NAME_TAKEN_RETRY: Duration = Duration::from_secs(60);

/// When to look again whether a name that is in the way is free: its object's end wakes nobody here.
pub fn looks_again(input: &ProviderInputs) -> Next {
    match &input.sync {
        Some(SyncState { plan: Ok(plan), .. }) if !plan.names_taken.is_empty() => {
            Next::After(NAME_TAKEN_RETRY)
        }
        _ => Next::Done,
    }
}

/// What the vendor's lists and the objects made of them amount to.
pub fn synced(input: &ProviderInputs) -> ConditionInput {
    let Some(SyncState { plan, failure }) = &input.sync else {
        return ConditionInput::new(
            Reason::SyncDisabled,
            "spec.modelSync.enabled is false: the vendor's list is read for declared models only",
        );
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return ConditionInput::new(Reason::InvalidSpec, error.to_string()),
    };
    let active: Vec<&EndpointRow> = input.endpoints.iter().filter(|e| e.is_active).collect();
    if active.is_empty() {
        return ConditionInput::new(
            Reason::NoEndpoint,
            "no LlmEndpoint is in force to read the model list from; add one, or see why those that exist are not",
        );
    }
    if let Some(finding) = not_read(&active) {
        return finding;
    }
    if let Some(failure) = failure {
        return ConditionInput::new(
            Reason::SyncFailed,
            format!("the lists were read, and LlmModels could not be written: {failure}"),
        );
    }
    match before(input) {
        Some(before) if !plan.steps.is_empty() && before.reason == Reason::SyncFailed => before,
        None if !plan.steps.is_empty() => ConditionInput::new(
            Reason::NotCheckedYet,
            "the model lists were read; LlmModels are being made",
        ),
        _ => ConditionInput::new(Reason::SyncSucceeded, complete(&active, plan)),
    }
}

/// Why the lists that there are were not read, or that there are none.
fn not_read(active: &[&EndpointRow]) -> Option<ConditionInput> {
    let failed = active.iter().find_map(|e| {
        let verdict = e.list_verdict_here()?;
        let settled = match verdict.reason {
            Reason::SyncSucceeded => true,
            // One that had a list and has it no more is looked for.
            Reason::Unverifiable => e.list_read_here().is_none(),
            _ => false,
        };
        (!settled).then_some((*e, verdict))
    });
    if let Some((endpoint, verdict)) = failed {
        let reason = match verdict.reason {
            Reason::Unverifiable => Reason::SyncFailed,
            reason => reason,
        };
        return Some(ConditionInput::new(
            reason,
            format!("at endpoint {}: {}", endpoint.name, verdict.message),
        ));
    }
    if let Some(unread) = active.iter().find(|e| e.list_verdict_here().is_none()) {
        return Some(ConditionInput::new(
            Reason::NotCheckedYet,
            format!("the model list of endpoint {} is being read", unread.name),
        ));
    }
    if active.iter().any(|e| has_list(e)) {
        return None;
    }
    let first = active.first()?;
    let said = &first.list_verdict_here()?.message;
    Some(ConditionInput::new(
        Reason::Unverifiable,
        format!(
            "at endpoint {}: {said}; where there is no list there is nothing to sync: declare the models, and switch spec.modelSync off",
            first.name
        ),
    ))
}

/// Whether an endpoint has a list: each that was looked at and has none is [`Reason::Unverifiable`].
fn has_list(endpoint: &EndpointRow) -> bool {
    (endpoint.list_verdict_here()).is_some_and(|verdict| verdict.reason != Reason::Unverifiable)
}

/// What was said before of what is declared now, where objects were made or could not be: while a pass is under way it
/// stands, for a list changes often by one id.
fn before(input: &ProviderInputs) -> Option<ConditionInput> {
    let row = input.row.as_ref();
    let row = row.filter(|row| proof::still_holds(row, &input.object.spec))?;
    let stored = conditions::find(&row.conditions, ConditionType::ModelsSynced)?;
    let reason = Reason::parse(&stored.reason)?;
    matches!(reason, Reason::SyncSucceeded | Reason::SyncFailed)
        .then(|| ConditionInput::new(reason, stored.message.clone()))
}

/// What a complete sync comes to: nothing in it changes but with the lists and the spec.
fn complete(active: &[&EndpointRow], plan: &Plan) -> String {
    let read: Vec<&str> = (active.iter())
        .filter(|e| has_list(e))
        .map(|e| e.name.as_str())
        .collect();
    let lists = match read[..] {
        [one] => format!("the model list of endpoint {one} was read"),
        _ => format!("the model lists of {} endpoints were read", read.len()),
    };
    let mut said = vec![format!("{lists}: {}", counted(plan.ids, "id"))];
    if plan.over_limit > 0 {
        said.push(format!(
            "{} of {} have a generated LlmModel: the limit is reached; narrow spec.modelSync.include, declare those that matter, or have an operator raise LLMPLANE_MODEL_SYNC_LIMIT",
            plan.generated, plan.ids
        ));
    }
    if plan.unusable > 0 {
        said.push(format!("{} cannot be a modelId", plan.unusable));
    }
    if plan.patterns > 0 {
        said.push(format!(
            "no LlmModel is made of {}, which may cover any model",
            counted(plan.patterns, "pattern")
        ));
    }
    if let Some(first) = plan.names_taken.first() {
        let (count, more) = match plan.names_taken.len() {
            1 => ("1 has".to_owned(), String::new()),
            n => (format!("{n} have"), format!(" and {} more", n - 1)),
        };
        said.push(format!(
            "{count} no LlmModel, for another object has the name that it would have: {first}{more}; delete that one, or declare the model under another name"
        ));
    }
    let notes = active.iter().filter_map(|e| {
        let message = &e.list_verdict_here()?.message;
        (message != LIST_READ).then(|| format!("at endpoint {}: {message}", e.name))
    });
    said.extend(notes);
    said.join("; ")
}

/// A number of things, as one says it.
fn counted(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}
