//! What a provider's declaration and its endpoints' lists amount to. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    dereference::{DeclaredKey, ProviderInputs, SyncState},
    proof, synced,
};
use crate::{
    checks::{JobKey, PlannedJob, Stored, inputs},
    controller::{
        kinds::{identity, parent},
        model_sync::plan::Step,
        runtime::{
            context::Context,
            index::{asked_at, is_asked},
        },
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{
        LlmProvider,
        conditions::{ConditionInput, ConditionType},
        reasons::{ConditionStatus, Reason},
    },
    db::{CheckKind, EndpointRow},
};

/// The conditions, and whether it is in force.
pub fn validate(input: &ProviderInputs, settled: bool, now: Timestamp) -> Evaluation {
    let spec = &input.object.spec;
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let still_holds = row.is_some_and(|row| proof::still_holds(row, spec));
    evaluate(
        &EvaluationInputs {
            generation: identity::generation(&*input.object),
            enabled: spec.enabled,
            provider_enabled: true,
            refusal: None,
            declared: bad_glob(input).or_else(|| missing_default(input)),
            outside: (ConditionType::ModelsSynced, synced::synced(input)),
            proof: proof_inputs(input),
            lacks_what_is_off: input.children_off,
            asked: asked_at(&*input.object),
            settled,
            before: PreviousStatus::of(row, status).carried(
                row.map(|row| row.generation),
                identity::generation(&*input.object),
                still_holds,
            ),
        },
        now,
    )
}

/// The reading of each endpoint's list, with each key.
fn proof_inputs(input: &ProviderInputs) -> ProofInputs {
    let keys: Vec<Option<&str>> = (input.usable_keys.iter())
        .map(|key| Some(key.identity.as_str()))
        .chain([None])
        .collect();
    let mut proof = ProofInputs::default();
    for endpoint in input.endpoints.iter().filter(|e| e.is_active) {
        let with = |key: &Option<&str>| inputs::with_key(&endpoint.check_inputs, *key);
        proof.possible.extend(keys.iter().map(with));
        if let Some(read) = endpoint.list_read_here() {
            proof.passed.push(with(&read.key.as_deref()));
        }
    }
    proof
}

/// A glob that nobody understands is the owner's to fix, and no reason to switch the rest off: no
/// model is made meanwhile.
fn bad_glob(input: &ProviderInputs) -> Option<ConditionInput> {
    let error = input.sync.as_ref()?.plan.as_ref().err()?;
    Some(ConditionInput::new(Reason::InvalidSpec, error.to_string()))
}

/// A default that does not exist is the owner's to fix, and no reason to switch the rest off: the
/// order of the endpoints falls back to their priorities.
fn missing_default(input: &ProviderInputs) -> Option<ConditionInput> {
    let wanted = &input.object.spec.default_endpoint_ref.as_ref()?.name;
    if input.endpoint_names.contains(wanted) {
        return None;
    }
    let hint = parent::missing("LlmEndpoint", wanted, &input.endpoint_names);
    Some(ConditionInput::new(
        Reason::EndpointNotFound,
        format!("spec.defaultEndpointRef: this provider has no LlmEndpoint {wanted}; {hint}"),
    ))
}

/// What model sync has to do now: nothing before every list that is asked for has been read, or has
/// failed, so that no object is made for half of the lists and written again for the whole.
pub fn steps<'a>(context: &Context, input: &'a ProviderInputs) -> &'a [Step] {
    let settled = context.checks.settled_for(&jobs(input));
    let may = settled && may_sync(&input.object, &input.endpoints);
    match &input.sync {
        Some(SyncState { plan: Ok(plan), .. }) if may => &plan.steps,
        _ => &[],
    }
}

/// Whether model sync may act on a provider's lists: all of them were looked at.
pub fn may_sync(object: &LlmProvider, endpoints: &[EndpointRow]) -> bool {
    let read = |e: &EndpointRow| !e.is_active || e.list_verdict_here().is_some();
    object.spec.enabled
        && object.metadata.deletion_timestamp.is_none()
        && endpoints.iter().any(|e| e.is_active)
        && endpoints.iter().all(read)
}

/// The lists to read: one for each active endpoint, where sync is on or a model is declared.
pub fn jobs(input: &ProviderInputs) -> Vec<PlannedJob> {
    let spec = &input.object.spec;
    let wanted = spec.model_sync.enabled || input.counts.models.total > 0;
    if !spec.enabled || !wanted {
        return Vec::new();
    }
    input
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.is_active)
        .map(|endpoint| job(input, endpoint))
        .collect()
}

fn job(input: &ProviderInputs, endpoint: &EndpointRow) -> PlannedJob {
    let asked = asked_at(&*input.object);
    let handled = (input.row.as_ref()).and_then(|r| r.last_handled_reconcile_at.as_deref());
    let is_asked = is_asked(&*input.object, handled);
    let keys: Vec<&DeclaredKey> = DeclaredKey::at(&input.usable_keys, &endpoint.name).collect();
    let mut trigger = DefaultHasher::new();
    (endpoint.generation, &endpoint.check_inputs, asked, &keys).hash(&mut trigger);
    let usable = |key: &String| keys.iter().any(|usable| usable.identity == *key);
    let answer = (endpoint.list_verdict_here()).filter(|v| v.key.as_ref().is_none_or(usable));
    let stored = match answer.map(|verdict| verdict.reason) {
        Some(Reason::NoValidCredential) if !keys.is_empty() => Stored::Nothing,
        // Whatever else kept the list from being read may be gone, as after any run.
        Some(reason) if !is_asked => match reason.status() {
            ConditionStatus::True => Stored::StoredCheck,
            _ => Stored::Open,
        },
        _ => Stored::Nothing,
    };
    let sync = &input.object.spec.model_sync;
    PlannedJob {
        key: JobKey {
            kind: CheckKind::ModelList,
            subject: endpoint.uid,
            endpoint: endpoint.uid,
        },
        period: seconds(sync.period_seconds),
        timeout: seconds(sync.timeout_seconds),
        trigger: trigger.finish(),
        stored,
        apart: Duration::ZERO,
        not_final: input.missing.reread_within(),
        // A list without a key would be refused, or read again with one a moment later.
        held: input.keys_awaited,
        credentials: Some(
            (input.enabled_credentials.iter())
                .filter(|credential| credential.is_for(&endpoint.name))
                .map(|credential| credential.name.clone())
                .collect(),
        ),
    }
}

/// A number of seconds of a spec, which its schema keeps above zero.
pub fn seconds(n: i32) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(1).max(1))
}
