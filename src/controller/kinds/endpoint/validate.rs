//! What an endpoint's declaration and its probes amount to. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{dereference::EndpointInputs, proof};
use crate::{
    checks::{
        JobKey, PlannedJob, Stored,
        inputs::{self, EndpointCall},
    },
    controller::{
        error::Refusal,
        kinds::{identity, parent, precedence, provider::validate::seconds, storable},
        runtime::index::{asked_at, is_asked},
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{
        LlmEndpoint, MAX_ENDPOINTS_PER_PROVIDER,
        base_url::BaseUrl,
        ca_bundle,
        conditions::{ConditionInput, ConditionType},
        reasons::Reason,
    },
    db::{CheckKind, StoredCheck},
    vendors,
};

/// What is to be in force.
pub struct ValidatedEndpoint {
    pub provider_uid: Uuid,
    pub base_url: BaseUrl,
    /// A hash of what calls to it are made with.
    pub check_inputs: String,
    pub is_default: bool,
    /// The endpoint and its provider are switched on.
    pub on: bool,
}

/// What is to be in force, or why nothing is.
pub fn desired(input: &EndpointInputs) -> Result<ValidatedEndpoint, Refusal> {
    if let Some(refusal) = storable::refusal(&*input.object, &input.object.spec) {
        return Err(refusal);
    }
    let provider = input.parent.found()?;
    let spec = &input.object.spec;
    let driver = vendors::driver(provider.spec.type_);
    let base_url = accepted(driver, &input.object, &input.siblings)?;
    let mut siblings = input.siblings.clone();
    let default = provider.spec.default_endpoint_ref.as_ref();
    precedence::failover(default.map(|r| r.name.as_str()), &mut siblings);
    let first = siblings
        .iter()
        .find(|sibling| sibling.spec.enabled && accepted(driver, sibling, &input.siblings).is_ok());
    let call = EndpointCall {
        provider_type: provider.spec.type_,
        base_url: &base_url,
        region: spec.region.as_deref(),
        api_version: spec.api_version.as_deref(),
        headers: &spec.headers,
        ca_bundle: spec.ca_bundle.as_deref(),
    };
    Ok(ValidatedEndpoint {
        provider_uid: identity::uid(provider),
        check_inputs: call.digest(),
        base_url,
        is_default: first.is_some_and(|f| f.metadata.uid == input.object.metadata.uid),
        on: spec.enabled && provider.spec.enabled,
    })
}

/// The URL of an endpoint that its provider takes, or why it takes none.
fn accepted(
    driver: &dyn vendors::Driver,
    endpoint: &LlmEndpoint,
    siblings: &[Arc<LlmEndpoint>],
) -> Result<BaseUrl, Refusal> {
    let spec = &endpoint.spec;
    if let Some(refusal) = storable::refusal(endpoint, spec) {
        return Err(refusal);
    }
    if !precedence::within_limit(endpoint, siblings, MAX_ENDPOINTS_PER_PROVIDER) {
        return Err(Refusal::new(
            Reason::LimitExceeded,
            format!(
                "LlmProvider {} has {MAX_ENDPOINTS_PER_PROVIDER} older endpoints already; delete one of them, or this one",
                spec.provider_ref.name
            ),
        ));
    }
    let invalid = |why| Refusal::new(Reason::InvalidSpec, why);
    check_ca_bundle(spec.ca_bundle.as_deref()).map_err(invalid)?;
    base_url(driver, spec.base_url.as_deref(), spec.region.as_deref()).map_err(invalid)
}

/// Whether its own certificates can be used, where it has any.
fn check_ca_bundle(declared: Option<&str>) -> Result<(), String> {
    let certificates = declared.map(ca_bundle::certificates).transpose();
    certificates
        .map(drop)
        .map_err(|why| format!("spec.caBundle {why}"))
}

/// The URL in force: the one that is declared, or the vendor's own for the region.
fn base_url(
    driver: &dyn vendors::Driver,
    declared: Option<&str>,
    region: Option<&str>,
) -> Result<BaseUrl, String> {
    let base_url = match declared {
        Some(url) => BaseUrl::new(url),
        None => driver
            .default_base_url(region)
            .map(BaseUrl::new)
            .ok_or_else(|| driver.no_default(region))?,
    };
    let url = base_url
        .url()
        .ok_or_else(|| "spec.baseUrl is not a URL".to_owned())?;
    driver.check_endpoint(url, region)?;
    Ok(base_url)
}

/// The conditions, and whether it is in force.
pub fn validate(
    input: &EndpointInputs,
    desired: &Result<ValidatedEndpoint, Refusal>,
    settled: bool,
    now: Timestamp,
) -> Evaluation {
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let still_holds = row
        .zip(desired.as_ref().ok())
        .is_some_and(|(row, desired)| proof::still_holds(row, &input.object.spec, desired));
    evaluate(
        &EvaluationInputs {
            generation: identity::generation(&*input.object),
            enabled: input.object.spec.enabled,
            provider_enabled: input.parent.enabled(),
            refusal: desired.as_ref().err(),
            declared: missing_credential(input),
            outside: (ConditionType::Healthy, health(input, desired.as_ref().ok())),
            proof: proof_inputs(input, desired.as_ref().ok()),
            lacks_what_is_off: false,
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

/// A probe is made in one way.
fn proof_inputs(input: &EndpointInputs, desired: Option<&ValidatedEndpoint>) -> ProofInputs {
    let inputs: Vec<String> = desired
        .map(|d| probe_inputs(input, d))
        .into_iter()
        .collect();
    ProofInputs {
        passed: inputs.clone(),
        possible: inputs,
        is_partial: false,
    }
}

fn missing_credential(input: &EndpointInputs) -> Option<ConditionInput> {
    let wanted = input.missing_credential()?;
    let hint = parent::missing("LlmCredential", wanted, &input.credential_names);
    Some(ConditionInput::new(
        Reason::CredentialNotFound,
        format!(
            "spec.healthCheck.credentialRef: LlmProvider {} has no LlmCredential {wanted}; {hint}",
            input.object.spec.provider_ref.name
        ),
    ))
}

/// What its probes are made with, as it is declared now.
fn probe_inputs(input: &EndpointInputs, desired: &ValidatedEndpoint) -> String {
    let used = input.object.spec.health_check.credential_ref.as_ref();
    inputs::of_probe(&desired.check_inputs, used.map(|r| r.name.as_str()))
}

/// The verdict of its probes, if they were made with what is declared now.
fn probed<'a>(
    input: &'a EndpointInputs,
    desired: Option<&ValidatedEndpoint>,
) -> Option<&'a StoredCheck> {
    let inputs = probe_inputs(input, desired?);
    let verdict = input.row.as_ref()?.found.verdict.as_ref()?;
    verdict.is_of(&inputs).then_some(verdict)
}

fn health(input: &EndpointInputs, desired: Option<&ValidatedEndpoint>) -> ConditionInput {
    if !input.object.spec.health_check.enabled {
        return ConditionInput::new(
            Reason::CheckDisabled,
            "not probed: spec.healthCheck.enabled is false",
        );
    }
    match probed(input, desired) {
        Some(verdict) => ConditionInput::new(verdict.reason, verdict.message.clone()),
        None => ConditionInput::new(Reason::NotCheckedYet, "the first probe is under way"),
    }
}

/// The probe to make, where it is switched on.
pub fn jobs(input: &EndpointInputs, desired: Option<&ValidatedEndpoint>) -> Vec<PlannedJob> {
    let check = &input.object.spec.health_check;
    let Some(desired) = desired.filter(|d| d.on && check.enabled) else {
        return Vec::new();
    };
    let generation = identity::generation(&*input.object);
    let asked = asked_at(&*input.object);
    let row = input.row.as_ref();
    let handled = row.and_then(|r| r.last_handled_reconcile_at.as_deref());
    let is_asked = is_asked(&*input.object, handled);
    let mut trigger = DefaultHasher::new();
    (generation, asked, probe_inputs(input, desired)).hash(&mut trigger);
    let judged = probed(input, Some(desired));
    vec![PlannedJob {
        key: JobKey {
            kind: CheckKind::Probe,
            subject: input.owner.uid,
            endpoint: input.owner.uid,
        },
        period: seconds(check.period_seconds),
        timeout: seconds(check.timeout_seconds),
        trigger: trigger.finish(),
        stored: match judged {
            Some(verdict) if !is_asked => Stored::of(verdict),
            _ => Stored::Nothing,
        },
        apart: std::time::Duration::ZERO,
        not_final: None,
        held: false,
        credentials: None,
    }]
}
