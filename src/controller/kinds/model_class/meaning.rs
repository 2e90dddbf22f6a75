//! What a class means now, in words. Pure.

use jiff::Timestamp;

use super::{dereference::ClassInputs, off::lacks_what_is_off};
use crate::{
    controller::{error::Refusal, kinds::storable},
    crd::{
        conditions::ConditionInput, model_class::CurrentModel, model_class::LlmModelClassSpec,
        names, reasons::Reason,
    },
    resolve::{Access, Class, Considered, PassedOver, Reason as PassedFor, resolve_class},
    snapshot::ClassNeedView,
};

/// Models of which a message says why they are passed over.
const MAX_TOLD: usize = 5;

/// What a class means now.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMeaning {
    /// Why it is not put in force, if it is not.
    pub refusal: Option<Refusal>,
    /// The model and the endpoint that is tried first; none where no model can be called.
    pub current: Option<CurrentModel>,
    /// Models that are what it asks for.
    pub candidates: i32,
    /// What its condition says.
    pub available: ConditionInput,
    /// Models that would do and lack an endpoint, or a credential that may be used: nobody's outage.
    pub incomplete: Vec<String>,
    /// Whether it lacks nothing but what is switched off on purpose.
    pub lacks_what_is_off: bool,
    /// When time alone may change it.
    pub changes_at: Option<Timestamp>,
}

/// What it means for who asks with a key and may use every credential of its namespace.
pub fn meaning(input: &ClassInputs, now: Timestamp) -> ClassMeaning {
    let spec = &input.object.spec;
    let nothing = |refusal, available| ClassMeaning {
        refusal,
        current: None,
        candidates: 0,
        available,
        incomplete: Vec::new(),
        lacks_what_is_off: false,
        changes_at: None,
    };
    if let Some(refusal) = storable::refusal(&*input.object, spec) {
        let available = ConditionInput::new(Reason::NotCheckedYet, "not looked at");
        return nothing(Some(refusal), available);
    }
    if !spec.enabled {
        let available = ConditionInput::new(Reason::CheckDisabled, "switched off");
        return nothing(None, available);
    }
    let access = Access {
        tiers: &[],
        may_have: &|_| true,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    let class = class(&input.owner.namespace, spec);
    let missing = missing(input);
    match resolve_class(&input.snapshot, &class, true, access, now) {
        Ok(found) => {
            let current = CurrentModel {
                model: found.model.view.common.name.clone(),
                endpoint: found
                    .targets
                    .first()
                    .map(|target| target.endpoint.view.common.name.clone())
                    .unwrap_or_default(),
            };
            let answers = found.targets.iter().any(|target| !target.is_unhealthy());
            let available = match answers {
                true => ConditionInput::new(
                    Reason::CandidateFound,
                    format!(
                        "it means LlmModel {} at LlmEndpoint {}{}",
                        current.model,
                        current.endpoint,
                        behind(&missing)
                    ),
                ),
                false => ConditionInput::new(
                    Reason::CandidatesUnavailable,
                    format!(
                        "no LlmEndpoint answers that serves a model of it: {} is given all the same, at LlmEndpoint {}{}",
                        current.model,
                        current.endpoint,
                        behind(&missing)
                    ),
                ),
            };
            ClassMeaning {
                refusal: None,
                current: Some(current),
                candidates: count(found.candidates),
                available,
                incomplete: Vec::new(),
                lacks_what_is_off: false,
                changes_at: found.changes_at,
            }
        }
        Err(refused) => {
            let considered = &refused.considered;
            ClassMeaning {
                refusal: None,
                current: None,
                candidates: count(refused.candidates),
                available: no_model(input, considered, &missing, refused.candidates),
                incomplete: incomplete(considered),
                lacks_what_is_off: lacks_what_is_off(input, considered),
                changes_at: refused.changes_at,
            }
        }
    }
}

fn incomplete(considered: &Considered) -> Vec<String> {
    let models = considered.models.iter();
    let incomplete = models.filter(|passed| {
        matches!(
            passed.reason,
            PassedFor::NoEndpoint | PassedFor::NoCredential
        )
    });
    incomplete.map(|passed| passed.model.clone()).collect()
}

fn count(candidates: usize) -> i32 {
    i32::try_from(candidates).unwrap_or(i32::MAX)
}

fn class(namespace: &str, spec: &LlmModelClassSpec) -> Class {
    let models: Vec<String> = spec.models.iter().map(|it| it.name.clone()).collect();
    let need = spec.need.as_ref().map(ClassNeedView::from);
    let prefer = spec.preferred().into();
    Class::new(
        namespace,
        &models,
        need.as_ref(),
        prefer,
        spec.allow_deprecated,
    )
}

/// What is wrong with names of `spec.models` that no model has.
fn missing(input: &ClassInputs) -> Vec<String> {
    let own = &input.owner.name;
    let named = input.object.spec.models.iter().enumerate();
    let missing = named.filter(|(_, it)| !input.models.contains(&it.name));
    missing
        .map(|(place, it)| {
            let name = &it.name;
            if name == own {
                return format!(
                    "spec.models[{place}] names this class itself; name LlmModels"
                );
            }
            if input.classes.contains(name) {
                return format!(
                    "spec.models[{place}] names the LlmModelClass {name}, and a class names LlmModels"
                );
            }
            let else_do = "create it, or correct the name: models of other namespaces cannot be named";
            let hint = names::hint(name, input.models.iter().map(String::as_str), else_do);
            format!("spec.models[{place}]: there is no LlmModel {name} in this namespace; {hint}")
        })
        .collect()
}

/// The same, behind something else that is said.
fn behind(missing: &[String]) -> String {
    let told = missing.iter().take(MAX_TOLD);
    told.map(|one| format!("; {one}")).collect()
}

/// Why it means no model.
fn no_model(
    input: &ClassInputs,
    considered: &Considered,
    missing: &[String],
    candidates: usize,
) -> ConditionInput {
    let any = |reasons: &[PassedFor]| {
        let mut models = considered.models.iter();
        models.any(|passed| reasons.contains(&passed.reason))
    };
    // What the vendors, or other objects, may end.
    let is_unavailable = candidates > 0
        || any(&[
            PassedFor::Unavailable,
            PassedFor::NoEndpoint,
            PassedFor::NoCredential,
        ]);
    let rests = any(&[PassedFor::Inactive, PassedFor::UnderMaintenance]);
    let told = told(considered);
    match (is_unavailable || rests, told.is_empty()) {
        (true, _) => ConditionInput::new(
            Reason::CandidatesUnavailable,
            format!(
                "none of its models can be called now: {told}{}",
                behind(missing)
            ),
        ),
        (false, true) if missing.is_empty() => ConditionInput::new(
            Reason::NoCandidate,
            "there is no LlmModel in this namespace; declare one",
        ),
        (false, true) => ConditionInput::new(Reason::NoCandidate, missing.join("; ")),
        (false, false) => {
            let asked = match input.object.spec.need {
                Some(_) => "no LlmModel of this namespace is what spec.need asks for",
                None => "no model that spec.models names can be meant",
            };
            let told = format!("{asked}: {told}{}", behind(missing));
            ConditionInput::new(Reason::NoCandidate, told)
        }
    }
}

/// The models that came nearest, each with the word that `POST /resolve` has for it. Those that are not
/// there are told of apart.
fn told(considered: &Considered) -> String {
    let there = |passed: &&PassedOver| passed.reason != PassedFor::NotFound;
    let models = considered.models.iter().filter(there);
    let told: Vec<String> = models
        .clone()
        .take(MAX_TOLD)
        .map(|passed| {
            let word = passed.reason.as_str();
            match &passed.detail {
                Some(detail) => format!("{} {word} ({detail})", passed.model),
                None => format!("{} {word}", passed.model),
            }
        })
        .collect();
    let more = (models.count() + considered.omitted).saturating_sub(told.len());
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", told.join(", "))
}
