//! What a model's declaration, the vendor's lists and its tests amount to. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use kube::ResourceExt;
use uuid::Uuid;

use super::{
    dereference::{self, ModelInputs},
    effective::effective,
    life::Life,
    proof,
};
use crate::{
    checks::{JobKey, PlannedJob, Stored, inputs},
    controller::{
        error::Refusal,
        kinds::{identity, parent, precedence, provider::validate::seconds, storable},
        runtime::{
            index::{asked_at, is_asked},
            queue::Next,
        },
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{
        LlmModel, ProviderType,
        conditions::{self, ConditionInput, ConditionType, seconds as seconds_of},
        model::{EffectiveModel, Lifecycle, ModelType, Origin},
        names,
        ownership::{ForeignFields, is_generated},
        reasons::{ReadyEffect, Reason},
    },
    db::{CheckKind, EndpointRow, StoredCheck},
    vendors::{self, Driver, Listed, ListedModel, TestedBy},
};

/// What is to be in force.
pub struct ValidatedModel {
    pub provider_uid: Uuid,
    /// The endpoints that `endpointRefs` names; empty for all.
    pub endpoint_uids: Vec<Uuid>,
    pub effective: EffectiveModel,
    /// The model and its provider are switched on.
    pub on: bool,
}

/// What is to be in force, or why nothing is.
pub fn desired(input: &ModelInputs) -> Result<ValidatedModel, Refusal> {
    if let Some(refusal) = storable::refusal(&*input.object, &input.object.spec) {
        return Err(refusal);
    }
    let provider = input.parent.found()?;
    let spec = &input.object.spec;
    let name = &spec.provider_ref.name;
    if let Some(twin) = precedence::twin_in_force(&input.object, &input.twins) {
        return Err(Refusal::new(
            Reason::DuplicateModel,
            duplicate(twin, &input.object),
        ));
    }
    let driver = vendors::driver(provider.spec.type_);
    let sources: Vec<(Origin, &ListedModel)> = input
        .lists
        .iter()
        .filter_map(
            |(_, list)| match vendors::find(driver, list, &spec.model_id) {
                Listed::Yes(model) => Some((Origin::Vendor, model)),
                Listed::No | Listed::Perhaps(_) => None,
            },
        )
        .chain(input.catalog.iter().map(|entry| (Origin::Catalog, entry)))
        .collect();
    let mut effective = effective(spec, |field| stated_by(&input.object, field), &sources);
    effective.held = input.held.clone();
    Ok(ValidatedModel {
        provider_uid: identity::uid(provider),
        endpoint_uids: parent::endpoint_uids(name, &spec.endpoint_refs, &input.endpoints)?,
        effective,
        on: spec.enabled && provider.spec.enabled,
    })
}

/// Who stands behind a field of the spec: of a generated one the vendor, but for what somebody
/// else owns.
fn stated_by(model: &LlmModel, field: &str) -> Origin {
    if is_generated(&model.metadata) && !ForeignFields::of(&model.metadata).own(field) {
        Origin::Vendor
    } else {
        Origin::Declared
    }
}

fn duplicate(twin: &LlmModel, own: &LlmModel) -> String {
    let (name, id) = (twin.name_any(), &own.spec.model_id);
    if is_generated(&own.metadata) {
        format!(
            "LlmModel {name} has the same provider and modelId {id}, and this one was generated; what others own in it keeps it: move that over and delete this one"
        )
    } else {
        format!(
            "LlmModel {name} is older and has the same provider and modelId {id}; delete one of the two"
        )
    }
}

/// The declared endpoints that it is for.
fn named(input: &ModelInputs) -> parent::Named<'_> {
    parent::Named {
        declared: &input.endpoints,
        refs: &input.object.spec.endpoint_refs,
    }
}

/// The conditions, and whether it is in force.
pub fn validate(
    input: &ModelInputs,
    desired: &Result<ValidatedModel, Refusal>,
    settled: bool,
    now: Timestamp,
) -> Evaluation {
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let still_holds = row
        .zip(desired.as_ref().ok())
        .is_some_and(|(row, desired)| proof::still_holds(row, &input.object.spec, desired));
    let available = match desired {
        Ok(desired) => life(input, desired).told(known(input), now),
        Err(_) => known(input),
    };
    evaluate(
        &EvaluationInputs {
            generation: identity::generation(&*input.object),
            enabled: input.object.spec.enabled,
            provider_enabled: input.parent.enabled(),
            refusal: desired.as_ref().err(),
            declared: lifecycle(input, &available),
            outside: (ConditionType::Available, available),
            proof: proof_inputs(input),
            lacks_what_is_off: input.keys_off || named(input).all_off(),
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

/// The end of its life.
fn life<'d>(input: &ModelInputs, desired: &'d ValidatedModel) -> Life<'d> {
    let listed: Vec<ListedModel> = match input.parent.found() {
        Ok(provider) => {
            let driver = vendors::driver(provider.spec.type_);
            dereference::listed(driver, &input.lists, &input.object.spec.model_id)
        }
        Err(_) => Vec::new(),
    };
    Life {
        phase: dereference::phase(&listed),
        replacement_retires_at: input.replacement.retires_at,
        replacement_retired: input.replacement.is_over,
        ..Life::of(&desired.effective)
    }
}

/// When it retires, if that is known and it is in force.
pub fn retires_at(desired: Option<&ValidatedModel>) -> Option<Timestamp> {
    let desired = desired.filter(|desired| desired.on)?;
    desired.effective.retires_at.as_ref().map(|time| time.0)
}

/// When time alone changes what is said of it.
pub fn next(input: &ModelInputs, desired: Option<&ValidatedModel>, now: Timestamp) -> Next {
    let at = desired.and_then(|desired| life(input, desired).next(now));
    at.and_then(|at| Duration::try_from(at.duration_since(now)).ok())
        .map_or(Next::Done, |wait| {
            Next::After(wait + Duration::from_secs(1))
        })
}

/// The lists that hold it and its test, at each endpoint and with each key.
fn proof_inputs(input: &ModelInputs) -> ProofInputs {
    let (id, type_) = (
        &input.object.spec.model_id,
        input.row.as_ref().and_then(|row| row.type_),
    );
    let driver = (input.parent.found()).map(|p| vendors::driver(p.spec.type_));
    let keys: Vec<Option<&str>> = (input.usable_keys.iter())
        .map(|key| Some(key.identity.as_str()))
        .chain([None])
        .collect();
    let is_of_status = (input.row.as_ref()).is_some_and(|row| row.verified_with.is_empty());
    let mut proof = ProofInputs {
        // That no key may be used was said before these credentials were stored.
        is_partial: input.keys_pending || is_of_status && !input.usable_keys.is_empty(),
        ..ProofInputs::default()
    };
    for (endpoint, list) in &input.lists {
        let listing = inputs::of_listing(&endpoint.check_inputs, id);
        let test = inputs::of_test(&endpoint.check_inputs, id, type_);
        for key in &keys {
            proof.possible.push(inputs::with_key(&listing, *key));
            proof.possible.push(inputs::with_key(&test, *key));
        }
        let is_listed = driver
            .as_ref()
            .is_ok_and(|d| matches!(vendors::find(*d, list, id), Listed::Yes(_)));
        if let Some(read) = endpoint.list_read_here().filter(|_| is_listed) {
            proof
                .passed
                .push(inputs::with_key(&listing, read.key.as_deref()));
        }
    }
    if input.object.spec.availability_test.enabled
        && let Some(test) = tested(input)
    {
        proof.passed = vec![inputs::with_key(&test.inputs, test.key.as_deref())];
    }
    proof
}

/// Maintenance is a choice, whatever the vendor says meanwhile; a deprecated model that the vendor
/// has taken away is something to fix.
fn lifecycle(input: &ModelInputs, available: &ConditionInput) -> Option<ConditionInput> {
    match input.object.spec.lifecycle {
        Lifecycle::Available => None,
        Lifecycle::Maintenance => Some(ConditionInput::new(
            Reason::UnderMaintenance,
            "under maintenance: spec.lifecycle is Maintenance",
        )),
        Lifecycle::Deprecated if available.reason.ready() == ReadyEffect::False => None,
        Lifecycle::Deprecated => Some(ConditionInput::new(
            Reason::Deprecated,
            "spec.lifecycle is Deprecated; move its users to another model",
        )),
    }
}

/// A test says more than a list, where there is one of this generation at an endpoint as it is now.
fn known(input: &ModelInputs) -> ConditionInput {
    let listed = listed(input);
    if !input.object.spec.availability_test.enabled {
        return listed;
    }
    match tested(input) {
        Some(verdict) => ConditionInput::new(verdict.reason, verdict.message.clone()),
        // The next test of what was changed has its time; until then the list is what is known.
        None if was_tested(input) => listed,
        None if listed.reason == Reason::ModelListed => ConditionInput::new(
            Reason::NotCheckedYet,
            "the vendor lists it; its first test is under way",
        ),
        None if listed.reason == Reason::Unverifiable => {
            ConditionInput::new(Reason::NotCheckedYet, "its first test is under way")
        }
        None => listed,
    }
}

fn was_tested(input: &ModelInputs) -> bool {
    (input.row.as_ref()).is_some_and(|row| row.found.test_verdict.is_some())
}

fn tested(input: &ModelInputs) -> Option<&StoredCheck> {
    let row = input.row.as_ref()?;
    let verdict = row.found.test_verdict.as_ref()?;
    let id = &input.object.spec.model_id;
    let inputs = |endpoint: &EndpointRow| inputs::of_test(&endpoint.check_inputs, id, row.type_);
    (input.lists.iter())
        .any(|(endpoint, _)| verdict.is_of(&inputs(endpoint)))
        .then_some(verdict)
}

fn no_key(verdict: &StoredCheck) -> bool {
    verdict.reason == Reason::NoValidCredential
}

fn listed(input: &ModelInputs) -> ConditionInput {
    let id = &input.object.spec.model_id;
    if input.lists.is_empty() {
        return ConditionInput::new(Reason::NoEndpoint, parent::no_endpoint(named(input)));
    }
    // Of a provider that is not there nothing is said in any case.
    let type_ = (input.parent.found()).map_or(ProviderType::OpenAICompatible, |p| p.spec.type_);
    let driver = vendors::driver(type_);
    let found: Vec<(&EndpointRow, Listed<'_, ListedModel>)> = (input.lists.iter())
        .map(|(endpoint, list)| (endpoint, vendors::find(driver, list, id)))
        .collect();
    let at: Vec<&str> = found
        .iter()
        .filter(|(_, found)| matches!(found, Listed::Yes(_)))
        .map(|(endpoint, _)| endpoint.name.as_str())
        .collect();
    if !at.is_empty() {
        return ConditionInput::new(
            Reason::ModelListed,
            format!("the vendor lists it at endpoint {}", at.join(", ")),
        );
    }
    // A list that was read stands until another one is, also while the vendor is down.
    let unread = input
        .lists
        .iter()
        .find(|(endpoint, list)| list.is_empty() && !was_read(endpoint.list_verdict_here()));
    let keyless =
        unread.is_some_and(|(endpoint, _)| endpoint.list_verdict_here().is_some_and(no_key));
    if driver.spellings(id).is_empty() && !keyless {
        return ConditionInput::new(
            Reason::Unverifiable,
            format!(
                "the vendor's list names no models by ids of this form; {}",
                by_test(driver, type_of(input))
            ),
        );
    }
    let pattern = found.iter().find_map(|(_, found)| match found {
        Listed::Perhaps(pattern) => Some(*pattern),
        Listed::Yes(_) | Listed::No => None,
    });
    match (unread, pattern) {
        (Some((endpoint, _)), _) => {
            let last = last_listed(input);
            let test = by_test(driver, type_of(input));
            not_read(&endpoint.name, endpoint.list_verdict_here(), last, test)
        }
        (None, Some(pattern)) => ConditionInput::new(
            Reason::Unverifiable,
            format!(
                "the vendor lists {pattern} in the place of the models that it covers; {}",
                by_test(driver, type_of(input))
            ),
        ),
        (None, None) if input.lists_settle || was_not_found(input) => {
            ConditionInput::new(Reason::ModelNotFound, not_listed(input, id))
        }
        (None, None) => ConditionInput::new(
            Reason::NotCheckedYet,
            format!(
                "the vendor's list does not hold {id}; it is read once more before that counts"
            ),
        ),
    }
}

/// Its type, as far as that is known.
fn type_of(input: &ModelInputs) -> Option<ModelType> {
    let known = input.row.as_ref().and_then(|row| row.type_);
    input.object.spec.type_.or(known)
}

/// What a test would add to the lists.
fn by_test(driver: &dyn Driver, type_: Option<ModelType>) -> &'static str {
    match driver.tested_by(type_) {
        TestedBy::Model => "to have the model asked, switch spec.availabilityTest on",
        TestedBy::List => {
            "a test of a model of this type reads the same list, so that nothing proves it"
        }
    }
}

/// Whether it was not found before, as it is declared now: that stands until it is listed. Of one that the catalog
/// knew to have ended then, it is said that it has retired.
fn was_not_found(input: &ModelInputs) -> bool {
    let generation = identity::generation(&*input.object);
    let row = input
        .row
        .as_ref()
        .filter(|row| row.generation == generation);
    let before = row.and_then(|row| conditions::find(&row.conditions, ConditionType::Available));
    let gone = [Reason::ModelNotFound, Reason::Retired].map(Reason::as_str);
    before.is_some_and(|before| gone.contains(&before.reason.as_str()))
}

fn was_read(verdict: Option<&StoredCheck>) -> bool {
    verdict.is_some_and(|verdict| verdict.reason == Reason::SyncSucceeded)
}

/// When it was last on a list that counts no more.
fn last_listed(input: &ModelInputs) -> Option<Timestamp> {
    let driver = vendors::driver(input.parent.found().ok()?.spec.type_);
    let id = &input.object.spec.model_id;
    let held = (input.former_lists.iter())
        .filter(|(_, list)| matches!(vendors::find(driver, list, id), Listed::Yes(_)));
    held.map(|(at, _)| seconds_of(*at)).max()
}

fn not_read(
    endpoint: &str,
    verdict: Option<&StoredCheck>,
    last_listed: Option<Timestamp>,
    by_test: &str,
) -> ConditionInput {
    match verdict {
        None => ConditionInput::new(
            Reason::NotCheckedYet,
            format!("the model list of endpoint {endpoint} is being read"),
        ),
        Some(verdict) if no_key(verdict) => ConditionInput::new(
            Reason::NoValidCredential,
            match last_listed {
                Some(at) => format!(
                    "at endpoint {endpoint}: {}; it was last listed at {at}",
                    verdict.message
                ),
                None => format!("at endpoint {endpoint}: {}", verdict.message),
            },
        ),
        Some(verdict) if verdict.reason == Reason::Unverifiable => ConditionInput::new(
            Reason::Unverifiable,
            format!(
                "nothing free tells whether endpoint {endpoint} serves it: {}; {by_test}",
                verdict.message
            ),
        ),
        Some(verdict) => ConditionInput::new(
            Reason::CheckInconclusive,
            format!(
                "the model list of endpoint {endpoint} could not be read: {}",
                verdict.message
            ),
        ),
    }
}

fn not_listed(input: &ModelInputs, id: &str) -> String {
    if is_generated(&input.object.metadata) {
        return format!(
            "the vendor lists {id} no more; delete this LlmModel, or leave it until the vendor lists it again"
        );
    }
    let known = (input.lists.iter())
        .flat_map(|(_, list)| list.keys())
        .filter(|id| !vendors::is_pattern(id))
        .map(String::as_str);
    let hint = names::hint(id, known, "correct spec.modelId");
    format!("the vendor does not list {id}; {hint}")
}

/// The test to make, where it is switched on.
pub fn jobs(input: &ModelInputs, desired: Option<&ValidatedModel>) -> Vec<PlannedJob> {
    let test = &input.object.spec.availability_test;
    let on = desired.is_some_and(|desired| desired.on);
    if !on || !test.enabled || input.lists.is_empty() {
        return Vec::new();
    }
    let generation = identity::generation(&*input.object);
    let asked = asked_at(&*input.object);
    let row = input.row.as_ref();
    let handled = row.and_then(|r| r.last_handled_reconcile_at.as_deref());
    let is_asked = is_asked(&*input.object, handled);
    let period = seconds(test.period_seconds);
    let mut trigger = DefaultHasher::new();
    let mut served: Vec<_> = (input.lists.iter())
        .map(|(endpoint, _)| (endpoint.uid, &endpoint.check_inputs))
        .collect();
    served.sort_unstable();
    (generation, asked, served, &input.usable_keys).hash(&mut trigger);
    vec![PlannedJob {
        key: JobKey {
            kind: CheckKind::ModelTest,
            subject: input.owner.uid,
            endpoint: input.owner.uid,
        },
        period,
        timeout: seconds(test.timeout_seconds),
        trigger: trigger.finish(),
        stored: match tested(input) {
            Some(verdict) if no_key(verdict) && !input.usable_keys.is_empty() => Stored::Nothing,
            Some(verdict) if !is_asked => Stored::of(verdict),
            _ => Stored::Nothing,
        },
        // A test may spend tokens: only a request brings one forward.
        apart: if is_asked { Duration::ZERO } else { period },
        not_final: None,
        held: false,
        credentials: Some(
            (input.enabled_credentials.iter())
                .map(|credential| credential.name.clone())
                .collect(),
        ),
    }]
}
